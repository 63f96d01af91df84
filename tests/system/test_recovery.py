"""What a person or a scheduler can do to a full export in a real Airflow, and what stands in OSS afterwards.

Guarantees 16 and 17: whatever is killed, cleared or frozen, the objects hold the table's rows once each, or a failed
task says which one to clear. The oracle is the function that made the rows, never the emulator.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.system import compare, sample
from tests.system.services import emulator
from tests.system.stack import Stack

ROWS = 3_000
KEY_NAMES = ("uid", "ts")
TASKS = 3
LOADER = "from airflow_tablestore.factory import load_specs\n\nglobals().update(load_specs('specs'))\n"
SPEC = """
pipeline: {name}
kind: full_export
source: {{table: ots_gps_data, split: [user_0002, user_0004]}}
sink: {{type: oss, bucket: backup, prefix: {name}/}}
retry: {{times: 3, delay: 1s}}
limits: {{rows_per_second: {rows_per_second}}}
"""
QUICK, SLOW = ("quick", "clear_one", "clear_down", "clear_publish", "killed"), ("frozen",)
IMPATIENT = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "10",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
}


@dataclass
class Place:
    """A running Airflow with one small pipeline per test, and the services they use."""

    stack: Stack
    services: dict[str, Any]
    folder: Path

    def run(self, dag_id: str) -> str:
        run_id = self.stack.trigger(dag_id)
        self.wait(dag_id, run_id, "success")
        return run_id

    def wait(self, dag_id: str, run_id: str, wanted: str, seconds: float = 120) -> None:
        self.until(lambda: self.stack.run_state(dag_id, run_id) in ("success", "failed"), seconds)
        assert self.stack.run_state(dag_id, run_id) == wanted, self.stack.task_instances(dag_id, run_id)

    def until(self, holds: Callable[[], object], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.3)

    def tasks(self, dag_id: str, run_id: str, ending: str) -> list[dict[str, Any]]:
        return [t for t in self.stack.task_instances(dag_id, run_id) if t["task_id"].endswith(ending)]

    def clear(self, dag_id: str, run_id: str, task: str, *, map_index: int | None = None, downstream: bool) -> None:
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "only_failed": False,
            "include_downstream": downstream,
            "task_ids": [task if map_index is None else [task, map_index]],
        }
        self.stack.api("POST", f"dags/{dag_id}/clearTaskInstances", json=body)
        self.until(lambda: self.stack.run_state(dag_id, run_id) in ("queued", "running"), 20)

    def differences(self, dag_id: str) -> str:
        store = compare.bucket(self.services["oss"])
        published = compare.download(store, f"{dag_id}/", self.folder / dag_id)
        expected = {
            tuple(v for _, v in key): {n: bytes(v) if isinstance(v, bytearray) else v for n, v in cells}
            for key, cells in sample.rows(ROWS)
        }
        return compare.difference(expected, compare.read_parquet(published.files, KEY_NAMES), compare.as_is)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("recovery")
    dags = folder / "dags"
    (dags / "specs").mkdir(parents=True)
    (dags / "loader.py").write_text("# an Airflow dag file\n" + LOADER)
    for name in QUICK + SLOW:
        slow = SPEC.format(name=name, rows_per_second=10**6 if name in QUICK else 150)
        (dags / "specs" / f"{name}.yaml").write_text(slow)
    with emulator(folder / "emulator", folder / "emulator.log") as services:
        client = sample.sdk_client(services["tablestore"])
        sample.create_table(client)
        sample.load(client, ROWS)
        with Stack(folder / "airflow", dags, {**services["env"], **IMPATIENT}) as stack:
            stack.wait_healthy(QUICK + SLOW)
            yield Place(stack, services, folder)


def test_a_run_publishes_the_table(place):
    run_id = place.run("quick")

    assert len(place.tasks("quick", run_id, "export")) == TASKS
    assert place.differences("quick") == ""


def test_a_cleared_export_task_alone_leaves_the_publication_right(place):
    run_id = place.run("clear_one")

    task = place.tasks("clear_one", run_id, "export")[0]["task_id"]
    place.clear("clear_one", run_id, task, map_index=1, downstream=False)
    place.wait("clear_one", run_id, "success")

    assert place.differences("clear_one") == ""


def test_a_cleared_export_task_with_its_downstream_publishes_again(place):
    run_id = place.run("clear_down")

    task = place.tasks("clear_down", run_id, "export")[0]["task_id"]
    place.clear("clear_down", run_id, task, map_index=1, downstream=True)
    place.wait("clear_down", run_id, "success")

    assert place.tasks("clear_down", run_id, "publish")[0]["try_number"] == 2
    assert place.differences("clear_down") == ""


def test_a_cleared_publish_task_finds_its_work_done(place):
    run_id = place.run("clear_publish")

    task = place.tasks("clear_publish", run_id, "publish")[0]["task_id"]
    place.clear("clear_publish", run_id, task, downstream=False)
    place.wait("clear_publish", run_id, "success")

    assert place.differences("clear_publish") == ""


def test_a_frozen_export_attempt_that_wakes_up_changes_nothing(place):
    run_id = place.stack.trigger("frozen")
    place.until(lambda: any(t["state"] == "running" and t["pid"] for t in place.tasks("frozen", run_id, "export")))
    victim = next(t for t in place.tasks("frozen", run_id, "export") if t["state"] == "running" and t["pid"])
    processes = [psutil.Process(victim["pid"]), psutil.Process(victim["pid"]).parent()]
    time.sleep(2)  # let it begin an upload

    for process in reversed(processes):
        os.kill(process.pid, signal.SIGSTOP)
    try:
        place.until(lambda: _attempt(place, run_id, victim) > victim["try_number"])
        place.wait("frozen", run_id, "success")
    finally:
        for process in processes:
            if process.is_running():
                os.kill(process.pid, signal.SIGCONT)
    time.sleep(3)  # the sleeper acts, and is told that it is late

    assert place.stack.run_state("frozen", run_id) == "success"
    assert place.differences("frozen") == ""


def _attempt(place: Place, run_id: str, victim: dict[str, Any]) -> int:
    same = [t for t in place.tasks("frozen", run_id, "export") if t["map_index"] == victim["map_index"]]
    return int(same[0]["try_number"])


def test_a_killed_export_attempt_is_retried_and_nothing_is_doubled(place):
    place.stack.api("PATCH", "dags/killed", json={"is_paused": False})
    run_id = place.stack.trigger("killed")
    place.until(lambda: any(t["state"] == "running" and t["pid"] for t in place.tasks("killed", run_id, "export")))
    victim = next(t for t in place.tasks("killed", run_id, "export") if t["state"] == "running" and t["pid"])

    os.kill(victim["pid"], signal.SIGKILL)
    place.wait("killed", run_id, "success")

    assert max(t["try_number"] for t in place.tasks("killed", run_id, "export")) == 2
    assert place.differences("killed") == ""
