"""Rules of faults as values: what they are about, when they strike, and what is refused."""

from __future__ import annotations

import pytest

from airflow_tablestore.emulator.faults import MEANINGS, Asked, Fault, Faults, Kind, fault_from
from airflow_tablestore.errors import SpecError

READ = Asked("tablestore", "demo", "GetRange", ("rides",))
BATCH = Asked("tablestore", "demo", "BatchWriteRow", ("rides",))
PUT = Asked("oss", "backup", "PutObject", ("backup/exports/a.csv",))


def struck(faults, asked, times):
    return [bool(faults.strike(asked)) for _ in range(times)]


def test_a_rule_strikes_after_those_it_skips_and_as_often_as_it_counts():
    faults = Faults()

    faults.add("error", code="OTSServerBusy", skip=1, count=2)

    assert struck(faults, READ, 5) == [False, True, True, False, False]


def test_the_same_seed_strikes_the_same_requests():
    runs = []
    for _ in range(2):
        faults = Faults()
        faults.add("reset", probability=0.3, seed=7)
        runs.append(struck(faults, READ, 200))

    assert runs[0] == runs[1]
    assert 30 < sum(runs[0]) < 90


@pytest.mark.parametrize("other", [("cut_body", "*"), ("reset", "Get*")])
def test_chances_of_two_rules_are_not_the_same_ones(other):
    alone = []
    for kind, operation in (("reset", "*"), other):
        faults = Faults()
        faults.add(kind, operation=operation, probability=0.3)
        alone.append(struck(faults, READ, 200))

    assert alone[0] != alone[1]


@pytest.mark.parametrize(
    ("settings", "asked", "is_about"),
    [
        ({}, READ, True),
        ({"service": "oss"}, READ, False),
        ({"operation": "Get*"}, READ, True),
        ({"operation": "Put*"}, READ, False),
        ({"table": "rides"}, READ, True),
        ({"table": "other"}, READ, False),
        ({"instance": "demo"}, READ, True),
        ({"instance": "demo"}, PUT, False),
        ({"table": "backup/exports/*"}, PUT, True),
        ({"table": "backup/imports/*"}, PUT, False),
    ],
)
def test_a_rule_is_about_the_requests_it_names(settings, asked, is_about):
    assert Fault(Kind.RESET, **settings).is_about(asked) == is_about


def test_waiting_comes_on_top_of_the_first_other_fault():
    faults = Faults()
    faults.add("reset")
    faults.add("cut_body", count=1)
    faults.add("latency", seconds=1)

    assert [fault.kind for fault in faults.strike(READ)] == [Kind.RESET, Kind.LATENCY]
    assert faults.struck(2) == 0


def test_rows_are_occasions_of_their_own():
    faults = Faults()
    faults.add("row_error", code="OTSServerBusy", skip=1, count=1)

    assert faults.strike(BATCH) == ()
    assert not faults.may_strike_rows(READ)
    assert faults.may_strike_rows(BATCH)
    assert [bool(faults.strike_row(BATCH)) for _ in range(3)] == [False, True, False]


def test_a_code_tells_its_service_status_and_text():
    busy, denied = Fault(Kind.ERROR, code="OTSServerBusy"), Fault(Kind.ERROR, code="AccessDenied")

    assert (busy.service, busy.told_status, busy.told_message) == ("tablestore", 503, "Server is busy.")
    assert (denied.service, denied.told_status) == ("oss", 403)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (None, "a JSON object"),
        ([], "a JSON object"),
        ({}, "a fault needs its kind"),
        ({"kind": "explosion"}, "kinds are: error, row_error"),
        ({"kind": ["error"]}, "kinds are"),
        ({"kind": "reset", "oparation": "x"}, "unknown field 'oparation'"),
        ({"kind": "reset", "operation": 3}, "operation: 3 is not a text"),
        ({"kind": "reset", "count": "2"}, "'2' is not a whole number"),
        ({"kind": "reset", "count": 0}, "0 strikes are none"),
        ({"kind": "reset", "count": True}, "True is not a whole number"),
        ({"kind": "reset", "skip": -1}, "-1 occasions cannot be skipped"),
        ({"kind": "reset", "probability": 0}, "0 is no probability"),
        ({"kind": "reset", "probability": float("nan")}, "nan is not a number"),
        ({"kind": "reset", "service": "s3"}, "there is no service 's3'"),
        ({"kind": "reset", "seconds": 1}, "reset takes no seconds"),
        ({"kind": "reset", "code": "OTSServerBusy"}, "reset takes no code"),
        ({"kind": "latency"}, "a latency needs its seconds"),
        ({"kind": "error"}, "error needs the code"),
        ({"kind": "error", "code": "OTSNoSuchThing"}, "has no status known here"),
        ({"kind": "error", "code": "OTSServerBusy", "service": "oss"}, "has no status known here"),
        ({"kind": "error", "code": "OTSServerBusy", "status": 200}, "200 is no status of an error"),
        ({"kind": "row_error", "code": "NoSuchKey"}, "is no error of a row"),
        ({"kind": "wrong_md5", "service": "oss"}, "a fault of tablestore only"),
    ],
)
def test_what_is_no_rule_is_refused_with_what_may_be_there(told, words):
    with pytest.raises(SpecError, match=words.replace("(", r"\(")):
        fault_from(told)


def test_every_problem_of_a_rule_is_told_at_once():
    with pytest.raises(SpecError) as refused:
        fault_from({"kind": "reset", "count": 0, "skip": -1, "probability": 2})

    assert len(refused.value.problems) == 3


def test_every_kind_is_explained():
    assert set(MEANINGS) == set(Kind)
