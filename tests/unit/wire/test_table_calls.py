"""The calls of the table service, against official bytes where there are some."""

import json
from pathlib import Path

import pytest

from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.wire.plainbuffer import decode_rows, encode_key
from airflow_tablestore.wire.proto import table_pb2
from airflow_tablestore.wire.row import INF_MAX, INF_MIN, ColumnType
from airflow_tablestore.wire.table import (
    KeyColumn,
    RangePage,
    RangeRead,
    StreamDetails,
    TableDescription,
    compute_split_points,
    describe_table,
    get_range,
    list_tables,
    update_stream,
)

VECTORS = {
    vector["name"]: bytes.fromhex(vector["hex"])
    for vector in json.loads((Path(__file__).parents[2] / "vectors" / "stream_messages.json").read_text())
}
BEGIN = (("pk1", INF_MIN), ("pk2", INF_MIN))
END = (("pk1", INF_MAX), ("pk2", INF_MAX))
RESUME = (("pk1", "q"), ("pk2", 44))


def page(name: str) -> RangePage:
    return get_range(RangeRead("sampleTable", BEGIN, END)).read(VECTORS[name])


def test_a_forward_range_asks_as_the_official_client_does():
    theirs = table_pb2.GetRangeRequest.FromString(VECTORS["get_range_matrix_hint_request"])
    theirs.ClearField("data_block_type_hint")
    theirs.ClearField("compress_type_hint")

    call = get_range(RangeRead("sampleTable", BEGIN, END, limit=5000))

    assert call.uri == "/GetRange"
    assert call.body == theirs.SerializeToString()


def test_a_backward_range_asks_as_the_official_client_does():
    theirs = table_pb2.GetRangeRequest.FromString(VECTORS["get_range_backward_columns_request"])
    for ours_leaves_out in ("time_range", "data_block_type_hint", "return_entire_primary_keys", "compress_type_hint"):
        theirs.ClearField(ours_leaves_out)

    call = get_range(RangeRead("sampleTable", END, BEGIN, is_backward=True, columns=("pk1", "b", "s")))

    assert call.body == theirs.SerializeToString()


def test_a_range_that_ended_inside_a_row_goes_on_with_its_token():
    call = get_range(RangeRead("t", RESUME, END, token=b"\x01\x02"))

    assert table_pb2.GetRangeRequest.FromString(call.body).token == b"\x01\x02"


def test_rows_of_a_page_are_handed_on_as_they_came():
    last = page("get_range_plainbuffer_response")

    assert last.rows[:4] == b"\x75\x00\x00\x00"
    assert len(decode_rows(last.rows)) == 2
    assert (last.next_key, last.next_token, last.read_units) == (None, b"", 3)


def test_a_page_says_where_the_range_goes_on():
    assert page("get_range_no_hint_response").next_key == RESUME
    inside = page("get_range_next_token_response")
    assert (inside.next_key, inside.next_token) == (RESUME, b"\x01\x02")


def test_a_page_may_be_empty():
    assert page("get_range_empty_response") == RangePage(rows=b"", read_units=3)


def test_rows_in_a_form_that_nobody_asked_for_are_refused():
    with pytest.raises(ProtocolError, match="not asked for"):
        page("get_range_matrix_response")


@pytest.mark.parametrize("body", [b"", b"\xff\xff", b"\x12\x00", b"\x0a\x06\x0a\x04\x08\x03\x10\x00"])
def test_an_answer_that_is_no_page_is_refused(body: bytes):
    with pytest.raises(ProtocolError):
        get_range(RangeRead("t", BEGIN, END)).read(body)


def test_split_points_ask_as_the_official_client_does():
    call = compute_split_points("sampleTable", 1 << 20, limit=8)

    assert (call.uri, call.body) == (
        "/ComputeSplitPointsBySize",
        VECTORS["compute_split_points_unit_limit_request"],
    )


def test_a_split_size_is_exact_to_the_byte():
    request = table_pb2.ComputeSplitPointsBySizeRequest.FromString(compute_split_points("t", 1_500_001).body)

    assert request.split_size * request.split_size_unit_in_byte == 1_500_001


def test_a_split_size_is_not_less_than_the_service_takes():
    request = table_pb2.ComputeSplitPointsBySizeRequest.FromString(compute_split_points("t", 1000).body)

    assert (request.split_size, request.split_size_unit_in_byte) == (1, 1 << 20)


