"""Which windows a run is for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_tablestore.errors import SpecError
from airflow_tablestore.operators.asked import SCHEDULED, Run, asked_by_run
from airflow_tablestore.pipeline.window import CalendarGrid, FixedGrid, Unit, Window

FIVE = timedelta(minutes=5)
GRID = FixedGrid(FIVE)


def at(hour, minute, second=0):
    return datetime(2026, 11, 20, hour, minute, second, tzinfo=UTC)


def window(hour, minute, minutes=5):
    return Window(at(hour, minute), at(hour, minute) + timedelta(minutes=minutes))


def asked(run, begin="", end="", *, grid=GRID, timezone="UTC"):
    return asked_by_run(run, grid, begin, end, timezone)


def test_a_scheduled_run_is_for_its_data_interval():
    run = Run(SCHEDULED, at(4, 0), at(4, 0), at(4, 5))

    assert asked(run).span == window(4, 0)


def test_a_manual_run_on_the_grid_is_exactly_that_window():
    run = Run("manual", at(4, 0), at(4, 0), at(4, 5))

    assert asked(run).span == window(4, 0)
    assert not asked(run).is_range


def test_a_run_on_the_grid_without_an_interval_is_that_window_too():
    assert asked(Run("manual", at(4, 0))).span == window(4, 0)


def test_a_run_off_the_grid_is_for_the_interval_that_the_timetable_gave_it():
    run = Run("manual", at(4, 22, 13), at(4, 10), at(4, 15))

    assert asked(run).span == window(4, 10)


def test_a_run_off_the_grid_is_for_what_its_params_name():
    run = Run("manual", at(4, 22, 13), at(4, 10), at(4, 15))

    assert asked(run, "2026-11-20T02:00:00Z", "2026-11-20T02:05:00Z").span == window(2, 0)


def test_a_run_without_a_logical_date_is_for_what_its_params_name():
    assert asked(Run("manual"), "2026-11-20T02:00:00.000Z", "2026-11-20T02:05:00.000Z").span == window(2, 0)


def test_a_start_alone_names_one_window():
    assert asked(Run("manual"), "2026-11-20T02:00:00Z").span == window(2, 0)


def test_params_may_name_a_range_of_windows():
    found = asked(Run("manual"), "2026-11-20T02:00:00Z", "2026-11-20T03:00:00Z")

    assert found.is_range
    assert (found.span, found.last, found.count) == (window(2, 0, 60), window(2, 55), 12)


def test_params_without_a_zone_are_in_that_of_the_pipeline():
    found = asked(Run("manual"), "2026-11-20T10:00:00", timezone="Asia/Shanghai")

    assert found.span == window(2, 0)


@pytest.mark.parametrize("nothing", ["", "None", " ", "null"])
def test_a_param_that_nobody_filled_in_is_none(nothing):
    run = Run("manual", at(4, 22, 13), at(4, 10), at(4, 15))

    assert asked(run, nothing, nothing).span == window(4, 10)


def test_params_that_agree_with_a_date_on_the_grid_are_no_contradiction():
    run = Run("manual", at(4, 0), at(4, 0), at(4, 5))

    assert asked(run, "2026-11-20T04:00:00Z").span == window(4, 0)


def test_the_rest_of_a_window_is_one_when_the_schedule_says_so():
    run = Run(SCHEDULED, at(4, 5), at(4, 5), at(5, 0))

    assert asked(run, grid=FixedGrid(timedelta(hours=1))).span == window(4, 5, 55)


def test_calendar_windows_are_as_long_as_the_day_is():
    berlin = CalendarGrid(Unit.DAY, "Europe/Berlin")
    start, end = datetime(2026, 3, 28, 23, tzinfo=UTC), datetime(2026, 3, 29, 22, tzinfo=UTC)

    assert asked(Run(SCHEDULED, start, start, end), grid=berlin).span.length == timedelta(hours=23)


MANUAL_SIX = Run("manual", at(4, 0), at(4, 0), at(5, 0))
OFF = Run("manual", at(4, 22, 13), at(4, 10), at(4, 15))
ON = Run("manual", at(4, 0), at(4, 0), at(4, 5))


@pytest.mark.parametrize(
    ("run", "begin", "end", "sentence"),
    [
        (MANUAL_SIX, "", "", "is for the window .*04:00:00Z, 2026-11-20T04:05:00Z.*, but it was given"),
        (Run("manual", at(4, 0), at(3, 0), at(3, 5)), "", "", "Delete this run"),
        (Run("manual", at(4, 0, 7), at(4, 0), at(5, 0)), "", "", "is not one window"),
        (Run("manual", at(4, 0, 7), at(4, 2), at(4, 5)), "", "", "is not one window"),
        (Run(SCHEDULED, at(4, 0), at(4, 0), at(4, 0)), "", "", "bare cron expression"),
        (Run(SCHEDULED, at(4, 2), at(4, 2), at(4, 2)), "", "", "bare cron expression"),
        (Run("manual"), "", "", "fill in window_start and window_end"),
        (Run("asset_triggered"), "", "", "fill in window_start and window_end"),
        (ON, "2026-11-20T02:00:00Z", "", "its params name"),
        (ON, "2026-11-20T04:00:00Z", "2026-11-20T05:00:00Z", "its params name"),
        (OFF, "", "2026-11-20T02:00:00Z", "window_start is not"),
        (OFF, "2026-11-20T02:01:00Z", "", "window_start, 2026-11-20T02:01:00Z, is no boundary .*02:00:00Z and"),
        (OFF, "2026-11-20T02:00:00Z", "2026-11-20T02:07:00Z", "window_end, .* is no boundary"),
        (OFF, "2026-11-20T02:00:00Z", "2026-11-20T02:00:00Z", "is not after window_start"),
        (OFF, "2026-11-20T02:00:00Z", "2026-11-20T01:00:00Z", "is not after window_start"),
        (OFF, "yesterday", "", "is no date and time"),
    ],
)
def test_what_does_not_name_windows_is_refused_with_a_sentence(run, begin, end, sentence):
    with pytest.raises(SpecError, match=sentence):
        asked(run, begin, end)
