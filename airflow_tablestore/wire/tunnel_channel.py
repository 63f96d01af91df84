"""The calls of a tunnel's consumer: connect, heartbeat, read, checkpoint, leave.

A client says in every heartbeat what it holds, and is told what it shall hold; versions decide who is right about a
channel. Merging the two is left to `consumer.tunnel`.
Source: tests/vectors/tunnel_messages.json
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.message import Message

from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.wire.call import Call
from airflow_tablestore.wire.message import parse
from airflow_tablestore.wire.plainbuffer import decode_rows
from airflow_tablestore.wire.proto import tunnel_pb2 as pb
from airflow_tablestore.wire.row import Row
from airflow_tablestore.wire.stream import Action

T = TypeVar("T")

API_VERSION = "2018-04-01"
"""What the official tunnel client in Go says; the one in Java says that of tables."""


def tunnel_call(
    operation: str, request: Message, read: Callable[[bytes], T], *, is_repeatable: bool = True, subject: str = ""
) -> Call[T]:
    """A call of the tunnel service."""
    return Call(f"/tunnel/{operation}", request.SerializeToString(), read, is_repeatable, API_VERSION, subject)


def read_nothing(body: bytes) -> None:
    """The answer of operations that tell nothing."""


class ChannelStatus(enum.StrEnum):
    """What the service and a client tell each other of a channel.

    OPEN is to be read, CLOSING to be given back, CLOSE given back; TERMINATED is read to its end for good.
    """

    OPEN = "OPEN"
    CLOSING = "CLOSING"
    CLOSE = "CLOSE"
    TERMINATED = "TERMINATED"


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel in a heartbeat. Of two tellings, the one with the higher version is newer."""

    id: str
    version: int
    status: ChannelStatus


@dataclass(frozen=True, slots=True)
class Place:
    """Who reads what: every call about a channel names all three."""

    tunnel_id: str
    client_id: str
    channel_id: str


# ---- a client comes, lives and goes


def connect(tunnel_id: str, timeout_seconds: int, tag: str) -> Call[str]:
    """A new client of a tunnel; its id. Sent twice, one of the two clients is nobody's until it times out.

    :param timeout_seconds: a client without a heartbeat for so long loses its channels.
    :param tag: shown to people: a host's name.
    """
    request = pb.ConnectRequest(tunnel_id=tunnel_id)
    request.client_config.timeout, request.client_config.client_tag = timeout_seconds, tag
    return tunnel_call("connect", request, _read_client, is_repeatable=False, subject=f"the tunnel {tunnel_id}")


def _read_client(body: bytes) -> str:
    return parse(pb.ConnectResponse, body).client_id


def heartbeat(tunnel_id: str, client_id: str, channels: Iterable[Channel]) -> Call[tuple[Channel, ...]]:
    """The channels that the client shall hold, told everything that it holds."""
    request = pb.HeartbeatRequest(tunnel_id=tunnel_id, client_id=client_id)
    for one in channels:
        request.channels.add(channel_id=one.id, version=one.version, status=pb.ChannelStatus.Value(one.status.value))
    return tunnel_call("heartbeat", request, _read_channels, subject=f"the tunnel {tunnel_id}")


def _read_channels(body: bytes) -> tuple[Channel, ...]:
    told = parse(pb.HeartbeatResponse, body).channels
    found = tuple(
        Channel(one.channel_id, one.version, ChannelStatus(pb.ChannelStatus.Name(one.status))) for one in told
    )
    if len({one.id for one in found}) != len(found):
        raise ProtocolError("a heartbeat was answered with one channel twice")
    return found


def shutdown(tunnel_id: str, client_id: str) -> Call[None]:
    """Takes leave: the client's channels are free at once."""
    request = pb.ShutdownRequest(tunnel_id=tunnel_id, client_id=client_id)
    return tunnel_call("shutdown", request, read_nothing, subject=f"the tunnel {tunnel_id}")


# ---- how far a channel is


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a channel goes on, and the number of the checkpoint that says so; the next one has the next number."""

    token: str
    number: int


def get_checkpoint(at: Place) -> Call[Checkpoint]:
    """The latest checkpoint of a channel."""
    request = pb.GetCheckpointRequest(tunnel_id=at.tunnel_id, client_id=at.client_id, channel_id=at.channel_id)
    return tunnel_call("getcheckpoint", request, _read_checkpoint, subject=_channel(at))


def _read_checkpoint(body: bytes) -> Checkpoint:
    answer = parse(pb.GetCheckpointResponse, body)
    return Checkpoint(answer.checkpoint, answer.sequence_number)


def put_checkpoint(at: Place, checkpoint: Checkpoint) -> Call[None]:
    """Keeps a checkpoint. A number that is not the next one is refused with OTSSequenceNumberNotMatch."""
    request = pb.CheckpointRequest(
        tunnel_id=at.tunnel_id,
        client_id=at.client_id,
        channel_id=at.channel_id,
        checkpoint=checkpoint.token,
        sequence_number=checkpoint.number,
    )
    return tunnel_call("checkpoint", request, read_nothing, is_repeatable=False, subject=_channel(at))


# ---- records


@dataclass(frozen=True, slots=True)
class TunnelRecord:
    """One row of base data, or one change. `row` is a PlainBuffer block of one row, not decoded.

    Base data are puts without a sequence. `origin` is the row before a change, where the stream keeps it.
    """

    action: Action
    row: bytes
    origin: bytes | None = None

    def decoded(self) -> Row:
        """The row or the change, with every checksum verified.

        :raises ProtocolError: the bytes are not one row with a key.
        """
        rows = decode_rows(self.row)
        if len(rows) != 1 or not rows[0].key:
            raise ProtocolError("a tunnel's record must be one row with a key")
        return rows[0]

    def decoded_origin(self) -> Row | None:
        """The row before the change, with every checksum verified; None where the stream keeps none.

        :raises ProtocolError: the bytes are not one row.
        """
        if not self.origin:
            return None
        rows = decode_rows(self.origin)
        if len(rows) != 1:
            raise ProtocolError("the row before a tunnel's record must be one row")
        return rows[0]


@dataclass(frozen=True, slots=True)
class RecordPage:
    """Some records of a channel, in their order; none: nothing yet, or not here.

    `next_token` is FINISHED behind the last record of a channel that ended. `may_more` is None where the service does
    not say it.
    """

    records: tuple[TunnelRecord, ...]
    next_token: str
    may_more: bool | None
    bytes: int


def read_records(at: Place, token: str) -> Call[RecordPage]:
    """The records behind a token. Asking again gives the same ones, and perhaps more."""
    request = pb.ReadRecordsRequest(
        tunnel_id=at.tunnel_id, client_id=at.client_id, channel_id=at.channel_id, token=token
    )
    return tunnel_call("readrecords", request, _read_page, subject=_channel(at))


_ACTIONS = {pb.PUT_ROW: Action.PUT, pb.UPDATE_ROW: Action.UPDATE, pb.DELETE_ROW: Action.DELETE}


def _read_page(body: bytes) -> RecordPage:
    answer = parse(pb.ReadRecordsResponse, body)
    if not answer.next_token:
        raise ProtocolError("records without the token of those that follow")
    return RecordPage(
        records=tuple(
            TunnelRecord(
                _ACTIONS[one.action_type], one.record, one.origin_record if one.HasField("origin_record") else None
            )
            for one in answer.records
        ),
        next_token=answer.next_token,
        may_more=answer.may_more_record if answer.HasField("may_more_record") else None,
        bytes=len(body),
    )


def _channel(at: Place) -> str:
    return f"the channel {at.channel_id} of the tunnel {at.tunnel_id}"
