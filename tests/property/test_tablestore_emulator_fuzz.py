"""Damaged requests to the emulated Tablestore are refused or carried out, never a failure of the server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.tablestore.errors import ServiceError
from airflow_tablestore.emulator.tablestore.service import Service
from airflow_tablestore.wire.plainbuffer import encode_delete, encode_key, encode_put, encode_update
from airflow_tablestore.wire.proto import table_pb2 as pb
from airflow_tablestore.wire.row import INF_MAX, INF_MIN, Cell, CellOp

KEY = (("p", "k"), ("q", 1))
LOW, HIGH = (("p", INF_MIN), ("q", INF_MIN)), (("p", INF_MAX), ("q", INF_MAX))
FILTER = pb.Filter(
    type=pb.FT_SINGLE_COLUMN_VALUE,
    filter=pb.SingleColumnValueFilter(
        comparator=pb.CT_EQUAL,
        column_name="c",
        column_value=b"\x00" + bytes(8),
        filter_if_missing=True,
        latest_version_only=True,
        value_trans_rule=pb.ValueTransferRule(regex="([0-9]+)", cast_type=pb.VT_INTEGER),
    ).SerializeToString(),
).SerializeToString()
IGNORE = pb.Condition(row_existence=pb.IGNORE)


def create() -> pb.CreateTableRequest:
    request = pb.CreateTableRequest()
    request.table_meta.table_name = "t"
    request.table_meta.primary_key.add(name="p", type=pb.STRING)
    request.table_meta.primary_key.add(name="q", type=pb.INTEGER)
    request.reserved_throughput.capacity_unit.read = 0
    request.table_options.time_to_live = -1
    request.table_options.max_versions = 2
    request.stream_spec.enable_stream = True
    request.partitions.add(begin=b"\x09", end=b"\x03\x01\x00\x00\x00m")
    request.partitions.add(begin=b"\x03\x01\x00\x00\x00m", end=b"\x0a")
    return request


def batch() -> pb.BatchWriteRowRequest:
    request = pb.BatchWriteRowRequest()
    table = request.tables.add(table_name="t")
    update = [Cell("n", 1, None, CellOp.INCREMENT), Cell("c", None, None, CellOp.DELETE_ALL_VERSIONS)]
    table.rows.add(type=pb.PUT, row_change=encode_put(KEY, [Cell("c", "v"), Cell("d", 1.5)]), condition=IGNORE)
    table.rows.add(type=pb.UPDATE, row_change=encode_update(KEY, update), condition=IGNORE)
    table.rows.add(type=pb.DELETE, row_change=encode_delete(KEY), condition=IGNORE)
    return request


def batch_get() -> pb.BatchGetRowRequest:
    request = pb.BatchGetRowRequest()
    request.tables.add(table_name="t", primary_key=[encode_key(KEY)], max_versions=1, filter=FILTER, token=[b"x" * 9])
    return request


def get_range() -> pb.GetRangeRequest:
    request = pb.GetRangeRequest(table_name="t", direction=pb.FORWARD, max_versions=1, limit=3, filter=FILTER)
    request.inclusive_start_primary_key, request.exclusive_end_primary_key = encode_key(LOW), encode_key(HIGH)
    request.time_range.start_time, request.time_range.end_time = 0, 2**60
    return request


BODIES = {
    "CreateTable": create(),
    "UpdateTable": pb.UpdateTableRequest(table_name="t", table_options=pb.TableOptions(max_versions=3)),
    "DescribeTable": pb.DescribeTableRequest(table_name="t"),
    "PutRow": pb.PutRowRequest(
        table_name="t", row=encode_put(KEY, [Cell("c", "é"), Cell("b", b"\0")]), condition=IGNORE
    ),
    "UpdateRow": pb.UpdateRowRequest(
        table_name="t",
        row_change=encode_update(KEY, [Cell("c", 5)]),
        condition=pb.Condition(row_existence=pb.EXPECT_EXIST, column_condition=FILTER),
    ),
    "DeleteRow": pb.DeleteRowRequest(table_name="t", primary_key=encode_delete(KEY), condition=IGNORE),
    "GetRow": pb.GetRowRequest(table_name="t", primary_key=encode_key(KEY), max_versions=1, filter=FILTER),
    "BatchWriteRow": batch(),
    "BatchGetRow": batch_get(),
    "GetRange": get_range(),
    "ComputeSplitPointsBySize": pb.ComputeSplitPointsBySizeRequest(table_name="t", split_size=1),
}

damages = st.lists(
    st.tuples(st.integers(0, 10_000), st.sampled_from(["flip", "cut", "insert", "zero"]), st.integers(0, 255)),
    min_size=1,
    max_size=4,
)


def damaged(body: bytes, wounds) -> bytes:
    data = bytearray(body)
    for place, kind, value in wounds:
        at = place % max(1, len(data))
        if kind == "flip" and data:
            data[at] ^= value
        elif kind == "cut":
            del data[at : at + value % 7]
        elif kind == "insert":
            data[at:at] = bytes([value])
        elif data:
            data[at] = 0
    return bytes(data)


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    service = Service(None, Clock())
    yield service
    service.close()


def outcome(service: Service, operation: str, body: bytes) -> str:
    try:
        service.answer(operation, "demo", body)
    except ServiceError as error:
        return error.code
    return "OK"


def with_table(service: Service) -> None:
    outcome(service, "CreateTable", BODIES["CreateTable"].SerializeToString())
    outcome(service, "PutRow", BODIES["PutRow"].SerializeToString())


@pytest.mark.parametrize("operation", BODIES)
def test_the_whole_requests_are_carried_out(service, operation):
    with_table(service)
    if operation == "CreateTable":
        service.answer("DeleteTable", "demo", pb.DeleteTableRequest(table_name="t").SerializeToString())

    assert outcome(service, operation, BODIES[operation].SerializeToString()) in ("OK", "OTSConditionCheckFail")


@pytest.mark.parametrize("operation", BODIES)
@settings(max_examples=60, deadline=None)
@given(wounds=damages)
def test_damaged_requests_are_answered(service, operation, wounds):
    with_table(service)

    assert (
        outcome(service, operation, damaged(BODIES[operation].SerializeToString(), wounds)) != "OTSInternalServerError"
    )


@settings(max_examples=60, deadline=None)
@given(wounds=damages, operation=st.sampled_from(["PutRow", "UpdateRow", "DeleteRow", "GetRow"]))
def test_damaged_rows_in_whole_requests_are_answered(service, wounds, operation):
    with_table(service)
    request = type(BODIES[operation])()
    request.CopyFrom(BODIES[operation])
    field = {"PutRow": "row", "UpdateRow": "row_change", "DeleteRow": "primary_key", "GetRow": "primary_key"}[operation]
    setattr(request, field, damaged(getattr(request, field), wounds))

    assert outcome(service, operation, request.SerializeToString()) != "OTSInternalServerError"
