"""Damaged requests to the emulated Tablestore are refused or carried out, never a failure of the server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.tablestore.errors import ServiceError
from airflow_tablestore.emulator.tablestore.service import Service
from airflow_tablestore.wire import delivery
from airflow_tablestore.wire.plainbuffer import encode_delete, encode_key, encode_put, encode_update
from airflow_tablestore.wire.proto import delivery_pb2 as tasks
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


def of_stream() -> dict[str, Message]:
    """Requests about a stream, a shard and a place in it whose names are filled in by `named`."""
    return {
        "ListStream": pb.ListStreamRequest(table_name="t"),
        "DescribeStream": pb.DescribeStreamRequest(
            stream_id="STREAM", inclusive_start_shard_id="SHARD", shard_limit=5, support_timeseries_data_table=False
        ),
        "GetShardIterator": pb.GetShardIteratorRequest(stream_id="STREAM", shard_id="SHARD", timestamp=1),
        "GetStreamRecord": pb.GetStreamRecordRequest(shard_iterator="PLACE", limit=3, table_name="t"),
    }


INDEX = {"table_name": "t", "index_name": "i"}
SECONDARY = pb.IndexMeta(
    name="i",
    primary_key=["q"],
    defined_column=["c"],
    index_update_mode=pb.IUM_ASYNC_INDEX,
    index_type=pb.IT_GLOBAL_INDEX,
)
REFUSED = {
    "CreateIndex": pb.CreateIndexRequest(main_table_name="t", index_meta=SECONDARY, include_base_data=True),
    "DropIndex": pb.DropIndexRequest(main_table_name="t", index_name="i"),
    "CreateSearchIndex": pb.CreateSearchIndexRequest(**INDEX, schema=b"\x0a\x02\x0a\x00", time_to_live=-1),
    "DescribeSearchIndex": pb.DescribeSearchIndexRequest(**INDEX, include_sync_stat=True),
    "UpdateSearchIndex": pb.UpdateSearchIndexRequest(**INDEX, time_to_live=86400),
    "DeleteSearchIndex": pb.DeleteSearchIndexRequest(**INDEX),
    "Search": pb.SearchRequest(**INDEX, search_query=b"query", routing_values=[b"r"], timeout_ms=10),
    "ComputeSplits": pb.ComputeSplitsRequest(
        table_name="t", search_index_splits_options=pb.SearchIndexSplitsOptions(index_name="i")
    ),
    "ParallelScan": pb.ParallelScanRequest(**INDEX, session_id=b"session", scan_query=b"query"),
    "StartLocalTransaction": pb.StartLocalTransactionRequest(table_name="t", key=encode_key(KEY[:1])),
    "CommitTransaction": pb.CommitTransactionRequest(transaction_id="x"),
    "AbortTransaction": pb.AbortTransactionRequest(transaction_id="x"),
}
"""Whole requests that are refused even so."""

ROLE = "acs:ram::1712345678901234:role/aliyunserviceroleforotsdatadelivery"
PLACE = delivery.Destination(
    "t/$yyyy/",
    "backup",
    "oss-cn-hangzhou.aliyuncs.com",
    ROLE,
    (delivery.DeliveredColumn("p", "p", delivery.ParquetType.UTF8),),
)
DELIVERY = {
    call.operation: kind.FromString(call.body)
    for call, kind in (
        (delivery.create_delivery_task(delivery.DeliveryTask("t", "task", PLACE)), tasks.CreateDeliveryTaskRequest),
        (delivery.update_delivery_task("t", "task", PLACE), tasks.UpdateDeliveryTaskRequest),
        (delivery.describe_delivery_task("t", "task"), tasks.DescribeDeliveryTaskRequest),
        (delivery.list_delivery_tasks("t"), tasks.ListDeliveryTaskRequest),
        (delivery.delete_delivery_task("t", "task"), tasks.DeleteDeliveryTaskRequest),
    )
}

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
    "BulkExport": pb.BulkExportRequest(
        table_name="t",
        columns_to_get=["p", "c"],
        inclusive_start_primary_key=encode_key(LOW),
        exclusive_end_primary_key=encode_key(HIGH),
        filter=FILTER,
        data_block_type_hint=pb.DBT_SIMPLE_ROW_MATRIX,
    ),
    "ListTable": pb.ListTableRequest(),
    "DeleteTable": pb.DeleteTableRequest(table_name="t"),
    "ListSearchIndex": pb.ListSearchIndexRequest(table_name="t"),
    **of_stream(),
    **DELIVERY,
    **REFUSED,
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
    outcome(service, "CreateDeliveryTask", BODIES["CreateDeliveryTask"].SerializeToString())


def body_of(service: Service, operation: str) -> bytes:
    """The whole request, with the names that the table's stream has now."""
    request = type(BODIES[operation])()
    request.CopyFrom(BODIES[operation])
    if operation in of_stream() and operation != "ListStream":
        (stream,) = service.streams.list("demo", pb.ListStreamRequest(table_name="t")).streams
        (shard, *_) = service.streams.shards("demo", "t")
        names = {"STREAM": stream.stream_id, "SHARD": shard.id, "PLACE": f"{shard.id}\t{0:016x}"}
        for field, value in request.ListFields():
            if value in names:
                setattr(request, field.name, names[value])
    return request.SerializeToString()


def test_every_operation_has_a_request_here(service):
    assert {name for name in service.operations if "/" not in name} == BODIES.keys()


@pytest.mark.parametrize("operation", BODIES)
def test_the_whole_requests_are_carried_out(service, operation):
    with_table(service)
    body = body_of(service, operation)
    undone = {"CreateTable": "DeleteTable", "CreateDeliveryTask": "DeleteDeliveryTask"}
    if operation in undone:
        service.answer(undone[operation], "demo", BODIES[undone[operation]].SerializeToString())

    found = outcome(service, operation, body)

    fine = found in ("OK", "OTSConditionCheckFail")
    assert fine != (operation in REFUSED), found


@pytest.mark.parametrize("operation", BODIES)
@settings(max_examples=60, deadline=None)
@given(wounds=damages)
def test_damaged_requests_are_answered(service, operation, wounds):
    with_table(service)

    assert outcome(service, operation, damaged(body_of(service, operation), wounds)) != "OTSInternalServerError"


@settings(max_examples=60, deadline=None)
@given(wounds=damages, operation=st.sampled_from(["PutRow", "UpdateRow", "DeleteRow", "GetRow"]))
def test_damaged_rows_in_whole_requests_are_answered(service, wounds, operation):
    with_table(service)
    request = type(BODIES[operation])()
    request.CopyFrom(BODIES[operation])
    field = {"PutRow": "row", "UpdateRow": "row_change", "DeleteRow": "primary_key", "GetRow": "primary_key"}[operation]
    setattr(request, field, damaged(getattr(request, field), wounds))

    assert outcome(service, operation, request.SerializeToString()) != "OTSInternalServerError"
