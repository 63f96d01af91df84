"""A table's change log: what is recorded, how it is read, and how shards split, merge and end."""

from __future__ import annotations

from itertools import pairwise

import pytest

from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.tablestore.changelog import StreamLog, rising
from airflow_tablestore.emulator.tablestore.errors import ServiceError
from airflow_tablestore.emulator.tablestore.service import Service
from airflow_tablestore.emulator.tablestore.validation import Limits
from airflow_tablestore.errors import SpecError
from airflow_tablestore.wire.plainbuffer import decode_rows, encode_delete, encode_key, encode_put, encode_update
from airflow_tablestore.wire.proto import table_pb2 as pb
from airflow_tablestore.wire.row import AUTO_INCREMENT, Cell, CellOp
from airflow_tablestore.wire.stream import (
    Action,
    describe_stream,
    get_shard_iterator,
    get_stream_records,
    list_streams,
)

NOW = 1_700_000_000_000
HOUR = 3600
KEY = (("p", "k"), ("q", 1))
ROWS = (("p", pb.STRING), ("q", pb.INTEGER))
STREAMED = pb.StreamSpecification(enable_stream=True, expiration_time=24)


class World:
    """One service, its clock, and the calls of the package against it."""

    def __init__(self, folder=None, clock=None, log=None):
        self.clock = clock or Clock(lambda: NOW * 1_000_000)
        self.service = Service(folder, self.clock, Limits(), log)

    def ask(self, operation, request, answer=None):
        told = self.service.answer(operation, "demo", request.SerializeToString())
        return answer.FromString(told) if answer else None

    def call(self, call, instance="demo"):
        return call.read(self.service.answer(call.operation, instance, call.body))

    def make_table(self, name="t", keys=ROWS, spec=STREAMED, points=(), automatic=False):
        request = pb.CreateTableRequest(stream_spec=spec)
        request.table_meta.table_name = name
        for key, kind in keys:
            request.table_meta.primary_key.add(name=key, type=kind)
        if automatic:
            request.table_meta.primary_key[-1].option = pb.AUTO_INCREMENT
        request.reserved_throughput.capacity_unit.read = 0
        request.table_options.time_to_live = -1
        request.table_options.max_versions = 1
        request.partitions.extend(points)
        self.ask("CreateTable", request)

    def set_stream(self, **options):
        self.ask("UpdateTable", pb.UpdateTableRequest(table_name="t", stream_spec=pb.StreamSpecification(**options)))

    def put(self, key=KEY, *cells, table="t"):
        request = pb.PutRowRequest(table_name=table, row=encode_put(key, cells))
        request.condition.row_existence = pb.IGNORE
        self.ask("PutRow", request)

    def update(self, *cells, key=KEY):
        request = pb.UpdateRowRequest(table_name="t", row_change=encode_update(key, cells))
        request.condition.row_existence = pb.IGNORE
        self.ask("UpdateRow", request)

    def delete(self, key=KEY):
        request = pb.DeleteRowRequest(table_name="t", primary_key=encode_delete(key))
        request.condition.row_existence = pb.IGNORE
        self.ask("DeleteRow", request)

    def stream(self):
        (stream,) = self.call(list_streams("t"))
        return stream.id

    def shards(self):
        return self.call(describe_stream(self.stream())).shards

    def only_shard(self):
        (shard,) = self.shards()
        return shard.id

    def start(self, shard=None, micros=None):
        where = self.call(get_shard_iterator(self.stream(), shard or self.only_shard(), micros))
        if where.next_token:
            where = self.call(get_shard_iterator(self.stream(), shard or self.only_shard(), micros, where.next_token))
        assert where.next_token is None
        return where.iterator

    def page(self, iterator, limit=1000, table=None):
        return self.call(get_stream_records(iterator, limit, table))

    def read(self, shard=None, micros=None):
        return self.page(self.start(shard, micros)).records

    def rows(self, shard=None, micros=None):
        return [record.decoded() for record in self.read(shard, micros)]


@pytest.fixture
def world():
    world = World()
    yield world
    world.service.close()


