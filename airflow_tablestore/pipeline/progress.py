"""How a long piece of work tells people where it stands: a bar in a terminal, a log line every few seconds elsewhere.

Both are `contract.Progress`: they hear of rows and bytes from several threads and never slow these down by more than a
lock. Percent and time left come from the plan's estimate of bytes, so they are guesses and say so with a tilde.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol

from airflow_tablestore.pipeline import contract

LOG_SECONDS = 5.0


class Log(Protocol):
    """Where lines go: a logger of the standard library, or Airflow's own."""

    def info(self, event: str, *args: object) -> object: ...

    def warning(self, event: str, *args: object) -> object: ...


class Meter:
    """Rows and bytes so far, against an estimate. Not told to anybody by itself."""

    def __init__(self, estimated_bytes: int = 0, clock: Callable[[], float] = time.monotonic):
        self.estimated_bytes = estimated_bytes
        self._clock = clock
        self._began = clock()
        self.rows = self.bytes = 0

    def add(self, rows: int, bytes_read: int) -> None:
        """Count these too."""
        self.rows += rows
        self.bytes += bytes_read

    @property
    def seconds(self) -> float:
        """Since the meter was made; never 0."""
        return max(self._clock() - self._began, 1e-6)

    @property
    def rate(self) -> float:
        """Rows per second so far."""
        return self.rows / self.seconds

    @property
    def percent(self) -> int | None:
        """How much of the estimate is read, at most 99 while work goes on; None without an estimate."""
        if not self.estimated_bytes:
            return None
        return min(99, self.bytes * 100 // self.estimated_bytes)

    @property
    def seconds_left(self) -> float | None:
        """By the rate of bytes so far; None when nothing can be said."""
        if not self.bytes or not self.estimated_bytes:
            return None
        return max(0.0, (self.estimated_bytes - self.bytes) * self.seconds / self.bytes)

    def __str__(self) -> str:
        told = f"{self.rows:,} rows, {self.bytes / 1e6:,.1f} MB read, {self.rate:,.0f} rows/s"
        if self.percent is not None and self.seconds_left is not None:
            told += f", ~{self.percent}%, ~{_span(self.seconds_left)} left"
        return told


class LogProgress:
    """A log line every few seconds."""

    def __init__(
        self,
        log: Log,
        *,
        every_seconds: float = LOG_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._log, self._every, self._clock = log, every_seconds, clock
        self._meter = Meter(clock=clock)
        self._lock = threading.Lock()
        self._due = clock() + every_seconds

    def expect(self, estimated_bytes: int) -> None:
        """About so many bytes more are to be read."""
        with self._lock:
            self._meter.estimated_bytes += estimated_bytes

    def advance(self, rows: int, bytes_read: int) -> None:
        """Count, and write a line when one is due."""
        with self._lock:
            self._meter.add(rows, bytes_read)
            if self._clock() < self._due:
                return
            self._due = self._clock() + self._every
            line = str(self._meter)
        self._log.info("%s", line)

    def retried(self, reason: str) -> None:
        """A request is sent again; people want to know why it is slow."""
        self._log.warning("trying again: %s", reason)


class BarProgress:
    """One line in a terminal that is drawn anew. A context manager: the line is finished on the way out."""

    def __init__(self, title: str):
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bars

        self._meter = Meter()
        self._lock = threading.Lock()
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[told]}"),
            console=Console(stderr=True),
        )
        self._task = self._bars.add_task(title, total=None, told="")

    def __enter__(self) -> BarProgress:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            done = f"{self._meter.rows:,} rows, {self._meter.rate:,.0f} rows/s"
            total = max(self._meter.bytes, 1)
            self._bars.update(self._task, completed=total, total=total, told=done)
        self._bars.stop()

    def expect(self, estimated_bytes: int) -> None:
        """About so many bytes more are to be read."""
        with self._lock:
            self._meter.estimated_bytes += estimated_bytes
            self._bars.update(self._task, total=self._meter.estimated_bytes or None)

    def advance(self, rows: int, bytes_read: int) -> None:
        """Count, and move the bar."""
        with self._lock:
            self._meter.add(rows, bytes_read)
            self._bars.update(self._task, completed=self._meter.bytes, told=str(self._meter))

    def retried(self, reason: str) -> None:
        """A line above the bar."""
        self._bars.console.print(f"trying again: {reason}", highlight=False, markup=False)


@contextmanager
def progress_for(title: str, log: Log) -> Iterator[contract.Progress]:
    """A bar when standard error is a terminal, else log lines."""
    if sys.stderr.isatty():
        with BarProgress(title) as bar:
            yield bar
    else:
        yield LogProgress(log)


def _span(seconds: float) -> str:
    """A time as people say it: 8 s, 3 min, 2.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
