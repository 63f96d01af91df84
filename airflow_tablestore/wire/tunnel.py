"""The calls that manage tunnels: make, list, describe, delete, suspend, and ask how far they are.

What a consumer says while it works is in `tunnel_channel`; both are calls of one service. Times are nanoseconds on the
wire and here, whatever other clients' setters take.
Source: tests/vectors/tunnel_messages.json
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.wire.call import Call
from airflow_tablestore.wire.message import parse
from airflow_tablestore.wire.proto import tunnel_pb2 as pb
from airflow_tablestore.wire.tunnel_channel import ChannelStatus, read_nothing, tunnel_call

INITIALISING, BASE_DATA, STREAM = "InitBaseDataAndStreamShard", "ProcessBaseData", "ProcessStream"
"""The stages of a tunnel, in their order."""

WAIT = "WAIT"
"""In descriptions, the status of a channel that nobody may read yet."""


class TunnelType(enum.StrEnum):
    """What a tunnel carries: the rows of the table, its change log, or the rows and from then on the log."""

    BASE = "BaseData"
    STREAM = "Stream"
    BASE_AND_STREAM = "BaseAndStream"


class StartFlag(enum.StrEnum):
    """Where the change log is read from when no time is given."""

    LATEST = "LATEST"
    EARLIEST = "EARLIEST"


@dataclass(frozen=True, slots=True)
class StreamRange:
    """Which part of the change log a tunnel carries, by record time in nanoseconds.

    `start_nanos` outranks `flag`; None leaves it to the flag. `end_nanos` bounds the tunnel: channels that pass it are
    finished. The service takes a start between its retention (less five minutes) and now.
    """

    flag: StartFlag | None = None
    start_nanos: int | None = None
    end_nanos: int | None = None


# ---- make and delete


def create_tunnel(table: str, name: str, type_: TunnelType, stream: StreamRange | None = None) -> Call[str]:
    """A new tunnel; its id. Sent twice, the second is refused with OTSTunnelExist."""
    request = pb.CreateTunnelRequest(
        tunnel=pb.Tunnel(
            table_name=table,
            tunnel_name=name,
            tunnel_type=type_.value,
            stream_tunnel_config=None if stream is None else _config(stream),
            need_all_time_series_columns=False,
        )
    )
    subject = f"the tunnel {name!r} of table {table!r}"
    return tunnel_call("create", request, _read_created, is_repeatable=False, subject=subject)


def _config(stream: StreamRange) -> pb.StreamTunnelConfig:
    return pb.StreamTunnelConfig(
        flag=None if stream.flag is None else stream.flag.value,
        startOffset=stream.start_nanos,
        endOffset=stream.end_nanos,
    )


def _read_created(body: bytes) -> str:
    return parse(pb.CreateTunnelResponse, body).tunnel_id


def delete_tunnel(table: str, name: str) -> Call[None]:
    """Deletes a tunnel and how far it was."""
    request = pb.DeleteTunnelRequest(table_name=table, tunnel_name=name)
    return tunnel_call(
        "delete", request, read_nothing, is_repeatable=False, subject=f"the tunnel {name!r} of table {table!r}"
    )


# ---- list and describe


@dataclass(frozen=True, slots=True)
class Tunnel:
    """One tunnel. `type` is a TunnelType's word and `stage` one of the three, unless the service learns new ones.

    `is_expired`: it did not get through its full data in time, or its log is gone; nobody can read it any more.
    `stream` is None where the service does not tell it; `created_nanos` is 0 then.
    """

    id: str
    type: str
    table: str
    name: str
    instance: str
    stream_id: str
    stage: str
    is_expired: bool = False
    stream: StreamRange | None = None
    created_nanos: int = 0

    @property
    def is_bounded(self) -> bool:
        """Whether it comes to an end by itself."""
        return self.type == TunnelType.BASE or bool(self.stream and self.stream.end_nanos)


@dataclass(frozen=True, slots=True)
class ChannelState:
    """One channel as a description tells it: `status` is a ChannelStatus's word or WAIT, `client_id` its owner or "".

    `consumed_nanos`: the time of the newest record that was consumed; 0: none, or base data. `records`: how many.
    """

    id: str
    type: str = ""
    status: str = ""
    client_id: str = ""
    consumed_nanos: int = 0
    records: int = 0


@dataclass(frozen=True, slots=True)
class TunnelDescription:
    """A tunnel with its channels; everything up to `consumed_nanos` was consumed (0: not told)."""

    tunnel: Tunnel
    channels: tuple[ChannelState, ...]
    consumed_nanos: int = 0


def list_tunnels(table: str | None = None) -> Call[tuple[Tunnel, ...]]:
    """The tunnels of a table, or of the whole instance."""
    return tunnel_call("list", pb.ListTunnelRequest(table_name=table), _read_tunnels)


def _read_tunnels(body: bytes) -> tuple[Tunnel, ...]:
    return tuple(_tunnel(told) for told in parse(pb.ListTunnelResponse, body).tunnels)


def describe_tunnel(table: str, name: str) -> Call[TunnelDescription]:
    """A tunnel and all of its channels."""
    request = pb.DescribeTunnelRequest(table_name=table, tunnel_name=name)
    return tunnel_call("describe", request, _read_description, subject=f"the tunnel {name!r} of table {table!r}")


def _read_description(body: bytes) -> TunnelDescription:
    answer = parse(pb.DescribeTunnelResponse, body)
    channels = tuple(
        ChannelState(
            one.channel_id,
            one.channel_type,
            one.channel_status,
            one.client_id,
            one.channel_rpo,
            one.channel_count,
        )
        for one in answer.channels
    )
    return TunnelDescription(_tunnel(answer.tunnel), channels, answer.tunnel_rpo)


def _tunnel(told: pb.TunnelInfo) -> Tunnel:
    return Tunnel(
        id=told.tunnel_id,
        type=told.tunnel_type,
        table=told.table_name,
        name=told.tunnel_name,
        instance=told.instance_name,
        stream_id=told.stream_id,
        stage=told.stage,
        is_expired=told.expired,
        stream=_range(told.stream_tunnel_config) if told.HasField("stream_tunnel_config") else None,
        created_nanos=told.create_time,
    )


def _range(config: pb.StreamTunnelConfig) -> StreamRange:
    return StreamRange(
        flag=StartFlag(pb.StartOffsetFlag.Name(config.flag)) if config.HasField("flag") else None,
        start_nanos=config.startOffset or None,
        end_nanos=config.endOffset or None,
    )


# ---- how far it is


@dataclass(frozen=True, slots=True)
class Reach:
    """How far something is: records consumed, when it was read, and the newest record time (nanoseconds; 0: none)."""

    status: str
    records: int
    read_nanos: int
    consumed_nanos: int
    type: str = ""


@dataclass(frozen=True, slots=True)
class Rpo:
    """How far a tunnel is: by client and channel, and by channel type for the whole of it."""

    channels: Mapping[str, Mapping[str, Reach]]
    types: Mapping[str, Reach]


def get_rpo(tunnel_id: str) -> Call[Rpo]:
    """How far a tunnel is. Source for the JSON inside: the Go client's fields; no answer of the service was seen."""
    return tunnel_call("getrpo", pb.GetRpoRequest(tunnel_id=tunnel_id), _read_rpo, subject=f"the tunnel {tunnel_id}")


