"""Airflow's web UI in a real browser, over real pipelines."""
