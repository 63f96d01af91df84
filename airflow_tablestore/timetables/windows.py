"""Schedules whose runs are windows of time that are exported some time after they have closed.

Which window holds a moment is arithmetic in `pipeline.window`; here it is told to Airflow. A run's logical date is its
window's start, and its data interval is the window. Three rules of Airflow 3 shape this module:

* A bare cron string makes empty data intervals, and no stock timetable waits after the interval's end.
* A logical date is unique in a DAG. When a person's run sits on the date of a scheduled one, the scheduler goes on
  from that run's interval; with the stock timetables this is an earlier one, and the scheduler comes back to the same
  date for ever. So a logical date on the grid always is the window that starts there, complete or not.
* `catchup=False` skips what was missed. It is for pipelines that do not mind; the factory's default is to catch up.

The classes are registered by `airflow_tablestore.plugin`, for Airflow stores them by name.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pendulum
from airflow.timetables.base import DagRunInfo, DataInterval, Timetable
from airflow.utils.types import DagRunType

from airflow_tablestore.errors import SpecError
from airflow_tablestore.pipeline.window import EPOCH, SECOND, CalendarGrid, FixedGrid, Grid, Unit, Window
from airflow_tablestore.timetables.runs import RunsAhead, runs_ahead

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from airflow.timetables.base import TimeRestriction

NO_LAG = timedelta(0)


def _now() -> datetime:
    return datetime.now(UTC)


class WindowTimetable(Timetable):
    """What both kinds share: a grid of windows, each due `lag` after its end.

    :param clock: the time of day, asked only for runs without a place on the grid and when catch-up is off.
    """

    def __init__(self, grid: Grid, lag: timedelta, clock: Callable[[], datetime]):
        if lag < NO_LAG or lag % SECOND:
            raise SpecError(f"a lag is a whole number of seconds, zero or more; not {lag}")
        self.grid, self.lag, self._clock = grid, lag, clock
        behind = f"{_in_words(lag)} after it has closed" if lag else "as soon as it has closed"
        self.description = f"A window {self._length()}, exported {behind}"

    @property
    def summary(self) -> str:
        return f"{self._length()}, {_in_words(self.lag)} behind" if self.lag else self._length()

    def _length(self) -> str:
        """How long the windows are, in a few words."""
        raise NotImplementedError

    def infer_manual_data_interval(self, *, run_after: pendulum.DateTime) -> DataInterval:
        """The window that starts at this logical date; off the grid the one that holds it, but none that is not due.

        :param run_after: the logical date, whatever its name says.
        """
        window = self.grid.at(run_after)
        if window is None:
            window = min(self.grid.holding(run_after), self.grid.last_due(self._clock(), self.lag))
        return _interval(window)

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """The run of the window that begins where the last one ended, so nothing lies between two runs.

        When the last run belongs to another grid (`every` or the zone was changed), its end may be off this one: then
        the next window is the part that is left until the next boundary.
        """
        begins = self._resumed(last_automated_data_interval), self._earliest(restriction)
        start = max((begin for begin in begins if begin is not None), default=None)
        if start is None or (restriction.latest is not None and start > restriction.latest):
            return None
        window = self.grid.rest(start)
        return DagRunInfo(run_after=_told(window.due(self.lag)), data_interval=_interval(window))

    def _resumed(self, last: DataInterval | None) -> datetime | None:
        if last is None:
            return None
        # An empty interval is that of a run before the DAG had windows. Its date is taken, and must not come again.
        return last.end if last.end > last.start else self.grid.holding(last.start).end

    def _earliest(self, restriction: TimeRestriction) -> datetime | None:
        """The first boundary not before the DAG's start nor, without catch-up, before the newest window that is due."""
        start = None if restriction.earliest is None else self.grid.ceil(restriction.earliest)
        if restriction.catchup:
            return start
        newest = self.grid.last_due(self._clock(), self.lag).start
        return newest if start is None else max(start, newest)

    def run_info_from_dag_run(self, *, dag_run: DagRun) -> DagRunInfo:
        """What the schedule goes on from, when Airflow (3.2 and newer) has found this run as the last one.

        Two kinds of runs would mislead it. A manual run on the grid to which a person gave another interval leads back
        to the same date for ever: it stands for the window that its date names. A backfill ahead of the schedule hides
        the windows before it, which then never come: the schedule goes on from where it stands.
        """
        info = super().run_info_from_dag_run(dag_run=dag_run)
        if dag_run.logical_date is None:
            return info
        if dag_run.run_type == DagRunType.MANUAL and (window := self.grid.at(dag_run.logical_date)):
            return info._replace(data_interval=_interval(window))
        if dag_run.run_type == DagRunType.BACKFILL_JOB and (known := runs_ahead(dag_run)):
            return info._replace(data_interval=_interval(self._free(known)))
        return info

    def _free(self, known: RunsAhead) -> Window:
        """What ends where the first window without a run begins."""
        begin = known.next_date
        while begin in known.dates:
            begin = self.grid.rest(begin).end
        return Window(self.grid.floor(begin - SECOND), begin)

    def generate_run_id(
        self,
        *,
        run_type: DagRunType,
        run_after: pendulum.DateTime,
        data_interval: DataInterval | None,
        **extra: Any,
    ) -> str:
        """Scheduled runs are named by their window's start; others as Airflow names them.

        Airflow's own name is the due time, which two windows share when the lag is made shorter between them.
        """
        if run_type == DagRunType.SCHEDULED and data_interval is not None:
            return run_type.generate_run_id(suffix=data_interval.start.isoformat())
        return super().generate_run_id(run_type=run_type, run_after=run_after, data_interval=data_interval, **extra)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WindowTimetable):
            return NotImplemented
        return (self.grid, self.lag) == (other.grid, other.lag)

    def __hash__(self) -> int:
        return hash((self.grid, self.lag))


