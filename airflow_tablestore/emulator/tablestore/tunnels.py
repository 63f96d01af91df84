"""The operations of the tunnel service, and what a test may do to a tunnel: expire it, move a channel, drop a client.

A client is alive by the wall clock, since its heartbeats are: a test that moves the time of data must not make workers
look dead. Everything else (offsets, retention, reach) goes by the time of data.
"""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.tablestore import tunnel_life as life
from airflow_tablestore.emulator.tablestore import tunnel_store as kept
from airflow_tablestore.emulator.tablestore.errors import ServiceError, invalid
from airflow_tablestore.emulator.tablestore.storage import Store
from airflow_tablestore.emulator.tablestore.streams import HOUR_MICROS, Streams
from airflow_tablestore.emulator.tablestore.table import Table
from airflow_tablestore.emulator.tablestore.tunnel_pages import Pages, checked
from airflow_tablestore.emulator.tablestore.tunnel_store import Channel, Client, Tunnel
from airflow_tablestore.errors import SpecError
from airflow_tablestore.wire.proto import tunnel_pb2 as pb
from airflow_tablestore.wire.tunnel import BASE_DATA, INITIALISING, STREAM
from airflow_tablestore.wire.tunnel_token import FINISHED

V = TypeVar("V")

STREAM_HOURS = 168
"""Retention of a stream that a tunnel turns on. Source: the service's page on tunnels, which says up to seven days."""

BASE_HOURS = 168
MARGIN_NANOS = 300 * 1_000_000_000
"""How much younger than the retention a start offset must be."""

DEFAULT_TIMEOUT_SECONDS = 300
CHANNEL_BYTES = 64 * 1024
"""Base data is cut into channels of about this size, far smaller than the service's, so that small tests have some."""

MOST_BASE_CHANNELS = 16


