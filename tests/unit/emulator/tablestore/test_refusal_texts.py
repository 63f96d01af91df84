"""Every refusal of the emulated Tablestore: a request, its code, its text; and none in the source is without a case.

Straight through the service, so rows can be broken in every way. Refusals of whole requests (signature, size) are at
the end, those of batches and of clients in tests/integration/test_tablestore_refusals.py.
"""

from __future__ import annotations

import ast
import itertools
import struct
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastcrc.crc8 import smbus as crc8

from airflow_tablestore.emulator.accounts import DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET, demo_accounts
from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.tablestore import service as service_module
from airflow_tablestore.emulator.tablestore.app import TablestoreApp
from airflow_tablestore.emulator.tablestore.errors import ServiceError
from airflow_tablestore.emulator.tablestore.service import Service
from airflow_tablestore.emulator.tablestore.validation import Limits, check_instance_name
from airflow_tablestore.wire.plainbuffer import decode_rows, encode_delete, encode_key, encode_put, encode_update
from airflow_tablestore.wire.proto import table_pb2 as pb
from airflow_tablestore.wire.row import AUTO_INCREMENT, INF_MAX, INF_MIN, Cell, CellOp
from airflow_tablestore.wire.sign import Credentials, sign_request

NOW = 1_700_000_000_000
INVALID, BAD_KEY, MISSING = "OTSParameterInvalid", "OTSInvalidPK", "OTSObjectNotExist"
NO_TABLE, NO_STREAM = "Requested table does not exist.", "Requested stream does not exist."
NO_INDEX = "Requested index does not exist."
UNREADABLE = "Parse PBMessage from RawString failed."
TRIMMED = ("OTSTrimmedDataAccess", "Requested stream data is already trimmed or does not exist.")
IGNORE = pb.Condition(row_existence=pb.IGNORE)
EXISTS = pb.Condition(row_existence=pb.EXPECT_EXIST)
ABSENT = pb.Condition(row_existence=pb.EXPECT_NOT_EXIST)
KEY = (("p", "k"), ("q", 1))
NEW = (("p", "k"), ("id", AUTO_INCREMENT))
LOW, HIGH = (("p", INF_MIN), ("q", INF_MIN)), (("p", INF_MAX), ("q", INF_MAX))
MEGABYTE = 1024 * 1024


# ---- requests


def create(name="new", keys=(("p", pb.STRING, False), ("q", pb.INTEGER, False)), defined=(), **options):
    told = {"time_to_live": -1, "max_versions": 1, **options.pop("options", {})}
    request = pb.CreateTableRequest(**options)
    request.table_meta.table_name = name
    for key, kind, is_generated in keys:
        column = request.table_meta.primary_key.add(name=key, type=kind)
        if is_generated:
            column.option = pb.AUTO_INCREMENT
    for column in defined:
        request.table_meta.defined_column.add(name=column, type=pb.DCT_STRING)
    request.reserved_throughput.capacity_unit.read = 0
    for field, value in told.items():
        if value is not None:
            setattr(request.table_options, field, value)
    return request


def first_key(kind, *points):
    """A table whose first key is cut at these encoded values."""
    bounds = [b"\x09", *points, b"\x0a"]
    ranges = [pb.PartitionRange(begin=low, end=high) for low, high in itertools.pairwise(bounds)]
    return create(keys=(("p", kind, False),), partitions=ranges)


def integer(value):
    return b"\x00" + struct.pack("<q", value)


def text(value):
    return b"\x03" + struct.pack("<I", len(value)) + value


def update_table(name="t", **options):
    return pb.UpdateTableRequest(table_name=name, **options)


def put(row=None, table="t", condition=IGNORE, **options):
    row = encode_put(KEY, [Cell("c", 1)]) if row is None else row
    return pb.PutRowRequest(table_name=table, row=row, condition=condition, **options)


def update(*cells, key=KEY, table="t", condition=IGNORE, row=None, **options):
    row = encode_update(key, cells) if row is None else row
    return pb.UpdateRowRequest(table_name=table, row_change=row, condition=condition, **options)


def delete(row=None, table="t", condition=IGNORE, **options):
    row = encode_delete(KEY) if row is None else row
    return pb.DeleteRowRequest(table_name=table, primary_key=row, condition=condition, **options)


def get(key=None, table="t", max_versions=1, **options):
    row = encode_key(KEY) if key is None else key if isinstance(key, bytes) else encode_key(key)
    return pb.GetRowRequest(table_name=table, primary_key=row, max_versions=max_versions, **options)


def get_range(start=LOW, end=HIGH, direction=pb.FORWARD, table="t", max_versions=1, **options):
    return pb.GetRangeRequest(
        table_name=table,
        direction=direction,
        max_versions=max_versions,
        inclusive_start_primary_key=encode_key(start),
        exclusive_end_primary_key=encode_key(end),
        **options,
    )


def export(start=LOW, end=HIGH, table="t", **options):
    return pb.BulkExportRequest(
        table_name=table,
        inclusive_start_primary_key=encode_key(start),
        exclusive_end_primary_key=encode_key(end),
        **options,
    )


def batch(*tables, **options):
    request = pb.BatchWriteRowRequest(**options)
    for name, rows in tables:
        request.tables.add(table_name=name, rows=rows)
    return request


def row_put(row=None, condition=IGNORE):
    row = encode_put(KEY, [Cell("c", 1)]) if row is None else row
    return pb.RowInBatchWriteRowRequest(type=pb.PUT, row_change=row, condition=condition)


def batch_get(*tables):
    request = pb.BatchGetRowRequest()
    for name, keys, versions in tables:
        request.tables.add(table_name=name, primary_key=[encode_key(key) for key in keys], max_versions=versions)
    return request


# ---- filters


def only_if(told):
    return pb.Condition(row_existence=pb.IGNORE, column_condition=told.SerializeToString())


def single(comparator=pb.CT_EQUAL, value=None, **options):
    part = pb.SingleColumnValueFilter(
        comparator=comparator,
        column_name="c",
        column_value=integer(1) if value is None else value,
        filter_if_missing=False,
        latest_version_only=True,
        **options,
    )
    return pb.Filter(type=pb.FT_SINGLE_COLUMN_VALUE, filter=part.SerializeToString())


def composite(combinator, *parts):
    inner = pb.CompositeColumnValueFilter(combinator=combinator, sub_filters=parts)
    return pb.Filter(type=pb.FT_COMPOSITE_COLUMN_VALUE, filter=inner.SerializeToString())