def numbered(count):
    return [(("p", f"{number:03}"), ("q", number)) for number in range(count)]


# ---- what a record says


def test_a_put_is_a_put_with_versions(world):
    world.make_table()

    world.put(KEY, Cell("a", 1), Cell("b", "x", NOW - 5))

    (record,) = world.read()
    row = record.decoded()
    assert (record.action, record.origin) == (Action.PUT, None)
    assert (row.key, row.cells) == (KEY, (Cell("a", 1, NOW), Cell("b", "x", NOW - 5)))
    assert row.sequence.timestamp >= NOW * 1000


def test_an_update_keeps_the_operations_of_its_cells(world):
    world.make_table()

    world.update(
        Cell("put", 2.5),
        Cell("one", None, NOW - 9, CellOp.DELETE_ONE_VERSION),
        Cell("all", None, None, CellOp.DELETE_ALL_VERSIONS),
    )

    (record,) = world.read()
    assert record.action is Action.UPDATE
    assert record.decoded().cells == (
        Cell("put", 2.5, NOW),
        Cell("one", None, NOW - 9, CellOp.DELETE_ONE_VERSION),
        Cell("all", None, None, CellOp.DELETE_ALL_VERSIONS),
    )


def test_an_update_that_only_deletes_of_no_row_is_recorded_and_makes_none(world):
    world.make_table()

    world.update(Cell("all", None, None, CellOp.DELETE_ALL_VERSIONS))

    (record,) = world.read()
    assert record.action is Action.UPDATE
    asked = pb.GetRowRequest(table_name="t", primary_key=encode_key(KEY), max_versions=1)
    assert not world.ask("GetRow", asked, pb.GetRowResponse).row


def test_an_increment_is_recorded_as_the_integer_it_led_to(world):
    world.make_table()
    world.put(KEY, Cell("n", 40))

    world.update(Cell("n", 2, None, CellOp.INCREMENT))
    world.update(Cell("n", -3, NOW + 5, CellOp.INCREMENT))

    assert [row.cells[0] for row in world.rows()] == [
        Cell("n", 40, NOW),
        Cell("n", 42, NOW),
        Cell("n", 39, NOW + 5),
    ]


def test_a_delete_has_the_marker_and_no_cells(world):
    world.make_table()

    world.delete()

    (record,) = world.read()
    assert record.action is Action.DELETE
    assert (record.decoded().is_delete, record.decoded().cells) == (True, ())


def test_a_record_has_the_key_that_the_service_made(world):
    world.make_table(automatic=True)

    world.put((("p", "k"), ("q", AUTO_INCREMENT)), Cell("a", 1))

    (row,) = world.rows()
    stored = pb.GetRangeRequest(table_name="t", direction=pb.FORWARD, max_versions=1)
    stored.inclusive_start_primary_key = encode_key(row.key)
    stored.exclusive_end_primary_key = encode_key((("p", "l"), ("q", 0)))
    assert len(decode_rows(world.ask("GetRange", stored, pb.GetRangeResponse).rows)) == 1


def test_the_row_before_is_recorded_with_the_columns_that_were_asked_for(world):
    world.make_table(spec=pb.StreamSpecification(enable_stream=True, columns_to_get=["a", "c"]))
    world.put(KEY, Cell("a", 1), Cell("b", 2))

    world.put(KEY, Cell("b", 3))
    world.delete()

    first, second, third = world.read()
    assert first.origin is None
    assert decode_rows(second.origin)[0].cells == (Cell("a", 1, NOW),)
    assert decode_rows(third.origin)[0].cells == ()


def test_rows_of_one_batch_share_a_time_and_differ_in_the_index(world):
    world.make_table()
    request = pb.BatchWriteRowRequest()
    asked = request.tables.add(table_name="t")
    for key in numbered(3):
        asked.rows.add(type=pb.PUT, row_change=encode_put(key, [])).condition.row_existence = pb.IGNORE

    world.ask("BatchWriteRow", request)
    world.put()

    sequences = [row.sequence for row in world.rows()]
    assert [one.row_index for one in sequences] == [0, 1, 2, 0]
    assert len({one.timestamp for one in sequences[:3]}) == 1
    assert sequences[3].timestamp > sequences[2].timestamp


