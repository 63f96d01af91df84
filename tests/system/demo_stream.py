"""The part of the demo about streams: tunnels drained while the fleet writes, rows first, then every change.

One is drained by two workers into objects, one into a table of MaxCompute, one into a second table of Tablestore. When
all have caught up the fleet stops, and a second run of each takes the rest. Then each tunnel has carried each row that
stood at its beginning and each change after that, by the writer's own journal, and the second table is as the first.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import oss2
import pyarrow.parquet as pq

from tests.system import compare, sample, writer
from tests.system.demo_drive import Drive
from tests.system.demo_runs import Runs
from tests.system.demo_verdicts import Verdict
from tests.system.demo_warehouse import Warehouse

TO_OBJECTS, TO_MAXCOMPUTE, COPY = "gps_stream", "gps_stream_maxcompute", "gps_copy"
PREFIX, MAXCOMPUTE_TABLE, COPIED = "gps/stream/", "gps_live_changes", "ots_gps_copy"
BASE = {"pt": "base"}
"""The partition of the rows that stood at the tunnel's beginning."""

KEY_NAMES = ("uid", "ts")

Told = tuple[Any, ...]
"""A change as both sides tell it: action, key, cells that were set, columns that were deleted."""

State = frozenset[tuple[str, Any]] | None
"""The cells of a row; None: there is none."""

Records = list[dict[str, Any]]


@dataclass
class Streams:
    """One run of each while the fleet drives, one behind it."""

    services: dict[str, Any] = field(repr=False)
    drive: Drive
    title = f"{writer.TABLE}: tunnels drained while the fleet writes, into OSS, MaxCompute and another table"
    dags = (TO_OBJECTS, TO_MAXCOMPUTE, COPY)

    def begin(self, runs: Runs) -> None:
        self._before = len(self.drive.written())
        self._first = {dag_id: runs.start(dag_id) for dag_id in self.dags}
        self._second: dict[str, tuple[str, str]] = {}

    def step(self, runs: Runs) -> bool:
        """Whether all is done; stops the fleet when the first runs have ended, and starts the second ones."""
        latest = [runs.seen[key] for key in (self._second or self._first).values()]
        if not all(run.is_over for run in latest):
            return False
        if self._second or any(run.state == "failed" for run in latest):
            return True
        meanwhile = len(self.drive.written()) - self._before
        self.drive.end()
        runs.say(f"the streams have caught up; {meanwhile:,} changes came meanwhile. The fleet stops; once more")
        self._second = {dag_id: runs.start(dag_id) for dag_id in self.dags}
        return False

    def verdicts(self, runs: Runs) -> Iterator[Verdict]:
        yield self._told(runs, TO_OBJECTS, "OSS", lambda: read(compare.bucket(self.services["oss"])))
        yield self._told(runs, TO_MAXCOMPUTE, "MaxCompute", lambda: read_table(Warehouse(self.services["maxcompute"])))
        yield self._copied(runs)

    def _told(self, runs: Runs, dag_id: str, where: str, records: Callable[[], tuple[Records, Records]]) -> Verdict:
        problem, seconds = self._ended(runs, dag_id)
        rows, changes = ([], []) if problem else records()
        if not problem:
            problem = difference(self.drive.written(), rows, changes)
        found = f"{where}: rows, {len(changes):,} changes"
        return Verdict(dag_id, found, len(rows) + len(changes), "journal", seconds, problem)

    def _copied(self, runs: Runs) -> Verdict:
        problem, seconds = self._ended(runs, COPY)
        given: dict[compare.Key, compare.Cells] = {}
        if not problem:
            client = sample.sdk_client(self.services["tablestore"])
            given = compare.table_rows(client, COPIED, KEY_NAMES)
            expected = compare.table_rows(client, writer.TABLE, KEY_NAMES)
            problem = compare.difference(expected, given.items(), compare.as_is)
        return Verdict(COPY, "Tablestore: 1 copy that follows", len(given), "table", seconds, problem)

    def _ended(self, runs: Runs, dag_id: str) -> tuple[str, float]:
        """What went wrong in the runs of a pipeline, and how long they took."""
        keys = [started[dag_id] for started in (self._first, self._second) if dag_id in started]
        return runs.failures(keys), sum(runs.seen[key].seconds for key in keys)


