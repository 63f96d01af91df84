"""What reads: one file per service."""
