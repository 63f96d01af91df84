"""When a call is sent again, and how long the pauses are."""

from __future__ import annotations

import pytest

from airflow_tablestore.client.retry import (
    CONNECTION_LOST,
    NO_RETRY,
    TIMED_OUT,
    UNREACHABLE,
    RetryPolicy,
    may_repeat,
)
from airflow_tablestore.errors import PositionLost, ProtocolError, Rejected, RetryLater
from airflow_tablestore.wire.call import Call

READ = Call("/GetRange", b"", bytes)
WRITE = Call("/PutRow", b"", bytes, is_repeatable=False)


def test_pauses_double_up_to_the_cap():
    policy = RetryPolicy(base_seconds=0.1, cap_seconds=1.0)

    pauses = [policy.pause(attempt, 1.0) for attempt in range(1, 7)]

    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0])


def test_half_of_a_pause_is_left_to_chance():
    policy = RetryPolicy(base_seconds=1.0, cap_seconds=8.0)

    assert policy.pause(1, 0.0) == 0.5
    assert policy.pause(1, 1.0) == 1.0


def test_a_pause_that_the_service_asks_for_is_obeyed_up_to_the_cap():
    policy = RetryPolicy(base_seconds=0.1, cap_seconds=8.0)

    assert policy.pause(1, 0.5, after_seconds=3.0) == 3.0
    assert policy.pause(1, 0.5, after_seconds=3000.0) == 8.0


def test_very_many_attempts_overflow_nothing():
    assert RetryPolicy().pause(100_000, 1.0) == RetryPolicy().cap_seconds


@pytest.mark.parametrize("code", ["OTSServerBusy", "OTSTimeout", "HTTP502", TIMED_OUT, CONNECTION_LOST, UNREACHABLE])
def test_a_read_is_repeated_after_whatever_may_pass(code):
    assert may_repeat(READ, RetryLater("", code=code))


@pytest.mark.parametrize(
    ("code", "is_repeated"),
    [
        ("OTSServerBusy", True),
        ("OTSRowOperationConflict", True),
        (UNREACHABLE, True),
        ("OTSTimeout", False),
        ("OTSInternalServerError", False),
        ("HTTP502", False),
        (TIMED_OUT, False),
        (CONNECTION_LOST, False),
    ],
)
def test_a_write_is_repeated_only_when_it_was_certainly_not_done(code, is_repeated):
    assert may_repeat(WRITE, RetryLater("", code=code)) is is_repeated


@pytest.mark.parametrize("error", [Rejected(""), PositionLost(""), ProtocolError("")])
def test_what_cannot_pass_is_never_repeated(error):
    assert not may_repeat(READ, error)


def test_an_address_that_never_answered_is_given_up_soon():
    policy, gone = RetryPolicy(attempts=16, first_attempts=4), RetryLater("", code=UNREACHABLE)

    assert policy.attempts_for(gone, has_answered=False) == 4
    assert policy.attempts_for(gone, has_answered=True) == 16
    assert NO_RETRY.attempts_for(gone, has_answered=False) == 1


@pytest.mark.parametrize("bad", [{"attempts": 0}, {"base_seconds": -1}, {"base_seconds": 9, "cap_seconds": 1}])
def test_a_policy_without_sense_is_refused(bad):
    with pytest.raises(ValueError, match="retry policy"):
        RetryPolicy(**bad)
