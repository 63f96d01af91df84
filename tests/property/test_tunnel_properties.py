"""Whatever comes between heartbeats, reads, kills, splits and moves: no record is lost and each key keeps its order.

Clients are the pure parts of the worker over the service itself. A heartbeat is two steps, the service's and the
client's, so that anything can happen in between.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_tablestore.consumer.tunnel.channel import Event, Held, Order, State, merge
from airflow_tablestore.consumer.tunnel.checkpoint import Checkpoints
from airflow_tablestore.errors import Rejected, SpecError, Superseded
from airflow_tablestore.wire import tunnel_channel as wire
from airflow_tablestore.wire.tunnel import StartFlag, StreamRange, TunnelType
from airflow_tablestore.wire.tunnel_channel import Place
from airflow_tablestore.wire.tunnel_token import FINISHED
from tests.unit.consumer.tunnel_fakes import LocalClient
from tests.unit.emulator.tablestore.tunnel_world import World

pytestmark = pytest.mark.slow

KEYS = 6
ACTIVE = (State.READING, State.CLOSING)


def check_gone(error):
    """The service refuses for one reason only: the channel is not this client's."""
    if error.code != "OTSResourceGone":
        raise error


class Reader:
    """One channel in hands: how far it is read, and what of that is done."""

    def __init__(self, send, at):
        self._checkpoints = Checkpoints(send, at)
        self.token = self.done = self._checkpoints.open().token
        self.in_hands = []

    def read(self, send):
        if self.token != FINISHED:
            page = send(wire.read_records(self._checkpoints.at, self.token))
            self.token = page.next_token
            self.in_hands.append((page.records, page.next_token))

    def do(self, journal):
        if self.in_hands:
            records, self.done = self.in_hands.pop(0)
            rows = [one.decoded() for one in records]
            journal += [(row.key[0][1], int(row.cells[0].value)) for row in rows]

    def confirm(self):
        self._checkpoints.write(self.done)


class Client:
    """A worker without threads: every step of it is taken when the test says so."""

    def __init__(self, sim):
        self.sim, self.send = sim, sim.client.send
        self.id = self.send(wire.connect(sim.tunnel, 1000, ""))
        self.held: dict[str, Held] = {}
        self.readers: dict[str, Reader] = {}
        self.answer = None

    def ask(self):
        if self.answer is None:
            self.answer = self.send(wire.heartbeat(self.sim.tunnel, self.id, [h.report for h in self.held.values()]))

    def beat(self):
        self.hear()
        self.ask()
        self.hear()

    def hear(self):
        if self.answer is None:
            return
        merged, self.answer = merge(self.held, self.answer), None
        self.held = dict(merged.held)
        for order, id_ in merged.orders:
            if order is Order.DROP:
                self.readers.pop(id_, None)

    def read_ahead(self, channel):
        """Takes another batch in hands."""
        if self.held[channel].state is State.READING:
            self.attempt(channel, lambda: self.readers[channel].read(self.send))

    def confirm(self, channel):
        self.attempt(channel, self.readers[channel].confirm)

    def attempt(self, channel, what):
        """Gives the channel up when it is not this client's any more."""
        try:
            what()
        except Superseded:
            self.fail(channel)
        except Rejected as error:
            check_gone(error)
            self.fail(channel)

    def step(self, channel):
        """The next thing that can happen to a channel."""
        held = self.held[channel]
        if held.state is State.WAITING:
            try:
                self.readers[channel] = Reader(self.send, Place(self.sim.tunnel, self.id, channel))
            except Rejected as error:
                check_gone(error)
                return
            self.held[channel] = held.after(Event.STARTED)
            return
        if held.state not in ACTIVE:
            return
        reader = self.readers[channel]
        if reader.in_hands:
            reader.do(self.sim.journal)
            self.confirm(channel)
        elif reader.done == FINISHED or held.state is State.CLOSING:
            self.confirm(channel)
            if self.held[channel].state in ACTIVE:
                self.over(channel, Event.END_OF_DATA if reader.done == FINISHED else Event.DRAINED)
        else:
            self.read_ahead(channel)

    def fail(self, channel):
        """Gives a channel up, with what is in hands."""
        if self.held[channel].state in ACTIVE:
            self.held[channel] = self.held[channel].after(Event.FAILED)
            self.readers[channel].in_hands.clear()
            self.over(channel, Event.DRAINED)

    def over(self, channel, event):
        self.held[channel] = self.held[channel].after(event)
        del self.readers[channel]


