"""A table's stream against its writer: whatever is written, split and merged, the records lead to the same table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.tablestore.service import Service
from airflow_tablestore.errors import SpecError
from airflow_tablestore.wire.plainbuffer import encode_delete, encode_put, encode_update
from airflow_tablestore.wire.proto import table_pb2 as pb
from airflow_tablestore.wire.row import Cell, CellOp, Row, Value
from airflow_tablestore.wire.stream import (
    Action,
    Shard,
    StreamRecord,
    describe_stream,
    get_shard_iterator,
    get_stream_records,
    list_streams,
)

pytestmark = pytest.mark.slow

NOW = 1_700_000_000_000_000_000
KEYS = range(8)
NAMES = ("a", "b", "c")

Table = dict[int, dict[str, Value]]

cells = st.dictionaries(st.sampled_from(NAMES), st.integers(0, 99) | st.text(max_size=2), max_size=3)
writes = st.one_of(
    st.tuples(st.just("put"), st.sampled_from(KEYS), cells),
    st.tuples(st.just("update"), st.sampled_from(KEYS), cells.filter(bool)),
    st.tuples(st.just("erase"), st.sampled_from(KEYS), st.sampled_from(NAMES)),
    st.tuples(st.just("delete"), st.sampled_from(KEYS), st.none()),
)
steps = st.one_of(
    st.lists(writes, min_size=1, max_size=5).map(lambda batch: ("write", batch)),
    st.sampled_from(KEYS).map(lambda at: ("split", at)),
    st.integers(0, 9).map(lambda which: ("merge", which)),
    st.sampled_from([-7200, -30, 0.001, 30, 7200]).map(lambda seconds: ("advance", seconds)),
)


class World:
    """One streamed table with its writer's own copy and journal."""

    def __init__(self) -> None:
        self.clock = Clock(lambda: NOW)
        self.service = Service(None, self.clock)
        self.table: Table = {}
        self.journal: dict[int, list[int]] = {}
        self.count = 0
        request = pb.CreateTableRequest(stream_spec=pb.StreamSpecification(enable_stream=True, expiration_time=168))
        request.table_meta.table_name = "t"
        request.table_meta.primary_key.add(name="k", type=pb.INTEGER)
        request.reserved_throughput.capacity_unit.read = 0
        request.table_options.time_to_live = -1
        request.table_options.max_versions = 1
        self.service.answer("CreateTable", "demo", request.SerializeToString())

    def call(self, call: Any) -> Any:
        return call.read(self.service.answer(call.operation, "demo", call.body))

    def write(self, batch: list[tuple[str, int, Any]]) -> None:
        request = pb.BatchWriteRowRequest()
        asked = request.tables.add(table_name="t")
        for what, key, told in batch:
            self.count += 1
            number = Cell("n", self.count)
            at = (("k", key),)
            if what == "put":
                kind, row = pb.PUT, encode_put(at, [*(Cell(*cell) for cell in told.items()), number])
                self.table[key] = {**told, "n": self.count}
            elif what == "delete":
                kind, row = pb.DELETE, encode_delete(at)
                self.table.pop(key, None)
            else:
                if what == "erase":
                    changed = [Cell(told, None, None, CellOp.DELETE_ALL_VERSIONS)]
                    self.table.setdefault(key, {}).pop(told, None)
                else:
                    changed = [Cell(*cell) for cell in told.items()]
                    self.table.setdefault(key, {}).update(told)
                self.table[key]["n"] = self.count
                kind, row = pb.UPDATE, encode_update(at, [*changed, number])
            if what != "delete":
                self.journal.setdefault(key, []).append(self.count)
            asked.rows.add(type=kind, row_change=row).condition.row_existence = pb.IGNORE
        answer = pb.BatchWriteRowResponse.FromString(
            self.service.answer("BatchWriteRow", "demo", request.SerializeToString())
        )
        assert all(result.is_ok for result in answer.tables[0].rows)

    def split(self, at: int) -> None:
        try:
            self.service.streams.split_shard("demo", "t", at=(("k", at),))
        except SpecError:
            event("nothing to split")

    def merge(self, which: int) -> None:
        shards = [shard for shard in self.service.streams.shards("demo", "t") if shard.is_open]
        shards.sort(key=lambda shard: shard.low)
        if len(shards) > 1:
            place = which % (len(shards) - 1)
            self.service.streams.merge_shards("demo", "t", shards[place].id, shards[place + 1].id)

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    # ---- reading

    def parents_first(self) -> Iterator[Shard]:
        """Every shard after its parents, otherwise in the worst order: the latest first."""
        (stream,) = self.call(list_streams("t"))
        left = list(reversed(self.call(describe_stream(stream.id)).shards))
        done: set[str] = set()
        while left:
            shard = next(one for one in left if done.issuperset(one.parents))
            left.remove(shard)
            done.add(shard.id)
            yield shard

    def records(self, shard: Shard, page_records: int) -> Iterator[StreamRecord]:
        (stream,) = self.call(list_streams("t"))
        place = self.call(get_shard_iterator(stream.id, shard.id)).iterator
        while place is not None:
            page = self.call(get_stream_records(place, page_records, "t"))
            yield from page.records
            if page.next_iterator is not None and not page.may_more:
                return
            place = page.next_iterator


