"""Two DAG files of their own that wait in the triggerer: one for a window that is not due, one for its publication."""

DAG_IDS = ("late", "watch")
DAGS = """
from airflow.sdk import DAG

from airflow_tablestore.operators.incremental import incremental, window_params
from airflow_tablestore.sensors.windows import WindowPublishedSensor

with DAG("late", schedule=None, params=window_params()):
    incremental(
        pipeline="late",
        source={"table": "ots_gps_live", "mode": "multi_version"},
        window={"every": "20s", "lag": "5m"},
        sink={"type": "oss", "bucket": "backup", "prefix": "late/{window_start:%Y%m%d%H%M%S}/"},
    )

with DAG("watch", schedule=None, params=window_params()):
    WindowPublishedSensor(
        task_id="published",
        pipeline="late",
        table="ots_gps_live",
        window_start="{{ params.window_start }}",
        window_end="{{ params.window_end }}",
        poke_interval=1,
        timeout=1200,
    )
"""
