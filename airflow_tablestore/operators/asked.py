"""Which windows a run is for: pure rules, from what Airflow and the person behind the run have said.

* A run whose logical date is on the grid is exactly the window that starts there. Its place in the schedule is taken,
  so anything else under that date would leave a hole; whoever says something else too is refused.
* A run without a logical date, or with one off the grid, is for what its params name: one window or a range of them.
* Without params, a run off the grid is for its data interval, if that is one window.

No window is ever derived from a clock or a run id.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from airflow_tablestore.errors import SpecError
from airflow_tablestore.pipeline.window import Grid, Window

SCHEDULED = "scheduled"
NOTHING = ("", "none", "null")
"""What a template makes of a param that nobody has filled in."""


@dataclass(frozen=True, slots=True)
class Run:
    """What Airflow says about a run. `kind` is its run type; all moments have a zone, or are None."""

    kind: str
    logical_date: datetime | None = None
    interval_start: datetime | None = None
    interval_end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """The windows to export: `span` from the begin of the first to the end of the last, of which there are `count`."""

    span: Window
    last: Window
    count: int = 1

    @property
    def is_range(self) -> bool:
        return self.count > 1


def asked_by_run(run: Run, grid: Grid, begin: str, end: str, timezone: str) -> Asked:
    """The windows that a run is for.

    :param begin: the param `window_start` as text, "" when nobody has filled it in.
    :param end: the param `window_end` in the same way; "" means that of the window that begins at `begin`.
    :param timezone: the zone of params that are written without one.
    :raises SpecError: what was said does not name windows of this grid, or names two things at once.
    """
    named = _named(grid, _moment("window_start", begin, timezone), _moment("window_end", end, timezone))
    placed = _placed(run, grid)
    if placed is not None:
        if named is not None and named.span != placed.span:
            raise SpecError(
                f"The run's logical date is that of the window {placed.span}, but its params name {named.span}. "
                "Trigger a run without a logical date for what the params name."
            )
        return placed
    if named is not None:
        return named
    return _of_interval(run, grid)


def _placed(run: Run, grid: Grid) -> Asked | None:
    """The window of a run whose logical date is on the grid.

    :raises SpecError: the run has another data interval.
    """
    date = run.logical_date
    window = None if date is None else grid.at(date)
    if window is None:
        return None
    given = (run.interval_start, run.interval_end)
    if given == (None, None) or given == (window.start, window.end):
        return _one(window)
    _refuse_empty(run)
    raise SpecError(
        f"A run with the logical date {_told(window.start)} is for the window {window}, but it was given the data "
        f"interval from {_told(run.interval_start)} to {_told(run.interval_end)}. Delete this run and trigger the "
        "window with its data interval left to Airflow; for several windows leave out the logical date and fill in "
        "window_start and window_end."
    )


def _named(grid: Grid, begin: datetime | None, end: datetime | None) -> Asked | None:
    """What the params name.

    :raises SpecError: they are no boundaries of the grid, or the wrong way round.
    """
    if begin is None and end is None:
        return None
    if begin is None:
        raise SpecError("window_end is given and window_start is not: give both, or the start alone for one window.")
    _on_grid(grid, "window_start", begin)
    if end is None:
        return _one(grid.holding(begin))
    _on_grid(grid, "window_end", end)
    if end <= begin:
        raise SpecError(f"window_end, {_told(end)}, is not after window_start, {_told(begin)}.")
    count, last = 0, grid.holding(begin)
    for last in grid.between(begin, end):  # noqa: B007 - the last one is wanted
        count += 1
    return Asked(Window(begin, end), last, count)


def _of_interval(run: Run, grid: Grid) -> Asked:
    start, end = run.interval_start, run.interval_end
    if start is None or end is None:
        raise SpecError(
            "This run has no logical date, so nothing says which window it is for: "
            "trigger it again and fill in window_start and window_end."
        )
    _refuse_empty(run)
    # Only a schedule whose grid was changed makes a run for the part of a window that is left.
    whole: Callable[[datetime], Window | None] = grid.rest if run.kind == SCHEDULED else grid.at
    window = whole(start)
    if window is not None and window.end == end:
        return _one(window)
    raise SpecError(
        f"The run's data interval, from {_told(start)} to {_told(end)}, is not one window; that of its start is "
        f"{grid.holding(start)}. For several windows trigger a run with window_start and window_end."
    )


def _refuse_empty(run: Run) -> None:
    if run.interval_start is not None and run.interval_end is not None and run.interval_end <= run.interval_start:
        raise SpecError(
            f"The run's data interval is empty: it begins and ends at {_told(run.interval_start)}. Airflow gives such "
            "runs to a DAG with a bare cron expression; schedule it with LaggedWindowTimetable."
        )


def _on_grid(grid: Grid, name: str, moment: datetime) -> None:
    if grid.at(moment) is None:
        around = grid.holding(moment)
        raise SpecError(
            f"{name}, {_told(moment)}, is no boundary between two windows; "
            f"the nearest are {_told(around.start)} and {_told(around.end)}."
        )


def _moment(name: str, text: str, timezone: str) -> datetime | None:
    if text.strip().lower() in NOTHING:
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise SpecError(f"{name} is no date and time: {text!r}; write for example 2026-11-20T04:00:00+08:00.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(timezone))


def _one(window: Window) -> Asked:
    return Asked(window, window)


def _told(moment: datetime | None) -> str:
    return "nothing" if moment is None else moment.isoformat().replace("+00:00", "Z")
