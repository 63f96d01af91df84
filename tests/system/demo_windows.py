"""The part of the demo about windows: a fleet drives on while Airflow exports what it wrote, window by window.

The emulator's data clock begins about half an hour ago and is moved from one window to the next while the writer holds
still, so it is known which change was written in which window. Airflow's clock is not touched. The oracle is the
writer's own journal.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import requests
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from airflow_tablestore.pipeline.window import FixedGrid, Window
from tests.system import compare, writer
from tests.system.stack import Stack, StackBroke

ROOT = Path(__file__).parents[2]
ROWS, CELLS = "gps_incremental", "gps_changes"
PREFIXES = {ROWS: "gps/incremental", CELLS: "gps/changes"}
GRID = FixedGrid(timedelta(minutes=5))
LAG = timedelta(minutes=5)
BACKFILLED, SCHEDULED = 1, 3
"""How many windows of the past come by a backfill, and by the schedule behind them; the next one is not due yet."""

SECONDS_IN_A_WINDOW = 3.0
RUN_SECONDS = 240


@dataclass
class Drive:
    """The fleet's drive through the windows, and what it wrote in each."""

    services: dict[str, Any] = field(repr=False)
    folder: Path
    windows: tuple[Window, ...] = ()
    counts: list[int] = field(default_factory=list)
    trouble: BaseException | None = None

    def __post_init__(self) -> None:
        newest = GRID.last_due(datetime.now(UTC), LAG)
        first = newest.start - (BACKFILLED + SCHEDULED - 1) * GRID.every
        self.windows = tuple(GRID.between(first, newest.end))
        self.journal = self.folder / "journal.jsonl"
        self._driver = threading.Thread(target=self._drive, name="drive", daemon=True)

    @property
    def following(self) -> Window:
        """The window in which the fleet drives on; it is not due yet."""
        return GRID.after(self.windows[-1])

    def begin(self) -> None:
        """Make the table, start the writer, and let it drive; the windows are passed while Airflow starts."""
        self._set_clock(self.windows[0].start - timedelta(minutes=1))
        writer.create_table(self.services)
        self._set_clock(self.windows[0].start + timedelta(seconds=1))
        with (self.folder / "writer.log").open("wb") as log:
            self._writer = subprocess.Popen(
                [sys.executable, "-m", "tests.system.writer", str(self.journal)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # a Ctrl-C in the terminal must not end it before the demo does
            )
        self._say(json.dumps(self.services))
        self._driver.start()

    def wait_for_past(self) -> None:
        """Return when the fleet has left the last window that is due.

        :raises StackBroke: the writer has ended.
        """
        self._driver.join()
        if self.trouble is not None:
            raise StackBroke(f"the writer broke: {self.trouble}; see {self.folder / 'writer.log'}") from self.trouble

    def end(self) -> None:
        """Stop the writer."""
        if self._writer.stdin and not self._writer.stdin.closed:
            self._writer.stdin.close()
        try:
            self._writer.wait(10)
        except subprocess.TimeoutExpired:
            self._writer.kill()
            self._writer.wait()

    def changes(self, number: int | None = None) -> list[writer.Change]:
        """What was written in the window with this number; None: in all of them."""
        written = writer.journal(self.journal)
        if number is None:
            return written[: self.counts[-1]]
        return written[self.counts[number - 1] if number else 0 : self.counts[number]]

    @property
    def later(self) -> int:
        """How many changes were written after the last of the windows."""
        return len(writer.journal(self.journal)) - self.counts[-1]

    def _drive(self) -> None:
        try:
            for window in (*self.windows[1:], self.following):
                time.sleep(SECONDS_IN_A_WINDOW)
                self._say("hold")
                self.counts.append(int(self._writer.stdout.readline() if self._writer.stdout else ""))
                self._set_clock(window.start + timedelta(seconds=1))
                self._say("go")
        except (OSError, ValueError) as trouble:
            self.trouble = trouble

    def _say(self, line: str) -> None:
        if self._writer.stdin:
            self._writer.stdin.write(line + "\n")
            self._writer.stdin.flush()

    def _set_clock(self, moment: datetime) -> None:
        address = f"{self.services['tablestore']['endpoint']}/_emulator/clock"
        requests.post(address, json={"now": moment.isoformat()}, timeout=10).raise_for_status()


@dataclass(frozen=True, slots=True)
class Exported:
    """What became of one window. `problem` is "" when it holds its changes, each once."""

    window: Window
    how: str
    changes: int
    rows: int
    cells: int
    late: int
    seconds: float
    problem: str = ""


def switch_on(stack: Stack, drive: Drive, out: Console) -> None:
    """From now on Airflow's schedule exports the windows that are due, one after another."""
    stack.api("PATCH", f"dags/{ROWS}", json={"is_paused": False})
    out.print(
        f"{ROWS} is switched on: its schedule finds {SCHEDULED} windows that are due, from "
        f"{_clock(drive.windows[BACKFILLED].start)} on. The fleet drives on."
    )


def export_windows(stack: Stack, drive: Drive, out: Console) -> list[Exported]:
    """Wait for the schedule; then one backfill before its start, and one run of the other pipeline for the range."""
    first, past = drive.windows[0], drive.windows[BACKFILLED:]
    _wait(stack, ROWS, [window.start for window in past])
    out.print(f"The schedule of {ROWS} has exported {SCHEDULED} windows.")
    out.print(f"Backfilling the window before them, {_clock(first.start)}; and one run of {CELLS} for all of them.")
    span = {"from_date": first.start.isoformat(), "to_date": drive.windows[BACKFILLED - 1].start.isoformat()}
    asked = {"max_active_runs": 1, "reprocess_behavior": "none", "run_backwards": False, "dag_run_conf": {}}
    stack.api("POST", "backfills", json={"dag_id": ROWS, **span, **asked})
    whole = {"window_start": first.start.isoformat(), "window_end": past[-1].end.isoformat()}
    run_id = stack.trigger(CELLS, whole)
    _wait(stack, ROWS, [window.start for window in drive.windows])
    _wait_for_run(stack, CELLS, run_id)
    return [_judged(stack, drive, number) for number in range(len(drive.windows))]


def _wait(stack: Stack, dag_id: str, dates: Iterable[datetime]) -> None:
    wanted = set(dates)
    until = time.monotonic() + RUN_SECONDS
    while time.monotonic() < until:
        stack.check_alive()
        states = {date: run["state"] for date, run in _runs(stack, dag_id).items() if date in wanted}
        if "failed" in states.values():
            raise StackBroke(f"a run of {dag_id} failed: {states}; logs: {stack.home / 'logs'}")
        if {date for date, state in states.items() if state == "success"} == wanted:
            return
        time.sleep(0.5)
    raise StackBroke(f"{dag_id} did not export its windows within {RUN_SECONDS} s; logs: {stack.home / 'logs'}")


def _wait_for_run(stack: Stack, dag_id: str, run_id: str) -> None:
    until = time.monotonic() + RUN_SECONDS
    while (state := stack.run_state(dag_id, run_id)) != "success":
        if state == "failed" or time.monotonic() > until:
            raise StackBroke(f"the run {run_id} of {dag_id} is {state}; logs: {stack.home / 'logs'}")
        time.sleep(0.5)


def _runs(stack: Stack, dag_id: str) -> dict[datetime, dict[str, Any]]:
    """The runs of a DAG by their logical dates."""
    runs = stack.api("GET", f"dags/{dag_id}/dagRuns", params={"limit": "100"})["dag_runs"]
    return {datetime.fromisoformat(run["logical_date"]): run for run in runs if run["logical_date"]}


def _judged(stack: Stack, drive: Drive, number: int) -> Exported:
    window, changes = drive.windows[number], drive.changes(number)
    run = _runs(stack, ROWS)[window.start]
    began, ended = (datetime.fromisoformat(run[name]) for name in ("start_date", "end_date"))
    problem = ""
    try:
        rows, told = _read(drive, ROWS, window)
        cells, _ = _read(drive, CELLS, window)
        (entry,) = told["windows"]
    except compare.Different as different:
        return Exported(window, run["run_type"], len(changes), 0, 0, 0, 0.0, str(different))
    for wanted, given in ((writer.rows_of_changes(changes), rows), (writer.cells_of_changes(changes), cells)):
        if wanted != given:
            missing, extra = list((wanted - given).elements()), list((given - wanted).elements())
            problem = f"{len(missing)} missing: {missing[:2]}, {len(extra)} too many: {extra[:2]}"
    seconds = (ended - began).total_seconds()
    late = entry["late"]
    return Exported(window, run["run_type"], len(changes), rows.total(), cells.total(), late, seconds, problem)


def _read(drive: Drive, dag_id: str, window: Window) -> tuple[Counter[writer.Row], dict[str, Any]]:
    """The published rows of a window, with how often each is there; and the manifest."""
    prefix = f"{PREFIXES[dag_id]}/{window.start:%Y/%m/%d/%H%M}/"
    store = compare.bucket(drive.services["oss"])
    published = compare.download(store, prefix, drive.folder / "published" / dag_id / f"{window.start:%H%M}")
    read = _csv_rows if dag_id == ROWS else _parquet_rows
    return Counter(row for file in published.files for row in read(file)), published.manifest


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


def _parquet_rows(file: Path) -> list[writer.Row]:
    records = pq.read_table(file).to_pylist()
    return [(r["uid"], r["ts"], r["colname"], r["colvalue"], r["optype"]) for r in records]


def windows_table(exported: list[Exported]) -> Table:
    title = f"{writer.TABLE}: windows and the writer's own journal"
    table = Table(title=title, title_justify="left", box=SIMPLE, padding=0, show_edge=False)
    for heading in ("window (UTC)", "run", "changes", "rows", "cells", "late", "seconds", "equal"):
        table.add_column(heading, justify="left" if heading in ("window (UTC)", "run") else "right", no_wrap=True)
    for one in exported:
        table.add_row(
            f"{_clock(one.window.start)} - {_clock(one.window.end)}",
            one.how,
            *(f"{count:,}" for count in (one.changes, one.rows, one.cells, one.late)),
            f"{one.seconds:.1f}",
            "[red]no[/red]" if one.problem else "[green]yes[/green]",
        )
    return table


def verdict(drive: Drive, exported: list[Exported]) -> str:
    """What the journal says of all windows together; in the words of someone who sees it for the first time."""
    due = GRID.after(drive.windows[-1]).due(LAG)
    return (
        f"The {len(exported)} windows together hold each of the {sum(one.changes for one in exported):,} changes once: "
        f"a row for each put and update ({ROWS}), a row for each cell ({CELLS}).\n"
        f"The {drive.later:,} changes that the fleet wrote meanwhile are in the next window, due at {_clock(due)}."
    )


def _clock(moment: datetime) -> str:
    return f"{moment:%H:%M}"
