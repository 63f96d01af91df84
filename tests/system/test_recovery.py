"""What a person or a scheduler can do to a run in a real Airflow, and what stands in OSS afterwards.

Guarantees 16 and 17: whatever is killed, cleared or frozen, the objects hold the table's rows once each, those of a
window each of its changes, or a failed task says which one to clear. The oracles are the function that made the rows
and the writer's journal, never the emulator.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import pytest

from tests.system import sample
from tests.system.past import MINUTE, Past, minute_of
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
WINDOW = """
pipeline: {name}
kind: incremental
source: {{table: ots_gps_live, columns: [uid, ts, name, speed, change]}}
window: {{every: 1m, lag: 5m}}
sink: {{type: oss, bucket: backup, prefix: "{name}/{{window_start:%Y%m%d%H%M}}/"}}
retry: {{times: 3, delay: 1s}}
limits: {{{limits}}}
start: {start}
"""
WINDOWS = {
    "window": "threads: 2",
    "window_slow": "rows_per_second: 4",
    "window_mapped": f"workers: {TASKS}",
}
"""The limits of each pipeline of windows."""

CHANGES_A_MINUTE = 60
SHARDS_AT = ("user_0013", "user_0026")


@dataclass(frozen=True, slots=True)
class Windows:
    """Changes of some minutes, over as many shards as there are tasks, each minute a window that a test has alone."""

    past: Past
    begin: datetime
    count: int = 6

    def write(self) -> None:
        self.past.create_table(self.begin - 2 * MINUTE)
        for at in SHARDS_AT:
            self.past.split_shard(at)
        self.past.write(self.begin - MINUTE, self.begin + (self.count + 1) * MINUTE, CHANGES_A_MINUTE)
        self.past.come_to_now()

    def asked(self, number: int, **more: Any) -> dict[str, Any]:
        """The configuration of a run for one of the windows."""
        start = self.begin + number * MINUTE
        return {"window_start": start.isoformat(), "window_end": (start + MINUTE).isoformat(), **more}

    def differences(self, place: Place, dag_id: str, number: int) -> str:
        """How what is published of a window differs from its changes; "" when not."""
        start = self.begin + number * MINUTE
        prefix = f"{dag_id}/{start:%Y%m%d%H%M}/"
        return self.past.differences(prefix, start, start + MINUTE, place.folder / f"{dag_id}-{number}")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("recovery")
    speeds = {**dict.fromkeys(QUICK, 10**6), **dict.fromkeys(SLOW, 150)}
    specs = {name: SPEC.format(name=name, rows_per_second=speed) for name, speed in speeds.items()}
    start = minute_of(datetime.now(UTC)) + timedelta(days=1)  # nothing is due by the schedule
    for name, limits in WINDOWS.items():
        specs[name] = WINDOW.format(name=name, limits=limits, start=start.isoformat())
    dags = write_dags(folder / "dags", specs)
    with emulator(folder / "emulator", folder / "emulator.log") as services:
        client = sample.sdk_client(services["tablestore"])
        sample.create_table(client)
        sample.load(client, ROWS)
        with Stack(folder / "airflow", dags, {**services["env"], **IMPATIENT}) as stack:
            stack.wait_healthy(list(specs))
            yield Place(stack, services, folder, ROWS)


@pytest.fixture(scope="module")
def windows(place: Place) -> Windows:
    written = Windows(Past(place.services), minute_of(datetime.now(UTC)) - timedelta(minutes=15))
    written.write()
    return written


@contextlib.contextmanager
def frozen(place: Place, dag_id: str, run_id: str) -> Iterator[None]:
    """An export attempt is stopped in its middle; on the way out it wakes up, beside what its successor has done."""
    place.until(lambda: any(t["state"] == "running" and t["pid"] for t in place.tasks(dag_id, run_id, "export")))
    victim = next(t for t in place.tasks(dag_id, run_id, "export") if t["state"] == "running" and t["pid"])
    task = psutil.Process(victim["pid"])
    supervisor, part = task.parent(), max(victim["map_index"], 0)
    time.sleep(2)  # let it begin an upload
    try:
        for process in (supervisor, task):
            os.kill(process.pid, signal.SIGSTOP)
        place.until(lambda: attempts(place, dag_id, run_id, "export")[part] > victim["try_number"])
        yield
        os.kill(task.pid, signal.SIGCONT)
        time.sleep(3)  # the sleeper acts, before its supervisor hears that it is late and ends it
    finally:
        for process in (task, supervisor):
            if process.is_running():
                os.kill(process.pid, signal.SIGCONT)
    place.until(lambda: not task.is_running())


def attempts(place: Place, dag_id: str, run_id: str, ending: str) -> list[int]:
    """How often each task with this ending has been begun, in the order of the parts."""
    tasks = sorted(place.tasks(dag_id, run_id, ending), key=lambda task: int(task["map_index"]))
    return [int(task["try_number"]) for task in tasks]


def found_published(place: Place, dag_id: str, run_id: str) -> int:
    """Of how many windows the run's latest attempt says that they stood already and were not read."""
    told = place.stack.xcom(dag_id, run_id, "export")
    return int((json.loads(told) if isinstance(told, str) else told)["windows_found_published"])


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

    with frozen(place, "frozen", run_id):
        place.wait("frozen", run_id, "success")

    assert place.stack.run_state("frozen", run_id) == "success"
    assert place.differences("frozen") == ""