class LaggedWindowTimetable(WindowTimetable):
    """Windows of one length, each due `lag` after its end.

    With five minutes for both, the run at T has the window [T-10m, T-5m).

    :param every: length of a window; whole seconds, at least one.
    :param lag: whole seconds, zero or more.
    :param anchor: any boundary of the grid; by default the start of 1970 in UTC.
    """

    def __init__(
        self,
        every: timedelta,
        lag: timedelta = NO_LAG,
        *,
        anchor: datetime = EPOCH,
        clock: Callable[[], datetime] = _now,
    ):
        self.every = every
        super().__init__(FixedGrid(every, anchor), lag, clock)
        self.anchor = anchor

    def _length(self) -> str:
        return f"every {_in_words(self.every)}"

    def serialize(self) -> dict[str, Any]:
        return {
            "every": self.every // SECOND,
            "lag": self.lag // SECOND,
            "anchor": (self.anchor - EPOCH) // SECOND,
        }

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> LaggedWindowTimetable:
        return cls(data["every"] * SECOND, data["lag"] * SECOND, anchor=EPOCH + data["anchor"] * SECOND)


class CalendarWindowTimetable(WindowTimetable):
    """The hours or days of a time zone, each due `lag` after its end; right when clocks are moved.

    :param unit: "hour" or "day".
    :param timezone: an IANA name, such as Asia/Shanghai.
    :param lag: whole seconds, zero or more.
    """

    def __init__(
        self,
        unit: str,
        timezone: str,
        lag: timedelta = NO_LAG,
        *,
        clock: Callable[[], datetime] = _now,
    ):
        grid = CalendarGrid(Unit.of(unit), timezone)
        self.unit, self.timezone = grid.unit, timezone
        super().__init__(grid, lag, clock)

    def _length(self) -> str:
        return f"every {self.unit} of {self.timezone}"

    def serialize(self) -> dict[str, Any]:
        return {"unit": self.unit.value, "timezone": self.timezone, "lag": self.lag // SECOND}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> CalendarWindowTimetable:
        return cls(data["unit"], data["timezone"], data["lag"] * SECOND)


def timetable_of(grid: Grid, lag: timedelta) -> WindowTimetable:
    """The schedule of a grid's windows.

    :raises SpecError: nobody has made a schedule for such a grid.
    """
    if isinstance(grid, FixedGrid):
        return LaggedWindowTimetable(grid.every, lag, anchor=grid.anchor)
    if isinstance(grid, CalendarGrid):
        return CalendarWindowTimetable(grid.unit.value, grid.zone, lag)
    raise SpecError(f"there is no timetable for the windows of {grid!r}")


def _interval(window: Window) -> DataInterval:
    return DataInterval(_told(window.start), _told(window.end))


def _told(moment: datetime) -> pendulum.DateTime:
    return pendulum.instance(moment, tz=pendulum.UTC)


def _in_words(length: timedelta) -> str:
    # Here and not above: every Airflow process, and so every task, imports this module; few make a timetable.
    from airflow_tablestore.spec.values import duration_text

    return duration_text(length)
