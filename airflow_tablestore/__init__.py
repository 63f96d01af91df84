"""Tablestore pipelines for Apache Airflow: full export, incremental windows, tunnels, delivery, restore."""

__version__ = "0.1.0"
