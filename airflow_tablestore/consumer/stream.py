"""Which shards a reader of a stream reads, in which order, from where to where.

A *position* is a place between two records of a shard. Where a time begins in a shard is found by reading: the first
record with that time or a later one, wherever the clock went after it. The service's own search by time is only trusted
to lead to some place before that. Records are handed on as they came; what they become is decided in `pipeline`.

Iterators are opaque, so two positions are compared by the first record after them, which a log never changes.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from airflow_tablestore.consumer.shards import StreamShape, generations
from airflow_tablestore.consumer.table import Sender
from airflow_tablestore.errors import PositionLost, ProtocolError, RetryLater
from airflow_tablestore.wire.call import Call
from airflow_tablestore.wire.row import SequenceInfo
from airflow_tablestore.wire.stream import (
    MOST_RECORDS,
    Shard,
    StreamPage,
    StreamRecord,
    get_shard_iterator,
    get_stream_records,
)

T = TypeVar("T")

SEEK_MICROS = 10 * 60 * 1_000_000
"""So much earlier than the time that is looked for the service is asked to begin. Source: OTSStreamReader does so."""

MOST_TOKENS = 10_000
"""A search by time that takes more steps than this never ends."""


class StreamSender(Protocol):
    """What can send a call and tell the service's time: the client, or a fake."""

    def send(self, call: Call[T]) -> T: ...

    def service_time(self) -> datetime | None:
        """The service's clock now (UTC); None before the first answer."""
        ...


class ShardSpan(Protocol):
    """The records of one shard between two positions, page by page. Iterating reads; it is done once.

    `shard` is the shard's id.
    """

    @property
    def shard(self) -> str: ...

    def __iter__(self) -> Iterator[Sequence[StreamRecord]]: ...


# ---- a place in a shard


class Place(enum.StrEnum):
    """Where a position is: before every record, somewhere, or behind the last record that will ever be."""

    BEGIN = "begin"
    AT = "at"
    END = "end"


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a shard.

    `iterator` stands there. BEGIN may have one, which then names the oldest record of that moment, so that reading
    notices when it has expired. `first` is the record that comes next; None when there was none yet.
    """

    place: Place
    iterator: str = ""
    first: SequenceInfo | None = None

    @property
    def is_end(self) -> bool:
        return self.place is Place.END


BEGIN, END = Position(Place.BEGIN), Position(Place.END)


def begin_of(sender: Sender, stream_id: str, shard: str) -> Position:
    """Before the oldest record that is kept now."""
    return Position(Place.BEGIN, sender.send(get_shard_iterator(stream_id, shard)).iterator)


def first_at(sender: Sender, iterator: str, table: str) -> SequenceInfo | None:
    """The record that comes next at a place; None when there is none yet."""
    while True:
        page = sender.send(get_stream_records(iterator, 1, table))
        if page.records:
            return page.records[0].sequence
        if not page.may_more or page.next_iterator in (None, iterator):
            return None
        iterator = page.next_iterator or iterator


# ---- reading


Ahead = MutableMapping[str, StreamPage]
"""What was fetched beyond the end of a span, by the iterator of that end: the next span begins with it."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How far to read: to the first record of `micros` or later, and never beyond `stop`. At least one is given.

    Without `micros` it is an error not to come to `stop`.
    """

    micros: int | None = None
    stop: Position | None = None


class SpanReader:
    """Reads a shard from a position on. Once iterated to its end: `end` is where that was, `late` counts the records
    older than `since_micros`.

    :raises PositionLost: while iterating: the service no longer keeps the beginning.
    """

    def __init__(
        self,
        sender: Sender,
        table: str,
        shard: str,
        start: Position,
        reach: Reach,
        *,
        since_micros: int = 0,
        ahead: Ahead | None = None,
    ):
        """:param start: with an iterator, unless it is END or nothing is to be read."""
        self.shard, self.late, self.records = shard, 0, 0
        self._sender, self._table, self._start, self._reach = sender, table, start, reach
        self._since = since_micros
        self._ahead: Ahead = {} if ahead is None else ahead
        self._end: Position | None = None
        self._stop_first = reach.stop.first if reach.stop else None

    @property
    def end(self) -> Position:
        if self._end is None:
            raise ProtocolError(f"shard {self.shard} has not been read to the end of its span")
        return self._end

    def __iter__(self) -> Iterator[Sequence[StreamRecord]]:
        stop = self._reach.stop
        if self._start.is_end or (stop is not None and stop.place is Place.BEGIN):
            self._end = self._start if self._start.is_end or stop is None else stop
            return
        iterator = self._start.iterator
        while True:
            if stop is not None and stop.place is Place.AT and stop.iterator == iterator:
                self._end = stop
                return
            page = self._ahead.pop(iterator, None) or self._page(iterator, MOST_RECORDS)
            sequences = [record.sequence for record in page.records]
            count, end = self._inside(iterator, page, sequences)
            self.records += count
            self.late += sum(sequence.timestamp < self._since for sequence in sequences[:count])
            if count:
                yield page.records[:count]
            if end is not None:
                self._end = end
                return
            if page.next_iterator is None or page.next_iterator == iterator:
                raise ProtocolError(f"shard {self.shard}: the service goes on where it has been already")
            iterator = page.next_iterator

    def _page(self, iterator: str, limit: int) -> StreamPage:
        return self._sender.send(get_stream_records(iterator, limit, self._table))

    def _inside(
        self, iterator: str, page: StreamPage, sequences: Sequence[SequenceInfo]
    ) -> tuple[int, Position | None]:
        """How many of a page's records belong to the span, and its end when that is here."""
        stop, micros, beyond = self._reach.stop, self._reach.micros, len(sequences)
        if stop is not None and stop.place is Place.AT and sequences:
            first = self._first_after(stop)
            beyond = next((n for n, sequence in enumerate(sequences) if sequence == first), beyond)
        if micros is not None:
            for number, sequence in enumerate(sequences[:beyond]):
                if sequence.timestamp >= micros:
                    return number, self._cut(iterator, page, number)
        if beyond < len(sequences):
            self._keep(self._reach.stop, page, beyond)
            return beyond, stop
        if page.next_iterator is None:
            return beyond, self._ended()
        if not sequences and not page.may_more:
            return 0, self._caught_up(page.next_iterator)
        return beyond, None

    def _first_after(self, stop: Position) -> SequenceInfo | None:
        """The record at `stop`, if there is one by now.

        Asked after a page was fetched: had the page a record from beyond, this look would find the first of those.
        """
        if self._stop_first is None:
            self._stop_first = first_at(self._sender, stop.iterator, self._table)
        return self._stop_first

    def _cut(self, iterator: str, page: StreamPage, count: int) -> Position:
        """The position behind the first `count` records of a page."""
        left = count
        while left:
            before = self._page(iterator, left)
            if before.next_iterator is None or not (before.records or before.may_more):
                raise ProtocolError(f"shard {self.shard}: records that were read are not there when asked for again")
            left, iterator = left - len(before.records), before.next_iterator
        position = Position(Place.AT, iterator, page.records[count].sequence)
        self._keep(position, page, count)
        return position

    def _keep(self, position: Position | None, page: StreamPage, count: int) -> None:
        """What was fetched from beyond a position, for whoever reads on from there."""
        if position is not None:
            self._ahead[position.iterator] = StreamPage(page.records[count:], page.next_iterator, page.may_more)

    def _ended(self) -> Position:
        stop = self._reach.stop
        if stop is None or stop.is_end:
            return END
        if self._stop_first is not None:
            raise ProtocolError(f"shard {self.shard} ended before the record {self._stop_first}, which was seen before")
        return stop

    def _caught_up(self, iterator: str) -> Position:
        stop = self._reach.stop
        if stop is None:
            return Position(Place.AT, iterator)
        if stop.is_end or self._stop_first is not None:
            told = f"shard {self.shard}: what was seen before is not visible now"
            raise RetryLater(told, operation="GetStreamRecord", code="NotVisible")
        return stop


