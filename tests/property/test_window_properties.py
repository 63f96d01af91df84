"""However time is divided, every moment is in exactly one window, whatever a local clock does."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_tablestore.pipeline.window import EPOCH, SECOND, CalendarGrid, FixedGrid, Unit

# Clocks moved by an hour, by half an hour, at midnight, before midnight, over midnight by a minute; a date left out.
ZONES = (
    "UTC",
    "Asia/Shanghai",
    "Asia/Kathmandu",
    "Europe/Berlin",
    "America/New_York",
    "America/Havana",
    "America/Sao_Paulo",
    "America/St_Johns",
    "America/Scoresbysund",
    "America/Nuuk",
    "Asia/Beirut",
    "Australia/Lord_Howe",
    "Pacific/Apia",
)
MOMENTS = st.datetimes(datetime(1980, 1, 1), datetime(2080, 1, 1), timezones=st.just(UTC))
JUST_AFTER = timedelta(microseconds=1)
LAGS = st.integers(0, 10**6).map(lambda n: n * SECOND)
FIXED = st.builds(
    FixedGrid,
    st.integers(1, 10**6).map(lambda n: n * SECOND),
    st.integers(-(10**9), 10**9).map(lambda n: EPOCH + n * SECOND),
)
CALENDAR = st.builds(CalendarGrid, st.sampled_from(Unit), st.sampled_from(ZONES))
GRIDS = FIXED | CALENDAR


def changes(zone):
    """The days around which the zone's clock is moved, in some years."""
    clock = ZoneInfo(zone)
    days = [
        datetime(year, 1, 1, tzinfo=UTC) + timedelta(days=d) for year in (1993, 2006, 2011, 2024) for d in range(365)
    ]
    offsets = [day.astimezone(clock).utcoffset() for day in days]
    return [day for day, before, after in zip(days, offsets, offsets[1:], strict=False) if before != after]


MOVES = {zone: changes(zone) for zone in ZONES}


@st.composite
def moments_near_a_move(draw):
    grid = draw(CALENDAR)
    near = draw(st.sampled_from(MOVES[grid.zone] or [EPOCH]))
    return grid, near + draw(st.integers(-(10**5), 2 * 10**5)) * SECOND


CASES = st.tuples(GRIDS, MOMENTS) | moments_near_a_move()


@given(CASES)
@settings(max_examples=100, deadline=None)
def test_every_moment_is_in_the_one_window_that_holds_it(case):
    grid, moment = case

    window = grid.holding(moment)

    assert window.holds(moment)
    assert grid.holding(window.start) == window
    assert grid.holding(window.end - JUST_AFTER) == window
    assert not grid.after(window).holds(moment)
    assert not grid.before(window).holds(moment)


@given(CASES)
@settings(max_examples=100, deadline=None)
def test_windows_follow_each_other_without_gap_or_overlap(case):
    grid, moment = case

    window = grid.holding(moment)

    assert grid.after(window).start == window.end
    assert grid.before(window).end == window.start
    assert grid.before(grid.after(window)) == window


@given(CASES)
@settings(max_examples=100, deadline=None)
def test_boundaries_are_on_both_sides_of_a_moment(case):
    grid, moment = case

    floor, ceil = grid.floor(moment), grid.ceil(moment)

    assert floor <= moment <= ceil
    assert grid.at(floor) is not None
    assert grid.at(ceil) is not None
    assert (floor == ceil) == (grid.at(moment) is not None)


@given(CASES, LAGS)
@settings(max_examples=100, deadline=None)
def test_the_newest_due_window_is_due_and_the_next_is_not(case, lag):
    grid, now = case

    window = grid.last_due(now, lag)

    assert window.due(lag) == window.end + lag
    assert window.due(lag) <= now < grid.after(window).due(lag)


@given(CASES, st.integers(0, 20), st.integers(0, 3600), st.integers(0, 3600))
@settings(max_examples=50, deadline=None)
def test_the_windows_of_a_range_are_those_wholly_in_it(case, count, before, after):
    grid, moment = case
    expected = [grid.holding(moment)]
    for _ in range(count):
        expected.append(grid.after(expected[-1]))
    begin = max(expected[0].start - before * SECOND, grid.before(expected[0]).start + JUST_AFTER)
    end = min(expected[-1].end + after * SECOND, grid.after(expected[-1]).end - JUST_AFTER)

    assert list(grid.between(begin, end)) == expected


@given(st.sampled_from(ZONES), MOMENTS)
@settings(max_examples=100, deadline=None)
def test_an_hour_is_one_hour_of_the_local_clock(zone, moment):
    clock = ZoneInfo(zone)

    window = CalendarGrid(Unit.HOUR, zone).holding(moment)

    first, last = window.start.astimezone(clock), (window.end - SECOND).astimezone(clock)
    assert window.length <= timedelta(hours=1)
    assert (first.date(), first.hour, first.utcoffset()) == (last.date(), last.hour, last.utcoffset())


@given(st.sampled_from([zone for zone in ZONES if zone != "America/St_Johns"]), MOMENTS)
@settings(max_examples=100, deadline=None)
def test_a_day_is_one_date_of_the_local_calendar(zone, moment):
    clock = ZoneInfo(zone)

    window = CalendarGrid(Unit.DAY, zone).holding(moment)

    assert window.start.astimezone(clock).date() == moment.astimezone(clock).date()
    assert (window.end - SECOND).astimezone(clock).date() == moment.astimezone(clock).date()
    assert window.end.astimezone(clock).date() > moment.astimezone(clock).date()


@pytest.mark.parametrize("zone", ZONES)
def test_twenty_years_of_days_are_contiguous(zone):
    begin, end = datetime(1999, 12, 30, tzinfo=UTC), datetime(2020, 1, 3, tzinfo=UTC)

    days = list(CalendarGrid(Unit.DAY, zone).between(begin, end))

    assert all(one.end == two.start for one, two in itertools.pairwise(days))
    assert all(timedelta(hours=23) <= day.length <= timedelta(hours=25) for day in days)
