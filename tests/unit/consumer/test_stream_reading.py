"""Which shards are read in which order, where a span ends, and where a time begins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_tablestore.consumer.shards import describe, families, generations, parents_first
from airflow_tablestore.consumer.stream import END, Place, Position, Reach, Search, SpanReader, begin_of, seek
from airflow_tablestore.errors import PositionLost, ProtocolError, RetryLater
from airflow_tablestore.wire.plainbuffer import decode_rows
from airflow_tablestore.wire.stream import Shard
from tests.conformance.memory_stream import MemoryStream

START = datetime(2026, 11, 20, 8, tzinfo=UTC)


def micros(seconds: float) -> int:
    return int((START + timedelta(seconds=seconds)).timestamp() * 1_000_000)


def a_stream(*seconds: float, **how: Any) -> MemoryStream:
    """A stream with one shard, whose records have these times, in this order."""
    stream = MemoryStream(now=START, **how)
    write(stream, *seconds)
    return stream


def write(stream: MemoryStream, *seconds: float, shard: str | None = None) -> None:
    for second in seconds:
        stream.write(shard, at=START + timedelta(seconds=second))


def first_shard(stream: MemoryStream) -> str:
    return next(iter(stream.shards))


def at_begin(stream: MemoryStream, shard: str | None = None) -> Position:
    return begin_of(stream, stream.stream_id, shard or first_shard(stream))


def read(stream: MemoryStream, start: Position, reach: Reach, **how: Any) -> tuple[list[int], SpanReader]:
    """The ids of the span, and the reader at its end."""
    reader = SpanReader(stream, "t", first_shard(stream), start, reach, **how)
    return [int(decode_rows(r.row)[0].key[0][1]) for page in reader for r in page], reader


# ---- shards


def test_parents_come_before_their_children():
    shards = [Shard("child", ("left", "right")), Shard("left"), Shard("grandchild", ("child",)), Shard("right")]

    assert [s.id for s in parents_first(shards)] == ["left", "right", "child", "grandchild"]


def test_a_parent_that_is_not_listed_is_not_waited_for():
    assert [s.id for s in parents_first([Shard("b", ("gone",)), Shard("a", ("b",))])] == ["b", "a"]


def test_shards_that_are_their_own_ancestors_are_refused():
    with pytest.raises(ProtocolError, match="own ancestors"):
        list(generations([Shard("a", ("b",)), Shard("b", ("a",))]))


def test_families_are_shards_connected_through_parents_that_have_not_ended():
    shards = [Shard("a"), Shard("b"), Shard("c", ("a",)), Shard("d", ("b", "c")), Shard("e", ("gone",)), Shard("f")]

    whole = [[s.id for s in family] for family in families(shards, ())]
    after = [[s.id for s in family] for family in families(shards, ("b", "a"))]

    assert whole == [["a", "b", "c", "d"], ["e"], ["f"]]
    assert after == [["a"], ["b"], ["c", "d"], ["e"], ["f"]]


def test_every_page_of_the_list_of_shards_is_read():
    stream = MemoryStream(now=START, shards=8)

    assert [s.id for s in describe(stream, stream.stream_id).shards] == list(stream.shards)


# ---- spans


@pytest.mark.parametrize("page_records", [1, 2, 3, 1000])
def test_a_span_ends_before_the_first_record_of_its_end(page_records):
    stream = a_stream(1, 2, 3, 10, 11, page_records=page_records)

    ids, reader = read(stream, at_begin(stream), Reach(micros(10)))
    rest, _ = read(stream, reader.end, Reach(micros(100)))

    assert ids == [0, 1, 2]
    assert rest == [3, 4]
    assert reader.end.first is not None
    assert reader.end.first.timestamp == micros(10)


def test_a_record_from_before_stays_behind_the_first_one_of_the_end():
    stream = a_stream(1, 10, 2, 3)

    ids, reader = read(stream, at_begin(stream), Reach(micros(10)))
    later, next_reader = read(stream, reader.end, Reach(micros(20)), since_micros=micros(10))

    assert (ids, later) == ([0], [1, 2, 3])
    assert next_reader.late == 2


def test_a_span_that_has_caught_up_goes_on_where_it_was():
    stream = a_stream(1, 2)

    ids, reader = read(stream, at_begin(stream), Reach(micros(10)))
    write(stream, 3, 12)
    more, _ = read(stream, reader.end, Reach(micros(20)))

    assert (ids, more) == ([0, 1], [2, 3])
    assert reader.end.first is None


def test_a_shard_that_has_ended_is_at_its_end():
    stream = a_stream(1, 2)
    stream.split(first_shard(stream))

    ids, reader = read(stream, at_begin(stream), Reach(micros(10)))

    assert ids == [0, 1]
    assert reader.end == END


def test_an_empty_page_of_a_shared_log_is_no_end():
    stream = a_stream(1, 2, 3, 12, shares_log=True, page_records=2)

    ids, reader = read(stream, at_begin(stream), Reach(micros(10)))

    assert ids == [0, 1, 2]
    assert reader.end.first is not None


@pytest.mark.parametrize("shares_log", [False, True])
@pytest.mark.parametrize("page_records", [1, 2, 1000])
def test_a_known_end_is_met_by_its_record_whatever_the_times_say(page_records, shares_log):
    stream = a_stream(1, 2, 10, 3, page_records=page_records, shares_log=shares_log)
    _, reader = read(stream, at_begin(stream), Reach(micros(10)))
    write(stream, 4)

    ids, again = read(stream, at_begin(stream), Reach(stop=reader.end))

    assert ids == [0, 1]
    assert again.end == reader.end


@pytest.mark.parametrize("shares_log", [False, True])
@pytest.mark.parametrize("page_records", [1, 2, 1000])
def test_a_known_end_without_a_record_holds_when_records_have_come_since(page_records, shares_log):
    stream = a_stream(1, 2, page_records=page_records, shares_log=shares_log)
    _, reader = read(stream, at_begin(stream), Reach(micros(10)))
    write(stream, 3, 12)

    ids, again = read(stream, at_begin(stream), Reach(stop=reader.end))

    assert ids == [0, 1]
    assert again.end == reader.end


def test_a_known_end_holds_for_records_that_come_while_it_is_read():
    stream = a_stream(1, 2, page_records=1)
    _, first = read(stream, at_begin(stream), Reach(micros(10)))
    reader = SpanReader(stream, "t", first_shard(stream), at_begin(stream), Reach(stop=first.end))

    count = 0
    for page in reader:
        count += len(page)
        write(stream, 3)

    assert count == 2


def test_a_search_does_not_pass_a_boundary_that_is_known():
    stream = a_stream(1, 2)
    _, reader = read(stream, at_begin(stream), Reach(micros(20)))
    write(stream, 3, 4)  # visible too late: they belong behind what was fixed as the place of 20

    ids, earlier = read(stream, at_begin(stream), Reach(micros(10), reader.end))

    assert ids == [0, 1]
    assert earlier.end == reader.end


def test_what_was_seen_and_is_not_visible_now_is_no_end():
    stream = a_stream(1)
    stream.hold()
    write(stream, 2, 12)
    stream.release()
    _, reader = read(stream, at_begin(stream), Reach(micros(10)))
    stream.shards[first_shard(stream)].seen = (1, False)

    with pytest.raises(RetryLater, match="not visible"):
        read(stream, at_begin(stream), Reach(stop=reader.end))


def test_an_expired_beginning_is_noticed():
    stream = a_stream(1, 2, hours=1)
    start = at_begin(stream)
    stream.advance(hours=2)

    with pytest.raises(PositionLost):
        read(stream, start, Reach(micros(10)))


def test_what_was_fetched_beyond_a_span_is_not_fetched_again():
    stream, ahead = a_stream(1, 2, 10, 11, 20), dict[str, Any]()
    _, reader = read(stream, at_begin(stream), Reach(micros(10)), ahead=ahead)
    stream.asked.clear()

    ids, _ = read(stream, reader.end, Reach(micros(20)), ahead=ahead)

    assert ids == [2, 3]
    assert stream.asked == ["GetStreamRecord"]  # the place of the next end


def test_a_reader_has_no_end_before_it_has_read():
    stream = a_stream(1)

    with pytest.raises(ProtocolError, match="has not been read"):
        _ = SpanReader(stream, "t", first_shard(stream), at_begin(stream), Reach(micros(10))).end


# ---- searching


def positions(stream: MemoryStream, seconds: float, **known: Any) -> dict[str, Position]:
    return Search(stream, "t", describe(stream, stream.stream_id), micros(seconds), **known).positions()


def test_a_search_by_time_follows_its_tokens():
    stream = a_stream(*range(0, 4000, 100))

    place = seek(stream, stream.stream_id, first_shard(stream), micros(2000))
    ids, _ = read(stream, place, Reach(micros(2000)))

    assert stream.asked.count("GetShardIterator") == 2
    assert ids == list(range(14, 20))  # from ten minutes before


def test_a_child_stays_at_its_beginning_until_its_parents_have_ended():
    stream = a_stream(1, 12)
    child = stream.birth(first_shard(stream))
    write(stream, 2, 13, shard=child)

    found = positions(stream, 10)

    assert found[first_shard(stream)].place is Place.AT
    assert found[child].place is Place.BEGIN


def test_a_child_of_ended_parents_is_searched_too():
    stream = a_stream(1, shards=2)
    left, right = stream.shards
    child = stream.merge(left, right)
    write(stream, 2, 13, shard=child)

    found = positions(stream, 10)

    assert found[left] == found[right] == END
    assert found[child].first is not None
    assert found[child].first.timestamp == micros(13)


def test_a_merged_child_waits_for_both_parents():
    stream = a_stream(1, shards=2)
    left, right = stream.shards
    child = stream.birth(left, right)
    stream.end(left)
    write(stream, 2, shard=child)

    found = positions(stream, 10)

    assert found[left] == END
    assert found[child].place is Place.BEGIN


def test_a_search_lies_between_what_is_known():
    stream = a_stream(1, 2)
    later = positions(stream, 900)
    write(stream, 30, 700)

    assert positions(stream, 600, later=later) == later


def test_a_search_by_time_begins_before_a_late_record_of_the_later_boundary():
    stream = a_stream(1, 2)
    later = positions(stream, 3600)
    write(stream, 30, 3000)  # the place of 3600 is before the record of 30, far from where the service would begin

    assert positions(stream, 2900, later=later) == later


def test_a_search_from_an_expired_boundary_begins_by_time():
    stream = a_stream(1, hours=1)
    earlier = positions(stream, 1)
    stream.advance(minutes=70)
    write(stream, 4000, 4100)

    found = positions(stream, 4050, earlier=earlier)

    assert found[first_shard(stream)].first is not None
    assert found[first_shard(stream)].first.timestamp == micros(4100)


def test_the_requests_of_a_search_do_not_grow_with_the_backlog():
    asked = []
    for hours in (1, 24):
        stream = a_stream(*range(0, hours * 3600, 60), hours=48, page_records=20)
        stream.asked.clear()
        positions(stream, hours * 3600 - 1800)
        asked.append(len(stream.asked))

    assert asked[0] == asked[1] < 8
