"""The part of the demo about windows: what the fleet wrote in each, into OSS and into MaxCompute.

One pipeline goes by its schedule, and one window before its start comes by a backfill; the others export the whole time
in one run each. The oracle is the writer's own journal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from airflow_tablestore.pipeline.window import Window
from tests.system import compare, writer
from tests.system.demo_drive import BACKFILLED, SCHEDULED, Drive
from tests.system.demo_runs import Run, Runs
from tests.system.demo_verdicts import Verdict
from tests.system.demo_warehouse import Warehouse
from tests.system.stack import StackBroke

ROWS, CELLS, TO_MAXCOMPUTE = "gps_incremental", "gps_changes", "gps_changes_maxcompute"
ASKS = 60
"""How often Airflow is asked for the backfill; each time it waits for its database for some seconds."""

PREFIXES = {ROWS: "gps/incremental", CELLS: "gps/changes"}

Read = Callable[[Window], "Counter[writer.Row]"]
Wanted = Callable[[list[writer.Change]], "Counter[writer.Row]"]


@dataclass
class Windows:
    """The schedule and the two ranges begin at once; the backfill follows the schedule."""

    services: dict[str, Any] = field(repr=False)
    drive: Drive
    title = f"{writer.TABLE}: windows of what was changed, into OSS and MaxCompute"
    dags = (ROWS, CELLS, TO_MAXCOMPUTE)

    def begin(self, runs: Runs) -> None:
        past = self.drive.windows
        whole = {"window_start": past[0].start.isoformat(), "window_end": past[-1].end.isoformat()}
        self._ranges = {dag_id: runs.start(dag_id, whole) for dag_id in (CELLS, TO_MAXCOMPUTE)}
        runs.stack.api("PATCH", f"dags/{ROWS}", json={"is_paused": False})
        self._is_backfilling, self._asked = False, 0
        runs.say(f"{ROWS} is switched on: {SCHEDULED} windows are due, from {past[BACKFILLED].start:%H:%M} on")

    def step(self, runs: Runs) -> bool:
        """Whether all is done; asks for the backfill when the schedule has caught up."""
        if not self._is_backfilling:
            scheduled = [self._run(runs, window) for window in self.drive.windows[BACKFILLED:]]
            self._is_backfilling = all(run and run.is_over for run in scheduled) and self._backfill(runs)
            return False  # the backfill's runs are there at the next look
        wanted = [self._run(runs, window) for window in self.drive.windows]
        return all(run and run.is_over for run in (*wanted, *(runs.seen[key] for key in self._ranges.values())))

    def verdicts(self, runs: Runs) -> Iterator[Verdict]:
        scheduled = [run for window in self.drive.windows if (run := self._run(runs, window))]
        warehouse = Warehouse(self.services["maxcompute"])
        count, several = len(self.drive.windows), [(run.dag_id, run.run_id) for run in scheduled]
        by_row, by_cell = writer.rows_of_changes, writer.cells_of_changes
        yield self._verdict(runs, several, f"OSS: {count} windows, csv", by_row, self._rows_in_objects)
        yield self._verdict(runs, [self._ranges[CELLS]], f"OSS: {count} windows, Parquet", by_cell, self._cells)
        loaded = [self._ranges[TO_MAXCOMPUTE]]
        found = f"MaxCompute: {count} partitions"
        yield self._verdict(runs, loaded, found, by_cell, lambda window: _cells_in(warehouse, window))

    def _backfill(self, runs: Runs) -> bool:
        """Ask for it; whether it was taken. SQLite has one writer at a time, so it may not be.

        :raises StackBroke: it was never taken.
        """
        self._asked += 1
        first, last = self.drive.windows[0], self.drive.windows[BACKFILLED - 1]
        refused = runs.stack.backfill(ROWS, first.start, last.start)
        if refused and self._asked == ASKS:
            raise StackBroke(f"Airflow refused the backfill {ASKS} times: {refused}")
        if not refused:
            runs.say(f"{ROWS} has caught up; the window before its start, {first.start:%H:%M}, is backfilled")
        return not refused

    def _run(self, runs: Runs, window: Window) -> Run | None:
        """The run of the schedule, or of the backfill, for a window."""
        return next((run for run in runs.of(ROWS) if run.date == window.start), None)

    def _verdict(self, runs: Runs, keys: list[tuple[str, str]], found: str, wanted: Wanted, read: Read) -> Verdict:
        problem, rows = runs.failures(keys), 0
        for number, window in enumerate(self.drive.windows):
            if problem:
                break
            try:
                given = read(window)
            except compare.Different as different:
                problem = str(different)
                break
            rows += given.total()
            problem = _difference(wanted(self.drive.changes(number)), given, window)
        return Verdict(keys[0][0], found, rows, "journal", sum(runs.seen[key].seconds for key in keys), problem)

    def _rows_in_objects(self, window: Window) -> Counter[writer.Row]:
        return Counter(row for file in self._published(ROWS, window) for row in _csv_rows(file))

    def _cells(self, window: Window) -> Counter[writer.Row]:
        return Counter(_cell(r) for file in self._published(CELLS, window) for r in pq.read_table(file).to_pylist())

    def _published(self, dag_id: str, window: Window) -> tuple[Path, ...]:
        prefix = f"{PREFIXES[dag_id]}/{window.start:%Y/%m/%d/%H%M}/"
        to = self.drive.folder / "published" / dag_id / f"{window.start:%H%M}"
        return compare.download(compare.bucket(self.services["oss"]), prefix, to).files


def _cells_in(warehouse: Warehouse, window: Window) -> Counter[writer.Row]:
    partition = {"pt": f"{window.start:%Y%m%d}", "hm": f"{window.start:%H%M}"}
    if partition not in warehouse.partitions(CELLS):
        raise compare.Different(f"there is no partition {partition}")
    found = Counter(_cell(record) for record in warehouse.rows(CELLS, partition))
    count = warehouse.count(CELLS, partition)
    if count != found.total():
        raise compare.Different(f"{partition}: SELECT count(*) says {count}, there are {found.total()} rows")
    return found


def _cell(record: dict[str, Any]) -> writer.Row:
    return tuple(record[name] for name in ("uid", "ts", "colname", "colvalue", "optype"))


def _csv_rows(file: Path) -> list[writer.Row]:
    names = ("uid", "ts", *writer.CHOSEN)
    texts = pacsv.ConvertOptions(
        column_types=dict.fromkeys(names, "string"),
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    lines = pacsv.ParseOptions(newlines_in_values=True)
    table = pacsv.read_csv(file, convert_options=texts, parse_options=lines)
    return [tuple(record[name] for name in names) for record in table.to_pylist()]


def _difference(wanted: Counter[writer.Row], given: Counter[writer.Row], window: Window) -> str:
    """What is missing of a window and what is too many, with examples; "" when nothing is."""
    missing, extra = list((wanted - given).elements()), list((given - wanted).elements())
    if not missing and not extra:
        return ""
    return f"window {window.start:%H:%M}: {len(missing)} missing: {missing[:2]}, {len(extra)} too many: {extra[:2]}"
