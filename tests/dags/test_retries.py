"""Which errors Airflow may try again."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_tablestore.errors import (
    DirtyLimitExceeded,
    PositionLost,
    ProtocolError,
    Rejected,
    RetryLater,
    SpecError,
    StartOver,
    Superseded,
    TablestoreError,
)
from airflow_tablestore.operators.retries import retried_only_where_it_helps

FINAL = [
    SpecError("a sentence"),
    Rejected("a sentence"),
    PositionLost("a sentence"),
    DirtyLimitExceeded("a sentence"),
    Superseded("a sentence"),
    StartOver("a sentence", task="plan"),
]
PASSING = [RetryLater("a sentence"), ProtocolError("a sentence"), TablestoreError("a sentence"), OSError("a sentence")]


@pytest.mark.parametrize("error", FINAL, ids=lambda e: type(e).__name__)
def test_what_repeating_cannot_help_fails_for_good_with_its_message(error):
    with pytest.raises(AirflowFailException, match="a sentence") as failed, retried_only_where_it_helps():
        raise error

    assert failed.value.__cause__ is error


@pytest.mark.parametrize("error", PASSING, ids=lambda e: type(e).__name__)
def test_what_may_pass_is_left_to_airflows_retries(error):
    with pytest.raises(type(error)) as failed, retried_only_where_it_helps():
        raise error

    assert failed.value is error


def test_the_task_to_clear_is_named_with_its_group():
    with (
        pytest.raises(AirflowFailException, match=r"Clear the task 'nightly\.plan' with its downstream"),
        retried_only_where_it_helps("nightly"),
    ):
        raise StartOver("the claim is gone.", task="plan")
