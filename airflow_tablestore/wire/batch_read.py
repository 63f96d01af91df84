"""Several rows of one table by their keys, in one request."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.wire.call import Call
from airflow_tablestore.wire.error import meaning_of
from airflow_tablestore.wire.message import parse
from airflow_tablestore.wire.plainbuffer import decode_rows, encode_key
from airflow_tablestore.wire.proto import table_pb2
from airflow_tablestore.wire.row import PrimaryKey, Row

MOST_ROWS = 100
"""Of one request. Source: Tablestore documentation, "BatchGetRow"."""


def batch_get(table: str, keys: Sequence[PrimaryKey]) -> Call[tuple[Row | None, ...]]:
    """For each key, in their order, its row with the newest version of each cell; None when there is none.

    :param keys: 1 to MOST_ROWS different ones.
    :raises RequestError: a row could not be read; nothing is told of the others then.
    """
    request = table_pb2.BatchGetRowRequest()
    asked = request.tables.add(table_name=table, max_versions=1)
    for key in keys:
        asked.primary_key.append(encode_key(key))
    reader = partial(_read_rows, table=table, count=len(keys))
    return Call("/BatchGetRow", request.SerializeToString(), reader, subject=f"table {table}")


def _read_rows(body: bytes, *, table: str, count: int) -> tuple[Row | None, ...]:
    answer = parse(table_pb2.BatchGetRowResponse, body)
    if [one.table_name for one in answer.tables] != [table] or len(answer.tables[0].rows) != count:
        raise ProtocolError(f"BatchGetRow: {count} rows of {table} were asked for, and the answer has others")
    return tuple(_row(one, table) for one in answer.tables[0].rows)


def _row(told: table_pb2.RowInBatchGetRowResponse, table: str) -> Row | None:
    if not told.is_ok:
        meaning = meaning_of(told.error.code, told.error.message)
        words = f"{told.error.code} for table {table}: {told.error.message} {meaning.advice}"
        raise meaning.kind(words, operation="BatchGetRow", code=told.error.code)
    if told.next_token:
        raise ProtocolError(f"BatchGetRow: a row of {table} came in part only")
    rows = decode_rows(told.row) if told.row else []
    if len(rows) > 1:
        raise ProtocolError("one row was asked for, and several came")
    return rows[0] if rows else None
