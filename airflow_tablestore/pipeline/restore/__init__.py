"""Objects back into a table."""
