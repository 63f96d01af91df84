"""What a run of a delivery will do, in words; `explain` puts the schedule before it."""

from __future__ import annotations

from airflow_tablestore.spec.kinds.delivery import DeliverySpec
from airflow_tablestore.spec.values import duration_text


def delivery_story(spec: DeliverySpec) -> list[str]:
    """What becomes of the task in a run, in sentences."""
    its, wait = spec.delivery, spec.wait
    what = {
        "BaseTask": "the rows of the table, once",
        "IncTask": "what changes from now on",
        "BaseIncTask": "the rows of the table, and then what changes",
    }[its.type]
    drift = {
        "fail": "fails the run, with the differences",
        "update": "is updated",
        "recreate": "is deleted and made anew; base data are then delivered again",
    }[its.on_drift]
    by = f"by the time in column '{its.event_time.column}'" if its.event_time else "by the time of the write"
    told = [
        f"It makes the delivery task '{its.task}' of table '{spec.source.table}' over connection "
        f"'{spec.source.connection}', unless it stands; one with another definition {drift}.",
        f"From then on the service itself delivers {what}, as Parquet with {len(its.fields)} columns, to "
        f"oss://{its.bucket}/{its.prefix}{f', {by}' if '$' in its.prefix else ''}. Deletes are not delivered; values "
        "that do not fit their column's type are dropped by the service.",
    ]
    if wait is not None:
        for_ = [
            *([f"it is in phase {wait.phase}"] if wait.phase else []),
            *([f"it is at most {duration_text(wait.max_lag)} behind"] if wait.max_lag else []),
            *(["the folder of the run's data interval is complete"] if wait.partition else []),
        ]
        told.append(
            f"It waits, without a worker, until {' and '.join(for_ or ['it delivers'])}, "
            f"{duration_text(wait.timeout)} at most; a task in error fails it at once."
        )
    if spec.audit is not None:
        end = "which fails the run" if spec.audit.fails else "which is told"
        told.append(
            f"Then it reads the delivered files back over connection '{spec.audit.connection}' and compares them with "
            f"the table: rows and values that are missing, {end}."
        )
    return told
