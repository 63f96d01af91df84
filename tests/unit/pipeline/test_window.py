"""Windows of time, by example; what holds for all of them is in tests/property."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from airflow_tablestore.errors import SpecError
from airflow_tablestore.pipeline.window import EPOCH, CalendarGrid, FixedGrid, Unit, Window

FIVE = timedelta(minutes=5)
HOUR = timedelta(hours=1)


def at(text):
    return datetime.fromisoformat(text + ("" if text.endswith("Z") or "+" in text else "Z"))


def local(text, zone, fold=0):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


def lengths(grid, begin, end):
    return [window.length / HOUR for window in grid.between(begin, end)]


def test_five_minutes_begin_at_every_fifth():
    grid = FixedGrid(FIVE)

    window = grid.holding(at("2026-11-21T02:17:59.999999"))

    assert window == Window(at("2026-11-21T02:15"), at("2026-11-21T02:20"))
    assert str(window) == "[2026-11-21T02:15:00Z, 2026-11-21T02:20:00Z)"


def test_a_moment_before_1970_has_a_window_too():
    assert FixedGrid(FIVE).floor(EPOCH - timedelta(seconds=1)) == EPOCH - FIVE


def test_an_anchor_moves_the_grid():
    grid = FixedGrid(HOUR, anchor=at("2026-01-01T00:10"))

    assert grid.floor(at("2026-11-21T02:05")) == at("2026-11-21T01:10")


def test_the_run_at_t_exports_from_ten_to_five_minutes_before():
    window = FixedGrid(FIVE).last_due(at("2026-11-21T02:25"), lag=FIVE)

    assert window == Window(at("2026-11-21T02:15"), at("2026-11-21T02:20"))
    assert window.due(FIVE) == at("2026-11-21T02:25")


def test_off_the_grid_the_rest_of_a_window_is_left():
    assert FixedGrid(HOUR).rest(at("2026-11-21T02:25")) == Window(at("2026-11-21T02:25"), at("2026-11-21T03:00"))


def test_a_range_without_a_whole_window_has_none():
    assert list(FixedGrid(HOUR).between(at("2026-11-21T02:25"), at("2026-11-21T03:59"))) == []


def test_a_moment_may_come_in_any_zone():
    grid = FixedGrid(HOUR)

    assert grid.at(local("2026-11-21T08:00", "Asia/Shanghai")) == grid.at(at("2026-11-21T00:00"))


@pytest.mark.parametrize(
    ("begin", "hours"),
    [("2026-03-28", [24, 23, 24]), ("2026-10-24", [24, 25, 24]), ("2026-07-01", [24, 24, 24])],
)
def test_a_day_in_berlin_is_as_long_as_its_clock_makes_it(begin, hours):
    begin = local(begin, "Europe/Berlin")

    assert lengths(CalendarGrid(Unit.DAY, "Europe/Berlin"), begin, begin + timedelta(days=3, hours=1)) == hours


def test_an_hour_that_comes_twice_is_two_windows():
    grid = CalendarGrid(Unit.HOUR, "Europe/Berlin")

    first, second = (grid.holding(local("2026-10-25T02:30", "Europe/Berlin", fold)) for fold in (0, 1))

    assert first == Window(at("2026-10-25T00:00"), at("2026-10-25T01:00"))
    assert second == Window(at("2026-10-25T01:00"), at("2026-10-25T02:00"))


def test_an_hour_that_is_left_out_is_no_window():
    grid = CalendarGrid(Unit.HOUR, "Europe/Berlin")

    before = grid.holding(local("2026-03-29T01:30", "Europe/Berlin"))

    assert grid.after(before).start == local("2026-03-29T03:00", "Europe/Berlin")


def test_a_clock_moved_by_half_an_hour_ends_an_hour_there():
    grid = CalendarGrid(Unit.HOUR, "Australia/Lord_Howe")
    begin = local("2026-04-05T00:00", "Australia/Lord_Howe")  # at 02:00 it is 01:30 again

    assert lengths(grid, begin, begin + 4 * HOUR) == [1, 1, 0.5, 1]


def test_an_hour_in_kathmandu_begins_at_a_quarter_past():
    grid = CalendarGrid(Unit.HOUR, "Asia/Kathmandu")

    assert grid.floor(at("2026-11-21T02:14")) == at("2026-11-21T01:15")


def test_a_day_without_midnight_begins_when_the_clock_is_moved():
    grid = CalendarGrid(Unit.DAY, "America/Sao_Paulo")  # 15 October 2017: from 24:00 on it is 01:00

    window = grid.holding(local("2017-10-15T12:00", "America/Sao_Paulo"))

    assert window.start == local("2017-10-15T01:00", "America/Sao_Paulo")
    assert window.length == 23 * HOUR


def test_midnight_within_what_is_left_out_is_when_the_clock_is_moved():
    grid = CalendarGrid(Unit.DAY, "America/Toronto")  # 30 March 1919: from 23:30 on it is 00:30 of the next day

    window = grid.holding(local("1919-03-31T12:00", "America/Toronto"))

    assert window.start == at("1919-03-31T04:30")


def test_a_clock_that_goes_back_over_midnight_does_not_end_the_day_twice():
    grid = CalendarGrid(Unit.DAY, "America/St_Johns")  # 7 November 2010: at 00:01 it is 23:01 again

    again = local("2010-11-06T23:30", "America/St_Johns", fold=1)

    assert grid.holding(again).start == local("2010-11-07T00:00", "America/St_Johns")
    assert grid.holding(again).length == 25 * HOUR


def test_a_date_that_is_left_out_is_no_window():
    grid = CalendarGrid(Unit.DAY, "Pacific/Apia")  # Samoa had no 30 December 2011

    before = grid.holding(local("2011-12-29T12:00", "Pacific/Apia"))

    assert grid.after(before).start == local("2011-12-31T00:00", "Pacific/Apia")
    assert before.length == 24 * HOUR


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: FixedGrid(timedelta(0)), "at least one"),
        (lambda: FixedGrid(timedelta(milliseconds=1500)), "whole number of seconds"),
        (lambda: FixedGrid(FIVE, EPOCH + timedelta(microseconds=1)), "whole second"),
        (lambda: FixedGrid(FIVE, datetime(2026, 1, 1)), "no time zone"),
        (lambda: FixedGrid(FIVE).holding(datetime(2026, 1, 1)), "no time zone"),
        (lambda: Window(EPOCH, EPOCH), "must end after its start"),
        (lambda: Unit.of("week"), "an hour or a day"),
        (lambda: CalendarGrid(Unit.DAY, "Europe/Atlantis"), "no known time zone"),
        (lambda: CalendarGrid(Unit.DAY, ""), "no known time zone"),
        (lambda: CalendarGrid(Unit.DAY, "America"), "no known time zone"),
    ],
)
def test_what_makes_no_window_is_refused(make, told):
    with pytest.raises(SpecError, match=told):
        make()
