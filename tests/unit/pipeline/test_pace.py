"""When a look at a tunnel asks for a run: once for what is there, and again when that has come to nothing."""

from __future__ import annotations

import pytest

from airflow_tablestore.pipeline.tunnel.unread import Found, Pace, Unread

AGAIN, LOOK = 600.0, 3600.0


def pace() -> Pace:
    return Pace(0.0, AGAIN, LOOK)


def seen(found: Found, reached: str = "here", *, is_held: bool = False) -> Unread:
    return Unread(found, found.value, reached, is_held)


@pytest.mark.parametrize("found", [Found.CHANGES, Found.ROWS, Found.NEVER_READ, Found.ABSENT, Found.BROKEN])
def test_what_is_there_asks_for_one_run_however_often_it_is_seen(found):
    one = pace()

    asked = [one.asks(seen(found), second) for second in range(0, 590, 30)]

    assert asked == [True] + [False] * (len(asked) - 1)


def test_more_data_asks_for_no_second_run_before_the_first_has_moved_the_tunnel():
    one = pace()
    one.asks(seen(Found.ROWS), 0)

    assert not one.asks(seen(Found.CHANGES), 30)
    assert one.asks(seen(Found.CHANGES, "further"), 60)


def test_nothing_is_asked_for_while_somebody_reads():
    one = pace()

    held = [one.asks(seen(Found.CHANGES, str(n), is_held=True), 30.0 * n) for n in range(200)]

    assert not any(held)
    assert one.asks(seen(Found.CHANGES, "200"), 6000)


def test_a_run_that_has_moved_nothing_is_asked_for_again_after_a_while():
    one = pace()
    one.asks(seen(Found.CHANGES), 0)

    assert not one.asks(seen(Found.CHANGES), AGAIN - 1)
    assert one.asks(seen(Found.CHANGES), AGAIN)
    assert not one.asks(seen(Found.CHANGES), AGAIN + 1)


def test_what_no_run_can_repair_is_asked_for_rarely():
    one = pace()
    one.asks(seen(Found.BROKEN), 0)

    assert not one.asks(seen(Found.BROKEN), AGAIN)
    assert one.asks(seen(Found.BROKEN), LOOK)


def test_a_quiet_tunnel_asks_for_a_look_of_its_own_once_an_hour():
    one = pace()

    asked = [second for second in range(0, 8000, 30) if one.asks(seen(Found.NOTHING, str(second)), second)]

    assert asked == [3600, 7200]


def test_where_nobody_knows_runs_are_asked_for_at_a_steady_pace():
    one = pace()

    asked = [second for second in range(0, 1300, 30) if one.asks(seen(Found.UNKNOWN, str(second)), second)]

    assert asked == [0, 600, 1200]
