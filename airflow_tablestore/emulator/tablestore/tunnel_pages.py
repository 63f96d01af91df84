"""The records that a channel tells: rows of the table for base data, records of a shard for the change log.

A base row is a put of its newest cells, as it is when it is read. A place in the log that is not kept any more is the
oldest one that is; the official service does the same, silently.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.tablestore.cells import (
    HEADER,
    encode_row,
    key_block,
    read_change,
    stored_cells,
    stored_key,
)
from airflow_tablestore.emulator.tablestore.errors import ServiceError, invalid
from airflow_tablestore.emulator.tablestore.keys import match_key, sort_key
from airflow_tablestore.emulator.tablestore.rows import alive, latest
from airflow_tablestore.emulator.tablestore.storage import Store
from airflow_tablestore.emulator.tablestore.streams import Streams
from airflow_tablestore.emulator.tablestore.table import Table
from airflow_tablestore.emulator.tablestore.tunnel_store import Channel
from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.wire.plainbuffer import decode_sequence
from airflow_tablestore.wire.proto import table_pb2, tunnel_pb2
from airflow_tablestore.wire.tunnel_token import FINISHED, Token, read_token, write_token

PAGE_RECORDS = 1000
PAGE_BYTES = 1024 * 1024
END_NANOS = 1_000_000_000
"""A channel ends so long after its end offset: a write that was given its time before is kept by then."""

_ABOVE_ALL = b"\xff"


@dataclass(frozen=True, slots=True)
class Pages:
    """Reads channels of every tunnel."""

    store: Store
    streams: Streams
    clock: Clock

    def read(self, table: Table, channel: Channel, text: str, end_nanos: int) -> tunnel_pb2.ReadRecordsResponse:
        """The records behind a token.

        :param end_nanos: the tunnel's end offset; 0: none.
        """
        if text == FINISHED:
            return tunnel_pb2.ReadRecordsResponse(next_token=FINISHED, may_more_record=False)
        token = checked(channel, text)
        if channel.is_base:
            return self._rows(table, channel, token)
        return self._records(table, channel, token, end_nanos)

    def _rows(self, table: Table, channel: Channel, token: Token) -> tunnel_pb2.ReadRecordsResponse:
        low, high = channel.low, _ABOVE_ALL if channel.high is None else channel.high
        if token.primary_key:
            key = read_change(token.primary_key)
            match_key(key.parts, table.keys)
            low = max(low, sort_key(key.parts))
        answer = tunnel_pb2.ReadRecordsResponse(next_token=FINISHED, may_more_record=False)
        now, size, seen = self.clock.millis(), 0, token.records or 0
        with closing(self.store.rows(table, low, high, is_backward=False)) as rows:
            for row in rows:
                section = stored_key(row)
                if len(answer.records) == PAGE_RECORDS or size > PAGE_BYTES:
                    following = Token(primary_key=key_block(section), records=seen + len(answer.records))
                    answer.next_token, answer.may_more_record = write_token(following), True
                    break
                cells = alive(stored_cells(row, len(section.wire)), table.versions, now)
                if cells is not None:
                    block = HEADER + encode_row(section, latest(cells, 1))
                    answer.records.add(action_type=tunnel_pb2.PUT_ROW, record=block)
                    size += len(block)
        return answer

    def _records(self, table: Table, channel: Channel, token: Token, end_nanos: int) -> tunnel_pb2.ReadRecordsResponse:
        now = self.clock.micros() * 1000
        page = self._page(table, channel, token.iterator)
        if page is None:
            return tunnel_pb2.ReadRecordsResponse(next_token=FINISHED, may_more_record=False)
        answer = tunnel_pb2.ReadRecordsResponse(may_more_record=page.may_more_record)
        newest, is_past = token.time_nanos, False
        for one in page.stream_records:
            nanos = decode_sequence(one.record).timestamp * 1000
            if end_nanos and nanos >= end_nanos:
                is_past = True
                break
            newest = max(newest, nanos)
            told = answer.records.add(action_type=int(one.action_type), record=one.record)
            if one.HasField("origin_record"):
                told.origin_record = one.origin_record
        is_read = not page.may_more_record
        if is_read and not page.stream_records:
            newest = max(newest, now)
        is_past = is_past or bool(end_nanos and is_read and now >= end_nanos + END_NANOS)
        if is_past or not page.next_shard_iterator:
            answer.next_token, answer.may_more_record = FINISHED, False
        else:
            seen = (token.records or 0) + len(answer.records)
            answer.next_token = write_token(Token(page.next_shard_iterator, b"", newest, seen))
        return answer

    def _page(self, table: Table, channel: Channel, iterator: str) -> table_pb2.GetStreamRecordResponse | None:
        """None: the shard itself is not kept any more."""
        for _ in range(2):
            asked = table_pb2.GetStreamRecordRequest(shard_iterator=iterator, table_name=table.name)
            try:
                return self.streams.records(table.instance, asked)
            except ServiceError as error:
                if error.code != "OTSTrimmedDataAccess":
                    raise
            oldest = table_pb2.GetShardIteratorRequest(stream_id=table.stream_id, shard_id=channel.shard)
            try:
                iterator = self.streams.iterator(table.instance, oldest).shard_iterator
            except ServiceError as error:
                if error.code != "OTSObjectNotExist":
                    raise
                return None
        return None


def checked(channel: Channel, text: str) -> Token:
    """The token, which must be one of this channel."""
    try:
        token = read_token(text)
    except ProtocolError:
        raise invalid("The token is invalid.") from None
    if channel.is_base == token.is_stream or (token.is_stream and token.iterator.partition("\t")[0] != channel.shard):
        raise invalid("The token does not belong to the channel.")
    return token
