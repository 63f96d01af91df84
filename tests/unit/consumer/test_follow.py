"""Changes of a stream as they come, from a stream in memory that splits, merges, hides and expires."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_tablestore.consumer.follow import follow, places_of_now
from airflow_tablestore.consumer.shards import describe
from airflow_tablestore.consumer.stream import Search
from airflow_tablestore.errors import PositionLost, Rejected
from tests.conformance.memory_stream import MemoryStream

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


class Watch:
    """Follows a stream; at each pause the next of `happenings` happens, and after the last one it stops."""

    def __init__(self, stream: MemoryStream, *happenings: Callable[[], object]):
        self._stream, self._happenings = stream, list(happenings)

    def wait(self, seconds: float) -> bool:
        if not self._happenings:
            return True
        self._happenings.pop(0)()
        return False

    def seen(self, start=None, **options) -> list[tuple[str, int]]:
        """The shard and the row of each change, in the order in which they came."""
        stream = self._stream
        changes = follow(stream, stream.table, stream.stream_id, start or {}, wait=self.wait, **options)
        return [(change.shard, change.record.decoded().key[0][1]) for change in changes]

    def rows(self, start=None, **options) -> list[int]:
        return [row for _, row in self.seen(start, **options)]


def test_changes_come_as_they_are_written():
    stream = MemoryStream(now=NOW)
    stream.write()

    assert Watch(stream, stream.write, stream.write).rows() == [0, 1, 2]


def test_children_are_read_after_both_parents():
    stream = MemoryStream(now=NOW, shards=2, page_records=1)
    lower, upper = stream.open
    for shard in (lower, upper, upper, upper, lower):
        stream.write(shard)
    child = stream.merge(lower, upper)
    stream.write(child)

    seen = Watch(stream).seen()

    assert [shard for shard, _ in seen][-1] == child
    assert sorted(row for _, row in seen) == [0, 1, 2, 3, 4, 5]


def test_a_child_waits_for_a_parent_that_has_not_ended():
    stream = MemoryStream(now=NOW)
    (parent,) = stream.open
    child = stream.birth(parent)
    stream.write(child)

    seen = Watch(stream, lambda: stream.write(parent), lambda: stream.end(parent)).seen()

    assert seen == [(parent, 1), (child, 0)]


def test_a_split_that_comes_while_somebody_looks_is_followed():
    stream = MemoryStream(now=NOW)
    (parent,) = stream.open

    def split() -> None:
        stream.write(parent)
        for child in stream.split(parent):
            stream.write(child)

    assert sorted(Watch(stream, split).rows()) == [0, 1, 2]


def test_pages_of_nothing_in_a_shared_log_are_not_its_end():
    stream = MemoryStream(now=NOW, shares_log=True, page_records=2)
    for _ in range(5):
        stream.write()

    assert Watch(stream).rows(ends_when_caught_up=True) == [0, 1, 2, 3, 4]


def test_a_look_from_now_leaves_out_what_was():
    stream = MemoryStream(now=NOW, shards=2)
    for shard in stream.open:
        stream.write(shard)
    stream.advance(minutes=1)
    start = places_of_now(stream, describe(stream, stream.stream_id), stream.micros)

    assert Watch(stream, stream.write).rows(start) == [2]


def test_a_look_from_a_time_begins_with_its_first_change():
    stream = MemoryStream(now=NOW)
    stream.write()
    (parent,) = stream.open
    lower, upper = stream.split(parent)
    stream.write(lower)
    stream.advance(hours=1)
    time = stream.micros
    stream.write(upper)
    start = Search(stream, stream.table, describe(stream, stream.stream_id), time).positions()

    assert Watch(stream, lambda: stream.write(lower)).rows(start) == [2, 3]


def test_what_expires_before_it_is_seen_is_lost_aloud():
    stream = MemoryStream(now=NOW)
    stream.write()
    start = Search(stream, stream.table, describe(stream, stream.stream_id), stream.micros).positions()
    stream.advance(hours=25)

    with pytest.raises(PositionLost):
        Watch(stream).rows(start)


def test_a_stream_that_was_switched_off_is_told():
    stream = MemoryStream(now=NOW)
    (shard,) = stream.open
    old = stream.stream_id

    def renew() -> None:
        stream.end(shard)
        stream.stream_id = "another"

    with pytest.raises(Rejected):
        list(follow(stream, stream.table, old, {}, wait=Watch(stream, renew).wait))


STEPS = st.lists(
    st.sampled_from(["write", "write", "write", "split", "merge", "hold", "release", "pause"]), max_size=25
)


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(STEPS, st.integers(1, 3), st.integers(1, 4), st.booleans(), st.randoms(use_true_random=False))
def test_every_change_comes_once_and_after_those_of_its_shards_parents(steps, shards, page, shares_log, random):
    stream = MemoryStream(now=NOW, shards=shards, page_records=page, shares_log=shares_log)
    written: dict[int, str] = {}
    parents: dict[str, tuple[str, ...]] = dict.fromkeys(stream.open, ())

    def change(step: str) -> None:
        stream.advance(seconds=1)
        if step == "write":
            shard = random.choice(stream.open)
            written[stream.write(shard)] = shard
        elif step == "split":
            parent = random.choice(stream.open)
            parents.update(dict.fromkeys(stream.split(parent), (parent,)))
        elif step == "merge" and len(stream.open) > 1:
            pair = tuple(random.sample(stream.open, 2))
            parents[stream.merge(*pair)] = pair
        elif step in ("hold", "release"):
            getattr(stream, step)()

    def part(of: list[str]) -> Callable[[], None]:
        return lambda: [change(step) for step in of] and None

    cuts = [n for n, step in enumerate(steps) if step == "pause"]
    parts = [steps[a:b] for a, b in zip([0, *cuts], [*cuts, len(steps)], strict=True)]
    seen = Watch(stream, *(part(of) for of in parts), stream.release).seen()

    assert sorted(row for _, row in seen) == sorted(written)
    assert all(written[row] == shard for shard, row in seen)
    place = {shard: [n for n, (at, _) in enumerate(seen) if at == shard] for shard in parents}
    assert all(
        max(place[parent], default=-1) < min(place[child], default=len(seen))
        for child, both in parents.items()
        for parent in both
    )
