"""The memory of one Airflow task: idle with everything imported, or exporting a split.

Arguments: `idle`, or `export` and the last user to read. Prints nothing.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from types import SimpleNamespace

from airflow_tablestore.operators.full_export import ExportSplitOperator, PlanFullExportOperator


def main() -> None:
    import airflow.sdk.execution_time.task_runner  # noqa: F401 - what every task process has imported

    logging.basicConfig(level=logging.INFO)
    settings = {
        "pipeline": "bench_task",
        "source": {"table": "ots_gps_data", "range": {"end": sys.argv[2:]}},
        "sink": {"type": "oss", "bucket": "backup", "prefix": "bench/task/"},
    }
    if sys.argv[1] == "idle":
        return
    shared: dict[str, object] = {}
    instance = SimpleNamespace(try_number=1, xcom_push=lambda key, value: shared.__setitem__(key, value))
    moment = datetime.now(UTC)
    context = {"ti": instance, "run_id": "bench", "dag_run": SimpleNamespace(run_after=moment, logical_date=moment)}
    splits = PlanFullExportOperator(task_id="plan", **settings).execute(context)
    for split in splits:
        ExportSplitOperator(task_id="export", head=shared["head"], split=split, **settings).execute(context)


if __name__ == "__main__":
    main()
