"""From spec files to DAGs: what a DAG file imports."""

from airflow_tablestore.factory.load import dag_from_spec, import_spec, load_specs

__all__ = ["dag_from_spec", "import_spec", "load_specs"]
