"""A full export inside a DAG of one's own: the task group, with another task behind it."""

from airflow.sdk import DAG, task

from airflow_tablestore.operators.full_export import full_export

with DAG("gps_full_by_hand", schedule=None, tags=["tablestore"]) as dag:
    export = full_export(
        pipeline="gps_full_by_hand",
        source={"table": "ots_gps_data", "split": 2},
        sink={"type": "oss", "bucket": "backup", "prefix": "gps/by_hand/"},
    )

    @task
    def announce(report: dict) -> None:
        print("{rows} rows in {objects} objects: {manifest}".format(**report))

    announce(export.get_child_by_label("publish").output)