def page(offset, limit):
    inner = pb.ColumnPaginationFilter(offset=offset, limit=limit)
    return pb.Filter(type=pb.FT_COLUMN_PAGINATION, filter=inner.SerializeToString())


def filtered(told):
    return get(filter=told if isinstance(told, bytes) else told.SerializeToString())


def broken_filter(kind):
    return filtered(pb.Filter(type=kind, filter=b"\xff"))


# ---- rows in bytes


def cell(name=b"p", value=b"\x03\x01\x00\x00\x00k", tail=b"", sums=(), end=b"\x0a"):
    """A cell; `tail` follows the value, `sums` is what of it the checksum covers, in its order."""
    total = crc8(value, crc8(name))
    for part in sums:
        total = crc8(part, total)
    held = b"\x05" + struct.pack("<I", len(value)) + value if value else b""
    return b"\x03\x04" + struct.pack("<I", len(name)) + name + held + tail + end + bytes([total])


def row(keys=None, cells=(), is_delete=False, end=b"\x09"):
    """A row whose own checksum is right."""
    keys = [cell(), cell(b"q", integer(1))] if keys is None else keys
    data = b"\x02" + b"".join(cells) if cells else b""
    sums = bytes(one[-1] for one in (*keys, *cells)) + bytes([is_delete])
    mark = b"\x08" if is_delete else b""
    return b"\x75\x00\x00\x00\x01" + b"".join(keys) + data + mark + end + bytes([crc8(sums)])


STAMP = struct.pack("<q", NOW)
FINE = row(cells=[cell(b"c", integer(1))])
TIMED = cell(b"c", integer(1), tail=b"\x07" + STAMP, sums=[STAMP])


def with_op(op, value=b"", stamp=b"", name=b"c"):
    tail = b"\x06" + bytes([op]) + (b"\x07" + stamp if stamp else b"")
    return row(cells=[cell(name, value, tail, [*([stamp] if stamp else []), bytes([op])])])


# ---- cases: name, operation, request (or a function of the service), code, text

