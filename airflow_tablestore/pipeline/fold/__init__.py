"""A full export and the changes after it, folded into the rows of a moment."""
