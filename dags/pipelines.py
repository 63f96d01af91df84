"""One Airflow DAG for each spec in the folder beside this file."""

from airflow_tablestore.factory import load_specs

globals().update(load_specs("specs"))
