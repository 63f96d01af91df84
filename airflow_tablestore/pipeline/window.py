"""Windows of time: which one holds a moment, which follows, and when one may be exported.

Pure arithmetic on moments; what is written in a window, and where it begins in a shard, is the consumer's to find. A
grid divides time into windows so that every moment is in exactly one; all else follows from `holding`. Boundaries are
UTC, so nothing but `CalendarGrid` ever looks at a local clock.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from airflow_tablestore.errors import SpecError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
_JUST_BEFORE = timedelta(microseconds=1)  # no datetime lies between


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """`[start, end)`, kept in UTC.

    :raises SpecError: a moment without a time zone, or an end that is not after the start.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", in_utc(self.start))
        object.__setattr__(self, "end", in_utc(self.end))
        if self.end <= self.start:
            raise SpecError(f"a window must end after its start; {self} does not")

    @property
    def length(self) -> timedelta:
        return self.end - self.start

    def holds(self, moment: datetime) -> bool:
        return self.start <= in_utc(moment) < self.end

    def due(self, lag: timedelta) -> datetime:
        """The first moment at which the window may be read, when what is written shows up at most `lag` later."""
        return self.end + lag

    def __str__(self) -> str:
        return f"[{_told(self.start)}, {_told(self.end)})"


class Grid(ABC):
    """Time divided into windows, without gap or overlap."""

    __slots__ = ()

    @abstractmethod
    def holding(self, moment: datetime) -> Window:
        """The one window that this moment is in."""

    def at(self, start: datetime) -> Window | None:
        """The window that starts here; None when this is not a boundary."""
        window = self.holding(start)
        return window if window.start == in_utc(start) else None

    def floor(self, moment: datetime) -> datetime:
        """The last boundary that is not after this moment."""
        return self.holding(moment).start

    def ceil(self, moment: datetime) -> datetime:
        """The first boundary that is not before this moment."""
        window = self.holding(moment)
        return window.start if window.start == in_utc(moment) else window.end

    def before(self, window: Window) -> Window:
        return self.holding(window.start - _JUST_BEFORE)

    def after(self, window: Window) -> Window:
        return self.holding(window.end)

    def rest(self, start: datetime) -> Window:
        """From this moment to the next boundary: a window of the grid, or, off it, the part of one that is left."""
        return Window(start, self.holding(start).end)

    def last_due(self, now: datetime, lag: timedelta) -> Window:
        """The newest window that is due now."""
        return self.before(self.holding(now - lag))

    def between(self, begin: datetime, end: datetime) -> Iterator[Window]:
        """The windows that lie wholly in `[begin, end)`, in order."""
        window, last = self.holding(self.ceil(begin)), in_utc(end)
        while window.end <= last:
            yield window
            window = self.after(window)


@dataclass(frozen=True, slots=True)
class FixedGrid(Grid):
    """Windows of one length, counted from an anchor: by default the start of 1970 in UTC.

    :param every: whole seconds, at least one.
    :param anchor: any boundary, on a whole second.
    """

    every: timedelta
    anchor: datetime = EPOCH

    def __post_init__(self) -> None:
        object.__setattr__(self, "anchor", in_utc(self.anchor))
        if self.every < SECOND or self.every % SECOND:
            raise SpecError(f"a window must last a whole number of seconds, at least one; not {self.every}")
        if self.anchor.microsecond:
            raise SpecError(f"windows must be anchored at a whole second; not at {self.anchor.isoformat()}")

    def holding(self, moment: datetime) -> Window:
        start = self.anchor + (in_utc(moment) - self.anchor) // self.every * self.every
        return Window(start, start + self.every)


class Unit(StrEnum):
    HOUR = "hour"
    DAY = "day"

    @classmethod
    def of(cls, word: str) -> Unit:
        """:raises SpecError: the word is neither."""
        try:
            return cls(word)
        except ValueError:
            raise SpecError(f"calendar windows are an hour or a day; not {word!r}") from None


@dataclass(frozen=True, slots=True)
class CalendarGrid(Grid):
    """The hours or days of a local calendar, as long as its clock makes them.

    A day begins when the local clock first reads midnight or, when midnight is left out, what comes in its place: days
    last 23, 24 or 25 hours where the clock is moved by one. A local hour that comes twice is two windows, one that is
    left out is none, and one in which the clock is moved (Lord Howe: by half an hour) ends there: none is longer.

    :param zone: an IANA name, such as Asia/Shanghai.
    """

    unit: Unit
    zone: str

    def __post_init__(self) -> None:
        try:
            self.clock  # noqa: B018 - the look-up is the check
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise SpecError(f"{self.zone!r} is no known time zone; write for example Asia/Shanghai") from error

    @property
    def clock(self) -> ZoneInfo:
        return ZoneInfo(self.zone)  # one object per name, kept by zoneinfo

    def holding(self, moment: datetime) -> Window:
        return self._hour(in_utc(moment)) if self.unit is Unit.HOUR else self._day(in_utc(moment))

    def _hour(self, moment: datetime) -> Window:
        local = moment.astimezone(self.clock)
        start = moment - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
        end = start + HOUR
        offset = self._offset(moment)
        if self._offset(start) != offset:
            start = self._change(start, moment)
        if self._offset(end - SECOND) != offset:
            end = self._change(moment, end)
        return Window(start, end)

    def _day(self, moment: datetime) -> Window:
        day = moment.astimezone(self.clock).date()
        start, following = self._begin(day), day + DAY
        # The clock may go back over midnight, so that the moment's own date has already given way to the next one; and
        # a date may be left out (Samoa, 30 December 2011), so that it begins when the next one does.
        while (end := self._begin(following)) <= moment:
            start, following = end, following + DAY
        return Window(start, end)

    def _begin(self, day: date) -> datetime:
        """When the local clock first reads midnight of this day or later."""
        midnight = datetime.combine(day, time(), self.clock)
        first = midnight.astimezone(UTC)  # fold is 0: the first of two midnights
        if first.astimezone(self.clock).replace(tzinfo=None) == midnight.replace(tzinfo=None):
            return first
        # Left out: fold 0 and 1 read it with the offsets before and after the change, so the change lies between.
        return self._change(midnight.replace(fold=1).astimezone(UTC), first)

    def _offset(self, moment: datetime) -> timedelta | None:
        return moment.astimezone(self.clock).utcoffset()

    def _change(self, before: datetime, after: datetime) -> datetime:
        """The second in `(before, after]` at which the clock is moved; it must be moved once between them."""
        low, high = (before - EPOCH) // SECOND, -((EPOCH - after) // SECOND)
        old = self._offset(before)
        while high - low > 1:
            middle = (low + high) // 2
            if self._offset(EPOCH + middle * SECOND) == old:
                low = middle
            else:
                high = middle
        return EPOCH + high * SECOND


def in_utc(moment: datetime) -> datetime:
    """The same moment as a plain datetime in UTC, whatever class and zone it came in.

    :raises SpecError: it has no time zone.
    """
    if moment.tzinfo is None:
        raise SpecError(f"{moment.isoformat()} has no time zone")
    moment = moment.astimezone(UTC)
    return datetime.combine(moment.date(), moment.time(), UTC)


def _told(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
