"""Whether a table holds what was published from it: counts and checksums by key range, then the keys that differ."""