TABLES = [
    ("name", "CreateTable", create("3t"), INVALID, "Invalid table name: '3t'."),
    ("again", "CreateTable", create("t"), "OTSObjectAlreadyExist", "Requested table already exists."),
    ("no keys", "CreateTable", create(keys=()), INVALID, "The number of primary key columns must be in range: [1, 4]."),
    ("a key twice", "CreateTable", create(keys=(("p", pb.STRING, False),) * 2), INVALID,
     "Duplicated primary key name: 'p'."),
    ("key name", "CreateTable", create(keys=(("", pb.STRING, False),)), INVALID, "Invalid column name: ''."),
    ("key type", "CreateTable", create(keys=(("p", pb.PK_BOOLEAN, False),)), INVALID,
     "BOOLEAN is an invalid type for the primary key."),
    ("two generated keys", "CreateTable",
     create(keys=(("p", pb.STRING, False), ("a", pb.INTEGER, True), ("b", pb.INTEGER, True))), INVALID,
     "AUTO_INCREMENT primary key count must <= 1."),
    ("first key generated", "CreateTable", create(keys=(("p", pb.INTEGER, True),)), INVALID,
     "first primary key can't be AUTO_INCREMENT."),
    ("generated text", "CreateTable", create(keys=(("p", pb.STRING, False), ("a", pb.STRING, True))), INVALID,
     "AUTO_INCREMENT primary key must be integer."),
    ("33 defined columns", "CreateTable", create(defined=[f"d{n}" for n in range(33)]), INVALID,
     "The number of defined columns must be in range: [0, 32]."),
    ("defined as the key", "CreateTable", create(defined=["p"]), INVALID,
     "Duplicated attribute column name with primary key column: 'p'."),
    ("no time to live", "CreateTable", create(options={"time_to_live": None}), INVALID,
     "Time-to-live is missing while creating table."),
    ("time to live 0", "CreateTable", create(options={"time_to_live": 0}), INVALID,
     "TimeToLive cannot be 0 or less than -1."),
    ("time to live -2", "CreateTable", create(options={"time_to_live": -2}), INVALID,
     "TimeToLive cannot be 0 or less than -1."),
    ("time to live under a day", "CreateTable", create(options={"time_to_live": 86399}), INVALID,
     "TimeToLive cannot be less than 86400."),
    ("no versions", "CreateTable", create(options={"max_versions": None}), INVALID,
     "MaxVersions is missing while creating table."),
    ("versions 0", "CreateTable", create(options={"max_versions": 0}), INVALID,
     "The maximum versions cannot be less than or equal to 0."),
    ("deviation 0", "CreateTable", create(options={"deviation_cell_version_in_sec": 0}), INVALID,
     "The maximum deviation must be in range [0, INT64_MAX/1000000]."),
    ("deviation too large", "UpdateTable",
     update_table(table_options=pb.TableOptions(deviation_cell_version_in_sec=2**63 // 1_000_000 + 1)), INVALID,
     "The maximum deviation must be in range [0, INT64_MAX/1000000]."),
    ("negative throughput", "UpdateTable",
     update_table(reserved_throughput=pb.ReservedThroughput(capacity_unit=pb.CapacityUnit(read=0, write=-3))), INVALID,
     "Invalid Capacity Unit:'-3' . Capacity Unit must be nonnegative."),
    ("nothing to update", "UpdateTable", update_table(), INVALID, "No parameter is specified in table options."),
    ("no option to update", "UpdateTable", update_table(table_options=pb.TableOptions()), INVALID,
     "No parameter is specified in table options."),
    ("update nothing", "UpdateTable", update_table("none"), MISSING, NO_TABLE),
    ("describe nothing", "DescribeTable", pb.DescribeTableRequest(table_name="none"), MISSING, NO_TABLE),
    ("delete nothing", "DeleteTable", pb.DeleteTableRequest(table_name="none"), MISSING, NO_TABLE),
    ("11 partitions", "CreateTable", first_key(pb.INTEGER, *map(integer, range(10))), INVALID,
     "The count of partitions cannot be greater than 10"),
    ("partition type", "CreateTable", first_key(pb.INTEGER, text(b"m")), INVALID,
     "The value type of partition does not match with primary key."),
    ("partition at the least", "CreateTable", first_key(pb.INTEGER, integer(-(2**63))), INVALID,
     "The value of partition range can not be INT64_MIN or INT64_MAX."),
    ("partition at nothing", "CreateTable", first_key(pb.STRING, text(b"")), INVALID,
     "The value of partition range can not be empty string."),
    ("partition at no bytes", "CreateTable", first_key(pb.BINARY, b"\x07\x00\x00\x00\x00"), INVALID,
     "The value of partition range can not be empty binary."),
    ("partitions in disorder", "CreateTable", first_key(pb.INTEGER, integer(2), integer(1)), INVALID,
     "The range of partitions must be in increasing order."),
    ("partition cut short", "CreateTable", first_key(pb.INTEGER, b"\x00\x01"), INVALID, "data format is invalid."),
    ("partition of no type", "CreateTable", first_key(pb.INTEGER, b"\x63"), INVALID,
     "data format is invalid, unknown variant type occured."),
    ("secondary index", "CreateTable",
     create(index_metas=[pb.IndexMeta(name="i", index_update_mode=pb.IUM_ASYNC_INDEX, index_type=pb.IT_GLOBAL_INDEX)]),
     INVALID, "The emulator has no secondary indexes; create the table without them."),
    ("stream of 0 hours", "CreateTable",
     create(stream_spec=pb.StreamSpecification(enable_stream=True, expiration_time=0)), INVALID,
     "Invalid stream expiration time: 0. Expect: [1, 168]."),
]  # fmt: skip

WRITES = [
    ("to nothing", "PutRow", put(table="none"), MISSING, NO_TABLE),
    ("key name", "PutRow", put(encode_put((("p", "k"), ("x", 1)), [])), BAD_KEY,
     "Validate PK name fail. Input: x, Meta: q."),
    ("key size", "PutRow", put(encode_put((("p", "k"),), [])), BAD_KEY, "Validate PK size fail. Input: 1, Meta: 2."),
    ("key type", "PutRow", put(encode_put((("p", "k"), ("q", "1")), [])), BAD_KEY,
     "Validate PK type fail. Input: VT_STRING, Meta: VT_INTEGER."),
    ("key of five", "PutRow", put(encode_put(tuple((f"p{n}", n) for n in range(5)), [])), INVALID,
     "The number of primary key columns must be in range: [1, 4]."),
    ("key column twice", "PutRow", put(row([cell(), cell()])), INVALID, "Duplicated primary key name: 'p'."),
    ("key too long", "PutRow", put(encode_put((("p", "x" * 1025), ("q", 1)), [])), INVALID,
     "The length of primary key column: 'p' exceeds the MaxLength:1024 with CurrentLength:1025."),
    ("at infinity", "PutRow", put(row([cell(value=b"\x0a"), cell(b"q", integer(1))])), INVALID,
     "VT_INF_MAX is an invalid type for the primary key."),
    ("transaction", "PutRow", put(transaction_id="x"), INVALID, "TransactionID is invalid."),
    ("delete marker", "PutRow", put(row(is_delete=True)), INVALID,
     "Invalid request of put/update row: unexpected RowDeleteMarker in request."),
    ("delete marker in an update", "UpdateRow", update(row=row(is_delete=True)), INVALID,
     "Invalid request of put/update row: unexpected RowDeleteMarker in request."),
    ("operation in a put", "PutRow", put(with_op(1)), INVALID, "OpType cannot be given for column name:'c' in PutRow."),
    ("cell without a value", "PutRow", put(row(cells=[cell(b"c", b"")])), INVALID,
     "Invalid request of put row: find cells without values."),
    ("column name", "PutRow", put(row(cells=[cell(b"#c", integer(1))])), INVALID, "Invalid column name: '#c'."),
    ("column name that is no text", "PutRow", put(row(cells=[cell(b"\xff", integer(1))])), INVALID,
     "Invalid column name: '\ufffd'."),
    ("column named as the key", "PutRow", put(row(cells=[cell(b"q", integer(1))])), INVALID,
     "Duplicated attribute column name with primary key column: 'q'."),
    ("1025 columns", "PutRow", put(encode_put(KEY, [Cell(f"c{n}", n) for n in range(1025)])), INVALID,
     "The number of attribute columns exceeds the limit, limit count: 1024, column count: 1025."),
    ("cell too large", "PutRow", put(encode_put(KEY, [Cell("c", bytes(2 * MEGABYTE + 1))])), INVALID,
     "The length of attribute column: 'c' exceeds the MaxLength:2097152 with CurrentLength:2097153."),
    ("put of 5 MB", "PutRow", put(encode_put(KEY, [Cell(f"c{n}", bytes(MEGABYTE)) for n in range(5)])), INVALID,
     "The total data size of PutRow request exceeds the limit, limit size: 4194304, data size: 5242901."),
    ("version below 0", "PutRow", put(encode_put(KEY, [Cell("c", 1, -1)])), INVALID,
     "Timestamp must be in range [0, INT64_MAX/1000)."),
    ("version too old", "PutRow", put(encode_put(KEY, [Cell("c", 1, NOW - 86_400_001)])), INVALID,
     "Invalid timestamp. Cell:'c'."),
    ("version of the future", "UpdateRow", update(Cell("c", 1, NOW + 86_400_000)), INVALID,
     "Invalid timestamp. Cell:'c'."),
    ("update of nothing", "UpdateRow", update(), INVALID, "Attribute column is missing."),
    ("put without a value", "UpdateRow", update(row=row(cells=[cell(b"c", b"")])), INVALID,
     "Invalid cell: 'c'. Reason: missing value."),
    ("increment by text", "UpdateRow", update(row=with_op(4, text(b"x"))), INVALID,
     "Column 'c' can only be incremented by an integer."),
    ("deleted value", "UpdateRow", update(row=with_op(1, integer(1))), INVALID,
     "Column value cannot be given when type is DELETE_ONE_VERSION,DELETE_ALL_VERSION."),
    ("no version deleted", "UpdateRow", update(row=with_op(3)), INVALID,
     "Timestamp must be given when type is DELETE_ONE_VERSION."),
    ("all versions but one", "UpdateRow", update(row=with_op(1, stamp=STAMP)), INVALID,
     "Timestamp cannot be given when type is DELETE_ALL_VERSION."),
    ("unknown operation of a cell", "UpdateRow", update(row=with_op(2)), INVALID, "Invalid op type of cell: 2."),
    ("increment of text", "UpdateRow", update(Cell("text", 1, None, CellOp.INCREMENT)), INVALID,
     "Column 'text' is not an integer, so it cannot be incremented."),
    ("increment beyond 64 bits", "UpdateRow", update(Cell("most", 1, None, CellOp.INCREMENT)), INVALID,
     "Column 'most' would leave the range of INTEGER."),
    ("table without updates", "UpdateRow", update(Cell("c", 1), table="fixed"), INVALID,
     "The table does not allow updates."),
    ("delete without its marker", "DeleteRow", delete(encode_key(KEY)), INVALID,
     "Invalid request of delete row: missing RowDeleteMarker in request."),
    ("delete with cells", "DeleteRow", delete(row(cells=[cell(b"c", integer(1))], is_delete=True)), INVALID,
     "Invalid delete row request: unexpected cells in request."),
    ("row is there", "PutRow", put(condition=ABSENT), "OTSConditionCheckFail", "Condition check failed."),
    ("row is not there", "DeleteRow", delete(encode_delete((("p", "x"), ("q", 1))), condition=EXISTS),
     "OTSConditionCheckFail", "Condition check failed."),
    ("column is not so", "DeleteRow",
     delete(condition=only_if(single(value=integer(7)))), "OTSConditionCheckFail", "Condition check failed."),
    ("page as a condition", "PutRow",
     put(condition=only_if(page(0, 1))), INVALID,
     "Invalid condition: ColumnPaginationFilter."),
    ("two generated keys in a row", "PutRow",
     put(encode_put((("p", "k"), ("a", AUTO_INCREMENT), ("b", AUTO_INCREMENT)), [])), INVALID,
     "2 pk auto increment exist in row."),
    ("generated key deleted", "DeleteRow", delete(encode_delete(NEW), "auto"), INVALID,
     "Invalid row to delete which with pk auto increment."),
    ("generated key expected", "PutRow", put(encode_put(NEW, []), "auto", EXISTS), INVALID,
     "Invalid expect: EXPECT_EXIST when modify row with pk auto increment."),
    ("generated key with a condition", "PutRow",
     put(encode_put(NEW, []), "auto", only_if(single())), INVALID,
     "Can't set condition when modify row with pk auto increment."),
    ("own value for a generated key", "PutRow", put(encode_put((("p", "k"), ("id", 1)), []), "auto"), INVALID,
     "Invalid expect: IGNORE when modify a specific row for table with pk auto increment."),
    ("generated key where there is none", "PutRow", put(encode_put((("p", "k"), ("q", AUTO_INCREMENT)), [])), BAD_KEY,
     "Validate PK type fail. Input: VT_AUTO_INCREMENT, Meta: VT_INTEGER."),
]  # fmt: skip

BATCHES = [
    ("no table", "BatchWriteRow", batch(), INVALID, "No row is specified in BatchWriteRow."),
    ("no row", "BatchWriteRow", batch(("t", [])), INVALID, "No operation is specified for table: 't'."),
    ("201 rows", "BatchWriteRow", batch(("t", [row_put()] * 201)), INVALID, "Rows count exceeds the upper limit: 200."),
    ("a table twice", "BatchWriteRow", batch(("t", [row_put()]), ("t", [row_put()])), INVALID,
     "Duplicated table name: 't'."),
    ("table name", "BatchWriteRow", batch(("3t", [row_put()])), INVALID, "Invalid table name: '3t'."),
    ("transaction", "BatchWriteRow", batch(("t", [row_put()]), transaction_id="x"), INVALID,
     "TransactionID is invalid."),
    ("a row expected twice", "BatchWriteRow", batch(("t", [row_put(), row_put(condition=EXISTS)])), INVALID,
     "Repeated rows do not support row exist expectation check in BatchModify."),
    ("a row twice with a condition", "BatchWriteRow",
     batch(("t", [row_put(), row_put(condition=only_if(single()))])), INVALID,
     "Repeated rows do not support row condition check in BatchModify."),
    ("batch of 5 MB", "BatchWriteRow",
     batch(("t", [row_put(encode_put((("p", "k"), ("q", n)), [Cell("c", bytes(MEGABYTE))])) for n in range(5)])),
     INVALID,
     "The total data size of BatchWriteRow request exceeds the limit, limit size: 4194304, data size: 5242940."),
    ("nothing to get", "BatchGetRow", batch_get(), INVALID, "No row specified in the request of BatchGetRow."),
    ("101 rows", "BatchGetRow", batch_get(("t", [KEY] * 101, 1)), INVALID, "Rows count exceeds the upper limit: 100."),
    ("no version condition", "BatchGetRow", batch_get(("t", [KEY], None)), INVALID,
     "No version condition is specified while querying row."),
    ("a table read twice", "BatchGetRow", batch_get(("t", [KEY], 1), ("t", [KEY], 1)), INVALID,
     "Duplicated table name: 't'."),
]  # fmt: skip

READS = [
    ("of nothing", "GetRow", get(table="none"), MISSING, NO_TABLE),
    ("transaction", "GetRow", get(transaction_id="x"), INVALID, "TransactionID is invalid."),
    ("no version condition", "GetRow", get(max_versions=None), INVALID, "No version condition is specified."),
    ("no versions", "GetRow", get(max_versions=0), INVALID,
     "Invalid max versions: 0 . Reason: Max versions must be positive."),
    ("129 columns", "GetRow", get(columns_to_get=[f"c{n}" for n in range(129)]), INVALID,
     "The number of columns from the request exceeds the limit, limit count: 128, column count: 129."),
    ("column name", "GetRow", get(columns_to_get=["#c"]), INVALID, "Invalid column name: '#c'."),
    ("key at infinity", "GetRow", get((("p", "k"), ("q", INF_MIN))), INVALID,
     "VT_INF_MIN is an invalid type for the primary key."),
    ("generated key", "GetRow", get(row([cell(), cell(b"q", b"\x0b")])), INVALID,
     "PKAutoIncr can't be used for read operations."),
    ("key with cells", "GetRow", get(FINE), INVALID, "Attribute column cannot be given while reading data."),
    ("key with a delete marker", "GetRow", get(row(is_delete=True)), INVALID, "Delete marker cannot be given."),
    ("a time and a number of versions", "GetRow", get(time_range=pb.TimeRange(specific_time=1)), INVALID,
     "Specific tiemstamp and max versions cannot be given at the same time."),
    ("a time and a number of versions of a range", "GetRange", get_range(time_range=pb.TimeRange(specific_time=1)),
     INVALID, "Specific tiemstamp and max versions cannot be given at the same time."),
    ("a time, a range of times and a number of versions", "GetRow",
     get(time_range=pb.TimeRange(specific_time=1, start_time=1)), INVALID,
     "Specific timestamp, time range and max versions cannot be given at the same time."),
    ("a time and a range of times", "GetRow",
     get(max_versions=None, time_range=pb.TimeRange(specific_time=1, start_time=1)), INVALID,
     "Specific tiemstamp and time range cannot be given at the same time."),
    ("time below 0", "GetRow", get(max_versions=None, time_range=pb.TimeRange(specific_time=-1)), INVALID,
     "Specific timestamp cannot be less than 0."),
    ("half a range of times", "GetRow", get(time_range=pb.TimeRange(start_time=1)), INVALID,
     "Start and end time must be given at the same time."),
    ("range of times below 0", "GetRow", get(time_range=pb.TimeRange(start_time=-1, end_time=1)), INVALID,
     "Timestamp must be in range [0, INT64_MAX/1000)."),
    ("token", "GetRow", get(token=b"short"), INVALID, "Invalid token."),
    ("token of a range", "GetRange", get_range(KEY, token=b"short"), INVALID, "Invalid token."),
    ("token where no row is", "GetRange", get_range(token=b"short"), INVALID, "Invalid token."),
    ("limit 0", "GetRange", get_range(limit=0), INVALID, "The limit must be greater than 0."),
    ("range of nothing", "GetRange", get_range(table="none"), MISSING, NO_TABLE),
    ("begin after end", "GetRange", get_range(HIGH, LOW), INVALID, "Begin key must less than end key in FORWARD"),
    ("end after begin", "GetRange", get_range(direction=pb.BACKWARD), INVALID,
     "Begin key must more than end key in BACKWARD"),
    ("key of a range", "GetRange", get_range((("p", INF_MIN),)), BAD_KEY, "Validate PK size fail. Input: 1, Meta: 2."),
    ("export of nothing", "BulkExport", export(table="none"), MISSING, NO_TABLE),
    ("export backwards", "BulkExport", export(HIGH, LOW), INVALID, "Begin key must less than end key in FORWARD"),
    ("splits of nothing", "ComputeSplitPointsBySize",
     pb.ComputeSplitPointsBySizeRequest(table_name="none", split_size=1), MISSING, NO_TABLE),
    ("split size 0", "ComputeSplitPointsBySize", pb.ComputeSplitPointsBySizeRequest(table_name="t", split_size=0),
     INVALID, "The split_size should be greater than 0."),
    ("split unit", "ComputeSplitPointsBySize",
     pb.ComputeSplitPointsBySizeRequest(table_name="t", split_size=1, split_size_unit_in_byte=1), INVALID,
     "The split_size_unit_in_byte should be greater equal than: 1048576"),
    ("split points 0", "ComputeSplitPointsBySize",
     pb.ComputeSplitPointsBySizeRequest(table_name="t", split_size=1, split_point_limit=0), INVALID,
     "The value of SplitPointLimit must be greater than 0."),
]  # fmt: skip

FILTERS = [
    ("no filter", "GetRow", filtered(b"\xff"), INVALID, "Deserialize filter failed."),
    ("no relation", "GetRow", broken_filter(pb.FT_SINGLE_COLUMN_VALUE), INVALID, "Deserialize relation filter failed."),
    ("no composite", "GetRow", broken_filter(pb.FT_COMPOSITE_COLUMN_VALUE), INVALID,
     "Deserialize composite filter failed."),
    ("no page", "GetRow", broken_filter(pb.FT_COLUMN_PAGINATION), INVALID,
     "Deserialize column pagination filter failed."),
    ("page from -1", "GetRow", filtered(page(-1, 1)), INVALID,
     "Offset in ColumnPaginationFilter must be greater than or equal to 0."),
    ("page of 0", "GetRow", filtered(page(0, 0)), INVALID, "Limit in ColumnPaginationFilter must be greater than 0."),
    ("page in a composite", "GetRow", filtered(composite(pb.LO_AND, single(), page(0, 1))), INVALID,
     "Invalid type of sub-filter: FT_COLUMN_PAGINATION."),
    ("AND of one", "GetRow", filtered(composite(pb.LO_AND, single())), INVALID,
     "Invalid AND/OR operator: the number of sub-filters must be 2."),
    ("OR of one", "GetRow", filtered(composite(pb.LO_OR, single())), INVALID,
     "Invalid AND/OR operator: the number of sub-filters must be 2."),
    ("NOT of two", "GetRow", filtered(composite(pb.LO_NOT, single(), single())), INVALID,
     "Invalid NOT operator: the number of sub-filters must be 1."),
    ("33 filters", "GetRow", filtered(composite(pb.LO_OR, *[single()] * 32)), INVALID,
     "The count of filter exceeds the max: 32."),
    ("no value", "GetRow", filtered(single(value=b"")), INVALID, "Deserialize relation filter failed."),
    ("value cut short", "GetRow", filtered(single(value=b"\x00\x01")), INVALID, "data format is invalid."),
    ("value of no type", "GetRow", filtered(single(value=b"\x63")), INVALID,
     "data format is invalid, unknown variant type occured."),
    ("bad regex", "GetRow", filtered(single(value_trans_rule=pb.ValueTransferRule(regex="("))), INVALID,
     "Invalid regex of filter: (."),
    ("regex of too many", "GetRow", filtered(single(value_trans_rule=pb.ValueTransferRule(regex="a{4294967296}"))),
     INVALID, "Invalid regex of filter: a{4294967296}."),
    ("regex too deep", "GetRow", filtered(single(value_trans_rule=pb.ValueTransferRule(regex="(" * 999 + ")" * 999))),
     INVALID, f"Invalid regex of filter: {'(' * 999 + ')' * 999}."),
]  # fmt: skip

BROKEN = "Cell data broken, "
ROWS = [
    ("no header", put(b"\x76" + FINE[1:]), BROKEN + "mismatch header, actual: 118 , expect: 117."),
    ("header cut short", put(b"\x75"), "data format is invalid."),
    ("no key tag", put(FINE[:4] + b"\x02" + FINE[5:]), BROKEN + "PK is empty."),
    ("no key", put(row([])), BROKEN + "no PK follow PKTag."),
    ("no cells", put(FINE[:4] + row([cell()])[4:-2] + b"\x02\x09\x00"), BROKEN + "no Cells follow CellTag."),
    ("no name", put(FINE[:6] + b"\x05" + FINE[7:]), BROKEN + "attr has no name."),
    ("key without a value", put(row([cell(value=b"")])), BROKEN + "PK value cannot be NULL, name: p."),
    ("key with an operation", put(row([cell(tail=b"\x06\x01", sums=[b"\x01"])])),
     "OpType cannot be given for primary key name :'p'."),
    ("key with a version", put(row([cell(tail=b"\x07" + STAMP, sums=[STAMP])])),
     "Timestamp cannot be given for primary key name:'p'."),
    ("cell without a checksum", put(row([cell(end=b"\x0b")])), BROKEN + "cell is not end with checksum[0x0A] tag."),
    ("row without a checksum", put(row(end=b"\x0b")), BROKEN + "row is not end with checksum tag."),
    ("wrong checksum of a cell", put(row([cell()[:-1] + bytes([cell()[-1] ^ 1])])),
     f"{BROKEN}checksum is mismatch, {cell()[-1] ^ 1} :{cell()[-1]} :"),
    ("wrong checksum of a row", put(FINE[:-1] + bytes([FINE[-1] ^ 1])),
     f"{BROKEN}checksum is mismatch, {FINE[-1] ^ 1} :{FINE[-1]} :"),
    ("two rows", put(FINE + FINE), BROKEN + "has more data in cell, but they can't be parsed."),
    ("wrong length of a text", put(row([cell(value=b"\x03\x02\x00\x00\x00k")])),
     BROKEN + "wrong string format, size: 6."),
    ("text that is none", put(row(cells=[cell(b"c", text(b"\xff"))])), "Value of column 'c' must be UTF8 encoding."),
    ("infinity that holds something", put(row([cell(value=b"\x09\x00")])), "data format is invalid."),
    ("unknown type", put(row(cells=[cell(b"c", b"\x63")])), "data format is invalid, unknown variant type occured."),
]  # fmt: skip


def of_stream(ask, kind, **told):
    """A request about the stream of `streamed`; values may be functions of (stream id, shard id, iterator)."""

    def made(service):
        (stream,) = answered(
            service, "ListStream", pb.ListStreamRequest(table_name="streamed"), pb.ListStreamResponse
        ).streams
        about = answered(
            service, "DescribeStream", pb.DescribeStreamRequest(stream_id=stream.stream_id), pb.DescribeStreamResponse
        )
        shard = about.shards[0].shard_id
        request = pb.GetShardIteratorRequest(stream_id=stream.stream_id, shard_id=shard)
        place = answered(service, "GetShardIterator", request, pb.GetShardIteratorResponse).shard_iterator
        return kind(**{name: ask(value, stream.stream_id, shard, place) for name, value in told.items()})

    return made


def filled(value, stream, shard, place):
    return {"STREAM": stream, "SHARD": shard, "PLACE": place, "BEYOND": f"{shard}\tff"}.get(value, value)


def about(kind, **told):
    return of_stream(filled, kind, **told)


STREAMS = [
    ("list of nothing", "ListStream", pb.ListStreamRequest(table_name="none"), MISSING, NO_TABLE),
    ("no stream", "DescribeStream", pb.DescribeStreamRequest(stream_id="none"), MISSING, NO_STREAM),
    ("shard limit 0", "DescribeStream", about(pb.DescribeStreamRequest, stream_id="STREAM", shard_limit=0), INVALID,
     "The shard limit must be greater than 0."),
    ("from no shard", "DescribeStream",
     about(pb.DescribeStreamRequest, stream_id="STREAM", inclusive_start_shard_id="none"), MISSING, NO_STREAM),
    ("iterator of no stream", "GetShardIterator", pb.GetShardIteratorRequest(stream_id="none", shard_id="none"),
     MISSING, NO_STREAM),
    ("iterator of no shard", "GetShardIterator",
     about(pb.GetShardIteratorRequest, stream_id="STREAM", shard_id="none"), MISSING, NO_STREAM),
    ("another's token", "GetShardIterator",
     about(pb.GetShardIteratorRequest, stream_id="STREAM", shard_id="SHARD", timestamp=1, token="x"), INVALID,
     "The token does not belong to this shard and timestamp."),
    ("records 0", "GetStreamRecord", about(pb.GetStreamRecordRequest, shard_iterator="PLACE", limit=0), INVALID,
     "The limit must be in range: [1, 1000]."),
    ("records 1001", "GetStreamRecord", about(pb.GetStreamRecordRequest, shard_iterator="PLACE", limit=1001), INVALID,
     "The limit must be in range: [1, 1000]."),
    ("another's iterator", "GetStreamRecord",
     about(pb.GetStreamRecordRequest, shard_iterator="PLACE", table_name="t"), INVALID,
     "The shard iterator does not belong to the table."),
    ("no iterator", "GetStreamRecord", pb.GetStreamRecordRequest(shard_iterator="none"), *TRIMMED),
    ("iterator of a lost shard", "GetStreamRecord", pb.GetStreamRecordRequest(shard_iterator="none\t00"), *TRIMMED),
    ("iterator beyond the end", "GetStreamRecord", about(pb.GetStreamRecordRequest, shard_iterator="BEYOND"), *TRIMMED),
]  # fmt: skip

INDEX = pb.IndexMeta(name="i", index_update_mode=pb.IUM_ASYNC_INDEX, index_type=pb.IT_GLOBAL_INDEX)
HERE, GONE = {"table_name": "t", "index_name": "i"}, {"table_name": "none", "index_name": "i"}
NO_SEARCH = ("OTSMetaNotMatch", "search index [i] does not exist")
NOT_SEARCHED = (INVALID, "table [none] does not exist")
OPTIONS = pb.SearchIndexSplitsOptions(index_name="i")
INDEXES = [
    ("create of a table", "CreateIndex", pb.CreateIndexRequest(main_table_name="t", index_meta=INDEX), INVALID,
     "The emulator has no secondary indexes."),
    ("create of nothing", "CreateIndex", pb.CreateIndexRequest(main_table_name="none", index_meta=INDEX), MISSING,
     NO_TABLE),
    ("drop of a table", "DropIndex", pb.DropIndexRequest(main_table_name="t", index_name="i"), MISSING, NO_INDEX),
    ("drop of nothing", "DropIndex", pb.DropIndexRequest(main_table_name="none", index_name="i"), MISSING, NO_TABLE),
    ("list of nothing", "ListSearchIndex", pb.ListSearchIndexRequest(table_name="none"), MISSING, NO_TABLE),
    ("create of a table", "CreateSearchIndex", pb.CreateSearchIndexRequest(**HERE), INVALID,
     "The emulator has no search indexes."),
    ("create of nothing", "CreateSearchIndex", pb.CreateSearchIndexRequest(**GONE), MISSING, NO_TABLE),
    *[
        (f"of {what}", f"{verb}SearchIndex", getattr(pb, f"{verb}SearchIndexRequest")(**told), MISSING, said)
        for verb in ("Describe", "Update", "Delete")
        for what, told, said in (("a table", HERE, NO_INDEX), ("nothing", GONE, NO_TABLE))
    ],
    *[
        (f"of {what}", operation, getattr(pb, f"{operation}Request")(**told), *said)
        for operation in ("Search", "ParallelScan")
        for what, told, said in (("a table", HERE, NO_SEARCH), ("nothing", GONE, NOT_SEARCHED))
    ],
    ("of a table", "ComputeSplits", pb.ComputeSplitsRequest(table_name="t", search_index_splits_options=OPTIONS),
     *NO_SEARCH),
    ("of nothing", "ComputeSplits", pb.ComputeSplitsRequest(table_name="none", search_index_splits_options=OPTIONS),
     *NOT_SEARCHED),
    ("of no index", "ComputeSplits", pb.ComputeSplitsRequest(table_name="t"), INVALID,
     "[search index splits options] must not be null"),
    ("of a table", "StartLocalTransaction", pb.StartLocalTransactionRequest(table_name="t", key=encode_key(KEY[:1])),
     INVALID, "Try to call method using explicit transaction on explicit-transaction-disabled table."),
    ("of nothing", "StartLocalTransaction", pb.StartLocalTransactionRequest(table_name="none", key=encode_key(KEY[:1])),
     MISSING, NO_TABLE),
    ("of no key", "StartLocalTransaction", pb.StartLocalTransactionRequest(table_name="t", key=b"key"), INVALID,
     "data format is invalid."),
    ("of none", "CommitTransaction", pb.CommitTransactionRequest(transaction_id="x"), INVALID,
     "TransactionID is invalid."),
    ("of none", "AbortTransaction", pb.AbortTransactionRequest(transaction_id="x"), INVALID,
     "TransactionID is invalid."),
]  # fmt: skip

OPERATIONS = [
    ("unknown", "HelloWorld", b"", INVALID, "Unsupported operation: 'HelloWorld'."),
    ("no message", "GetRow", b"\xff", INVALID, UNREADABLE),
    ("text that is none", "DescribeTable", b"\x0a\x01\xff", INVALID, UNREADABLE),
    *[("no message", name, b"\xff", INVALID, UNREADABLE) for name in ("Search", "DropIndex", "AbortTransaction")],
]  # fmt: skip

CASES = [
    *TABLES,
    *WRITES,
    *BATCHES,
    *READS,
    *FILTERS,
    *[(name, "PutRow", request, INVALID, said) for name, request, said in ROWS],
    *STREAMS,
    *INDEXES,
    *OPERATIONS,
]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """`t` with a row, `auto` with a generated key, `fixed` without updates, `streamed` with a stream."""
    service = Service(None, Clock(lambda: NOW * 1_000_000))
    auto = (("p", pb.STRING, False), ("id", pb.INTEGER, True))
    for request in (
        create("t"),
        create("spare"),
        create("auto", auto),
        create("fixed", options={"allow_update": False}),
        create("streamed", stream_spec=pb.StreamSpecification(enable_stream=True)),
    ):
        service.answer("CreateTable", "demo", request.SerializeToString())
    kept = encode_put(KEY, [Cell("c", 1), Cell("text", "x"), Cell("most", 2**63 - 1)])
    service.answer("PutRow", "demo", put(kept).SerializeToString())
    yield service
    service.close()


def answered(service, operation, request, answer):
    return answer.FromString(service.answer(operation, "demo", request.SerializeToString()))


def refusal(service, operation, request) -> ServiceError:
    request = request(service) if callable(request) else request
    with pytest.raises(ServiceError) as caught:
        service.answer(operation, "demo", request if isinstance(request, bytes) else request.SerializePartialToString())
    return caught.value


@pytest.mark.parametrize(
    ("name", "operation", "request_", "code", "said"), CASES, ids=[f"{case[1]}: {case[0]}" for case in CASES]
)
def test_the_service_refuses(service, name, operation, request_, code, said):
    error = refusal(service, operation, request_)

    assert (error.code, error.message) == (code, said)


def test_the_rows_that_cases_break_are_taken_whole(service):
    for whole in (FINE, FINE + bytes(8), row(cells=[TIMED])):
        service.answer("PutRow", "demo", put(whole, "spare").SerializeToString())
    incremented = update(row=with_op(4, integer(1)), table="spare")
    service.answer("UpdateRow", "demo", incremented.SerializeToString())

    answer = answered(service, "GetRow", get(table="spare"), pb.GetRowResponse)

    assert [cell.value for cell in decode_rows(answer.row)[0].cells] == [2]


def test_a_table_has_no_search_index(service):
    for request in (pb.ListSearchIndexRequest(table_name="t"), pb.ListSearchIndexRequest()):
        assert not answered(service, "ListSearchIndex", request, pb.ListSearchIndexResponse).indices


@pytest.mark.parametrize(("value", "name"), [("nan", "NaN"), ("inf", "Infinity"), ("-inf", "Infinity")])
def test_a_double_that_is_no_number_is_refused(value, name):
    service = Service(None, Clock())
    service.answer("CreateTable", "demo", create("t").SerializeToString())

    error = refusal(service, "PutRow", put(encode_put(KEY, [Cell("c", float(value))])))

    service.close()
    assert (error.code, error.message) == (INVALID, f"{name} can't be set to double value.")


def test_what_goes_wrong_inside_is_an_internal_error():
    service = Service(None, Clock())
    service.close()

    error = refusal(service, "CreateTable", create("t"))

    assert (error.code, error.status, error.message) == ("OTSInternalServerError", 500, "Internal server error.")


# ---- no refusal without a case

SOURCES = Path(service_module.__file__).parent
ELSEWHERE = {
    "app.py": "whole requests, below",
    "instances.py": "whole requests, below",
    "faulty.py": "errors on demand: tests/integration/test_emulator_faults.py",
    "tunnels.py": "tests of tunnels",
    "tunnel_pages.py": "tests of tunnels",
    "tunnel_life.py": "tests of tunnels",
    "tunnel_store.py": "tests of tunnels",
    "tunnel_balance.py": "tests of tunnels",
    "deliveries.py": "tests of deliveries",
}
WITHOUT_A_CASE = {
    ("service.py", "answer"),  # what goes wrong inside: above
    ("validation.py", "_check_finite"),  # not a number: above
    ("validation.py", "check_instance_name"),  # whole requests: below
    # a table that another request drops in the middle of this one
    ("storage.py", "redefine"),
    ("storage.py", "_gone_is_missing"),
    ("streams.py", "describe"),
}
MAKERS = {
    "ServiceError",
    "invalid",
    "broken",
    "invalid_key",
    "auth_failed",
    "table_missing",
    "table_exists",
    "index_missing",
    "stream_missing",
    "trimmed",
    "condition_failed",
    "missing",
    "_nothing_to_search",
}


def raise_sites() -> dict[tuple[str, str, int], range]:
    """Where the source refuses: file, function and first line, and the lines of each statement."""
    found = {}
    for path in sorted(SOURCES.glob("*.py")):
        if path.name in ELSEWHERE:
            continue
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef):
                continue
            for node in ast.walk(function):
                if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                    made = node.exc.func
                    name = made.id if isinstance(made, ast.Name) else getattr(made, "attr", "")
                    if name in MAKERS:
                        lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
                        found[path.name, function.name, node.lineno] = lines
    return found


def site_of(error: ServiceError) -> tuple[str, int]:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return Path(frame.filename).name, frame.lineno or 0


def test_every_refusal_in_the_source_has_a_case(service):
    sites = raise_sites()
    hit = {site_of(refusal(service, operation, request)) for _, operation, request, _, _ in CASES}

    missed = {
        (file, function)
        for (file, function, _), lines in sites.items()
        if not any((file, line) in hit for line in lines)
    }

    assert len(sites) > 100
    assert missed == WITHOUT_A_CASE


# ---- whole requests


@pytest.fixture(scope="module")
def app() -> Iterator[TablestoreApp]:
    app = TablestoreApp(None, demo_accounts(), Clock(), limits=Limits(request_bytes=100))
    yield app
    app.close()


def told(app, body=b"", *, method="POST", without=(), instance="demo", region=None, late=0, **changes):
    """Status, code and message of the answer; `changes` are headers changed after the signing."""
    credentials = Credentials(DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET)
    now = datetime.now(UTC) - timedelta(minutes=late)
    headers = dict(
        sign_request("/ListTable", body, credentials=credentials, instance=instance, now=now, region=region).headers
    )
    headers.update({name.replace("_", "-"): value for name, value in changes.items()})
    for name in without:
        del headers[name]
    status, _, answer = app.answer(method, "/ListTable", headers, body)
    error = pb.Error.FromString(answer)
    return status, error.code, error.message


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"method": "GET"}, (405, "OTSMethodNotAllowed", "Only POST method for requests is supported.")),
        ({"body": bytes(101)}, (413, "OTSRequestBodyTooLarge", "The size of POST data is too large.")),
        ({"instance": "nobodys"}, (403, "OTSAuthFailed", "The instance is not found.")),
        ({"instance": "no_such"}, (400, INVALID, "Invalid instance name: 'no_such'.")),
        *[
            ({"without": [name]}, (400, INVALID, f"Missing header: '{name}'."))
            for name in (
                "x-ots-date",
                "x-ots-apiversion",
                "x-ots-accesskeyid",
                "x-ots-instancename",
                "x-ots-contentmd5",
                "x-ots-signature",
            )
        ],
        *[
            ({"region": "cn-hangzhou", "without": [name]}, (400, INVALID, f"Missing header: '{name}'."))
            for name in ("x-ots-signdate", "x-ots-signregion")
        ],
        ({"x_ots_date": "blahblah"}, (400, INVALID, "Invalid date format: blahblah.")),
        ({"x_ots_accesskeyid": "nobody"}, (403, "OTSAuthFailed", "The AccessKeyID does not exist.")),
        ({"x_ots_signature": "blahblah"}, (403, "OTSAuthFailed", "Signature mismatch.")),
        (
            {"x_ots_contentmd5": "blahblah"},
            (403, "OTSAuthFailed", "Mismatch between MD5 value of request body and x-ots-contentmd5 in header."),
        ),
        ({"without": []}, (200, "", "")),
    ],
)
def test_a_whole_request_is_refused(app, changes, expected):
    if expected[0] == 200:
        assert app.answer("POST", "/ListTable", signed(), b"")[0] == 200
    else:
        assert told(app, **changes) == expected