def test_a_refused_write_has_no_record(world):
    world.make_table()
    request = pb.PutRowRequest(table_name="t", row=encode_put(KEY, [Cell("a", 1)]))
    request.condition.row_existence = pb.EXPECT_EXIST

    with pytest.raises(ServiceError):
        world.ask("PutRow", request)

    assert world.read() == ()


def test_rows_that_outlive_their_ttl_have_no_record(world):
    world.make_table()
    request = pb.UpdateTableRequest(table_name="t")
    request.table_options.time_to_live = 86400
    world.ask("UpdateTable", request)
    world.put(KEY, Cell("a", 1))
    world.set_stream(enable_stream=True, expiration_time=168)

    world.clock.advance(48 * HOUR)

    assert len(world.read()) == 1


def test_a_change_that_cannot_be_recorded_is_not_made(tmp_path):
    class FullLog(StreamLog):
        is_full = False

        def record(self, *change):
            super().record(*change)
            if self.is_full:
                raise RuntimeError("the log is full")

    clock = Clock()
    log = FullLog(clock)
    world = World(tmp_path, clock, log)
    world.make_table()
    world.put(KEY, Cell("a", 1))
    log.is_full = True

    with pytest.raises(ServiceError, match="Internal"):
        world.put(KEY, Cell("a", 2))

    log.is_full = False
    rows = world.rows()
    world.service.close()
    assert [row.cells[0].value for row in rows] == [1]


# ---- times


def test_record_times_rise_while_the_clock_stands(world):
    world.make_table()

    for key in numbered(5):
        world.put(key)

    times = [row.sequence.timestamp for row in world.rows()]
    assert times == sorted(set(times))


def test_record_times_fall_when_a_test_moves_the_time_back(world):
    world.make_table()
    world.put()
    world.clock.advance(-60)

    world.put()
    world.put()

    first, second, third = (row.sequence.timestamp for row in world.rows())
    assert first - 61_000_000 < second < third < first


@pytest.mark.parametrize(
    ("last", "now", "time"), [(5, 9, 9), (9, 9, 10), (9, 5, 10), (2_000_000, 1_000_000, 1_000_000)]
)
def test_a_new_record_is_later_unless_the_clock_was_moved(last, now, time):
    assert rising(last, now) == time


# ---- streams come and go


def test_a_table_without_a_stream_has_no_records(world):
    world.make_table(spec=pb.StreamSpecification(enable_stream=False))

    world.put()

    assert world.call(list_streams("t")) == ()


def test_all_streams_of_an_instance_are_listed_and_no_others(world):
    world.make_table("b")
    world.make_table("a")
    world.make_table("quiet", spec=pb.StreamSpecification(enable_stream=False))

    assert [stream.table for stream in world.call(list_streams())] == ["a", "b"]
    assert world.call(list_streams(), instance="other") == ()


def test_an_update_enables_a_stream_from_then_on(world):
    world.make_table(spec=pb.StreamSpecification(enable_stream=False))
    world.put(KEY, Cell("a", 1))

    world.set_stream(enable_stream=True, expiration_time=72)
    world.put(KEY, Cell("a", 2))

    assert [row.cells[0].value for row in world.rows()] == [2]
    assert world.call(describe_stream(world.stream())).expiration_hours == 72


def test_a_stream_enabled_again_is_another_one(world):
    world.make_table()
    world.put()
    before, place = world.stream(), world.start()
    world.set_stream(enable_stream=False)

    world.set_stream(enable_stream=True)

    assert world.stream() != before
    assert world.read() == ()
    with pytest.raises(ServiceError) as caught:
        world.page(place)
    assert caught.value.code == "OTSTrimmedDataAccess"


def test_a_new_retention_leaves_the_stream(world):
    world.make_table()
    world.put()
    before = world.stream()

    world.set_stream(enable_stream=True, expiration_time=48)

    assert (world.stream(), len(world.read())) == (before, 1)