def test_a_killed_export_attempt_is_retried_and_nothing_is_doubled(place):
    place.stack.api("PATCH", "dags/killed", json={"is_paused": False})
    run_id = place.stack.trigger("killed")
    place.until(lambda: any(t["state"] == "running" and t["pid"] for t in place.tasks("killed", run_id, "export")))
    victim = next(t for t in place.tasks("killed", run_id, "export") if t["state"] == "running" and t["pid"])

    os.kill(victim["pid"], signal.SIGKILL)
    place.wait("killed", run_id, "success")

    assert max(t["try_number"] for t in place.tasks("killed", run_id, "export")) == 2
    assert place.differences("killed") == ""


def test_a_cleared_window_task_leaves_the_publication_right(place, windows):
    run_id = place.run("window", windows.asked(0))

    place.clear("window", run_id, "export", downstream=False)
    place.wait("window", run_id, "success")

    assert attempts(place, "window", run_id, "export") == [2]
    assert found_published(place, "window", run_id) == 1
    assert windows.differences(place, "window", 0) == ""


def test_a_cleared_window_task_that_was_forced_publishes_again(place, windows):
    run_id = place.run("window", windows.asked(1, force=True))

    place.clear("window", run_id, "export", downstream=False)
    place.wait("window", run_id, "success")

    assert attempts(place, "window", run_id, "export") == [2]
    assert found_published(place, "window", run_id) == 0
    assert windows.differences(place, "window", 1) == ""


def test_a_frozen_window_attempt_that_wakes_up_changes_nothing(place, windows):
    run_id = place.stack.trigger("window_slow", windows.asked(2))

    with frozen(place, "window_slow", run_id):
        place.wait("window_slow", run_id, "success")

    assert place.stack.run_state("window_slow", run_id) == "success"
    assert windows.differences(place, "window_slow", 2) == ""


def test_a_cleared_part_of_a_window_alone_leaves_the_publication_right(place, windows):
    run_id = place.run("window_mapped", windows.asked(3))

    place.clear("window_mapped", run_id, "export", map_index=1, downstream=False)
    place.wait("window_mapped", run_id, "success")

    assert attempts(place, "window_mapped", run_id, "export") == [1, 2, 1]
    assert attempts(place, "window_mapped", run_id, "publish") == [1]
    assert windows.differences(place, "window_mapped", 3) == ""


def test_a_cleared_part_of_a_window_with_its_downstream_publishes_again(place, windows):
    run_id = place.run("window_mapped", windows.asked(4))

    place.clear("window_mapped", run_id, "export", map_index=1, downstream=True)
    place.wait("window_mapped", run_id, "success")

    assert attempts(place, "window_mapped", run_id, "export") == [1, 2, 1]
    assert attempts(place, "window_mapped", run_id, "publish") == [2]
    assert windows.differences(place, "window_mapped", 4) == ""


def test_a_cleared_publication_of_a_window_finds_its_work_done(place, windows):
    run_id = place.run("window_mapped", windows.asked(5))

    place.clear("window_mapped", run_id, "publish", downstream=False)
    place.wait("window_mapped", run_id, "success")

    assert attempts(place, "window_mapped", run_id, "export") == [1, 1, 1]
    assert attempts(place, "window_mapped", run_id, "publish") == [2]
    assert windows.differences(place, "window_mapped", 5) == ""
