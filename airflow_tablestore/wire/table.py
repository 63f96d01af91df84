"""The calls of the table service: what a table is, its rows by key range, and where to cut it.

Writing single rows is left to the official SDK. Rows are handed on as the bytes in which they came: `wire.decode`
turns them into columns, in whatever thread the reader likes.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.wire.call import Call
from airflow_tablestore.wire.matrix import read_fields
from airflow_tablestore.wire.message import parse, parse_beside
from airflow_tablestore.wire.plainbuffer import decode_key, encode_key
from airflow_tablestore.wire.proto import table_pb2
from airflow_tablestore.wire.row import INF_MIN, ColumnType, PrimaryKey

MOST_COLUMNS = 128
"""Columns that one request may name. Source: the service's limit on columns_to_get."""

MEBIBYTE = 1 << 20

KEY_TYPES = {
    table_pb2.INTEGER: ColumnType.INTEGER,
    table_pb2.STRING: ColumnType.STRING,
    table_pb2.BINARY: ColumnType.BINARY,
}
DEFINED_TYPES = {
    table_pb2.DCT_INTEGER: ColumnType.INTEGER,
    table_pb2.DCT_DOUBLE: ColumnType.DOUBLE,
    table_pb2.DCT_BOOLEAN: ColumnType.BOOLEAN,
    table_pb2.DCT_STRING: ColumnType.STRING,
    table_pb2.DCT_BLOB: ColumnType.BINARY,
}


# ---- what a table is


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """One part of a table's primary key; `is_auto_increment` parts are filled in by the service."""

    name: str
    type: ColumnType
    is_auto_increment: bool = False


@dataclass(frozen=True, slots=True)
class StreamDetails:
    """A table's change log; a table without one has no StreamDetails. `columns` are always in its records."""

    stream_id: str
    expiration_hours: int
    last_enable_micros: int
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TableDescription:
    """What the service says about a table. `defined` are the columns that were declared; any other may exist too.

    `ttl_seconds` is -1 for rows that stay; a version that a writer names may be `deviation_seconds` from now; read and
    write units are the reserved ones.
    """

    name: str
    keys: tuple[KeyColumn, ...]
    defined: tuple[tuple[str, ColumnType], ...] = ()
    max_versions: int = 1
    ttl_seconds: int = -1
    stream: StreamDetails | None = None
    reserved_read_units: int = 0
    reserved_write_units: int = 0
    deviation_seconds: int = 86400


def describe_table(table: str) -> Call[TableDescription]:
    """Keys, options and stream of a table."""
    body = table_pb2.DescribeTableRequest(table_name=table).SerializeToString()
    return Call("/DescribeTable", body, _read_description, subject=f"table {table}")


def update_stream(table: str, hours: int | None, columns: tuple[str, ...] = ()) -> Call[StreamDetails | None]:
    """Switch a table's change log on, or off and away with all its records; what it is then comes back.

    While it is on, the log keeps its id and its records.
    :param hours: how long records are kept, 1 to 168; None: off.
    :param columns: columns of the row before that every record holds beside the change.
    Source: vectors stream_specification and stream_specification_off.
    """
    spec = table_pb2.StreamSpecification(enable_stream=hours is not None, expiration_time=hours, columns_to_get=columns)
    body = table_pb2.UpdateTableRequest(table_name=table, stream_spec=spec).SerializeToString()
    return Call("/UpdateTable", body, _read_update, subject=f"table {table}")


def _read_update(body: bytes) -> StreamDetails | None:
    return _stream(parse(table_pb2.UpdateTableResponse, body).stream_details)


def list_tables() -> Call[tuple[str, ...]]:
    """The names of the instance's tables."""

    def read(body: bytes) -> tuple[str, ...]:
        return tuple(parse(table_pb2.ListTableResponse, body).table_names)

    return Call("/ListTable", table_pb2.ListTableRequest().SerializeToString(), read)