def test_split_points_are_full_keys():
    points = compute_split_points("t", 1).read(VECTORS["compute_split_points_response"])

    assert points.keys == (KeyColumn("pk1", ColumnType.STRING), KeyColumn("pk2", ColumnType.INTEGER))
    assert points.points == ((("pk1", "m"), ("pk2", INF_MIN)), (("pk1", "t"), ("pk2", 7)))


def test_a_small_table_has_no_split_points():
    points = compute_split_points("t", 1).read(VECTORS["compute_split_points_none_response"])

    assert points.points == ()
    assert points.keys[1] == KeyColumn("pk2", ColumnType.INTEGER, is_auto_increment=True)


def test_a_split_point_of_another_key_is_refused():
    answer = table_pb2.ComputeSplitPointsBySizeResponse.FromString(VECTORS["compute_split_points_response"])
    answer.split_points.append(encode_key((("pk2", 1),)))

    with pytest.raises(ProtocolError, match="split point"):
        compute_split_points("t", 1).read(answer.SerializeToString())


def description() -> table_pb2.DescribeTableResponse:
    answer = table_pb2.DescribeTableResponse()
    answer.table_meta.table_name = "orders"
    answer.table_meta.primary_key.add(name="user", type=table_pb2.STRING)
    answer.table_meta.primary_key.add(name="id", type=table_pb2.INTEGER, option=table_pb2.AUTO_INCREMENT)
    answer.table_meta.defined_column.add(name="photo", type=table_pb2.DCT_BLOB)
    answer.reserved_throughput_details.capacity_unit.read = 2
    answer.reserved_throughput_details.last_increase_time = 1704067200
    answer.table_options.max_versions = 3
    answer.table_options.time_to_live = 86400
    return answer


def test_a_table_is_described():
    answer = description()
    answer.stream_details.MergeFromString(VECTORS["stream_details"])

    table = describe_table("orders").read(answer.SerializeToString())

    assert table == TableDescription(
        name="orders",
        keys=(KeyColumn("user", ColumnType.STRING), KeyColumn("id", ColumnType.INTEGER, is_auto_increment=True)),
        defined=(("photo", ColumnType.BINARY),),
        max_versions=3,
        ttl_seconds=86400,
        stream=StreamDetails("sampleTable_1704067200000000", 168, 1704067200000000, ("a",)),
        reserved_read_units=2,
    )


def test_a_table_whose_stream_is_off_has_none():
    answer = description()
    answer.stream_details.enable_stream = False

    assert describe_table("orders").read(answer.SerializeToString()).stream is None


def test_a_key_of_an_impossible_type_is_refused():
    answer = description()
    answer.table_meta.primary_key[0].type = table_pb2.PK_BOOLEAN

    with pytest.raises(ProtocolError, match="user"):
        describe_table("orders").read(answer.SerializeToString())


def test_tables_are_listed():
    body = table_pb2.ListTableResponse(table_names=["a", "b"]).SerializeToString()

    assert list_tables().uri == "/ListTable"
    assert list_tables().read(body) == ("a", "b")


def test_a_stream_is_switched_on_as_the_official_client_does():
    call = update_stream("t", 168, ("a", "b"))

    request = table_pb2.UpdateTableRequest.FromString(call.body)
    assert (call.uri, request.table_name) == ("/UpdateTable", "t")
    assert request.stream_spec.SerializeToString() == VECTORS["stream_specification"]
    assert not request.HasField("table_options")


def test_a_stream_is_switched_off_as_the_official_client_does():
    request = table_pb2.UpdateTableRequest.FromString(update_stream("t", None).body)

    assert request.stream_spec.SerializeToString() == VECTORS["stream_specification_off"]


def updated(details: bytes | None) -> bytes:
    answer = table_pb2.UpdateTableResponse()
    answer.reserved_throughput_details.capacity_unit.read = 0
    answer.reserved_throughput_details.last_increase_time = 0
    answer.table_options.max_versions = 1
    if details is not None:
        answer.stream_details.ParseFromString(details)
    return answer.SerializeToString()


def test_an_update_tells_the_stream_that_there_is_then():
    read = update_stream("t", 168).read

    assert read(updated(VECTORS["stream_details"])) == StreamDetails(
        "sampleTable_1704067200000000", 168, 1_704_067_200_000_000, ("a",)
    )
    assert read(updated(VECTORS["stream_specification_off"])) is None
    assert read(updated(None)) is None
