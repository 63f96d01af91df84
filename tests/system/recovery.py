"""The pipelines that are cleared, killed and frozen in a real Airflow, into objects and into tables, and their windows.

Each test has a pipeline or a window of its own, so that all of them share one Airflow.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil

from tests.system.demo_warehouse import Warehouse
from tests.system.past import MINUTE, Past, difference, minute_of, rows_of_records
from tests.system.place import Place

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
QUICK, SLOW = ("quick", "clear_one", "clear_down", "clear_publish"), ("killed", "frozen")
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


TO_TABLE = """
pipeline: {name}
kind: full_export
source: {{table: ots_gps_data, split: [user_0002, user_0004]}}
sink: {{type: maxcompute, table: {name}, partition: pt=whole, truncate: true, create_table: true}}
retry: {{times: 3, delay: 1s}}
limits: {{rows_per_second: {rows_per_second}}}
"""
QUICK_TO_TABLE, SLOW_TO_TABLE = ("mc_clear_one", "mc_clear_down", "mc_publish"), ("mc_frozen",)
WINDOW_TO_TABLE = """
pipeline: {name}
kind: incremental
source: {{table: ots_gps_live, columns: [uid, ts, name, speed, change]}}
window: {{every: 1m, lag: 5m}}
sink:
  type: maxcompute
  table: {name}
  partition: "pt={{window_start:%Y%m%d}},hm={{window_start:%H%M}}"
  truncate: true
  create_table: true
retry: {{times: 3, delay: 1s}}
limits: {{{limits}}}
start: {start}
"""


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

    def differences_in_table(self, place: Place, dag_id: str, number: int) -> str:
        """How the partition of a window differs from its changes; "" when not."""
        start = self.begin + number * MINUTE
        partition = {"pt": f"{start:%Y%m%d}", "hm": f"{start:%H%M}"}
        given = rows_of_records(Warehouse(place.services["maxcompute"]).rows(dag_id, partition))
        return difference(self.past.rows(start, start + MINUTE), given)


def specs() -> dict[str, str]:
    """All pipelines, by name. Nothing of theirs is due by a schedule."""
    found = {}
    for text, quick, slow in ((SPEC, QUICK, SLOW), (TO_TABLE, QUICK_TO_TABLE, SLOW_TO_TABLE)):
        speeds = {**dict.fromkeys(quick, 10**6), **dict.fromkeys(slow, 150)}
        found |= {name: text.format(name=name, rows_per_second=speed) for name, speed in speeds.items()}
    start = (minute_of(datetime.now(UTC)) + timedelta(days=1)).isoformat()
    for name, limits in WINDOWS.items():
        found[name] = WINDOW.format(name=name, limits=limits, start=start)
        found[f"mc_{name}"] = WINDOW_TO_TABLE.format(name=f"mc_{name}", limits=limits, start=start)
    return found


@contextlib.contextmanager
def frozen(place: Place, dag_id: str, run_id: str) -> Iterator[None]:
    """An export attempt is stopped in its middle; on the way out it wakes up, beside what its successor has done."""
    victim = one_at_work(place, dag_id, run_id)
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
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()
    place.until(lambda: not task.is_running())


def one_at_work(place: Place, dag_id: str, run_id: str) -> dict[str, Any]:
    """One of the run's export tasks while its process works."""
    found: list[dict[str, Any]] = []

    def look() -> bool:
        found[:] = [t for t in place.tasks(dag_id, run_id, "export") if t["state"] == "running" and t["pid"]]
        return bool(found)

    place.until(look)
    return found[0]


def attempts(place: Place, dag_id: str, run_id: str, ending: str) -> list[int]:
    """How often each task with this ending has been begun, in the order of the parts."""
    tasks = sorted(place.tasks(dag_id, run_id, ending), key=lambda task: int(task["map_index"]))
    return [int(task["try_number"]) for task in tasks]
