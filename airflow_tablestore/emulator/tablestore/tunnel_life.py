"""What becomes of a tunnel as time passes: stages, new shards, clients that died, channels given out and asked back.

`settle` brings one tunnel up to date and is called before every answer that depends on it; nothing runs in between.
A channel is WAIT (not to be read yet), OPEN and CLOSING (held by a client), CLOSE (free), TERMINATED (read to its end).
Each change of one raises its version, by which clients tell what is newer.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Sequence
from dataclasses import replace

from airflow_tablestore.emulator.tablestore import shards, tunnel_store
from airflow_tablestore.emulator.tablestore.shards import Shard
from airflow_tablestore.emulator.tablestore.tunnel_balance import balance
from airflow_tablestore.emulator.tablestore.tunnel_store import Channel, Client, Tunnel
from airflow_tablestore.wire.proto import tunnel_pb2 as pb
from airflow_tablestore.wire.tunnel import BASE_DATA, INITIALISING, STREAM, WAIT
from airflow_tablestore.wire.tunnel_channel import ChannelStatus
from airflow_tablestore.wire.tunnel_token import FINISHED, Token, write_token

OPEN, CLOSING, CLOSE, TERMINATED = (
    ChannelStatus.OPEN.value,
    ChannelStatus.CLOSING.value,
    ChannelStatus.CLOSE.value,
    ChannelStatus.TERMINATED.value,
)
HELD = (OPEN, CLOSING)


def carries_base(tunnel: Tunnel) -> bool:
    """Whether the tunnel begins with the table's rows."""
    return tunnel.type in (pb.BaseData, pb.BaseAndStream)


def carries_stream(tunnel: Tunnel) -> bool:
    """Whether the tunnel has a change log."""
    return tunnel.type in (pb.Stream, pb.BaseAndStream)


def range_of(tunnel: Tunnel) -> pb.StreamTunnelConfig:
    """The part of the log that the tunnel carries."""
    return pb.StreamTunnelConfig.FromString(tunnel.config or b"")


def first_channels(
    connection: sqlite3.Connection, tunnel: Tunnel, ranges: Sequence[tuple[bytes, bytes | None]]
) -> Tunnel:
    """Makes the channels of a new tunnel: of base data from ranges of rows, of the log from the shards there are.

    Without a start, a stream tunnel begins at the end of the open shards; a tunnel with base data, too.
    """
    if carries_base(tunnel):
        for place, (low, high) in enumerate(ranges):
            id_ = f"BaseData_{uuid.uuid4()}"
            channel = Channel(id_, tunnel.id, place, True, low, high, "", "", WAIT, token=write_token(Token()))
            tunnel_store.save(connection, channel)
    if not carries_stream(tunnel):
        return tunnel
    found = shards.shards_of(connection, tunnel.stream)
    config = range_of(tunnel)
    from_end = not config.startOffset and config.flag == pb.LATEST
    for shard in found:
        if from_end and not shard.is_open:
            continue
        place = shard.next if from_end else _beginning(connection, shard, config)
        _make_stream_channel(connection, tunnel, shard, place)
    return replace(tunnel, last_shard=max((shard.n for shard in found), default=0))


def settle(connection: sqlite3.Connection, tunnel: Tunnel, now_seconds: float) -> Tunnel:
    """The tunnel as it is now; changes are saved.

    :param now_seconds: of the wall clock.
    """
    for client in tunnel_store.clients_of(connection, tunnel.id):
        if now_seconds - client.seen_seconds > client.timeout_seconds:
            release(connection, client)
    if carries_stream(tunnel):
        tunnel = _with_new_shards(connection, tunnel)
    tunnel = _at_its_stage(connection, tunnel)
    tunnel_store.save(connection, tunnel)
    if not tunnel.is_expired:
        _give_out(connection, tunnel)
    return tunnel


def release(connection: sqlite3.Connection, client: Client) -> None:
    """Forgets a client; what it held is free."""
    tunnel_store.drop_client(connection, client.id)
    for channel in tunnel_store.channels_of(connection, client.tunnel):
        if channel.client == client.id and channel.status in HELD:
            change(connection, channel, CLOSE)


