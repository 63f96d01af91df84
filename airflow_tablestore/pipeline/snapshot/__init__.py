"""A table as it was at a moment, published as a full export."""
