"""One row at a time: put it under a condition, get it, and read a few by key range.

For the small rows of a ledger, in which every value is an integer, a string or bytes. Tables are read in `wire.table`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.wire.call import Call
from airflow_tablestore.wire.message import parse
from airflow_tablestore.wire.plainbuffer import decode_rows, encode_key, encode_put, encode_value
from airflow_tablestore.wire.proto import table_pb2
from airflow_tablestore.wire.row import Cell, PrimaryKey, Row, Value
from airflow_tablestore.wire.table import KEY_TYPES, KeyColumn

CONDITION_FAILED = "OTSConditionCheckFail"
"""The code of a put whose condition did not hold: nothing was changed."""

_KEY_TYPES = {kind: number for number, kind in KEY_TYPES.items()}


@dataclass(frozen=True, slots=True)
class Absent:
    """A condition: there is no row with this key."""


@dataclass(frozen=True, slots=True)
class Holds:
    """A condition: the row is there, and this column has this value."""

    column: str
    value: Value


def put_row(
    table: str, key: PrimaryKey, cells: Mapping[str, Value], condition: Absent | Holds | None = None
) -> Call[None]:
    """Replace a row as a whole.

    With a condition a lost answer leaves open who has changed the row: sent again, the call may fail on its own work.
    So whoever puts with a condition puts something that nobody else would, and looks.
    :raises RecordError: a key or value that Tablestore cannot hold.
    """
    request = table_pb2.PutRowRequest(
        table_name=table, row=encode_put(key, (Cell(name, value) for name, value in cells.items()))
    )
    request.condition.row_existence = table_pb2.IGNORE
    if isinstance(condition, Absent):
        request.condition.row_existence = table_pb2.EXPECT_NOT_EXIST
    if isinstance(condition, Holds):
        request.condition.row_existence = table_pb2.EXPECT_EXIST
        request.condition.column_condition = _equals(condition)
    return Call("/PutRow", request.SerializeToString(), _read_put, subject=f"table {table}")


def _equals(condition: Holds) -> bytes:
    comparison = table_pb2.SingleColumnValueFilter(
        comparator=table_pb2.CT_EQUAL,
        column_name=condition.column,
        column_value=encode_value(condition.value),
        filter_if_missing=True,
        latest_version_only=True,
    )
    whole = table_pb2.Filter(type=table_pb2.FT_SINGLE_COLUMN_VALUE, filter=comparison.SerializeToString())
    return bytes(whole.SerializeToString())


def _read_put(body: bytes) -> None:
    parse(table_pb2.PutRowResponse, body)


def get_row(table: str, key: PrimaryKey) -> Call[Row | None]:
    """A row with the newest version of each cell; None when there is none.

    :raises RecordError: a key that no row can have.
    """
    request = table_pb2.GetRowRequest(table_name=table, primary_key=encode_key(key), max_versions=1)
    return Call("/GetRow", request.SerializeToString(), _read_row, subject=f"table {table}")


def _read_row(body: bytes) -> Row | None:
    answer = parse(table_pb2.GetRowResponse, body)
    rows = decode_rows(answer.row) if answer.row else []
    if len(rows) > 1:
        raise ProtocolError("one row was asked for, and several came")
    return rows[0] if rows else None


def create_table(
    table: str,
    keys: Iterable[KeyColumn],
    ttl_seconds: int = -1,
    *,
    max_versions: int = 1,
    deviation_seconds: int | None = None,
) -> Call[None]:
    """Make a table without reserved throughput.

    :param ttl_seconds: how long a cell is kept after it was written; -1: for good. At least a day.
    :param max_versions: of each cell.
    :param deviation_seconds: how far from now a version may be that a writer names; None: the service's own, a day.
    """
    request = table_pb2.CreateTableRequest()
    request.table_meta.table_name = table
    for key in keys:
        request.table_meta.primary_key.add(name=key.name, type=_KEY_TYPES[key.type])
    request.reserved_throughput.capacity_unit.read = request.reserved_throughput.capacity_unit.write = 0
    request.table_options.time_to_live = ttl_seconds
    request.table_options.max_versions = max_versions
    if deviation_seconds is not None:
        request.table_options.deviation_cell_version_in_sec = deviation_seconds
    return Call("/CreateTable", request.SerializeToString(), _read_created, subject=f"table {table}")


def _read_created(body: bytes) -> None:
    parse(table_pb2.CreateTableResponse, body)
