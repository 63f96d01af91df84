"""What people see of the ledger, and which losses they can accept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_tablestore.errors import SpecError
from airflow_tablestore.pipeline.incremental.history import Fate, acceptances, history, readable_from, stretches
from airflow_tablestore.pipeline.incremental.ledger import WindowEntry, WindowState
from airflow_tablestore.pipeline.window import EPOCH, FixedGrid, Window
from airflow_tablestore.wire.table import StreamDetails

START = datetime(2026, 11, 20, tzinfo=UTC)
FIVE = timedelta(minutes=5)
GRID = FixedGrid(FIVE)


def window(number, count=1):
    return Window(START + number * FIVE, START + (number + count) * FIVE)


def entry(number, state=WindowState.PUBLISHED, count=1, **more):
    return WindowEntry(window(number, count), state, **more)


def told(entries, span, readable=START):
    return [(line.window, line.fate) for line in history(entries, GRID, span, readable)]


def test_windows_without_an_entry_are_missing():
    assert told([entry(1)], window(0, 3)) == [
        (window(0), Fate.MISSING),
        (window(1), Fate.PUBLISHED),
        (window(2), Fate.MISSING),
    ]


def test_what_the_stream_has_forgotten_is_expired():
    readable = START + FIVE + timedelta(seconds=1)

    assert [fate for _, fate in told([], window(0, 3), readable)] == [Fate.EXPIRED, Fate.EXPIRED, Fate.MISSING]


def test_windows_of_an_earlier_grid_are_told_as_they_were():
    long = [entry(-1, count=3), entry(3, WindowState.LOST, count=2)]

    assert told(long, window(0, 6)) == [
        (window(-1, 3), Fate.PUBLISHED),
        (window(2), Fate.MISSING),
        (window(3, 2), Fate.LOST),
        (window(5), Fate.MISSING),
    ]


def test_a_gap_off_the_grid_is_told_in_parts():
    begin = START + timedelta(minutes=2)
    odd = WindowEntry(Window(START - FIVE, begin), WindowState.PUBLISHED)

    assert told([odd], window(0, 2))[1:] == [
        (Window(begin, START + FIVE), Fate.MISSING),
        (window(1), Fate.MISSING),
    ]


def test_neighbours_of_one_fate_are_one_stretch():
    entries = [entry(0, rows=2), entry(1, rows=3), entry(3, WindowState.LOST, reason="gone")]

    found = list(stretches(history(entries, GRID, window(0, 4), START)))

    assert [(one.span, one.fate, one.windows, one.rows, one.reason) for one in found] == [
        (window(0, 2), Fate.PUBLISHED, 2, 5, ""),
        (window(2), Fate.MISSING, 1, 0, ""),
        (window(3), Fate.LOST, 1, 0, "gone"),
    ]


def test_lost_and_expired_windows_are_accepted_and_done_ones_left():
    entries = [entry(0), entry(1, WindowState.LOST, reason="gone", stream_id="s"), entry(3, WindowState.ACCEPTED)]
    lines = list(history(entries, GRID, window(0, 4), START + timedelta(days=1)))

    accepted = acceptances(lines, "known", START)

    assert [(one.window, one.state, one.reason, one.stream_id) for one in accepted] == [
        (window(1), WindowState.ACCEPTED, "known (gone)", "s"),
        (window(2), WindowState.ACCEPTED, "known", ""),
    ]
    assert {one.recorded_at for one in accepted} == {START}


def test_nothing_is_accepted_while_a_window_can_be_exported():
    lines = list(history([entry(0, WindowState.LOST)], GRID, window(0, 2), START))

    with pytest.raises(SpecError, match="1 of these windows can still be exported"):
        acceptances(lines, "by mistake", START)


def test_what_can_be_read_begins_with_the_stream_or_with_what_it_keeps():
    micros = (START - EPOCH) // timedelta(microseconds=1)
    stream = StreamDetails("s", 24, micros)

    assert readable_from(stream, START + timedelta(hours=1)) == START
    assert readable_from(stream, START + timedelta(hours=30)) == START + timedelta(hours=6, minutes=10)
    assert readable_from(None, START) == START
