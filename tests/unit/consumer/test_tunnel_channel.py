"""The life of a channel at one client is a table, and a heartbeat's answer decides by version."""

from __future__ import annotations

import pytest

from airflow_tablestore.consumer.tunnel.channel import NEXT, Event, Held, Order, State, after, merge
from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.wire.tunnel_channel import Channel, ChannelStatus

OPEN, CLOSING, CLOSE, TERMINATED = ChannelStatus


def held(status=OPEN, version=1, state=State.READING):
    return {"c": Held(Channel("c", version, status), state)}


# ---- the table


def test_every_state_leads_to_being_gone():
    for state in State:
        assert state is State.GONE or (state, Event.TAKEN) in NEXT


def test_every_state_is_reached_and_the_first_one_again_only_after_a_turn():
    assert set(NEXT.values()) == set(State)
    assert [step for step, following in NEXT.items() if following is State.WAITING] == [(State.PARKING, Event.DRAINED)]


def test_what_cannot_follow_is_refused():
    with pytest.raises(ProtocolError, match="GONE; STARTED"):
        after(State.GONE, Event.STARTED)


def test_nothing_is_given_back_before_what_is_in_hands_is_done():
    for (state, event), following in NEXT.items():
        if state in (State.READING, State.PARKING, State.CLOSING) and following is State.CLOSED:
            assert event is Event.DRAINED


# ---- what is reported


@pytest.mark.parametrize("state", [State.WAITING, State.READING, State.PARKING, State.CLOSING])
def test_what_is_not_over_is_reported_as_it_was_told(state):
    assert held(state=state)["c"].report == Channel("c", 1, OPEN)


@pytest.mark.parametrize(("state", "status"), [(State.CLOSED, CLOSE), (State.FINISHED, TERMINATED)])
def test_what_is_over_is_reported_one_version_on(state, status):
    assert held(state=state, version=4)["c"].report == Channel("c", 5, status)


# ---- the merge


def test_a_channel_that_is_given_is_opened():
    merged = merge({}, [Channel("c", 1, OPEN)])

    assert merged.held == held(state=State.WAITING)
    assert merged.orders == ((Order.OPEN, "c"),)


def test_a_channel_that_is_told_again_goes_on():
    merged = merge(held(), [Channel("c", 1, OPEN)])

    assert (merged.held, merged.orders) == (held(), ())


def test_a_channel_that_is_not_told_is_lost():
    merged = merge(held(), [])

    assert (merged.held, merged.orders) == ({}, ((Order.DROP, "c"),))


@pytest.mark.parametrize("status", [CLOSE, TERMINATED])
def test_a_channel_that_is_told_to_be_over_is_lost(status):
    merged = merge(held(), [Channel("c", 2, status)])

    assert (merged.held, merged.orders) == ({}, ((Order.DROP, "c"),))


def test_a_channel_that_is_asked_back_is_closed():
    merged = merge(held(), [Channel("c", 2, CLOSING)])

    assert merged.held["c"] == Held(Channel("c", 2, CLOSING), State.CLOSING)
    assert merged.orders == ((Order.CLOSE, "c"),)


def test_a_channel_that_is_asked_back_before_it_is_read_is_given_back():
    merged = merge(held(state=State.WAITING), [Channel("c", 2, CLOSING)])

    assert merged.held["c"].report == Channel("c", 3, CLOSE)


def test_a_channel_that_was_asked_back_before_it_was_known_is_given_back():
    merged = merge({}, [Channel("c", 2, CLOSING)])

    assert merged.held["c"].report == Channel("c", 3, CLOSE)
    assert merged.orders == ()


@pytest.mark.parametrize(("state", "status"), [(State.CLOSED, CLOSE), (State.FINISHED, TERMINATED)])
def test_what_was_over_when_it_was_asked_back_is_told_anew(state, status):
    merged = merge(held(state=state), [Channel("c", 2, CLOSING)])

    assert merged.held["c"].report == Channel("c", 3, status)


def test_an_answer_from_before_the_report_changes_nothing():
    before = held(state=State.FINISHED, version=2)

    merged = merge(before, [Channel("c", 2, CLOSING)])

    assert (merged.held, merged.orders) == (before, ())


@pytest.mark.parametrize("state", [State.READING, State.CLOSING, State.CLOSED, State.FINISHED])
def test_a_channel_that_is_opened_anew_begins_a_new_life(state):
    merged = merge(held(state=state), [Channel("c", 3, OPEN)])

    assert merged.held["c"] == Held(Channel("c", 3, OPEN))
    assert merged.orders == ((Order.DROP, "c"), (Order.OPEN, "c"))
