"""What writes: one file per kind of store or service."""
