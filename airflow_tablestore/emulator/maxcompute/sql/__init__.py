"""SQL as far as pipelines and their checks need it: DDL, INSERT, and SELECT through DuckDB."""
