"""Many rows of one table in one request, each with a result of its own.

Rows come encoded, so that whoever fills a batch can weigh them first. Which failures are tried again is the caller's
business: a result is the error that the same answer to a single write would be.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from airflow_tablestore.errors import ProtocolError, RequestError
from airflow_tablestore.wire.call import Call
from airflow_tablestore.wire.error import meaning_of
from airflow_tablestore.wire.message import parse
from airflow_tablestore.wire.proto import table_pb2

MOST_ROWS, MOST_BYTES = 200, 4 * 1024 * 1024
"""Rows and bytes of one request. Source: the service's limits on BatchWriteRow."""


class Action(enum.Enum):
    """What becomes of a row. All of them leave the same row when they are sent twice."""

    PUT = "put"
    UPDATE = "update"
    DELETE = "delete"
    PUT_NEW = "put_new"
    """A put that is refused with OTSConditionCheckFail when the row is there: an update of a row without cells."""


_TYPES = {Action.UPDATE: table_pb2.UPDATE, Action.DELETE: table_pb2.DELETE}


@dataclass(frozen=True, slots=True)
class RowWrite:
    """One row of a batch; `block` is a PlainBuffer block as the encoder of its action gives it."""

    action: Action
    block: bytes


def batch_write(table: str, rows: Sequence[RowWrite]) -> Call[tuple[RequestError | None, ...]]:
    """Write the rows; for each, in their order, None or why it was not written.

    :param rows: 1 to MOST_ROWS with different keys, as the service refuses a key twice beside a condition.
    """
    request = table_pb2.BatchWriteRowRequest()
    asked = request.tables.add(table_name=table)
    for row in rows:
        change = asked.rows.add(type=_TYPES.get(row.action, table_pb2.PUT), row_change=row.block)
        is_new = row.action is Action.PUT_NEW
        change.condition.row_existence = table_pb2.EXPECT_NOT_EXIST if is_new else table_pb2.IGNORE
    reader = partial(_read_results, table=table, count=len(rows))
    return Call("/BatchWriteRow", request.SerializeToString(), reader, subject=f"table {table}")


def _read_results(body: bytes, *, table: str, count: int) -> tuple[RequestError | None, ...]:
    answer = parse(table_pb2.BatchWriteRowResponse, body)
    if [one.table_name for one in answer.tables] != [table] or len(answer.tables[0].rows) != count:
        raise ProtocolError(f"BatchWriteRow: {count} rows of {table} were sent, and the answer has other results")
    return tuple(None if row.is_ok else _error(row.error, table) for row in answer.tables[0].rows)


def _error(error: table_pb2.Error, table: str) -> RequestError:
    meaning = meaning_of(error.code, error.message)
    told = f"{error.code} for table {table}: {error.message} {meaning.advice}"
    return meaning.kind(told, operation="BatchWriteRow", code=error.code)