def read(store: oss2.Bucket) -> tuple[Records, Records]:
    """The rows of the table and the changes, as a reader finds them: what the channels' manifests list counts."""
    rows: Records = []
    changes: Records = []
    for listed in oss2.ObjectIteratorV2(store, f"{PREFIX}_channels/done/"):
        entry = json.loads(store.get_object(listed.key).read())
        found = pq.read_table(io.BytesIO(store.get_object(entry["key"]).read())).to_pylist()
        (changes if entry["is_stream"] else rows).extend(found)
    return rows, changes


def read_table(warehouse: Warehouse) -> tuple[Records, Records]:
    """The same of the table in MaxCompute. A change that a worker has written twice is dropped by its sequence."""
    partitions = warehouse.partitions(MAXCOMPUTE_TABLE)
    rows = {_key(one): one for one in warehouse.rows(MAXCOMPUTE_TABLE, BASE)} if BASE in partitions else {}
    changes = {
        (_key(one), one["sequence"]): one
        for partition in partitions
        if partition != BASE
        for one in warehouse.rows(MAXCOMPUTE_TABLE, partition)
    }
    return list(rows.values()), list(changes.values())


def difference(journal: Sequence[writer.Change], rows: Records, changes: Records) -> str:
    """How what a tunnel carried differs from the journal; "" when nothing was lost, doubled, or out of order.

    The changes must be the journal from some point on; the rows, the table as it was there or a little later.
    """
    numbers = {_told(one): one.number for one in journal}
    found = Counter(_told_by_record(record) for record in changes)
    strange = [one for one in found if one not in numbers]
    twice = [one for one, count in found.items() if count > 1]
    if strange or twice:
        return f"{len(strange)} changes that nobody wrote: {strange[:2]}; {len(twice)} more than once: {twice[:2]}"
    begin = min((numbers[one] for one in found), default=len(journal))
    lost = [one for one in journal[begin:] if _told(one) not in found]
    if lost:
        return f"{len(lost)} of {len(journal) - begin} changes are lost: {lost[:2]}"
    return _disorder(numbers, changes) or _difference_of_rows(journal, begin, rows)


def _disorder(numbers: dict[Told, int], changes: Records) -> str:
    """The order of each key's changes by their place in the tunnel, where it is not that of the journal."""
    latest: dict[tuple[str, int], int] = {}
    for record in sorted(changes, key=lambda one: one["sequence"]):
        key, number = _key(record), numbers[_told_by_record(record)]
        if latest.get(key, -1) > number:
            return f"the changes {latest[key]} and {number} of {key} are in the wrong order"
        latest[key] = number
    return ""


def _difference_of_rows(journal: Sequence[writer.Change], begin: int, rows: Records) -> str:
    given: dict[tuple[str, int], State] = {}
    for record in rows:
        key = _key(record)
        if key in given:
            return f"the row {key} came twice"
        given[key] = frozenset(_set_cells(record).items())
    for key, allowed in _states(journal, begin).items():
        if given.pop(key, None) not in allowed:
            return f"the row {key} is none of {allowed}"
    return f"{len(given)} rows that nobody wrote: {list(given)[:2]}" if given else ""


def _states(journal: Sequence[writer.Change], begin: int) -> dict[tuple[str, int], list[State]]:
    """What each row may have been when it was read: as it was before the change `begin`, or after a later one."""
    states: dict[tuple[str, int], list[State]] = {}
    for one in journal:
        so_far = states.setdefault(one.key, [None])
        before = dict(so_far[-1] or ()) if one.kind == "update" else {}
        cells = {name: value for name, value in {**before, **one.cells}.items() if name not in one.gone}
        after = None if one.kind == "delete" else frozenset(cells.items())
        states[one.key] = [after] if one.number < begin else [*so_far, after]
    return states


def _told(one: writer.Change) -> Told:
    return one.kind, one.key, frozenset(one.cells.items()), frozenset(one.gone)


def _key(record: dict[str, Any]) -> tuple[str, int]:
    return record["uid"], record["ts"]


def _told_by_record(record: dict[str, Any]) -> Told:
    gone = frozenset(cell["name"] for cell in json.loads(record["cells"]) if cell["op"] != "put")
    return record["action"], _key(record), frozenset(_set_cells(record).items()), gone


def _set_cells(record: dict[str, Any]) -> dict[str, Any]:
    return {cell["name"]: cell["value"] for cell in json.loads(record["cells"]) if cell["op"] == "put"}