def test_a_deleted_table_takes_its_stream_along(world):
    world.make_table()
    world.put()
    place = world.start()

    world.ask("DeleteTable", pb.DeleteTableRequest(table_name="t"))
    world.make_table()

    assert world.read() == ()
    with pytest.raises(ServiceError):
        world.page(place)


def test_streams_are_there_after_reopening(tmp_path):
    world = World(tmp_path)
    world.make_table()
    world.put()
    world.service.streams.split_shard("demo", "t", at=(("p", "m"),))
    world.put((("p", "z"), ("q", 1)))
    before = world.shards()
    world.service.close()

    reopened = World(tmp_path)
    reopened.put((("p", "z"), ("q", 1)))

    found = [len(reopened.read(shard.id)) for shard in before]
    same = reopened.shards() == before
    reopened.service.close()
    assert (same, found) == (True, [1, 0, 2])


# ---- shards


def test_a_table_of_several_parts_has_as_many_shards(world):
    points = [b"\x09", encoded("g"), encoded("t"), b"\x0a"]
    ranges = [pb.PartitionRange(begin=low, end=high) for low, high in pairwise(points)]
    world.make_table(points=ranges)

    for name in ("a", "h", "g", "z"):
        world.put((("p", name), ("q", 1)))

    assert [[row.key[0][1] for row in world.rows(shard.id)] for shard in world.shards()] == [["a"], ["h", "g"], ["z"]]


def encoded(text):
    return b"\x03" + len(text).to_bytes(4, "little") + text.encode()


def test_a_split_ends_a_shard_and_its_children_go_on(world):
    world.make_table()
    world.put((("p", "a"), ("q", 1)))
    parent = world.only_shard()

    lower, upper = world.service.streams.split_shard("demo", "t", at=(("p", "m"),))
    world.put((("p", "z"), ("q", 1)))
    world.put((("p", "b"), ("q", 1)))

    assert [(shard.id, shard.parents) for shard in world.shards()] == [
        (parent, ()),
        (lower, (parent,)),
        (upper, (parent,)),
    ]
    page = world.page(world.start(parent))
    assert (len(page.records), page.next_iterator) == (1, None)
    assert [row.key[0][1] for row in world.rows(lower)] == ["b"]
    assert [row.key[0][1] for row in world.rows(upper)] == ["z"]
    assert world.rows(lower)[0].sequence.epoch > world.rows(parent)[0].sequence.epoch


def test_a_split_cuts_at_the_middle_row_when_not_told_where(world):
    world.make_table()
    for key in numbered(10):
        world.put(key)

    world.service.streams.split_shard("demo", "t")

    lower, upper = world.service.streams.shards("demo", "t")[1:]
    for key in numbered(10):
        world.put(key)
    assert (len(world.read(lower.id)), len(world.read(upper.id))) == (5, 5)


def test_a_merge_ends_two_shards_and_has_both_as_parents(world):
    world.make_table()
    lower, upper = world.service.streams.split_shard("demo", "t", at=(("p", "m"),))
    world.put((("p", "z"), ("q", 1)))

    merged = world.service.streams.merge_shards("demo", "t", upper, lower)
    world.put((("p", "z"), ("q", 1)))

    assert world.shards()[-1].parents == (lower, upper)
    assert world.page(world.start(lower)).next_iterator is None
    assert len(world.read(merged)) == 1
    assert world.rows(merged)[0].sequence.timestamp > world.rows(upper)[0].sequence.timestamp


def test_a_reader_at_the_end_of_a_shard_is_told_when_it_is_split(world):
    world.make_table()
    world.put()
    place = world.page(world.start()).next_iterator

    world.service.streams.split_shard("demo", "t", at=(("p", "m"),))

    page = world.page(place)
    assert (page.records, page.next_iterator) == ((), None)