# ---- searching


def seek(sender: Sender, stream_id: str, shard: str, micros: int) -> Position:
    """A place before the first record of a time or later, by the service's own search."""
    asked = max(micros - SEEK_MICROS, 0) or None
    answer, seen = sender.send(get_shard_iterator(stream_id, shard, asked)), 0
    while answer.next_token is not None:
        seen += 1
        if seen > MOST_TOKENS:
            raise ProtocolError(f"GetShardIterator of {shard} has given {seen} tokens and no place")
        answer = sender.send(get_shard_iterator(stream_id, shard, asked, answer.next_token))
    return Position(Place.AT, answer.iterator)


@dataclass(frozen=True, slots=True)
class Search:
    """Looks for the positions of a time in the shards of a stream.

    `earlier` and `later` are the positions of the nearest times that are known: what is found lies between them.
    """

    sender: Sender
    table: str
    shape: StreamShape
    micros: int
    earlier: Mapping[str, Position] | None = None
    later: Mapping[str, Position] | None = None

    def positions(self, threads: int = 1) -> dict[str, Position]:
        """The position of every shard that is listed. A child stays before its records until its parents have ended."""
        found: dict[str, Position] = {}
        with ThreadPoolExecutor(max(threads, 1), thread_name_prefix="search") as pool:
            for generation in generations(self.shape.shards):
                before = dict(found)
                places = pool.map(lambda shard: self._position(shard, before), generation)  # noqa: B023
                found.update(zip((shard.id for shard in generation), places, strict=True))
        return found

    def _position(self, shard: Shard, found: Mapping[str, Position]) -> Position:
        stop = None if self.later is None else self.later.get(shard.id, BEGIN)
        if stop is not None and stop.place is Place.BEGIN:
            return stop
        if any(parent in found and not found[parent].is_end for parent in shard.parents):
            return begin_of(self.sender, self.shape.id, shard.id)
        start = None if self.earlier is None else self.earlier.get(shard.id, BEGIN)
        if start is not None and start.place is Place.BEGIN and not start.iterator:
            start = begin_of(self.sender, self.shape.id, shard.id)
        try:
            if start is not None:
                return self._read(shard.id, start, stop)
        except PositionLost:
            pass  # it lies before the time that is looked for; whether that is still kept shows below
        return self._read(shard.id, self._sought(shard.id, stop), stop)

    def _sought(self, shard: str, stop: Position | None) -> Position:
        """A place that is before the time, and before `stop` too: there may be a record that came late."""
        micros = self.micros
        if stop is not None and stop.place is Place.AT:
            first = stop.first or first_at(self.sender, stop.iterator, self.table)
            micros = min(micros, first.timestamp) if first else micros
        return seek(self.sender, self.shape.id, shard, micros)

    def _read(self, shard: str, start: Position, stop: Position | None) -> Position:
        reader = SpanReader(self.sender, self.table, shard, start, Reach(self.micros, stop))
        for _ in reader:
            pass
        return reader.end
