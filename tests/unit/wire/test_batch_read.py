"""Rows by their keys, several in a request: each beside its key, or the error that hides it."""

from __future__ import annotations

import pytest

from airflow_tablestore.errors import ProtocolError, Rejected, RetryLater
from airflow_tablestore.wire.batch_read import batch_get
from airflow_tablestore.wire.plainbuffer import encode_rows
from airflow_tablestore.wire.proto import table_pb2
from airflow_tablestore.wire.row import Cell, Row

KEYS = [(("id", 1),), (("id", 2),)]
ROW = Row(KEYS[0], (Cell("v", 5, 1),))


def answer(*rows: dict) -> bytes:
    told = table_pb2.BatchGetRowResponse()
    table = told.tables.add(table_name="t")
    for row in rows:
        table.rows.add(**row)
    return told.SerializeToString()


def failing(code: str) -> dict:
    return {"is_ok": False, "error": table_pb2.Error(code=code, message="no")}


def test_a_row_stands_at_its_keys_place_and_one_that_is_not_there_is_none():
    call = batch_get("t", KEYS)

    assert call.read(answer({"is_ok": True, "row": encode_rows([ROW])}, {"is_ok": True})) == (ROW, None)
    assert call.operation == "BatchGetRow"


@pytest.mark.parametrize(("code", "error"), [("OTSServerBusy", RetryLater), ("OTSParameterInvalid", Rejected)])
def test_a_row_that_could_not_be_read_is_an_error(code, error):
    with pytest.raises(error, match=code):
        batch_get("t", KEYS).read(answer({"is_ok": True}, failing(code)))


@pytest.mark.parametrize(
    "told",
    [
        answer({"is_ok": True}),
        answer({"is_ok": True, "row": encode_rows([ROW, ROW])}, {"is_ok": True}),
        answer({"is_ok": True, "next_token": b"more"}, {"is_ok": True}),
    ],
)
def test_an_answer_to_another_question_is_refused(told):
    with pytest.raises(ProtocolError):
        batch_get("t", KEYS).read(told)
