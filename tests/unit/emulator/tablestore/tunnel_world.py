"""A service with one table and its tunnels, without a network, and a client of a tunnel that does what it is told."""

from __future__ import annotations

import pytest

from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.tablestore.errors import ServiceError
from airflow_tablestore.emulator.tablestore.service import Service
from airflow_tablestore.wire import tunnel as wire
from airflow_tablestore.wire import tunnel_channel as worker
from airflow_tablestore.wire.plainbuffer import encode_delete, encode_put
from airflow_tablestore.wire.proto import table_pb2 as pb
from airflow_tablestore.wire.row import Cell
from airflow_tablestore.wire.tunnel import TunnelType
from airflow_tablestore.wire.tunnel_channel import Channel, ChannelStatus, Checkpoint, Place
from airflow_tablestore.wire.tunnel_token import FINISHED

NOW = 1_700_000_000
HOUR = 3600
NANOS = 10**9
OPEN, CLOSING, CLOSE, TERMINATED = ChannelStatus


class World:
    """One service with a table, a wall clock that stands still, and the calls of the package."""

    def __init__(self, folder=None):
        self.wall = 0.0
        self.clock = Clock(lambda: NOW * NANOS)
        self.service = Service(folder, self.clock)
        self.service.tunnels._now_seconds = lambda: self.wall

    def call(self, call):
        return call.read(self.service.answer(call.operation, "demo", call.body))

    def refused(self, call):
        with pytest.raises(ServiceError) as error:
            self.call(call)
        return error.value.code

    def make_table(self, hours=24, name="t"):
        request = pb.CreateTableRequest()
        request.table_meta.table_name = name
        request.table_meta.primary_key.add(name="id", type=pb.INTEGER)
        request.reserved_throughput.capacity_unit.read = 0
        request.table_options.time_to_live = -1
        request.table_options.max_versions = 1
        if hours:
            request.stream_spec.enable_stream, request.stream_spec.expiration_time = True, hours
        self.service.answer("CreateTable", "demo", request.SerializeToString())

    def put(self, *ids, value="x", table="t"):
        for id_ in ids:
            row = encode_put((("id", id_),), [Cell("v", value)])
            request = pb.PutRowRequest(table_name=table, row=row)
            request.condition.row_existence = pb.IGNORE
            self.service.answer("PutRow", "demo", request.SerializeToString())

    def delete(self, id_):
        request = pb.DeleteRowRequest(table_name="t", primary_key=encode_delete((("id", id_),)))
        request.condition.row_existence = pb.IGNORE
        self.service.answer("DeleteRow", "demo", request.SerializeToString())

    def tunnel(self, type_=TunnelType.BASE_AND_STREAM, stream=None, name="n"):
        return self.call(wire.create_tunnel("t", name, type_, stream))

    def described(self, name="n"):
        return self.call(wire.describe_tunnel("t", name))

    def statuses(self, name="n"):
        return [one.status for one in self.described(name).channels]

    def split(self, at):
        return self.service.streams.split_shard("demo", "t", at=(("id", at),))

    def merge(self, one, two):
        return self.service.streams.merge_shards("demo", "t", one, two)


class Worker:
    """A client that does what it is told at once."""

    def __init__(self, world, tunnel, timeout=60):
        self.world, self.tunnel = world, tunnel
        self.id = world.call(worker.connect(tunnel, timeout, "test"))
        self.held: dict[str, Channel] = {}
        self.records: list[tuple[str, object]] = []

    def beat(self):
        told = self.world.call(worker.heartbeat(self.tunnel, self.id, self.held.values()))
        self.held = {one.id: one for one in told}
        return sorted(one.status.value for one in told)

    def says(self, channel, status):
        told = self.held[channel]
        self.held[channel] = Channel(told.id, told.version + 1, status)

    def give_back(self):
        for one in list(self.held.values()):
            if one.status is CLOSING:
                self.says(one.id, CLOSE)

    def at(self, channel):
        return Place(self.tunnel, self.id, channel)

    def read(self, channel):
        """Reads to the end there is now, with a checkpoint after each page."""
        while True:
            known = self.world.call(worker.get_checkpoint(self.at(channel)))
            page = self.world.call(worker.read_records(self.at(channel), known.token))
            self.records += [(one.action, one.decoded().key[0][1]) for one in page.records]
            self.world.call(worker.put_checkpoint(self.at(channel), Checkpoint(page.next_token, known.number + 1)))
            if page.next_token == FINISHED:
                self.says(channel, TERMINATED)
                return
            if not page.may_more:
                return

    def work(self, rounds=6):
        """Heartbeats, and reads everything it holds."""
        for _ in range(rounds):
            self.beat()
            for one in list(self.held.values()):
                if one.status is OPEN:
                    self.read(one.id)
            self.give_back()
        return [key for _, key in self.records]