@pytest.mark.parametrize("wrong", ["shard", "key", "closed", "edge"])
def test_a_shard_that_cannot_be_split_stays(world, wrong):
    world.make_table()
    streams = world.service.streams
    first = world.only_shard()
    streams.split_shard("demo", "t", at=(("p", "m"),))
    before = world.shards()
    asked = {
        "shard": {"shard": "none"},
        "key": {"at": (("x", 1),)},
        "closed": {"shard": first, "at": (("p", "b"),)},
        "edge": {"at": (("p", "m"),)},
    }

    with pytest.raises(SpecError):
        streams.split_shard("demo", "t", **asked[wrong])

    assert world.shards() == before


def test_shards_that_are_not_neighbours_are_not_merged(world):
    world.make_table()
    streams = world.service.streams
    lower, upper = streams.split_shard("demo", "t", at=(("p", "m"),))
    _, highest = streams.split_shard("demo", "t", at=(("p", "t"),))

    for pair in ((lower, highest), (lower, lower), (lower, upper)):
        with pytest.raises(SpecError, match="side by side"):
            streams.merge_shards("demo", "t", *pair)


def test_shards_are_described_page_by_page(world):
    world.make_table()
    for at in "bcd":
        world.service.streams.split_shard("demo", "t", at=(("p", at),))
    every = world.shards()

    found, after, pages = [], None, 0
    while pages == 0 or after:
        told = world.call(describe_stream(world.stream(), after, 3))
        found, after, pages = [*found, *told.shards], told.next_shard, pages + 1

    assert (tuple(found), pages) == (every, 3)


# ---- reading


def test_pages_follow_each_other_without_gap(world):
    world.make_table()
    for key in numbered(7):
        world.put(key)

    found, place = [], world.start()
    for _ in range(4):
        page = world.page(place, limit=2)
        found += [record.decoded().key for record in page.records]
        place = page.next_iterator

    assert found == numbered(7)
    assert world.page(place).records == ()


def test_a_page_says_whether_there_is_more_when_the_table_is_named(world):
    world.make_table()
    world.put()
    world.put()
    place = world.start()

    assert [world.page(place, limit, "t").may_more for limit in (1, 2)] == [True, False]
    assert world.page(place, 1).may_more is None
    with pytest.raises(ServiceError, match="does not belong"):
        world.page(place, 1, "other")


def test_a_page_ends_at_four_megabytes(world):
    world.make_table()
    for key in numbered(5):
        world.put(key, Cell("a", "x" * 1_000_000), Cell("b", "x" * 500_000))

    page = world.page(world.start())

    assert len(page.records) == 2
    assert len(world.page(page.next_iterator).records) == 2


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_limit_out_of_range_is_refused(world, limit):
    world.make_table()

    with pytest.raises(ServiceError, match="limit"):
        world.page(world.start(), limit)


@pytest.mark.parametrize("iterator", ["", "x", "x\ty", "x\t1"])
def test_an_iterator_of_no_shard_is_refused_as_trimmed(world, iterator):
    world.make_table()

    with pytest.raises(ServiceError) as caught:
        world.page(iterator)

    assert (caught.value.code, caught.value.status) == ("OTSTrimmedDataAccess", 404)


def test_records_of_another_instance_are_not_read(world):
    world.make_table()
    world.put()
    place = world.start()

    with pytest.raises(ServiceError):
        world.call(get_stream_records(place), instance="other")
    with pytest.raises(ServiceError):
        world.call(describe_stream(world.stream()), instance="other")


def test_a_shard_is_read_from_a_time_on(world):
    world.make_table()
    for key in numbered(10):
        world.put(key)
        world.clock.advance(60)
    times = [row.sequence.timestamp for row in world.rows()]

    for index in range(10):
        assert len(world.read(micros=times[index])) == 10 - index
        assert len(world.read(micros=times[index] + 1)) == 9 - index
    assert len(world.read(micros=0)) == 10


def test_the_first_record_of_a_time_is_found_also_where_time_ran_backwards(world):
    world.make_table()
    for minutes in (0, 10, -6, 1):
        world.clock.advance(60 * minutes)
        world.put()
    times = [row.sequence.timestamp for row in world.rows()]
    assert times[1] > times[3] > times[2] > times[0]

    assert [len(world.read(micros=time)) for time in times] == [4, 3, 3, 3]


