"""The fleet of the demo: a writer that drives through windows of the past, and then on until it is told to stop.

The emulator's data clock begins about half an hour ago and is moved from one window to the next while the writer holds
still, so it is known which change was written in which window; then it goes by the wall clock. Airflow's clock is not
touched. The oracle of everything that was exported is the writer's own journal.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from airflow_tablestore.pipeline.window import FixedGrid, Window
from tests.system import writer
from tests.system.stack import StackBroke

ROOT = Path(__file__).parents[2]
GRID = FixedGrid(timedelta(minutes=5))
LAG = timedelta(minutes=5)
BACKFILLED, SCHEDULED = 1, 3
"""How many windows of the past come by a backfill, and by the schedule behind them."""

SHARDS_AT = ("user_0013", "user_0026")
"""Where the table's change log is divided, so that several workers have something to read."""

SECONDS_IN_A_WINDOW = 3.0


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

    def begin(self, held: Callable[[int], None] = lambda number: None) -> None:
        """Make the table, start the writer, and let it drive; the windows are passed while Airflow starts.

        :param held: called with each window's number at its end, while the writer holds still.
        """
        self._held = held
        self._set_clock(self.windows[0].start - timedelta(minutes=1))
        writer.create_table(self.services)
        for at in SHARDS_AT:
            self._tell("stream/split", {"table": writer.TABLE, "at": {"uid": at}})
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

    def written(self) -> list[writer.Change]:
        """Everything that was acknowledged until now."""
        return writer.journal(self.journal)

    def changes(self, number: int) -> list[writer.Change]:
        """What was written in the window of the past with this number."""
        return self.written()[self.counts[number - 1] if number else 0 : self.counts[number]]

    def _drive(self) -> None:
        try:
            for number in range(1, len(self.windows) + 1):
                time.sleep(SECONDS_IN_A_WINDOW)
                self._say("hold")
                self.counts.append(int(self._writer.stdout.readline() if self._writer.stdout else ""))
                self._held(number - 1)
                is_past = number < len(self.windows)
                self._set_clock(self.windows[number].start + timedelta(seconds=1) if is_past else datetime.now(UTC))
                self._say("go")
        except (OSError, ValueError, subprocess.SubprocessError) as trouble:
            self.trouble = trouble

    def _say(self, line: str) -> None:
        if self._writer.stdin:
            self._writer.stdin.write(line + "\n")
            self._writer.stdin.flush()

    def _set_clock(self, moment: datetime) -> None:
        self._tell("clock", {"now": moment.isoformat()})

    def _tell(self, route: str, told: dict[str, Any]) -> None:
        address = f"{self.services['tablestore']['endpoint']}/_emulator/{route}"
        requests.post(address, json=told, timeout=60).raise_for_status()