def _read_rpo(body: bytes) -> Rpo:
    answer = parse(pb.GetRpoResponse, body)
    channels = {
        client: {channel: _reach(told) for channel, told in _members(found, f"client {client!r}")}
        for client, found in _members(_json(answer.rpo_infos), "its channels")
    }
    types = {type_: _reach(told) for type_, told in _members(_json(answer.tunnel_rpo_infos), "the whole")}
    return Rpo(channels, types)


def _json(text: bytes) -> Any:
    try:
        return json.loads(text) if text else {}
    except (ValueError, RecursionError) as error:
        raise ProtocolError("the answer to getrpo holds no JSON") from error


def _members(told: Any, place: str) -> Iterable[tuple[str, Any]]:
    if not isinstance(told, Mapping):
        raise ProtocolError(f"getrpo tells no object of {place}")
    return told.items()


def _reach(told: Any) -> Reach:
    found = dict(_members(told, "a channel"))
    numbers = [found.get(name, 0) for name in ("TotalCount", "AccessTime", "RpoTime")]
    if any(type(number) is not int for number in numbers):
        raise ProtocolError("getrpo tells a count or a time that is no whole number")
    records, read, consumed = numbers
    return Reach(str(found.get("Status", "")), records, read, consumed, str(found.get("ChannelTyp", "")))


# ---- an operator's hand


def schedule(tunnel_id: str, wanted: Mapping[str, ChannelStatus]) -> Call[None]:
    """Suspends channels (CLOSING), opens them again (OPEN) or ends them (TERMINATED), by channel id."""
    request = pb.ScheduleRequest(tunnel_id=tunnel_id)
    for channel, status in wanted.items():
        request.channels.add(channel_id=channel, version=0, status=pb.ChannelStatus.Value(status.value))
    return tunnel_call("schedule", request, read_nothing, subject=f"the tunnel {tunnel_id}")