def _read_description(body: bytes) -> TableDescription:
    answer = parse(table_pb2.DescribeTableResponse, body)
    options, reserved = answer.table_options, answer.reserved_throughput_details.capacity_unit
    return TableDescription(
        name=answer.table_meta.table_name,
        keys=_key_columns(answer.table_meta.primary_key),
        defined=tuple((column.name, DEFINED_TYPES[column.type]) for column in answer.table_meta.defined_column),
        max_versions=options.max_versions if options.HasField("max_versions") else 1,
        ttl_seconds=options.time_to_live if options.HasField("time_to_live") else -1,
        stream=_stream(answer.stream_details),
        reserved_read_units=reserved.read,
        reserved_write_units=reserved.write,
        deviation_seconds=options.deviation_cell_version_in_sec or 86400,
    )


def _stream(details: table_pb2.StreamDetails) -> StreamDetails | None:
    if not details.enable_stream:
        return None
    return StreamDetails(
        details.stream_id, details.expiration_time, details.last_enable_time, tuple(details.columns_to_get)
    )


def _key_columns(schema: Iterable[table_pb2.PrimaryKeySchema]) -> tuple[KeyColumn, ...]:
    columns = []
    for column in schema:
        if column.type not in KEY_TYPES:
            raise ProtocolError(f"key column {column.name!r} has a type that no key has ({column.type})")
        is_auto = column.HasField("option") and column.option == table_pb2.AUTO_INCREMENT
        columns.append(KeyColumn(column.name, KEY_TYPES[column.type], is_auto))
    return tuple(columns)


# ---- rows by key range


class Form(enum.Enum):
    """How the rows of a range are asked for. The service may send PlainBuffer to any of these."""

    PLAIN = "GetRange"
    MATRIX = "GetRange for SimpleRowMatrix, a third of the bytes"
    BULK = "BulkExport, which sends SimpleRowMatrix: forwards, without a limit, rows never in parts"


@dataclass(frozen=True, slots=True)
class RangeRead:
    """One page of a range: from `begin` (included) towards `end` (excluded), newest version of each cell.

    :param is_backward: read downwards; then `begin` is the greater key.
    :param columns: which columns, at most 128; empty: all.
    :param limit: most rows; 0: the service's own bound (5000 rows or 4 MB).
    :param token: of the page before, when that one ended inside a row.
    :param form: how the rows are asked for; see `can_be`.
    """

    table: str
    begin: PrimaryKey
    end: PrimaryKey
    is_backward: bool = False
    columns: tuple[str, ...] = ()
    limit: int = 0
    token: bytes = b""
    form: Form = Form.PLAIN

    def can_be(self, form: Form) -> bool:
        """Whether the rows of this page can be asked for in that form."""
        return form is not Form.BULK or not (self.is_backward or self.limit or self.token)


@dataclass(frozen=True, slots=True)
class RangePage:
    """Some rows of a range. `rows` is a block, not decoded, in the form that `is_matrix` says; empty without rows.

    The range goes on at `next_key` (None: this was the last page), with `next_token` if that is not empty.
    """

    rows: bytes | memoryview
    next_key: PrimaryKey | None = None
    next_token: bytes = b""
    read_units: int = 0
    is_matrix: bool = False

    def shows(self, read: RangeRead) -> bool:
        """Whether a matrix has a field for all that was named and for the whole key. One that has not may hide cells.

        A range of all columns names none, so only its keys are looked for. PlainBuffer needs no such proof.
        :raises ProtocolError: the matrix does not hold its names.
        """
        if not self.is_matrix or not len(self.rows):
            return True
        fields = set(read_fields(self.rows))
        return fields >= {*read.columns, *(name for name, _ in read.begin)}


def get_range(read: RangeRead) -> Call[RangePage]:
    """The rows of one page.

    :raises RecordError: a key part that no key can hold.
    """
    request = table_pb2.GetRangeRequest(
        table_name=read.table,
        direction=table_pb2.BACKWARD if read.is_backward else table_pb2.FORWARD,
        columns_to_get=read.columns,
        max_versions=1,
        inclusive_start_primary_key=encode_key(read.begin),
        exclusive_end_primary_key=encode_key(read.end),
    )
    if read.limit:
        request.limit = read.limit
    if read.token:
        request.token = read.token
    if read.form is Form.MATRIX:
        request.data_block_type_hint = table_pb2.DBT_SIMPLE_ROW_MATRIX
    reader = partial(_read_page, may_be_matrix=read.form is Form.MATRIX)
    return Call("/GetRange", request.SerializeToString(), reader, subject=f"table {read.table}")


