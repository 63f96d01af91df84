"""The calls of the stream service, against official bytes in both directions."""

import json
from pathlib import Path

import pytest

from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.wire.plainbuffer import decode_rows, encode_rows
from airflow_tablestore.wire.proto import table_pb2 as pb
from airflow_tablestore.wire.row import Row, SequenceInfo
from airflow_tablestore.wire.stream import (
    Action,
    Shard,
    ShardIterator,
    Stream,
    StreamPage,
    StreamRecord,
    describe_stream,
    get_shard_iterator,
    get_stream_records,
    list_streams,
)

FOLDER = Path(__file__).parents[2] / "vectors"
VECTORS = {
    vector["name"]: bytes.fromhex(vector["hex"]) for vector in json.loads((FOLDER / "stream_messages.json").read_text())
}
ROWS = {
    vector["name"]: vector
    for vector in json.loads((FOLDER / "plainbuffer.json").read_text())
    if vector["name"].startswith("stream_")
}
STREAM, SHARD, CREATED = "sampleTable_1704067200000000", "7f1d0e2c-shard-1", 1704067200000000


# ---- what is asked


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("list_stream_request", list_streams("sampleTable")),
        ("list_stream_all_request", list_streams()),
        ("describe_stream_request", describe_stream(STREAM)),
        ("describe_stream_page_request", describe_stream(STREAM, SHARD, 10)),
        ("get_shard_iterator_request", get_shard_iterator(STREAM, SHARD)),
        ("get_shard_iterator_timestamp_request", get_shard_iterator(STREAM, SHARD, CREATED, "next-token")),
        ("get_stream_record_request", get_stream_records(f"{SHARD}\titerator", 1000, "sampleTable")),
    ],
)
def test_a_call_asks_as_the_official_client_does(name, call):
    (uri,) = {v["uri"] for v in json.loads((FOLDER / "stream_messages.json").read_text()) if v["name"] == name}

    assert (call.uri, call.body) == (uri, VECTORS[name])
    assert call.is_repeatable


# ---- what is answered


def test_streams_are_read():
    assert list_streams().read(VECTORS["list_stream_response"]) == (Stream(STREAM, "sampleTable", CREATED),)
    assert list_streams().read(VECTORS["list_stream_none_response"]) == ()


def test_shards_are_read_with_one_parent_of_a_split_and_two_of_a_merge():
    told = describe_stream(STREAM).read(VECTORS["describe_stream_response"])

    assert told.shards == (Shard("s0"), Shard("s1", ("s0",)), Shard("s2", ("s1", "s3")))
    assert (told.table, told.expiration_hours, told.created_micros) == ("sampleTable", 168, CREATED)
    assert (told.is_active, told.next_shard) == (True, "s4")


def test_a_stream_that_is_being_made_is_not_active():
    told = describe_stream(STREAM).read(VECTORS["describe_stream_enabling_response"])

    assert (told.is_active, told.next_shard) == (False, None)


def test_the_stream_of_a_time_series_table_is_read():
    theirs = pb.DescribeStreamResponse.FromString(VECTORS["describe_stream_timeseries_response"])

    told = describe_stream(STREAM).read(VECTORS["describe_stream_timeseries_response"])

    assert [shard.id for shard in told.shards] == [shard.shard_id for shard in theirs.shards]


def test_an_iterator_is_read_with_its_token():
    told = get_shard_iterator(STREAM, SHARD).read(VECTORS["get_shard_iterator_response"])

    assert told == ShardIterator("iterator-1", "next-token")


def test_an_iterator_without_a_token_is_final():
    assert get_shard_iterator(STREAM, SHARD).read(b"\x0a\x01i") == ShardIterator("i", None)


def test_records_are_read_with_action_sequence_and_origin():
    page = get_stream_records("i").read(VECTORS["get_stream_record_response"])

    assert [record.action for record in page.records] == [Action.PUT, Action.UPDATE, Action.UPDATE, Action.DELETE]
    assert [record.sequence for record in page.records] == [record.decoded().sequence for record in page.records]
    assert [record.origin is None for record in page.records] == [True, True, False, True]
    assert decode_rows(page.records[2].origin or b"")[0].cells
    assert (page.next_iterator, page.may_more) == ("iterator-2", True)


def test_a_closed_shard_ends_without_an_iterator():
    theirs = pb.GetStreamRecordResponse.FromString(VECTORS["get_stream_record_end_response"])

    page = get_stream_records("i").read(VECTORS["get_stream_record_end_response"])

    assert (len(page.records), page.next_iterator) == (len(theirs.stream_records), None)


def test_a_page_may_not_say_whether_there_is_more():
    assert get_stream_records("i").read(b"") == StreamPage((), None, None)


@pytest.mark.parametrize("name", sorted(ROWS))
def test_the_sequence_of_an_official_row_is_found_without_decoding(name):
    vector = ROWS[name]
    block = bytes.fromhex(vector["hex"])

    (row,) = decode_rows(block)

    assert StreamRecord(Action.PUT, block).sequence == row.sequence
    assert StreamRecord(Action.PUT, block).decoded() == row


# ---- what is refused


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [Row((("pk", 1),))],
        [Row((("pk", 1),), sequence=SequenceInfo(0, 1, 0))] * 2,
        [Row((), is_delete=True, sequence=SequenceInfo(0, 1, 0))],
    ],
    ids=["none", "no sequence", "two", "no key"],
)
def test_a_record_is_one_row_with_a_key_and_a_sequence(rows):
    with pytest.raises(ProtocolError, match="one row"):
        StreamRecord(Action.PUT, encode_rows(rows)).decoded()


@pytest.mark.parametrize("block", [b"", encode_rows([]), encode_rows([Row((("pk", "long enough" * 9),))])])
def test_a_row_without_a_sequence_has_no_time(block):
    with pytest.raises(ProtocolError):
        _ = StreamRecord(Action.PUT, block).sequence


def test_an_action_that_no_record_has_is_refused():
    answer = pb.GetStreamRecordResponse()
    answer.stream_records.add(action_type=pb.PUT_ROW, record=b"r")

    with pytest.raises(ProtocolError, match="action_type"):
        get_stream_records("i").read(answer.SerializeToString().replace(b"\x08\x01", b"\x08\x09"))


def test_a_shard_cannot_be_its_own_parent():
    answer = pb.DescribeStreamResponse(
        stream_id="s", expiration_time=24, table_name="t", creation_time=1, stream_status=pb.STREAM_ACTIVE
    )
    answer.shards.add(shard_id="a", parent_id="a")

    with pytest.raises(ProtocolError, match="own parent"):
        describe_stream("s").read(answer.SerializeToString())
