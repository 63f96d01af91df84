"""What a person or a scheduler can do to a full export in a real Airflow, and what stands in OSS afterwards.

Guarantees 16 and 17: whatever is killed, cleared or frozen, the objects hold the table's rows once each, or a failed
task says which one to clear. The oracle is the function that made the rows, never the emulator.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from tests.system import sample
from tests.system.place import IMPATIENT, Place, write_dags
from tests.system.services import emulator
from tests.system.stack import Stack

ROWS = 3_000
TASKS = 3
SPEC = """
pipeline: {name}
kind: full_export
source: {{table: ots_gps_data, split: [user_0002, user_0004]}}
sink: {{type: oss, bucket: backup, prefix: {name}/}}
retry: {{times: 3, delay: 1s}}
limits: {{rows_per_second: {rows_per_second}}}
"""
QUICK, SLOW = ("quick", "clear_one", "clear_down", "clear_publish", "killed"), ("frozen",)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("recovery")
    speeds = {**dict.fromkeys(QUICK, 10**6), **dict.fromkeys(SLOW, 150)}
    specs = {name: SPEC.format(name=name, rows_per_second=speed) for name, speed in speeds.items()}
    dags = write_dags(folder / "dags", specs)
    with emulator(folder / "emulator", folder / "emulator.log") as services:
        client = sample.sdk_client(services["tablestore"])
        sample.create_table(client)
        sample.load(client, ROWS)
        with Stack(folder / "airflow", dags, {**services["env"], **IMPATIENT}) as stack:
            stack.wait_healthy(QUICK + SLOW)
            yield Place(stack, services, folder, ROWS)


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
