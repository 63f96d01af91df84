"""Every window of a span of time, with what became of it: what people see of the ledger, and how a loss is accepted.

Pure: entries and times in, lines out. The ledger has no entry for a window that was not exported; here it has a line.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby

from airflow_tablestore.errors import SpecError
from airflow_tablestore.pipeline.incremental.coverage import MARGIN
from airflow_tablestore.pipeline.incremental.ledger import WindowEntry, WindowState
from airflow_tablestore.pipeline.window import EPOCH, Grid, Window
from airflow_tablestore.wire.table import StreamDetails

LOOK_BACK = timedelta(days=2)
"""A window that began so much earlier may reach into a span: the longest is a local day."""


class Fate(enum.StrEnum):
    """What became of a window. `missing` can still be exported; `expired` was not, and the stream has forgotten it."""

    PUBLISHED = "published"
    ACCEPTED = "accepted"
    LOST = "lost"
    MISSING = "missing"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Line:
    """One window of the span."""

    window: Window
    fate: Fate
    entry: WindowEntry | None = None


@dataclass(frozen=True, slots=True)
class Stretch:
    """Windows of one fate, one after another."""

    span: Window
    fate: Fate
    windows: int
    rows: int
    reason: str


def readable_from(stream: StreamDetails | None, now: datetime) -> datetime:
    """From when on windows can still be exported: what the stream keeps, and what was written since it was enabled.

    :param stream: None for a table without one, of which no past window can be read.
    :param now: by the service's clock.
    """
    if stream is None:
        return now
    enabled = EPOCH + timedelta(microseconds=stream.last_enable_micros)
    return max(enabled, now - timedelta(hours=stream.expiration_hours) + MARGIN)


def history(entries: Iterable[WindowEntry], grid: Grid, span: Window, readable: datetime) -> Iterator[Line]:
    """The windows of a span in order: those in the ledger as they are, and those of the grid between them.

    :param entries: in the order of their starts, from `LOOK_BACK` before the span on.
    """
    reached = span.start
    for entry in entries:
        if entry.window.end <= reached:
            continue
        yield from _missing(grid, reached, entry.window.start, readable)
        yield Line(entry.window, Fate(entry.state.value), entry)
        reached = entry.window.end
    yield from _missing(grid, reached, span.end, readable)


def _missing(grid: Grid, begin: datetime, end: datetime, readable: datetime) -> Iterator[Line]:
    while begin < end:
        window = Window(begin, min(grid.rest(begin).end, end))
        yield Line(window, Fate.MISSING if begin >= readable else Fate.EXPIRED)
        begin = window.end


def stretches(lines: Iterable[Line]) -> Iterator[Stretch]:
    """The lines with neighbours of one fate, and one reason, put together."""
    for (fate, reason), group in groupby(lines, lambda line: (line.fate, line.entry.reason if line.entry else "")):
        same = list(group)
        rows = sum(line.entry.rows for line in same if line.entry)
        yield Stretch(Window(same[0].window.start, same[-1].window.end), fate, len(same), rows, reason)


def acceptances(lines: Sequence[Line], reason: str, now: datetime) -> list[WindowEntry]:
    """What the ledger must say so that the pipeline goes on behind these windows; nothing for those that are done.

    :param reason: why a person accepts that their records are gone.
    :raises SpecError: a window can still be exported.
    """
    possible = [line.window for line in lines if line.fate is Fate.MISSING]
    if possible:
        raise SpecError(
            f"{len(possible)} of these windows can still be exported, the first is {possible[0]}: run them, "
            "or name an end before it"
        )
    return [_accepted(line, reason, now) for line in lines if line.fate in (Fate.LOST, Fate.EXPIRED)]


def _accepted(line: Line, reason: str, now: datetime) -> WindowEntry:
    if line.entry is None:
        return WindowEntry(line.window, WindowState.ACCEPTED, reason=reason, recorded_at=now)
    told = f"{reason} ({line.entry.reason})" if line.entry.reason else reason
    return replace(line.entry, state=WindowState.ACCEPTED, reason=told, recorded_at=now)
