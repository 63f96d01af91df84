"""The next full export: by reading the table again, or as a snapshot of the last one and the changes after it.

Both are whole processes by the command that users type, of the same table, into Parquet.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import requests

from airflow_tablestore.client import Client, Endpoint
from airflow_tablestore.pipeline.connections import from_environment, oss_endpoint
from airflow_tablestore.pipeline.layout import MANIFEST
from airflow_tablestore.pipeline.manifest import read_manifest
from airflow_tablestore.pipeline.sinks.oss import ObjectStore
from airflow_tablestore.wire.table import update_stream
from tests.bench import big_table
from tests.bench.measure import Ran, run
from tests.bench.pairs import Figure
from tests.bench.scale import Measured
from tests.system import sample
from tests.system.services import COMMAND, emulator

BUCKET = "backup"
HOUR, RETENTION_HOURS = timedelta(hours=1), 72
CELLS = 2
"""That each changed row gets."""

FULL = "kind: full_export\nsource: {{table: {table}}}\nsink: {{type: oss, bucket: backup, prefix: "
SPECS = {
    "full": FULL + "{at}/base/}}\n",
    "again": FULL + "{at}/again/}}\n",
    "changes": (
        "kind: incremental\nsource: {{table: {table}, mode: multi_version, export_sequence_info: true}}\n"
        "window: {{every: 1h, lag: 5m}}\nstart: {begin}\n"
        'sink: {{type: oss, bucket: backup, prefix: "{at}/changes/{{window_start:%Y%m%d%H}}/"}}\n'
    ),
    "snapshot": (
        "kind: snapshot\nto: {end}\nsource: {{type: oss, bucket: backup, base: {at}/base/, changes: {at}/changes/}}\n"
        "sink: {{type: oss, bucket: backup, prefix: {at}/snapshot/}}\n"
    ),
}


def measured(
    folder: Path, say: Callable[[str], None], *, rows: int, percents: Sequence[int] = (1, 10), rounds: int = 3
) -> Iterator[Figure | Measured]:
    """A table of so many rows, of which so many percent are changed."""
    folder.mkdir(parents=True, exist_ok=True)
    big_table.make(folder / "data", rows)
    with emulator(folder / "data", folder / "emulator.log") as services:
        day = Day(services, folder, rows)
        for percent in percents:
            say(f"A snapshot of {rows:,} rows, of which {percent} % were changed ...")
            day.begin(f"day{percent}", rows * percent // 100)
            yield from _compared(day, percent, rounds)


class Day:
    """A full export, changes after it, and the window that holds them."""

    def __init__(self, services: dict[str, Any], folder: Path, rows: int):
        self.services, self.folder, self.rows = services, folder, rows
        self._start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=1)
        self._now(self._start)
        access = services["tablestore"]
        names = ("endpoint", "instance", "access_key_id", "access_key_secret")
        with Client(Endpoint(*(access[name] for name in names))) as client:
            client.send(update_stream(sample.TABLE, RETENTION_HOURS))

    def begin(self, name: str, changed: int) -> None:
        """Export the table, change so many rows of it, and export the window of these changes."""
        self._start += 2 * HOUR
        given = {"table": sample.TABLE, "at": name, "begin": self._start.isoformat()}
        for kind, text in SPECS.items():
            written = text.format(**given, end=(self._start + HOUR).isoformat())
            (self.folder / f"{kind}.yaml").write_text(f"pipeline: {name}_{kind}\n{written}")
        self.run("full", self.rows)
        self._date_back(f"{name}/base/")
        self._now(self._start + timedelta(minutes=1))
        _change(sample.sdk_client(self.services["tablestore"]), self.rows, changed)
        self._now(self._start + 2 * HOUR)
        self.run("changes", changed * CELLS, "--window-start", self._start.isoformat())

    def run(self, kind: str, rows: int, *options: str) -> Ran:
        """One run, of which it is known how many rows it must publish."""
        command = [*COMMAND, "run", str(self.folder / f"{kind}.yaml"), "--json", *options]
        ran = run(command, self.services["env"], self.folder)
        published = json.loads(ran.output)["rows"]
        if published != rows:
            raise RuntimeError(f"{kind}: {published} rows were published, of {rows}")
        return ran

    def _date_back(self, prefix: str) -> None:
        """The export counts as read before the changes, which lie in the past: no window of the future is due."""
        endpoint = oss_endpoint(from_environment("oss_default", self.services["env"]), BUCKET)
        with closing(ObjectStore(endpoint, BUCKET)) as store:
            manifest = read_manifest(store, prefix)
            if manifest is None:
                raise RuntimeError(f"nothing is published at {prefix}")
            moment = self._start + timedelta(seconds=30)
            store.put(prefix + MANIFEST, replace(manifest, read=(moment, moment)).to_bytes())

    def _now(self, moment: datetime) -> None:
        """The clock of data goes on from there."""
        url = f"{self.services['tablestore']['endpoint']}/_emulator/clock"
        requests.post(url, json={"now": moment.isoformat()}, timeout=30).raise_for_status()


def _change(client: Any, rows: int, count: int) -> None:
    """Two cells of so many rows, which are all over the table."""
    from tablestore import BatchWriteRowRequest, Condition, Row, TableInBatchWriteRowItem, UpdateRowItem
    from tablestore import RowExistenceExpectation as Expected

    for first in range(0, count, sample.BATCH):
        items = []
        for number in range(first, min(first + sample.BATCH, count)):
            uid, fix = divmod(number * (rows // count), sample.FIXES_PER_UID)
            key = [("uid", f"user_{uid:06d}"), ("ts", sample.FIRST_FIX_MILLIS + fix * 1000)]
            cells = {"PUT": [("name", f"changed {number}"), ("speed", float(number))]}
            items.append(UpdateRowItem(Row(key, cells), Condition(Expected.EXPECT_EXIST)))
        request = BatchWriteRowRequest()
        request.add(TableInBatchWriteRowItem(sample.TABLE, items))
        if not client.batch_write_row(request).is_all_succeed():
            raise RuntimeError("some rows could not be changed")


def _compared(day: Day, percent: int, rounds: int) -> Iterator[Figure | Measured]:
    snapshots, fulls = [], []
    for _ in range(rounds):
        snapshots.append(day.run("snapshot", day.rows))
        fulls.append(day.run("again", day.rows))
    ours, theirs = (day.rows / 1000 / median(one.cpu_seconds for one in ran) for ran in (snapshots, fulls))
    how = f"whole processes, {day.rows:,} rows to Parquet; median of {rounds}"
    yield Figure(f"snapshot with {percent} % changed / full export", ours, theirs, "thousand rows per CPU second", how)
    seconds, peak = median(one.seconds for one in snapshots), max(one.peak_mb for one in snapshots)
    yield f"snapshot of {day.rows:,} rows, {percent} % changed", f"{seconds:.1f} s, {peak:.0f} MB at most", how
