"""More channels than may be read at once: each gets its turn, and none is taken for caught up before it had one."""

from __future__ import annotations

import time

import pytest

from airflow_tablestore.consumer.tunnel import Settings, TunnelReader, Until
from airflow_tablestore.wire.tunnel import StartFlag, StreamRange, TunnelType
from tests.unit.consumer.tunnel_fakes import LocalClient
from tests.unit.emulator.tablestore.tunnel_world import World

ONE_AT_A_TIME = Settings(
    max_channels=1,
    turn_seconds=0.1,
    heartbeat_seconds=0.05,
    timeout_seconds=60,
    checkpoint_seconds=0.02,
    pause_seconds=0.02,
)
EARLIEST = StreamRange(StartFlag.EARLIEST)
PATIENCE_SECONDS = 60.0

pytestmark = pytest.mark.slow


@pytest.fixture
def world():
    world = World()
    world.make_table()
    for at in (10, 20):
        world.split(at)
    yield world
    world.service.close()


def taken(reader, count):
    """The keys of so many records."""
    found, end = [], time.monotonic() + PATIENCE_SECONDS
    while len(found) < count:
        assert time.monotonic() < end, f"waited in vain, {found}"
        batch = reader.take(0.5)
        if batch is not None:
            found += [row.key[0][1] for _, row in batch.rows()]
            batch.done()
    return found


def test_channels_without_end_share_one_place(world):
    id_ = world.tunnel(TunnelType.STREAM, EARLIEST)
    with TunnelReader(LocalClient(world.service), id_, settings=ONE_AT_A_TIME) as reader:
        for round_ in range(2):
            world.put(round_, 10 + round_, 20 + round_)

            assert sorted(taken(reader, 3)) == [round_, 10 + round_, 20 + round_]


def test_a_turn_loses_and_repeats_nothing_and_keeps_the_order(world):
    id_ = world.tunnel(TunnelType.STREAM, EARLIEST)
    found = []
    with TunnelReader(LocalClient(world.service), id_, settings=ONE_AT_A_TIME) as reader:
        for number in range(4):
            world.put(1, 11, 21, value=number)
            found += taken(reader, 3)

    assert sorted(found) == sorted([1, 11, 21] * 4)


def test_a_reader_is_caught_up_when_every_channel_had_its_turn(world):
    world.put(1, 11, 21)
    id_ = world.tunnel(TunnelType.STREAM, EARLIEST)
    found = []
    for batch in TunnelReader(LocalClient(world.service), id_, settings=ONE_AT_A_TIME, until=Until.CAUGHT_UP):
        found += [row.key[0][1] for _, row in batch.rows()]
        batch.done()

    assert sorted(found) == [1, 11, 21]


def test_children_get_their_turn_after_their_parents(world):
    id_ = world.tunnel(TunnelType.STREAM, EARLIEST)
    world.put(11, 1)
    lower, upper = world.split(15)
    world.put(12, 16)
    world.merge(lower, upper)
    world.put(13, 17)
    found = []
    for batch in TunnelReader(LocalClient(world.service), id_, settings=ONE_AT_A_TIME, until=Until.CAUGHT_UP):
        found += [row.key[0][1] for _, row in batch.rows()]
        batch.done()

    assert sorted(found) == [1, 11, 12, 13, 16, 17]
    assert found.index(11) < min(found.index(12), found.index(16))
    assert max(found.index(12), found.index(16)) < min(found.index(13), found.index(17))