def change(connection: sqlite3.Connection, channel: Channel, status: str, client: str = "") -> Channel:
    """A channel with another status, one version on. CLOSING keeps its client."""
    owner = channel.client if status == CLOSING else client
    wanted = channel.wanted if status in (CLOSING, CLOSE) else ""
    changed = replace(channel, status=status, version=channel.version + 1, client=owner, wanted=wanted)
    tunnel_store.save(connection, changed)
    return changed


def report(connection: sqlite3.Connection, channel: Channel, told: pb.Channel) -> None:
    """What a client says of a channel that it holds. An end that no checkpoint confirms is only a way back."""
    if told.version <= channel.version or told.status not in (pb.CLOSE, pb.TERMINATED):
        return
    is_done = told.status == pb.TERMINATED and channel.token == FINISHED
    status = TERMINATED if is_done else CLOSE
    wanted = channel.wanted if status == CLOSE else ""
    tunnel_store.save(connection, replace(channel, status=status, version=told.version, client="", wanted=wanted))


def _with_new_shards(connection: sqlite3.Connection, tunnel: Tunnel) -> Tunnel:
    new = [shard for shard in shards.shards_of(connection, tunnel.stream) if shard.n > tunnel.last_shard]
    for shard in new:
        _make_stream_channel(connection, tunnel, shard, _beginning(connection, shard, range_of(tunnel)))
    return replace(tunnel, last_shard=new[-1].n) if new else tunnel


def _beginning(connection: sqlite3.Connection, shard: Shard, config: pb.StreamTunnelConfig) -> int:
    if config.startOffset:
        return shards.place_of_time(connection, shard, -(-config.startOffset // 1000))
    return shard.first


def _make_stream_channel(connection: sqlite3.Connection, tunnel: Tunnel, shard: Shard, place: int) -> None:
    token = write_token(Token(iterator=f"{shard.id}\t{place:016x}", records=0))
    parents = " ".join(parent for parent in (shard.parent, shard.sibling) if parent)
    # the number of a shard is greater than that of any base channel, and of its parents
    at = 1_000_000 + shard.n
    id_ = f"{uuid.uuid4()}_{shard.last_micros}"
    channel = Channel(id_, tunnel.id, at, False, b"", None, shard.id, parents, WAIT, token=token)
    tunnel_store.save(connection, channel)


def _at_its_stage(connection: sqlite3.Connection, tunnel: Tunnel) -> Tunnel:
    stage = tunnel.stage
    if stage == INITIALISING:
        stage = BASE_DATA if carries_base(tunnel) else STREAM
    if stage == BASE_DATA and tunnel.type == pb.BaseAndStream:
        base = [one for one in tunnel_store.channels_of(connection, tunnel.id) if one.is_base]
        if all(one.status == TERMINATED for one in base):
            stage = STREAM
    return replace(tunnel, stage=stage)


def _give_out(connection: sqlite3.Connection, tunnel: Tunnel) -> None:
    channels = tunnel_store.channels_of(connection, tunnel.id)
    held: dict[str, list[str]] = {client.id: [] for client in tunnel_store.clients_of(connection, tunnel.id)}
    for channel in channels:
        if channel.status == OPEN:
            held[channel.client].append(channel.id)
    unfinished = {channel.shard for channel in channels if not channel.is_base and channel.status != TERMINATED}
    free = [
        (channel.id, channel.wanted)
        for channel in channels
        if channel.status in (WAIT, CLOSE)
        and not channel.is_suspended
        and channel.is_base == (tunnel.stage == BASE_DATA)
        and not unfinished.intersection(channel.parents.split())
    ]
    returning = sum(channel.status == CLOSING and not channel.is_suspended for channel in channels)
    moves = balance(held, free, returning)
    by_id = {channel.id: channel for channel in channels}
    for id_, client in moves.given.items():
        change(connection, by_id[id_], OPEN, client)
    for id_ in moves.asked_back:
        change(connection, by_id[id_], CLOSING)
