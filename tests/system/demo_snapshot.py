"""The part of the demo about snapshots: a full export of a moment, made without reading the table.

The first base is exported by the command that users type, while the fleet holds still at the end of its first window of
the past; the windows behind it are those that `gps_changes` publishes. The service's own clock goes by the wall, so the
base tells that it was read just now; it is dated back to its window, as the changes around it are. The oracle is the
table, read with the official SDK while the fleet holds still at the base and at the moment of the snapshot.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from airflow_tablestore.spec.kinds.snapshot import SnapshotSpec
from tests.system import compare, sample, writer
from tests.system.demo_drive import Drive
from tests.system.demo_runs import Runs
from tests.system.demo_verdicts import Verdict, size
from tests.system.demo_windows import CELLS
from tests.system.services import COMMAND

FIRST, DAG = "gps_first", "gps_snapshot"
WHOLE = "gps/whole/"
KEY_NAMES = ("uid", "ts")
BASE_IN, UP_TO = 0, 1
"""The windows at whose ends the base and the snapshot hold the table; what was written after them is in neither."""

BEFORE_END = timedelta(minutes=1)
"""In a window of the past the fleet writes for some seconds only, and nothing so shortly before its end."""

LAG: timedelta = SnapshotSpec.model_fields["lag"].default
COMMAND_SECONDS = 180
"""It takes some two; on a machine that starts an Airflow meanwhile, a few more."""


@dataclass
class Snapshot:
    """One run, as soon as the windows are published."""

    services: dict[str, Any] = field(repr=False)
    drive: Drive
    dags_folder: Path
    title = f"{writer.TABLE}: a full export of a moment, made of an earlier one and of windows; the table is not read"
    dags = (FIRST, DAG)

    def __post_init__(self) -> None:
        self._tables: dict[int, dict[compare.Key, compare.Cells]] = {}
        self._started: list[tuple[str, str]] = []
        self._seconds, self._broken = 0.0, ""

    def held(self, number: int) -> None:
        """The fleet holds still at the end of this window of the past: look at the table, and make the base."""
        if number in (BASE_IN, UP_TO):
            client = sample.sdk_client(self.services["tablestore"])
            self._tables[number] = compare.table_rows(client, writer.TABLE, KEY_NAMES)
        if number == BASE_IN:
            self._export(self.drive.windows[number].end - BEFORE_END)

    def begin(self, runs: Runs) -> None:
        how = f"was run by hand in the fleet's first window ({self._seconds:.0f} s), and is dated back to it"
        runs.say(self._broken or f"{FIRST} {how}")

    def step(self, runs: Runs) -> bool:
        """Whether all is done; begins when the windows are published."""
        if self._started:
            return runs.seen[self._started[0]].is_over
        published = [run for run in runs.of(CELLS) if run.is_over]
        if published and published[0].state == "success" and not self._broken:
            self._started.append(runs.start(DAG, about=self._about))
            runs.say(f"{CELLS} has published its windows; {DAG} makes the table as it was at {self._moment:%H:%M}")
        return bool(published) and not self._started

    def verdicts(self, runs: Runs) -> Iterator[Verdict]:
        yield self._verdict(FIRST, f"{WHOLE}first/", BASE_IN, self._seconds, self._broken)
        problem, seconds = f"{CELLS} published nothing to fold", 0.0
        if self._started:
            problem, seconds = runs.failures(self._started), runs.seen[self._started[0]].seconds
        yield self._verdict(DAG, f"{WHOLE}{self._about:%Y%m%d}/", UP_TO, seconds, self._broken or problem)

    @property
    def _moment(self) -> datetime:
        return self.drive.windows[UP_TO].end

    @property
    def _about(self) -> datetime:
        """The time of a run whose snapshot is of the moment."""
        return self._moment + LAG

    def _export(self, moment: datetime) -> None:
        began, spec = time.monotonic(), self.dags_folder / "specs" / f"{FIRST}.yaml"
        done = subprocess.run(
            [*COMMAND, "run", str(spec)],
            env={**os.environ, **self.services["env"]},
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        self._seconds = time.monotonic() - began
        if done.returncode:
            self._broken = f"`{Path(COMMAND[0]).name} run` of {FIRST} failed: {done.stderr.strip()[-500:]}"
            return
        store, key = compare.bucket(self.services["oss"]), f"{WHOLE}first/_manifest.json"
        told = json.loads(store.get_object(key).read())
        store.put_object(key, json.dumps({**told, "read": [moment.isoformat()] * 2}))

    def _verdict(self, pipeline: str, prefix: str, number: int, seconds: float, problem: str) -> Verdict:
        if problem:
            return Verdict(pipeline, "nothing", 0, "table", seconds, problem)
        to = self.drive.folder / "published" / pipeline
        try:
            published = compare.download(compare.bucket(self.services["oss"]), prefix, to)
        except compare.Different as different:
            return Verdict(pipeline, "nothing whole", 0, "table", seconds, str(different))
        rows = compare.read_parquet(published.files, KEY_NAMES)
        problem = compare.difference(self._tables[number], rows, compare.as_is)
        found = f"OSS: {len(published.files)} Parquet, {size(published.bytes)}"
        return Verdict(pipeline, found, published.manifest["rows"], "table", seconds, problem)