def replayed(records: list[tuple[Action, Row]]) -> Table:
    table: Table = {}
    for action, row in records:
        key = row.key[0][1]
        assert isinstance(key, int)
        if action is Action.DELETE:
            table.pop(key, None)
            continue
        kept = table.setdefault(key, {})
        if action is Action.PUT:
            kept.clear()
        for cell in row.cells:
            if cell.value is None:
                kept.pop(cell.name, None)
            else:
                kept[cell.name] = cell.value
    return table


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, max_size=20), st.integers(1, 4))
def test_reading_every_shard_after_its_parents_leads_to_the_same_table(history, page_records):
    world = World()
    for what, told in history:
        getattr(world, what)(told)

    records = [
        (record.action, record.decoded())
        for shard in world.parents_first()
        for record in world.records(shard, page_records)
    ]

    world.service.close()
    assert replayed(records) == world.table
    numbers: dict[int, list[Value | None]] = {}
    for action, row in records:
        if action is not Action.DELETE:
            numbers.setdefault(row.key[0][1], []).append(row.cells[-1].value)
    assert numbers == world.journal
    assert len(records) == world.count


@settings(max_examples=40, deadline=None)
@given(st.lists(steps, max_size=20))
def test_seeking_a_time_finds_the_first_record_of_it_or_later(history):
    world = World()
    for what, told in history:
        getattr(world, what)(told)
    (stream,) = world.call(list_streams("t"))

    for shard in world.parents_first():
        times = [record.sequence.timestamp for record in world.records(shard, 1000)]
        for micros in {time + step for time in times for step in (-1, 0, 1)}:
            place = world.call(get_shard_iterator(stream.id, shard.id, micros)).iterator
            found = world.call(get_stream_records(place)).records
            first = next((index for index, time in enumerate(times) if time >= micros), len(times))
            assert [record.sequence.timestamp for record in found] == times[first:]

    world.service.close()


@settings(max_examples=40, deadline=None)
@given(st.lists(steps.filter(lambda step: step[0] != "advance" or step[1] > 0), max_size=20))
def test_sequences_rise_along_each_shard_and_from_parent_to_child(history):
    world = World()
    for what, told in history:
        getattr(world, what)(told)

    last: dict[str, tuple[int, int, int]] = {}
    for shard in world.parents_first():
        before = max((last[parent] for parent in shard.parents), default=(0, 0, 0))
        for record in world.records(shard, 1000):
            at = record.sequence
            assert (at.epoch, at.timestamp, at.row_index) > before
            assert at.timestamp >= before[1]
            before = (at.epoch, at.timestamp, at.row_index)
        last[shard.id] = before

    world.service.close()
