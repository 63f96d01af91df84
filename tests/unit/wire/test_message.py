"""Bodies that are no messages are our errors, not protobuf's."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.wire.message import parse, parse_beside
from airflow_tablestore.wire.proto import table_pb2


def test_a_whole_message_is_read():
    body = table_pb2.Error(code="OTSObjectNotExist").SerializeToString()

    assert parse(table_pb2.Error, body).code == "OTSObjectNotExist"


def test_a_message_without_its_required_fields_is_refused_by_name():
    with pytest.raises(ProtocolError, match="GetRangeResponse without consumed"):
        parse(table_pb2.GetRangeResponse, b"\x12\x00")


def test_a_body_that_is_cut_short_is_refused():
    with pytest.raises(ProtocolError, match="no Error"):
        parse(table_pb2.Error, b"\x0a\x05OTS")


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=40))
def test_any_body_is_a_message_or_refused(body: bytes):
    try:
        answer = parse(table_pb2.GetRangeResponse, body)
    except ProtocolError:
        return

    assert answer.IsInitialized()


@pytest.mark.parametrize("rows", [b"", b"x", b"r" * 300, b"\x12\x01" * 100_000])
def test_a_large_field_is_found_where_it_stands(rows):
    consumed = table_pb2.ConsumedCapacity(capacity_unit=table_pb2.CapacityUnit(read=1, write=0))
    answer = table_pb2.GetRangeResponse(consumed=consumed, rows=rows, next_start_primary_key=b"key", next_token=b"t")

    message, found = parse_beside(table_pb2.GetRangeResponse, answer.SerializeToString(), 2)

    assert (found, message.rows) == (rows, b"")
    message.rows = rows
    assert message == answer


@pytest.mark.parametrize(
    "body", [b"", b"\x12", b"\x12\x05abc", b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"\x13"]
)
def test_what_is_no_message_is_refused_beside_a_field_too(body):
    with pytest.raises(ProtocolError):
        parse_beside(table_pb2.GetRangeResponse, body, 2)


@given(body=st.binary(max_size=40))
def test_a_field_is_the_same_beside_the_message_and_in_it(body):
    try:
        expected = parse(table_pb2.GetRangeResponse, body)
    except ProtocolError:
        with pytest.raises(ProtocolError):
            parse_beside(table_pb2.GetRangeResponse, body, 2)
        return

    assert parse_beside(table_pb2.GetRangeResponse, body, 2)[1] == expected.rows