class Tunnels:
    """Every tunnel of every instance; safe to call from many threads.

    :param turn_on_stream: makes a table have a stream: instance, table, hours of retention.
    :param now_seconds: the wall clock.
    """

    def __init__(
        self,
        store: Store,
        streams: Streams,
        clock: Clock,
        turn_on_stream: Callable[[str, str, int], None],
        now_seconds: Callable[[], float] = time.time,
    ):
        self._store, self._clock, self._turn_on_stream = store, clock, turn_on_stream
        self._pages = Pages(store, streams, clock)
        self._now_seconds = now_seconds

    # ---- tunnels come and go

    def create(self, instance: str, request: pb.CreateTunnelRequest) -> pb.CreateTunnelResponse:
        """Makes a tunnel; a table without a stream gets one, where the tunnel needs it."""
        asked = request.tunnel
        if not asked.tunnel_name:
            raise invalid("The tunnel name is empty.")
        table = self._store.table(instance, asked.table_name)
        if asked.tunnel_type != pb.BaseData and not table.is_streamed:
            self._turn_on_stream(instance, asked.table_name, STREAM_HOURS)
            table = self._store.table(instance, asked.table_name)
        now = self._clock.micros() * 1000
        config = asked.stream_tunnel_config if asked.HasField("stream_tunnel_config") else None
        if config is not None:
            _check_offsets(config, table, now)
        tunnel = Tunnel(
            id=str(uuid.uuid4()),
            table_id=table.id,
            name=asked.tunnel_name,
            type=int(asked.tunnel_type),
            stream="" if asked.tunnel_type == pb.BaseData else table.stream_id,
            stage=INITIALISING,
            is_expired=False,
            created_nanos=now,
            config=None if config is None else config.SerializeToString(),
            last_shard=0,
        )
        ranges = self._ranges(table) if life.carries_base(tunnel) else ()
        with self._store.transaction() as connection:
            if any(one.name == tunnel.name for one in kept.tunnels_of(connection, [table.id])):
                raise ServiceError("OTSTunnelExist", "The tunnel already exists.")
            kept.save(connection, life.first_channels(connection, tunnel, ranges))
        return pb.CreateTunnelResponse(tunnel_id=tunnel.id)

    def delete(self, instance: str, request: pb.DeleteTunnelRequest) -> pb.DeleteTunnelResponse:
        """Deletes a tunnel; its clients are told at their next call."""
        with self._store.transaction() as connection:
            kept.drop_tunnel(connection, self._of_table(connection, instance, request).id)
        return pb.DeleteTunnelResponse()

    def list(self, instance: str, request: pb.ListTunnelRequest) -> pb.ListTunnelResponse:
        """The tunnels of a table, or of all tables, from old to new."""
        tables = [table for table in self._store.tables() if table.instance == instance]
        if request.table_name:
            tables = [self._store.table(instance, request.table_name)]
        by_id = {table.id: table for table in tables}
        answer = pb.ListTunnelResponse()
        with self._store.transaction() as connection:
            for tunnel in kept.tunnels_of(connection, by_id):
                current = self._aged(connection, tunnel, by_id[tunnel.table_id])
                answer.tunnels.append(_told(current, by_id[tunnel.table_id]))
        return answer

    def describe(self, instance: str, request: pb.DescribeTunnelRequest) -> pb.DescribeTunnelResponse:
        """A tunnel and its channels. While it is initialised, which takes until it is looked at, it has none."""
        table = self._store.table(instance, request.table_name)
        with self._store.transaction() as connection:
            before = self._of_table(connection, instance, request)
            tunnel = self._settled(connection, before, table)
            channels = kept.channels_of(connection, tunnel.id)
        if before.stage == INITIALISING:
            return pb.DescribeTunnelResponse(tunnel=_told(before, table), tunnel_rpo=0)
        answer = pb.DescribeTunnelResponse(tunnel=_told(tunnel, table), tunnel_rpo=_reach(tunnel, channels))
        for one in channels:
            answer.channels.add(
                channel_id=one.id,
                channel_type=_kind(one),
                channel_status=one.status,
                client_id=one.client,
                channel_rpo=one.consumed_nanos,
                channel_count=one.records,
            )
        return answer

    # ---- clients

    def connect(self, instance: str, request: pb.ConnectRequest) -> pb.ConnectResponse:
        """A new client, which is given channels at its heartbeats."""
        timeout = request.client_config.timeout or DEFAULT_TIMEOUT_SECONDS
        if timeout < 1:
            raise invalid("The heartbeat timeout must be greater than 0.")
        with self._store.transaction() as connection:
            tunnel, table = self._alive(connection, instance, request.tunnel_id)
            tag = request.client_config.client_tag
            client = Client(str(uuid.uuid4()), tunnel.id, tag, timeout, self._now_seconds())
            kept.save(connection, client)
            self._settled(connection, tunnel, table)
        return pb.ConnectResponse(client_id=client.id)

    def heartbeat(self, instance: str, request: pb.HeartbeatRequest) -> pb.HeartbeatResponse:
        """Takes what a client says of its channels, and tells what it shall hold now."""
        with self._store.transaction() as connection:
            tunnel, table = self._alive(connection, instance, request.tunnel_id)
            client = self._client(connection, tunnel, request.client_id)
            kept.save(connection, replace(client, seen_seconds=self._now_seconds()))
            for told in request.channels:
                channel = kept.channel_named(connection, tunnel.id, told.channel_id)
                if channel is not None and channel.client == client.id:
                    life.report(connection, channel, told)
            self._settled(connection, tunnel, table)
            answer = pb.HeartbeatResponse()
            for channel in kept.channels_of(connection, tunnel.id):
                if channel.client == client.id and channel.status in life.HELD:
                    status = pb.ChannelStatus.Value(channel.status)
                    answer.channels.add(channel_id=channel.id, version=channel.version, status=status)
        return answer

    def shutdown(self, instance: str, request: pb.ShutdownRequest) -> pb.ShutdownResponse:
        """Lets a client go; what it held is given to others at once."""
        with self._store.transaction() as connection:
            tunnel, table = self._found(connection, instance, request.tunnel_id)
            life.release(connection, self._client(connection, tunnel, request.client_id))
            self._settled(connection, tunnel, table)
        return pb.ShutdownResponse()

    def schedule(self, instance: str, request: pb.ScheduleRequest) -> pb.ScheduleResponse:
        """An operator suspends channels (CLOSING), opens them again (OPEN), or ends them (TERMINATED)."""
        with self._store.transaction() as connection:
            tunnel, table = self._alive(connection, instance, request.tunnel_id)
            for told in request.channels:
                channel = kept.channel_named(connection, tunnel.id, told.channel_id)
                if channel is None or told.status == pb.CLOSE:
                    raise invalid("The channel or its status is invalid.")
                _schedule(connection, channel, told.status)
            self._settled(connection, tunnel, table)
        return pb.ScheduleResponse()

    # ---- records and checkpoints

    def read(self, instance: str, request: pb.ReadRecordsRequest) -> pb.ReadRecordsResponse:
        """The records behind a token, for whoever holds the channel."""
        with self._store.transaction() as connection:
            tunnel, table = self._alive(connection, instance, request.tunnel_id)
            channel = self._held(connection, tunnel, request.client_id, request.channel_id)
            kept.save(connection, replace(channel, read_nanos=self._clock.micros() * 1000))
        return self._pages.read(table, channel, request.token, life.range_of(tunnel).endOffset)

    def get_checkpoint(self, instance: str, request: pb.GetCheckpointRequest) -> pb.GetCheckpointResponse:
        """The latest checkpoint, for whoever holds the channel."""
        with self._store.transaction() as connection:
            tunnel, _ = self._alive(connection, instance, request.tunnel_id)
            channel = self._held(connection, tunnel, request.client_id, request.channel_id)
        return pb.GetCheckpointResponse(checkpoint=channel.token, sequence_number=channel.number)

    def checkpoint(self, instance: str, request: pb.CheckpointRequest) -> pb.CheckpointResponse:
        """Keeps a checkpoint, if it is the next one and comes from whoever holds the channel."""
        with self._store.transaction() as connection:
            tunnel, _ = self._alive(connection, instance, request.tunnel_id)
            channel = self._held(connection, tunnel, request.client_id, request.channel_id)
            if request.sequence_number != channel.number + 1:
                raise ServiceError("OTSSequenceNumberNotMatch", "The sequence number is not match.")
            changed = replace(channel, token=request.checkpoint, number=request.sequence_number)
            if request.checkpoint != FINISHED:
                token = checked(channel, request.checkpoint)
                changed = replace(changed, consumed_nanos=token.time_nanos, records=token.records or 0)
            kept.save(connection, changed)
        return pb.CheckpointResponse()

    def rpo(self, instance: str, request: pb.GetRpoRequest) -> pb.GetRpoResponse:
        """How far each held channel is, and each kind of channel."""
        with self._store.transaction() as connection:
            tunnel, _ = self._found(connection, instance, request.tunnel_id)
            channels = kept.channels_of(connection, tunnel.id)
        clients: dict[str, dict[str, object]] = {}
        types: dict[str, object] = {}
        for one in channels:
            if one.client:
                clients.setdefault(one.client, {})[one.id] = {"ChannelTyp": _kind(one), **_reach_of([one])}
        for kind in sorted({_kind(one) for one in channels}):
            types[kind] = _reach_of([one for one in channels if _kind(one) == kind])
        return pb.GetRpoResponse(
            rpo_infos=json.dumps(clients).encode(),
            tunnel_rpo_infos=json.dumps(types).encode(),
            tunnel_id=tunnel.id,
        )

    # ---- for tests

    def expire(self, tunnel_id: str) -> None:
        """Makes a tunnel expired now."""
        with self._store.transaction() as connection:
            kept.save(connection, replace(_known(kept.tunnel_named(connection, tunnel_id), tunnel_id), is_expired=True))

    def drop_client(self, tunnel_id: str, client_id: str) -> None:
        """Treats a client as if its heartbeat had been lost for too long."""
        with self._store.transaction() as connection:
            found = [one for one in kept.clients_of(connection, tunnel_id) if one.id == client_id]
            life.release(connection, _known(found[0] if found else None, client_id))

    def move(self, tunnel_id: str, channel_id: str, client_id: str = "") -> None:
        """Asks a held channel back, for a client or for whoever holds fewest."""
        with self._store.transaction() as connection:
            channel = _known(kept.channel_named(connection, tunnel_id, channel_id), channel_id)
            if channel.status != life.OPEN:
                raise SpecError(f"The channel {channel_id} is {channel.status}; only an open one can be moved.")
            life.change(connection, replace(channel, wanted=client_id), life.CLOSING)

    # ---- the rest

    def _ranges(self, table: Table) -> Sequence[tuple[bytes, bytes | None]]:
        piece = max(CHANNEL_BYTES, -(-self._store.size(table) // MOST_BASE_CHANNELS))
        cuts, filled = [b""], 0
        for key, size in self._store.sizes(table):
            if filled >= piece:
                cuts.append(key)
                filled = 0
            filled += size
        return list(zip(cuts, [*cuts[1:], None], strict=True))

    def _of_table(
        self, connection: sqlite3.Connection, instance: str, request: pb.DescribeTunnelRequest | pb.DeleteTunnelRequest
    ) -> Tunnel:
        table = self._store.table(instance, request.table_name)
        for tunnel in kept.tunnels_of(connection, [table.id]):
            if tunnel.name == request.tunnel_name and request.tunnel_id in ("", tunnel.id):
                return tunnel
        raise invalid("The tunnel does not exist.")

    def _found(self, connection: sqlite3.Connection, instance: str, id_: str) -> tuple[Tunnel, Table]:
        tunnel = kept.tunnel_named(connection, id_)
        for table in self._store.tables():
            if tunnel is not None and table.id == tunnel.table_id and table.instance == instance:
                return self._aged(connection, tunnel, table), table
        raise invalid("The tunnel does not exist.")

    def _alive(self, connection: sqlite3.Connection, instance: str, id_: str) -> tuple[Tunnel, Table]:
        tunnel, table = self._found(connection, instance, id_)
        if tunnel.is_expired:
            raise ServiceError("OTSTunnelExpired", "The tunnel is expired.")
        return tunnel, table

    def _aged(self, connection: sqlite3.Connection, tunnel: Tunnel, table: Table) -> Tunnel:
        """The tunnel, expired when its time for base data is over or its stream is another one."""
        hours = table.stream_hours if life.carries_stream(tunnel) else BASE_HOURS
        age = self._clock.micros() * 1000 - tunnel.created_nanos
        is_late = tunnel.stage != STREAM and life.carries_base(tunnel) and age > hours * HOUR_MICROS * 1000
        if is_late and tunnel.stage == BASE_DATA:
            found = kept.channels_of(connection, tunnel.id)
            is_late = any(one.is_base and one.status != life.TERMINATED for one in found)
        is_orphan = life.carries_stream(tunnel) and tunnel.stream != table.stream_id
        return replace(tunnel, is_expired=tunnel.is_expired or is_late or is_orphan)

    def _settled(self, connection: sqlite3.Connection, tunnel: Tunnel, table: Table) -> Tunnel:
        return life.settle(connection, self._aged(connection, tunnel, table), self._now_seconds())

    def _client(self, connection: sqlite3.Connection, tunnel: Tunnel, id_: str) -> Client:
        for client in kept.clients_of(connection, tunnel.id):
            if client.id == id_ and self._now_seconds() - client.seen_seconds <= client.timeout_seconds:
                return client
        raise ServiceError("OTSResourceGone", "The client is gone.")

    def _held(self, connection: sqlite3.Connection, tunnel: Tunnel, client_id: str, channel_id: str) -> Channel:
        client = self._client(connection, tunnel, client_id)
        channel = kept.channel_named(connection, tunnel.id, channel_id)
        if channel is None or channel.client != client.id or channel.status not in life.HELD:
            raise ServiceError("OTSResourceGone", "The channel is not held by the client.")
        return channel


def _check_offsets(config: pb.StreamTunnelConfig, table: Table, now: int) -> None:
    oldest = now - table.stream_hours * HOUR_MICROS * 1000 + MARGIN_NANOS
    if config.startOffset and not oldest <= config.startOffset < now:
        raise invalid("The start offset is out of range.")
    if config.endOffset and config.endOffset <= config.startOffset:
        raise invalid("The end offset must be greater than the start offset.")


def _schedule(connection: sqlite3.Connection, channel: Channel, status: int) -> None:
    if channel.status == life.TERMINATED:
        raise invalid("The channel is terminated.")
    if status == pb.TERMINATED:
        life.change(connection, channel, life.TERMINATED)
    elif status == pb.CLOSING:
        suspended = replace(channel, is_suspended=True)
        if channel.status == life.OPEN:
            life.change(connection, suspended, life.CLOSING)
        else:
            kept.save(connection, suspended)
    else:
        kept.save(connection, replace(channel, is_suspended=False))


def _known(found: V | None, name: str) -> V:
    if found is None:
        raise SpecError(f"There is no {name!r}.")
    return found


def _kind(channel: Channel) -> str:
    return "BaseData" if channel.is_base else "Stream"


def _reach(tunnel: Tunnel, channels: Sequence[Channel]) -> int:
    """The newest time before which everything was consumed; 0 before the log is read."""
    open_ = [one.consumed_nanos for one in channels if not one.is_base and one.status != life.TERMINATED]
    return min(open_, default=0) if tunnel.stage == STREAM else 0


def _reach_of(channels: Sequence[Channel]) -> dict[str, object]:
    statuses = {one.status for one in channels}
    return {
        "Status": statuses.pop() if len(statuses) == 1 else life.OPEN,
        "TotalCount": sum(one.records for one in channels),
        "AccessTime": max(one.read_nanos for one in channels),
        "RpoTime": min(one.consumed_nanos for one in channels),
    }


def _told(tunnel: Tunnel, table: Table) -> pb.TunnelInfo:
    told = pb.TunnelInfo(
        tunnel_id=tunnel.id,
        tunnel_type=pb.TunnelType.Name(tunnel.type),
        table_name=table.name,
        instance_name=table.instance,
        stream_id=tunnel.stream,
        stage=tunnel.stage,
        expired=tunnel.is_expired,
        tunnel_name=tunnel.name,
        public=False,
        create_time=tunnel.created_nanos,
    )
    if tunnel.config is not None:
        told.stream_tunnel_config.ParseFromString(tunnel.config)
    return told
