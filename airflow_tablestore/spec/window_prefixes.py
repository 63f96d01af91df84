"""Whether two windows of a schedule would be published under one prefix: rendered for both and compared.

Tried are windows that follow each other, those that are minutes to a year apart on the local clock, and those around
every time at which that clock is moved back, where a local hour comes twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from airflow_tablestore.pipeline.window import DAY, HOUR, FixedGrid, Grid, Window
from airflow_tablestore.spec.placeholders import render

MINUTE = timedelta(minutes=1)
NEIGHBOURS = 150
"""Windows tried one after another: any part of a time that is longer than a window holds two of so many."""

YEARS = 3
"""How far ahead changes of the clock are looked for."""


@dataclass(frozen=True, slots=True)
class Shared:
    """Two windows with one prefix. `is_fold`: only because the local clock is moved back between them."""

    first: Window
    second: Window
    prefix: str
    is_fold: bool


def shared_prefix(template: str, words: Mapping[str, str], grid: Grid, start: datetime, zone: str) -> Shared | None:
    """Two windows from `start` on to which this template gives one prefix; None when each has its own.

    :param words: what the template's placeholders other than times stand for.
    :param zone: the time zone in which its times are rendered.
    """

    def prefix_of(window: Window) -> str:
        return render(template, {**words, "window_start": window.start, "window_end": window.end}, zone)

    first, clock = grid.holding(grid.ceil(start)), ZoneInfo(zone)
    for pairs, is_fold in (
        (_neighbours(grid, first), False),
        (_closest(grid, first, clock), False),
        (_repeats(first, clock), False),
        (_folds(grid, first, clock), True),
    ):
        for one, other in pairs:
            if one != other and prefix_of(one) == prefix_of(other):
                return Shared(one, other, prefix_of(one), is_fold)
    return None


def _neighbours(grid: Grid, first: Window) -> Iterator[tuple[Window, Window]]:
    one = first
    for _ in range(NEIGHBOURS):
        other = grid.after(one)
        yield one, other
        one = other


def _closest(grid: Grid, first: Window, zone: ZoneInfo) -> Iterator[tuple[Window, Window]]:
    """Two windows that follow each other from the first moment of a year on, and so of a day and of an hour.

    Windows of a length that no day is a multiple of drift through the day: some two of them begin as these do, or in
    the same hours and days.
    """
    if isinstance(grid, FixedGrid):
        begin = datetime(first.start.astimezone(zone).year + 1, 1, 1, tzinfo=zone).astimezone(UTC)
        middle = begin + grid.every
        yield Window(begin, middle), Window(middle, middle + grid.every)


def _repeats(first: Window, zone: ZoneInfo) -> Iterator[tuple[Window, Window]]:
    """A window and others as long at what may read the same: a minute, an hour, a day … later on the local clock.

    The grid may have no window just there. But it is regular, so it has two that far apart somewhere.
    """
    local = first.start.astimezone(zone)
    local += 4 * DAY if local.day > 28 else timedelta(0)  # a day that every month has
    window = Window(local, local.astimezone(UTC) + first.length)
    later = [(local.astimezone(UTC) + step).astimezone(zone) for step in (MINUTE, HOUR)]
    later += [local + DAY, local + 7 * DAY, _moved(local, 1), _moved(local, 12)]
    later += [local + days * DAY for days in YEARS_IN_DAYS]
    for moment in later:
        begin = moment.astimezone(UTC)
        if begin >= window.end:
            yield window, Window(begin, begin + first.length)


YEARS_IN_DAYS = (364, 365, 366, 371)
"""After which a day of the year, or of its weeks, has the same number."""


def _moved(moment: datetime, months: int) -> datetime:
    month = moment.month - 1 + months
    return moment.replace(year=moment.year + month // 12, month=month % 12 + 1)


def _folds(grid: Grid, first: Window, zone: ZoneInfo) -> Iterator[tuple[Window, Window]]:
    """Windows at the same local time before and after the clock is moved back."""
    for change, by in _moved_back(first.start, zone):
        for part in range(4):
            moment = change + by * part / 4
            yield grid.holding(moment - by), grid.holding(moment)


def _moved_back(since: datetime, zone: ZoneInfo) -> Iterator[tuple[datetime, timedelta]]:
    """When the local clock is moved back, to the minute, and by how much."""
    noon = since.astimezone(UTC)
    for _ in range(YEARS * 366):
        following = noon + DAY
        by = _offset(noon, zone) - _offset(following, zone)
        if by > timedelta(0):
            minutes = (noon + timedelta(minutes=n) for n in range(24 * 60 + 1))
            yield next(m for m in minutes if _offset(m, zone) == _offset(following, zone)), by
        noon = following


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)
