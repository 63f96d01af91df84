"""The part of the demo about streams: two workers drain a tunnel, rows first, while the fleet goes on writing.

When the first run has caught up the fleet stops, and a second run takes the rest. Then the tunnel has carried each row
that stood at its beginning, and each change after that, exactly once: by the writer's own journal.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import oss2
import pyarrow.parquet as pq

from tests.system import compare, writer
from tests.system.demo_drive import Drive
from tests.system.demo_runs import Runs
from tests.system.demo_verdicts import Verdict

DAG, PREFIX = "gps_stream", "gps/stream/"

Told = tuple[Any, ...]
"""A change as both sides tell it: action, key, cells that were set, columns that were deleted."""

State = frozenset[tuple[str, Any]] | None
"""The cells of a row; None: there is none."""


@dataclass
class Stream:
    """One run while the fleet drives, one behind it."""

    services: dict[str, Any] = field(repr=False)
    drive: Drive
    title = f"{writer.TABLE}: a tunnel drained by two workers while the fleet writes"
    dags = (DAG,)

    def begin(self, runs: Runs) -> None:
        self._before = len(self.drive.written())
        self._started = [runs.start(DAG)]

    def step(self, runs: Runs) -> bool:
        """Whether all is done; stops the fleet when the first run has ended, and starts the second."""
        last = runs.seen[self._started[-1]]
        if not last.is_over or last.state == "failed" or len(self._started) == 2:
            return last.is_over
        meanwhile = len(self.drive.written()) - self._before
        self.drive.end()
        runs.say(f"{DAG} has caught up; {meanwhile} changes came while it ran. The fleet stops, a second run follows")
        self._started.append(runs.start(DAG))
        return False

    def verdicts(self, runs: Runs) -> Iterator[Verdict]:
        problem, rows, changes = runs.failures(self._started), [], []
        if not problem:
            rows, changes = read(compare.bucket(self.services["oss"]))
            problem = difference(self.drive.written(), rows, changes)
        seconds = sum(runs.seen[key].seconds for key in self._started)
        found = f"OSS: {len(rows):,} rows, {len(changes):,} changes"
        yield Verdict(DAG, found, len(rows) + len(changes), "journal", seconds, problem)


def read(store: oss2.Bucket) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of the table and the changes, as a reader finds them: what the channels' manifests list counts."""
    rows: list[dict[str, Any]] = []
    changes: list[dict[str, Any]] = []
    for listed in oss2.ObjectIteratorV2(store, f"{PREFIX}_channels/done/"):
        entry = json.loads(store.get_object(listed.key).read())
        found = pq.read_table(io.BytesIO(store.get_object(entry["key"]).read())).to_pylist()
        (changes if entry["is_stream"] else rows).extend(found)
    return rows, changes


def difference(journal: Sequence[writer.Change], rows: list[dict[str, Any]], changes: list[dict[str, Any]]) -> str:
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


def _disorder(numbers: dict[Told, int], changes: list[dict[str, Any]]) -> str:
    """The order of each key's changes by their place in the tunnel, where it is not that of the journal."""
    latest: dict[tuple[str, int], int] = {}
    for record in sorted(changes, key=lambda one: one["sequence"]):
        key, number = (record["uid"], record["ts"]), numbers[_told_by_record(record)]
        if latest.get(key, -1) > number:
            return f"the changes {latest[key]} and {number} of {key} are in the wrong order"
        latest[key] = number
    return ""


def _difference_of_rows(journal: Sequence[writer.Change], begin: int, rows: list[dict[str, Any]]) -> str:
    given: dict[tuple[str, int], State] = {}
    for record in rows:
        key = record["uid"], record["ts"]
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


def _told_by_record(record: dict[str, Any]) -> Told:
    gone = frozenset(cell["name"] for cell in json.loads(record["cells"]) if cell["op"] != "put")
    return record["action"], (record["uid"], record["ts"]), frozenset(_set_cells(record).items()), gone


def _set_cells(record: dict[str, Any]) -> dict[str, Any]:
    return {cell["name"]: cell["value"] for cell in json.loads(record["cells"]) if cell["op"] == "put"}
