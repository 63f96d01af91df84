"""Loads of a table that race, die and wake up: its rows are there once, or the error says what is to be done."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_tablestore.errors import RetryLater, SpecError, StartOver, Superseded
from airflow_tablestore.pipeline.contract import Schema
from airflow_tablestore.pipeline.loads import Load, Loads
from airflow_tablestore.pipeline.manifest import Manifest
from airflow_tablestore.pipeline.recorded_load import RecordedLoad
from airflow_tablestore.pipeline.table_upload import Block, BlockNumbers, TableLoad, claim_of
from airflow_tablestore.pipeline.warehouse import Partition, UploadStatus
from tests.conformance.memory_stream import MemoryStream
from tests.conformance.memory_warehouse import MemoryWarehouse, target

SLICES = BlockNumbers(2)


class Planned:
    """One attempt at a run: its session, with what it has exported."""

    def __init__(self, world: World, name: str, attempt: int = 1):
        known = world.recorded().known()
        self.world = world
        self.upload_id = world.warehouse.begin(Partition("t"), replaces=world.truncates).id
        self.claim = claim_of(self.upload_id, known.manifest.claim if known else None)
        self.blocks = [SLICES.of(number, attempt) for number in range(SLICES.slices)]
        for block in self.blocks:
            world.warehouse.put(self.upload_id, block.number, f"{name}{block.number % 2}")

    def publish(self, loads: Loads | None = None) -> None:
        manifest = Manifest("p", "r", self.claim, "t", (), (), Schema(()), (), {}, ())
        self.world.recorded(loads).commit(self.upload_id, manifest, SLICES, self.blocks)


class World:
    """A table, and the records of its loads."""

    def __init__(self, *, truncates: bool):
        self.truncates, self.warehouse = truncates, MemoryWarehouse("t")
        self.stream = MemoryStream(now=datetime(2026, 11, 21, tzinfo=UTC))

    def loads(self) -> Loads:
        return Loads(self.stream, "status", "demo", "t", "p")

    def recorded(self, loads: Loads | None = None) -> RecordedLoad:
        load = TableLoad(self.warehouse, target(truncates=self.truncates))
        return RecordedLoad(load, loads or self.loads(), "r", "Run r")


class Interrupted(Loads):
    """Records of loads; behind its first look at one, something else happens."""

    meanwhile: Any = None

    def load(self, key: str) -> Load | None:
        found = super().load(key)
        happens, self.meanwhile = self.meanwhile, None
        if happens:
            happens()
        return found


def interrupted(world, act):
    loads = Interrupted(world.stream, "status", "demo", "t", "p")
    loads.meanwhile = act
    return loads


@pytest.fixture(params=["truncate", "append"])
def world(request):
    return World(truncates=request.param == "truncate")


@pytest.fixture
def adding():
    return World(truncates=False)


# ---- two at once


def test_of_two_publishers_that_race_one_adds_its_rows(world):
    first, second = Planned(world, "a"), Planned(world, "b")

    with pytest.raises(Superseded, match="another attempt"):
        first.publish(interrupted(world, second.publish))

    assert world.warehouse.rows() == ["b0", "b1"]
    assert world.loads().load("r").upload_id == second.upload_id


def test_a_publisher_that_meets_another_ones_claim_asks_for_the_plan(world):
    first, second = Planned(world, "a"), Planned(world, "b")
    world.warehouse.before = world.warehouse.is_lost

    def dies():
        with pytest.raises(RetryLater):
            second.publish()
        world.warehouse.before = lambda verb: None

    with pytest.raises(StartOver, match="is about to load") as raised:
        first.publish(interrupted(world, dies))
    second.publish()

    assert raised.value.task == "plan"
    assert world.warehouse.rows() == ["b0", "b1"]


def test_a_plan_made_after_a_claim_was_left_goes_on(world):
    dead = Planned(world, "a")
    world.warehouse.before = world.warehouse.is_lost
    with pytest.raises(RetryLater):
        dead.publish()
    world.warehouse.before = lambda verb: None

    Planned(world, "b").publish()

    assert world.warehouse.rows() == ["b0", "b1"]
    with pytest.raises(Superseded):
        dead.publish()
    assert world.warehouse.rows() == ["b0", "b1"]


def test_rows_are_not_added_when_an_earlier_attempt_came_in_after_the_plan(adding):
    early = Planned(adding, "a")
    adding.warehouse.before = adding.warehouse.is_lost
    with pytest.raises(RetryLater):
        early.publish()
    adding.warehouse.before = lambda verb: None
    late = Planned(adding, "b")
    early.publish()

    with pytest.raises(Superseded):
        late.publish()

    assert adding.warehouse.rows() == ["a0", "a1"]


def test_the_same_publisher_twice_at_once_loads_once(world):
    planned = Planned(world, "a")

    planned.publish(interrupted(world, planned.publish))

    assert world.warehouse.rows() == ["a0", "a1"]
    assert world.loads().load("r").is_done


def test_a_commit_without_an_answer_is_made_once(world):
    planned = Planned(world, "a")
    world.warehouse.after = world.warehouse.is_lost

    planned.publish()
    planned.publish()

    assert world.warehouse.rows() == ["a0", "a1"]


# ---- blocks of attempts that were thought dead


def test_a_block_that_is_sent_before_the_last_look_is_made_empty(world):
    planned = Planned(world, "a", attempt=2)
    world.warehouse.put(planned.upload_id, SLICES.of(0, 1).number, "stale")

    planned.publish()

    assert world.warehouse.rows() == ["a0", "a1"]


def stray(world, planned):
    """A request of an attempt that froze inside of it, in the gap that cannot be closed."""
    number = SLICES.of(0, 1).number
    world.warehouse.before = lambda verb: world.warehouse.put(planned.upload_id, number, "stale")


def test_a_block_between_the_last_look_and_the_commit_is_told_where_rows_are_replaced():
    world = World(truncates=True)
    planned = Planned(world, "a", attempt=2)
    stray(world, planned)

    for _ in range(2):
        with pytest.raises(StartOver, match="there twice") as raised:
            planned.publish()
    world.warehouse.before = lambda verb: None
    Planned(world, "b").publish()

    assert raised.value.task == "plan"
    assert world.warehouse.rows() == ["b0", "b1"]


def test_a_block_between_the_last_look_and_the_commit_is_told_where_rows_are_added(adding):
    planned = Planned(adding, "a", attempt=2)
    stray(adding, planned)

    for _ in range(2):
        with pytest.raises(SpecError, match="there twice"):
            planned.publish()
    with pytest.raises(SpecError, match="there twice"):
        adding.recorded().refuse_twice(adding.loads().load("r"))


def test_a_session_that_was_committed_and_is_not_on_record_is_done(world):
    planned = Planned(world, "a")
    world.warehouse.commit(Partition("t"), planned.upload_id, ())

    planned.publish()

    assert world.warehouse.find(Partition("t"), planned.upload_id).status is UploadStatus.COMMITTED
    assert world.warehouse.rows() == ["a0", "a1"]


# ---- numbers of blocks


def test_attempts_have_blocks_of_their_own():
    numbers = BlockNumbers(7)

    blocks = {numbers.of(part, attempt).number for part in range(7) for attempt in range(1, numbers.tries + 1)}

    assert blocks == set(range(7 * numbers.tries))
    assert len(blocks) <= 20_000


@pytest.mark.parametrize("slices", [1, 5_000, 9_999, 20_000])
def test_an_attempt_beyond_those_of_a_session_has_a_block_too(slices):
    numbers = BlockNumbers(slices)

    for attempt in (1, 4, 5, 21_001):
        block = numbers.of(slices - 1, attempt)
        assert 0 <= block.number < 20_000
        assert numbers.slice(block.number) == slices - 1
        assert Block.from_key(block.key) == block


def test_a_task_that_was_cleared_often_publishes(world):
    numbers = BlockNumbers(9_000)
    upload = world.warehouse.begin(Partition("t"), replaces=world.truncates).id
    load = TableLoad(world.warehouse, target(truncates=world.truncates))
    killed, done = numbers.of(8_999, 8), numbers.of(8_999, 9)
    world.warehouse.put(upload, killed.number, "killed")
    world.warehouse.put(upload, done.number, "done")

    load.commit(load.settle(upload, numbers, [done]))

    assert world.warehouse.rows() == ["done"]
