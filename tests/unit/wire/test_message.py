"""Bodies that are no messages are our errors, not protobuf's."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.wire.message import parse
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
