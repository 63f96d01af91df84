"""All rows of a table into objects or a warehouse's table."""
