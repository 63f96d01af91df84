"""The examples in `dags/` on a real Airflow against the emulator: what `make demo`, `make up` and CI run."""