def signed() -> dict[str, str]:
    credentials = Credentials(DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET)
    return dict(
        sign_request("/ListTable", b"", credentials=credentials, instance="demo", now=datetime.now(UTC)).headers
    )


@pytest.mark.parametrize("minutes", [16, -16])
def test_a_date_16_minutes_off_is_refused(app, minutes):
    status, code, message = told(app, late=minutes)

    assert (status, code) == (403, "OTSAuthFailed")
    assert message.startswith("Mismatch between system time and x-ots-date: 20")


def test_a_body_of_more_than_5_mb_is_refused():
    app = TablestoreApp(None, demo_accounts(), Clock())
    most = 5 * MEGABYTE

    refused, taken = told(app, bytes(most + 1)), told(app, bytes(most))
    app.close()

    assert refused == (413, "OTSRequestBodyTooLarge", "The size of POST data is too large.")
    assert taken == (400, INVALID, UNREADABLE)


@pytest.mark.parametrize(("name", "is_one"), [("a" * 32, True), ("a" * 33, False), ("a-", False), ("a", False)])
def test_names_of_instances_may_be_longer_than_the_services(name, is_one):
    if is_one:
        check_instance_name(name)
    else:
        with pytest.raises(ServiceError, match="Invalid instance name"):
            check_instance_name(name)