def _read_page(body: bytes | memoryview, *, may_be_matrix: bool) -> RangePage:
    answer, rows = parse_beside(table_pb2.GetRangeResponse, body, table_pb2.GetRangeResponse.ROWS_FIELD_NUMBER)
    is_matrix = answer.data_block_type != table_pb2.DBT_PLAIN_BUFFER
    if is_matrix and not may_be_matrix:
        raise ProtocolError("rows in a form that was not asked for (SimpleRowMatrix)")
    if answer.next_token and not answer.next_start_primary_key:
        raise ProtocolError("a range that goes on inside a row, but at no key")
    return RangePage(
        rows=rows,
        next_key=decode_key(answer.next_start_primary_key) if answer.next_start_primary_key else None,
        next_token=answer.next_token,
        read_units=answer.consumed.capacity_unit.read,
        is_matrix=is_matrix,
    )


def bulk_export(read: RangeRead) -> Call[RangePage]:
    """The rows of one page, by the operation that is made for whole tables. Its direction is forwards.

    Source: the official Java client, which alone has it.
    :raises RecordError: a key part that no key can hold.
    """
    request = table_pb2.BulkExportRequest(
        table_name=read.table,
        columns_to_get=read.columns,
        inclusive_start_primary_key=encode_key(read.begin),
        exclusive_end_primary_key=encode_key(read.end),
        data_block_type_hint=table_pb2.DBT_SIMPLE_ROW_MATRIX,
    )
    return Call("/BulkExport", request.SerializeToString(), _read_bulk, subject=f"table {read.table}")


def _read_bulk(body: bytes | memoryview) -> RangePage:
    answer, rows = parse_beside(table_pb2.BulkExportResponse, body, table_pb2.BulkExportResponse.ROWS_FIELD_NUMBER)
    return RangePage(
        rows=rows,
        next_key=decode_key(answer.next_start_primary_key) if answer.next_start_primary_key else None,
        read_units=answer.consumed.capacity_unit.read,
        is_matrix=answer.data_block_type != table_pb2.DBT_PLAIN_BUFFER,
    )


# ---- where to cut


@dataclass(frozen=True, slots=True)
class SplitPoints:
    """Where the service would cut a table into parts of about the asked size: full keys, ascending.

    Each is the first key of its part; the part before the first point begins at the table's beginning.
    """

    keys: tuple[KeyColumn, ...]
    points: tuple[PrimaryKey, ...]


def compute_split_points(table: str, split_bytes: int, limit: int = 0) -> Call[SplitPoints]:
    """Keys that cut the table into parts of about `split_bytes`, which is taken as 1 MiB when it is less.

    The service refuses units below that. Source: the Java SDK's test of invalid split sizes.

    :param limit: most points wanted; 0: as many as there are.
    """
    count, rest = divmod(split_bytes, MEBIBYTE)
    size, unit = (1, max(split_bytes, MEBIBYTE)) if rest or not count else (count, MEBIBYTE)
    request = table_pb2.ComputeSplitPointsBySizeRequest(table_name=table, split_size=size, split_size_unit_in_byte=unit)
    if limit:
        request.split_point_limit = limit
    return Call("/ComputeSplitPointsBySize", request.SerializeToString(), _read_split_points, subject=f"table {table}")


def _read_split_points(body: bytes) -> SplitPoints:
    answer = parse(table_pb2.ComputeSplitPointsBySizeResponse, body)
    keys = _key_columns(answer.schema)
    return SplitPoints(keys, tuple(_full_key(decode_key(point), keys) for point in answer.split_points))


def _full_key(prefix: PrimaryKey, keys: tuple[KeyColumn, ...]) -> PrimaryKey:
    """A split point with the parts that the service left out.

    Source: ComputeSplitPointsBySize omits trailing key columns that stand at minus infinity.
    """
    names = tuple(key.name for key in keys)
    given = tuple(name for name, _ in prefix)
    if given != names[: len(given)]:
        raise ProtocolError(f"a split point with the columns {given}, in a table with the key {names}")
    return prefix + tuple((name, INF_MIN) for name in names[len(given) :])