class Simulation:
    """A tunnel, its clients, its writer, and what all clients took."""

    def __init__(self):
        self.world = World()
        self.world.make_table()
        self.client = LocalClient(self.world.service)
        self.tunnel = self.world.tunnel(TunnelType.STREAM, StreamRange(StartFlag.EARLIEST))
        self.versions = [0] * KEYS
        self.journal: list[tuple[int, int]] = []
        self.clients: list[Client] = []

    def run(self, action, who, what):
        client = self.clients[who % len(self.clients)] if self.clients else None
        channels = sorted(client.held) if client else []
        if action in ("read", "do", "confirm", "fail"):
            channels = [id_ for id_ in channels if client.held[id_].state in ACTIVE]
        channel = channels[what % len(channels)] if channels else None
        if action == "write":
            self.versions[what % KEYS] += 1
            self.world.put(what % KEYS, value=str(self.versions[what % KEYS]))
        elif action == "connect" and len(self.clients) < 3:
            self.clients.append(Client(self))
        elif action in ("split", "merge"):
            self._cut(action, what)
        elif client and action in ("ask", "hear", "beat"):
            getattr(client, action)()
        elif client and action == "kill":
            self.clients.remove(client)
            self.world.service.tunnels.drop_client(self.tunnel, client.id)
            self.clients.append(Client(self))
            self.clients[-1].beat()
        elif channel and action == "fail":
            client.fail(channel)
        elif channel and action == "move":
            self._move(channel)
        elif channel and action == "step":
            client.step(channel)
        elif channel and action == "read":
            client.read_ahead(channel)
        elif channel and action == "do":
            client.readers[channel].do(self.journal)
        elif channel and action == "confirm":
            client.confirm(channel)

    def _cut(self, action, what):
        streams = self.world.service.streams
        with contextlib.suppress(SpecError):  # nothing to cut or to merge there
            if action == "split":
                self.world.split(what % KEYS)
            else:
                low = sorted((one for one in streams.shards("demo", "t") if one.is_open), key=lambda one: one.low)
                streams.merge_shards("demo", "t", low[0].id, low[-1].id)

    def _move(self, channel):
        with contextlib.suppress(SpecError):  # it is not open any more
            self.world.service.tunnels.move(self.tunnel, channel)

    def check(self):
        """Nobody reads a channel of which the service thinks that somebody else reads it."""
        owners = {one.id: one.client_id for one in self.world.described().channels}
        active = defaultdict(list)
        for client in self.clients:
            for id_, held in client.held.items():
                if held.state in ACTIVE:
                    active[id_].append(client.id)
        for id_, who in active.items():
            assert owners[id_] in ("", *who)
            assert len(who) == 1

    def finish(self):
        """Everybody does what is to be done until nothing is left."""
        if not self.clients:
            self.clients.append(Client(self))
        quiet = 0
        for _ in range(150):
            before = len(self.journal), str([client.held for client in self.clients])
            for client in self.clients:
                client.beat()
                for channel in list(client.held):
                    for _ in range(4):
                        if channel in client.held:
                            client.step(channel)
            quiet = quiet + 1 if before == (len(self.journal), str([one.held for one in self.clients])) else 0
            if quiet == 6:
                return
        raise AssertionError("the channels never come to rest")


ACTIONS = ["write"] * 5 + ["read"] * 5 + ["do"] * 4 + ["step", "confirm"] * 3 + ["beat"] * 3
ACTIONS += ["ask", "hear", "connect", "split", "merge", "move", "kill", "fail"]
STEPS = st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 2), st.integers(0, 5)), min_size=60, max_size=140)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(STEPS)
def test_no_record_is_lost_and_each_key_keeps_its_order(steps):
    simulation = Simulation()
    try:
        for action in ("connect", "beat", "write", "step"):
            simulation.run(action, 0, 0)
        for action, who, what in steps:
            simulation.run(action, who, what)
            simulation.check()
        simulation.finish()

        told = defaultdict(list)
        for key, version in simulation.journal:
            if version not in told[key]:
                told[key].append(version)
        for key, versions in enumerate(simulation.versions):
            assert told[key] == list(range(1, versions + 1))
    finally:
        simulation.world.service.close()
