"""The calls of the stream service: a table's change log, its shards, and their records in the order of writing.

Which shard is read when, and where a window begins, is decided elsewhere. Records are handed on as the bytes in which
they came; the sequence of one is found without decoding the rest, so that a reader can look for a time cheaply.
Source: tests/vectors/stream_messages.json, and the stream rows of plainbuffer.json.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.wire.call import Call
from airflow_tablestore.wire.message import parse
from airflow_tablestore.wire.plainbuffer import decode_rows, decode_sequence
from airflow_tablestore.wire.proto import table_pb2
from airflow_tablestore.wire.row import Row, SequenceInfo

MOST_RECORDS = 1000
"""Records that one page may hold; the service refuses a greater limit."""


# ---- which streams there are


@dataclass(frozen=True, slots=True)
class Stream:
    """The change log of one table. A stream that is switched off and on again is another one, with another id."""

    id: str
    table: str
    created_micros: int


def list_streams(table: str | None = None) -> Call[tuple[Stream, ...]]:
    """The streams of a table, or of the whole instance."""
    body = table_pb2.ListStreamRequest(table_name=table).SerializeToString()
    return Call("/ListStream", body, _read_streams)


def _read_streams(body: bytes) -> tuple[Stream, ...]:
    streams = parse(table_pb2.ListStreamResponse, body).streams
    return tuple(Stream(stream.stream_id, stream.table_name, stream.creation_time) for stream in streams)


# ---- the shards of a stream


@dataclass(frozen=True, slots=True)
class Shard:
    """One partition of a stream. It is read after its parents: one of a split, two of a merge.

    A parent that is not listed any more holds nothing that the stream still keeps.
    """

    id: str
    parents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StreamDescription:
    """A stream and some of its shards; more follow from `next_shard` on, if that is not None.

    `is_active` is False while a new stream is being made, which may have no shards yet.
    """

    stream_id: str
    table: str
    expiration_hours: int
    created_micros: int
    is_active: bool
    shards: tuple[Shard, ...]
    next_shard: str | None = None


def describe_stream(stream_id: str, after: str | None = None, limit: int = 0) -> Call[StreamDescription]:
    """One page of a stream's shards.

    :param after: the `next_shard` of the page before; None: the first page.
    :param limit: most shards wanted; 0: the service's own bound.
    """
    request = table_pb2.DescribeStreamRequest(stream_id=stream_id, inclusive_start_shard_id=after)
    if limit:
        request.shard_limit = limit
    return Call("/DescribeStream", request.SerializeToString(), _read_description)


def _read_description(body: bytes) -> StreamDescription:
    answer = parse(table_pb2.DescribeStreamResponse, body)
    return StreamDescription(
        stream_id=answer.stream_id,
        table=answer.table_name,
        expiration_hours=answer.expiration_time,
        created_micros=answer.creation_time,
        is_active=answer.stream_status == table_pb2.STREAM_ACTIVE,
        shards=tuple(_shard(shard) for shard in answer.shards),
        next_shard=answer.next_shard_id or None,
    )


def _shard(told: table_pb2.StreamShard) -> Shard:
    parents = tuple(parent for parent in (told.parent_id, told.parent_sibling_id) if parent)
    if told.shard_id in parents:
        raise ProtocolError(f"the shard {told.shard_id!r} is told to be its own parent")
    return Shard(told.shard_id, parents)


# ---- a place in a shard


@dataclass(frozen=True, slots=True)
class ShardIterator:
    """A place in a shard. While `next_token` is not None the service is still searching: ask again with it."""

    iterator: str
    next_token: str | None = None


def get_shard_iterator(
    stream_id: str, shard_id: str, time_micros: int | None = None, token: str | None = None
) -> Call[ShardIterator]:
    """Where a shard begins, or where its records of a time begin.

    :param time_micros: a record time; None: the oldest record that is kept.
    :param token: of the answer before, with the same time.
    """
    request = table_pb2.GetShardIteratorRequest(
        stream_id=stream_id, shard_id=shard_id, timestamp=time_micros, token=token
    )
    return Call("/GetShardIterator", request.SerializeToString(), _read_iterator)


def _read_iterator(body: bytes) -> ShardIterator:
    answer = parse(table_pb2.GetShardIteratorResponse, body)
    return ShardIterator(answer.shard_iterator, answer.next_token or None)


# ---- records


class Action(enum.Enum):
    """What was done to the row of a record."""

    PUT = "put"
    UPDATE = "update"
    DELETE = "delete"


_ACTIONS = {
    table_pb2.PUT_ROW: Action.PUT,
    table_pb2.UPDATE_ROW: Action.UPDATE,
    table_pb2.DELETE_ROW: Action.DELETE,
}


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """One change of one row. `row` is a PlainBuffer block of one row with a sequence, not decoded.

    A put replaces the whole row, an update changes the cells it names, a delete has a key and the delete marker only.
    `origin` is the row before (a block too), restricted to the columns that the stream was told to keep of it.
    """

    action: Action
    row: bytes
    origin: bytes | None = None

    @property
    def sequence(self) -> SequenceInfo:
        """Where the record stands in its shard; its timestamp is the record time.

        :raises ProtocolError: the row does not end in a sequence.
        """
        return decode_sequence(self.row)

    def decoded(self) -> Row:
        """The change, with every checksum verified.

        :raises ProtocolError: the bytes are not one row with a key and a sequence.
        """
        rows = decode_rows(self.row)
        if len(rows) != 1 or not rows[0].key or rows[0].sequence is None:
            raise ProtocolError("a stream record must be one row with a key and a sequence")
        return rows[0]


@dataclass(frozen=True, slots=True)
class StreamPage:
    """Some records of a shard, in their order; none: nothing yet, or not here.

    `next_iterator` is None at the end of a shard that was split or merged: nothing will follow, ever.
    `may_more` is False when nothing more is there for now; None where the service does not say.
    """

    records: tuple[StreamRecord, ...]
    next_iterator: str | None
    may_more: bool | None = None


def get_stream_records(iterator: str, limit: int = MOST_RECORDS, table_name: str | None = None) -> Call[StreamPage]:
    """The records from a place on. Asking again gives the same records, and perhaps more.

    :param limit: most records, 1 to 1000; the service also ends a page at 4 MB.
    :param table_name: makes the service say `may_more`; needed where several tables share a log, whose pages may be
        empty before the end.
    """
    request = table_pb2.GetStreamRecordRequest(shard_iterator=iterator, limit=limit, table_name=table_name)
    return Call("/GetStreamRecord", request.SerializeToString(), _read_page)


def _read_page(body: bytes) -> StreamPage:
    answer = parse(table_pb2.GetStreamRecordResponse, body)
    return StreamPage(
        records=tuple(
            StreamRecord(
                _ACTIONS[record.action_type],
                record.record,
                record.origin_record if record.HasField("origin_record") else None,
            )
            for record in answer.stream_records
        ),
        next_iterator=answer.next_shard_iterator or None,
        may_more=answer.may_more_record if answer.HasField("may_more_record") else None,
    )
