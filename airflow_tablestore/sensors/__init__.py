"""What a DAG waits for or is warned of: windows that are published, windows that are about to be lost."""