def test_a_long_search_by_time_is_answered_with_a_token_first(world, monkeypatch):
    monkeypatch.setattr("airflow_tablestore.emulator.tablestore.streams.SEARCH_RECORDS", 3)
    world.make_table()
    for key in numbered(5):
        world.put(key)
    micros = world.rows()[3].sequence.timestamp
    stream, shard = world.stream(), world.only_shard()

    first = world.call(get_shard_iterator(stream, shard, micros))
    second = world.call(get_shard_iterator(stream, shard, micros, first.next_token))

    assert first.next_token is not None
    assert second.next_token is None
    assert len(world.page(second.iterator).records) == 2
    with pytest.raises(ServiceError, match="token"):
        world.call(get_shard_iterator(stream, shard, micros + 1, first.next_token))


# ---- retention


def test_records_expire_by_the_clock_of_data(world):
    world.make_table()
    world.put(KEY, Cell("a", 1))
    place = world.start()
    world.clock.advance(23 * HOUR)
    world.put(KEY, Cell("a", 2))

    world.clock.advance(2 * HOUR)

    assert [row.cells[0].value for row in world.rows()] == [2]
    with pytest.raises(ServiceError) as caught:
        world.page(place)
    assert (caught.value.code, caught.value.status) == ("OTSTrimmedDataAccess", 404)


def test_a_reader_that_saw_everything_is_not_trimmed(world):
    world.make_table()
    world.put()
    place = world.page(world.start()).next_iterator

    world.clock.advance(100 * HOUR)
    world.put(KEY, Cell("a", 2))

    assert len(world.page(place).records) == 1


def test_a_closed_shard_goes_when_all_it_held_has_expired(world):
    world.make_table()
    world.put()
    parent, place = world.only_shard(), world.start()
    lower, upper = world.service.streams.split_shard("demo", "t", at=(("p", "m"),))
    world.clock.advance(25 * HOUR)

    assert [(shard.id, shard.parents) for shard in world.shards()] == [(lower, (parent,)), (upper, (parent,))]
    with pytest.raises(ServiceError) as caught:
        world.page(place)
    assert caught.value.code == "OTSTrimmedDataAccess"


def test_records_expire_on_command(world):
    world.make_table()
    for key in numbered(4):
        world.put(key)
    place, third = world.start(), world.rows()[2].sequence.timestamp

    world.service.streams.expire("demo", "t", third)

    assert len(world.read()) == 2
    with pytest.raises(ServiceError):
        world.page(place)
    world.service.streams.expire("demo", "t")
    assert world.read() == ()


# ---- renewed, and visible late


def test_a_renewed_stream_keeps_its_settings_and_nothing_else(world):
    world.make_table(spec=pb.StreamSpecification(enable_stream=True, expiration_time=72, columns_to_get=["a"]))
    world.put(KEY, Cell("a", 1))
    before = world.stream()

    made = world.service.renew_stream("demo", "t")
    world.delete()

    (record,) = world.read()
    assert before != made == world.stream()
    assert decode_rows(record.origin)[0].cells == (Cell("a", 1, NOW),)
    assert world.call(describe_stream(made)).expiration_hours == 72


def test_held_records_become_visible_late_in_their_places(world):
    world.make_table()
    streams = world.service.streams
    world.put((("p", "a"), ("q", 1)))
    parent, place = world.only_shard(), world.start()
    streams.hold("demo", "t")
    world.put((("p", "b"), ("q", 1)))
    lower, _ = streams.split_shard("demo", "t", at=(("p", "m"),))
    world.put((("p", "c"), ("q", 1)))

    held = world.page(place, table="t")

    assert (len(held.records), held.may_more) == (1, False)
    assert held.next_iterator is not None
    assert world.page(world.start(lower)).records == ()
    streams.release("demo", "t")
    rest = world.page(held.next_iterator)
    assert (len(rest.records), rest.next_iterator) == (1, None)
    assert [row.key[0][1] for row in world.rows(lower)] == ["c"]
    assert len(world.rows(parent)) == 2
