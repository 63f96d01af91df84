"""What counts of a channel's objects when owners crash, freeze and wake up."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_tablestore.errors import ProtocolError, SpecError, Superseded
from airflow_tablestore.pipeline.store import crc64_of
from airflow_tablestore.pipeline.tunnel.channels import ChannelBook, Entry, channels_at, claim_prefix, published
from airflow_tablestore.wire.tunnel_channel import Checkpoint
from tests.conformance.memory_store import MemoryStore

PREFIX, CHANNEL = "events/", "c/1"


class World:
    """One channel: its owners write through `pends`, and the service keeps checkpoints."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.book = ChannelBook(self.store, PREFIX, CHANNEL)
        self.kept = Checkpoint("t0", 0)

    def opens(self, client: str) -> int:
        return self.book.open(client, lambda: self.kept)[0]

    def entry(self, client: str, epoch: int, number: int, token: str) -> Entry:
        data = f"{client} {number}".encode()
        key = f"{PREFIX}x-{number}-{epoch}-{client}.parquet"
        return Entry("p", "t", CHANNEL, number, epoch, client, "", token, key, 1, len(data), crc64_of(data), True)

    def pends(self, client: str, epoch: int, number: int, token: str) -> Entry:
        entry = self.entry(client, epoch, number, token)
        self.book.list_pending(entry)
        self.store.put(entry.key, f"{client} {number}".encode())
        return entry

    def confirms(self, entry: Entry) -> None:
        assert entry.number == self.kept.number + 1
        self.kept = Checkpoint(entry.token, entry.number)

    @property
    def counting(self) -> list[str]:
        return [entry.key for entry in published(self.store, PREFIX)]

    @property
    def data(self) -> list[str]:
        return [one.key for one in self.store.list(PREFIX) if one.key.endswith(".parquet")]


@pytest.fixture
def world() -> World:
    return World()


def test_the_next_owner_publishes_what_was_confirmed(world):
    entry = world.pends("a", world.opens("a"), 1, "t1")
    world.confirms(entry)

    world.opens("b")

    assert world.counting == world.data == [entry.key]
    assert channels_at(world.store, PREFIX, "pending") == []


def test_the_next_owner_removes_what_was_not_confirmed(world):
    world.pends("a", world.opens("a"), 1, "t1")

    world.opens("b")

    assert world.counting == world.data == []


def test_another_checkpoint_of_the_same_number_confirms_nothing(world):
    world.pends("a", world.opens("a"), 1, "t1")
    world.kept = Checkpoint("t0'", 1)

    world.opens("b")

    assert world.counting == world.data == []


def test_what_a_frozen_owner_lists_late_never_counts(world):
    first = world.opens("a")
    second = world.opens("b")
    world.kept = Checkpoint("t0'", 1)  # nothing was there, and that was confirmed
    good = world.pends("b", second, 2, "t1")
    world.confirms(good)
    world.pends("a", first, 1, "t1")

    world.opens("c")

    assert world.counting == world.data == [good.key]


def test_an_owner_that_settles_late_leaves_what_the_next_one_wrote(world):
    left = world.pends("a", world.opens("a"), 1, "t1")
    world.confirms(left)
    written = []

    def frozen() -> Checkpoint:
        kept, epoch = world.kept, world.opens("c")
        written.append(world.pends("c", epoch, 2, "t2"))
        return kept

    with pytest.raises(Superseded):
        world.book.open("b", frozen)

    assert world.counting == [left.key]
    assert world.book.pending() == written


def test_publishing_twice_is_the_same_as_once(world):
    entry = world.pends("a", world.opens("a"), 1, "t1")
    world.confirms(entry)
    world.opens("b")

    world.book.publish(entry)

    assert world.counting == [entry.key]


def test_two_objects_for_one_checkpoint_are_an_error(world):
    entry = world.pends("a", world.opens("a"), 1, "t1")
    world.book.publish(entry)

    with pytest.raises(ProtocolError, match="two objects"):
        world.book.publish(replace(entry, key="other"))


def test_what_counts_stays_when_its_pending_entry_is_found_again(world):
    entry = world.pends("a", world.opens("a"), 1, "t1")
    world.confirms(entry)
    world.opens("b")
    world.book.list_pending(entry)

    world.opens("c")

    assert world.counting == world.data == [entry.key]
    assert world.book.pending() == []


def test_a_finished_channel_is_settled_without_an_owner(world):
    first = world.opens("a")
    late = world.entry("a", first, 1, "t1")
    entry = world.pends("b", world.opens("b"), 1, "t1")
    world.book.list_pending(late)

    world.book.settle_finished()

    assert world.counting == world.data == [entry.key]


def test_a_confirmed_object_that_is_gone_is_an_error_and_not_passed_over(world):
    entry = world.pends("a", world.opens("a"), 1, "t1")
    world.confirms(entry)
    world.store.delete([entry.key])

    with pytest.raises(ProtocolError, match="confirmed and not there"):
        world.opens("b")


def test_a_prefix_belongs_to_one_pipeline(world):
    claim_prefix(world.store, PREFIX, "events")
    claim_prefix(world.store, PREFIX, "events")

    with pytest.raises(SpecError, match="events"):
        claim_prefix(world.store, PREFIX, "other")
