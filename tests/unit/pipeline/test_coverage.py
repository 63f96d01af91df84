"""What a ledger's entries say of a span of time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow_tablestore.pipeline.incremental.coverage import MARGIN, covered, risk_of
from airflow_tablestore.pipeline.incremental.ledger import WindowEntry, WindowState
from airflow_tablestore.pipeline.window import FixedGrid, Window

START = datetime(2026, 11, 20, 4, tzinfo=UTC)
FIVE = timedelta(minutes=5)
GRID = FixedGrid(FIVE)
DAY = timedelta(days=1)


def window(number, count=1):
    return Window(START + number * FIVE, START + (number + count) * FIVE)


def entry(number, state=WindowState.PUBLISHED, count=1):
    return WindowEntry(window(number, count), state)


def test_windows_side_by_side_cover_a_span():
    found = covered([entry(0), entry(1), entry(2)], window(0, 3))

    assert found.is_complete
    assert found.lost is None


def test_a_hole_is_where_the_span_is_missing():
    found = covered([entry(0), entry(2)], window(0, 3))

    assert found.missing_from == window(1).start


def test_what_an_accepted_window_held_is_not_missing():
    assert covered([entry(0), entry(1, WindowState.ACCEPTED)], window(0, 2)).is_complete


def test_a_lost_window_is_missing_and_told():
    found = covered([entry(0), entry(1, WindowState.LOST), entry(2)], window(0, 3))

    assert found.missing_from == window(1).start
    assert found.lost == entry(1, WindowState.LOST)


def test_a_longer_window_covers_what_lies_in_it():
    assert covered([entry(-6, count=12)], window(0, 3)).is_complete


def test_a_window_of_an_earlier_time_says_nothing_of_the_span():
    found = covered([entry(-1, WindowState.LOST)], window(0))

    assert found.missing_from == window(0).start
    assert found.lost is None


def test_nothing_is_covered_by_an_empty_ledger():
    assert covered([], window(0)).missing_from == START


def risk(entries, now, kept=DAY):
    return risk_of(GRID, covered(entries, Window(START, now)), now, kept)


def test_the_oldest_window_that_is_not_exported_is_at_risk():
    found = risk([entry(0), entry(2)], START + 3 * FIVE)

    assert found.window == window(1)
    assert found.readable_until == window(1).start + DAY - MARGIN
    assert found.left == DAY - MARGIN - 2 * FIVE


def test_a_window_that_has_not_closed_is_at_no_risk():
    assert risk([entry(0)], START + 1.5 * FIVE) is None


def test_what_is_lost_already_has_less_than_no_time_left():
    found = risk([entry(0, WindowState.LOST)], START + 2 * DAY)

    assert found.left < timedelta(0)
    assert found.to_json()["seconds_left"] < 0
