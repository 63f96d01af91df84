"""A table's changes, window by window: when one is due, where it lies, what is known of it, how it is published."""
