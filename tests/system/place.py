"""A running Airflow with the services that its pipelines use, and what tests ask of both.

The oracle of `differences` is the function that made the rows of the sample table, never the emulator.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.system import compare, sample
from tests.system.demo_warehouse import Warehouse
from tests.system.stack import Stack

KEY_NAMES = tuple(name for name, _ in sample.KEYS)
LOADER = "from airflow_tablestore.factory import load_specs\n\nglobals().update(load_specs('specs'))\n"
PATIENCE_SECONDS = 600.0
"""For anything that happens within seconds on a machine that has nothing else to do."""

IMPATIENT = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "6",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
}
"""So that a task whose process is gone is tried again within half a minute, and so that a new triggerer takes over from
a dead one as soon. A living task is silent for some seconds when the machine is busy, and must not be tried again."""


def write_dags(folder: Path, specs: dict[str, str]) -> Path:
    """A DAG folder with these specs, by name, and the loader that users put beside them."""
    (folder / "specs").mkdir(parents=True)
    (folder / "loader.py").write_text("# an Airflow dag file\n" + LOADER)
    for name, text in specs.items():
        (folder / "specs" / f"{name}.yaml").write_text(text)
    return folder


@dataclass
class Place:
    """What runs, and where. Published objects are copied into `folder`; `rows` is how many the sample table has."""

    stack: Stack
    services: dict[str, Any] = field(repr=False)
    folder: Path
    rows: int

    def run(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        run_id = self.stack.trigger(dag_id, conf)
        self.wait(dag_id, run_id, "success")
        return run_id

    def wait(self, dag_id: str, run_id: str, wanted: str, seconds: float = PATIENCE_SECONDS) -> None:
        self.settle(dag_id, run_id, seconds)
        assert self.stack.run_state(dag_id, run_id) == wanted, self.stack.task_instances(dag_id, run_id)

    def settle(self, dag_id: str, run_id: str, seconds: float = PATIENCE_SECONDS) -> None:
        """Return when the run has ended, in whatever way."""
        self.until(lambda: self.stack.run_state(dag_id, run_id) in ("success", "failed"), seconds)

    def until(self, holds: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            self.stack.check_alive()
            assert time.monotonic() < deadline, f"it did not happen in {seconds:.0f} s; logs: {self.stack.home}"
            time.sleep(0.3)

    def tasks(self, dag_id: str, run_id: str, ending: str) -> list[dict[str, Any]]:
        return [t for t in self.stack.task_instances(dag_id, run_id) if t["task_id"].endswith(ending)]

    def clear(self, dag_id: str, run_id: str, task: str, *, map_index: int | None = None, downstream: bool) -> None:
        """Clear a task, or one of its parts; the run is queued anew then, or has even ended again."""
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "only_failed": False,
            "include_downstream": downstream,
            "task_ids": [task if map_index is None else [task, map_index]],
        }
        queued = self._queued_at(dag_id, run_id)
        self.stack.api("POST", f"dags/{dag_id}/clearTaskInstances", json=body)
        self.until(lambda: self._queued_at(dag_id, run_id) != queued)

    def _queued_at(self, dag_id: str, run_id: str) -> str:
        return str(self.stack.api("GET", f"dags/{dag_id}/dagRuns/{run_id}")["queued_at"])

    def differences(self, dag_id: str) -> str:
        """How what a full export of the sample has published under `<DAG id>/` differs from its rows; "" when not."""
        store = compare.bucket(self.services["oss"])
        published = compare.download(store, f"{dag_id}/", self.folder / dag_id)
        return compare.difference(self._expected(), compare.read_parquet(published.files, KEY_NAMES), compare.as_is)

    def differences_in_table(self, dag_id: str) -> str:
        """The same of a table of MaxCompute with the pipeline's name, and its only partition."""
        warehouse = Warehouse(self.services["maxcompute"])
        (partition,) = warehouse.partitions(dag_id)
        rows = compare.keyed(warehouse.rows(dag_id, partition), KEY_NAMES)
        return compare.difference(self._expected(), rows, compare.as_is)

    def _expected(self) -> dict[compare.Key, compare.Cells]:
        return {
            tuple(v for _, v in key): {n: bytes(v) if isinstance(v, bytearray) else v for n, v in cells}
            for key, cells in sample.rows(self.rows)
        }
