"""Ends a delivery in order: waits until everything that was written before this run is delivered, deletes the task."""

from datetime import timedelta

from airflow.sdk import DAG

from airflow_tablestore.operators.delivery import DeleteDeliveryTaskOperator
from airflow_tablestore.sensors.delivery import DeliveryTaskSensor

TASK = {"table": "sampleTable", "task_name": "sampledelivery"}

with DAG("sample_delivery_end", schedule=None, tags=["tablestore"]) as dag:
    wait = DeliveryTaskSensor(
        task_id="wait",
        reached="{{ dag_run.run_after.isoformat() }}",
        poke_interval=5,
        timeout=timedelta(hours=1),
        **TASK,
    )
    wait >> DeleteDeliveryTaskOperator(task_id="delete", **TASK)
