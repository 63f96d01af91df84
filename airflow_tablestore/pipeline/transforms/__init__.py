"""What changes batches between source and sink: one file each."""
