"""The stream operations, and what a test may do to a stream: split, merge, expire.

Records expire by the clock of data. What is expired is deleted when somebody asks for the stream, so a place in front
of it is gone for good, also when a test moves the time back. An iterator names a shard and a place in it, nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import replace

from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.tablestore import shards
from airflow_tablestore.emulator.tablestore.cells import read_change
from airflow_tablestore.emulator.tablestore.changelog import StreamLog
from airflow_tablestore.emulator.tablestore.errors import (
    ServiceError,
    invalid,
    stream_missing,
    trimmed,
)
from airflow_tablestore.emulator.tablestore.keys import match_key, sort_key
from airflow_tablestore.emulator.tablestore.shards import Kept, Shard
from airflow_tablestore.emulator.tablestore.storage import Store
from airflow_tablestore.emulator.tablestore.table import Table
from airflow_tablestore.errors import RecordError, SpecError
from airflow_tablestore.wire.plainbuffer import encode_key
from airflow_tablestore.wire.proto import table_pb2 as pb
from airflow_tablestore.wire.row import PrimaryKey

HOUR_MICROS = 3_600_000_000
MOST_RECORDS = 1000
PAGE_BYTES = 4 * 1024 * 1024
UNIT_BYTES = 4096
SEARCH_RECORDS = 1000
"""A search by time among more records than this takes a second call with a token, so that clients meet tokens."""


class Streams:
    """Reads streams; safe to call from many threads. `log` writes them, in the same store."""

    def __init__(self, store: Store, clock: Clock, log: StreamLog):
        self._store, self._clock, self._log = store, clock, log
        self._held: dict[str, dict[int, Shard]] = {}  # by stream and number: the shards as readers see them meanwhile

    # ---- operations of the service

    def list(self, instance: str, request: pb.ListStreamRequest) -> pb.ListStreamResponse:
        """The streams of a table, or of all tables."""
        tables = self._store.streamed(instance)
        if request.table_name:
            wanted = self._store.table(instance, request.table_name)
            tables = [table for table in tables if table.id == wanted.id]
        answer = pb.ListStreamResponse()
        with self._store.reading() as connection:
            for table in tables:
                created = shards.stream_created(connection, table.stream_id)
                if created is not None:
                    answer.streams.add(stream_id=table.stream_id, table_name=table.name, creation_time=created)
        return answer

    def describe(self, instance: str, request: pb.DescribeStreamRequest) -> pb.DescribeStreamResponse:
        """A stream and its shards, parents before children, `shard_limit` of them."""
        table = self._table(instance, request.stream_id, stream_missing)
        limit = request.shard_limit if request.HasField("shard_limit") else None
        if limit is not None and limit < 1:
            raise invalid("The shard limit must be greater than 0.")
        self._expire(table)
        with self._store.reading() as connection:
            created = shards.stream_created(connection, table.stream_id)
            found = shards.shards_of(connection, table.stream_id)
        if created is None:
            raise stream_missing()
        start = request.inclusive_start_shard_id
        if start:
            places = [place for place, shard in enumerate(found) if shard.id == start]
            if not places:
                raise stream_missing()
            found = found[places[0] :]
        answer = pb.DescribeStreamResponse(
            stream_id=table.stream_id,
            expiration_time=table.stream_hours,
            table_name=table.name,
            creation_time=created,
            stream_status=pb.STREAM_ACTIVE,
        )
        for shard in found[:limit]:
            answer.shards.add(
                shard_id=shard.id, parent_id=shard.parent or None, parent_sibling_id=shard.sibling or None
            )
        if limit is not None and len(found) > limit:
            answer.next_shard_id = found[limit].id
        return answer

    def iterator(self, instance: str, request: pb.GetShardIteratorRequest) -> pb.GetShardIteratorResponse:
        """Where a shard begins, or where its records of a time begin (perhaps only when asked again with the token)."""
        table = self._table(instance, request.stream_id, stream_missing)
        self._expire(table)
        with self._store.reading() as connection:
            shard = shards.shard_named(connection, request.shard_id)
            if shard is None or shard.stream != table.stream_id:
                raise stream_missing()
            shard = self._seen(shard)
            if not request.HasField("timestamp"):
                return pb.GetShardIteratorResponse(shard_iterator=_iterator(shard, shard.first))
            token = f"{shard.id}\t{request.timestamp}"
            if request.token and request.token != token:
                raise invalid("The token does not belong to this shard and timestamp.")
            if not request.token and shard.next - shard.first > SEARCH_RECORDS:
                return pb.GetShardIteratorResponse(shard_iterator=_iterator(shard, shard.first), next_token=token)
            place = shards.place_of_time(connection, shard, request.timestamp)
            return pb.GetShardIteratorResponse(shard_iterator=_iterator(shard, place))

    def records(self, instance: str, request: pb.GetStreamRecordRequest) -> pb.GetStreamRecordResponse:
        """The records from an iterator on: `limit` of them, or 4 MB."""
        limit = request.limit if request.HasField("limit") else MOST_RECORDS
        if not 1 <= limit <= MOST_RECORDS:
            raise invalid(f"The limit must be in range: [1, {MOST_RECORDS}].")
        id_, place = _place(request.shard_iterator)
        with self._store.reading() as connection:
            shard = shards.shard_named(connection, id_)
        if shard is None:
            raise trimmed()
        table = self._table(instance, shard.stream, trimmed)
        if request.HasField("table_name") and request.table_name != table.name:
            raise invalid("The shard iterator does not belong to the table.")
        self._expire(table)
        with self._store.reading() as connection:
            shard = shards.shard_named(connection, id_)
            shard = shard and self._seen(shard)
            if shard is None or not shard.first <= place <= shard.next:
                raise trimmed()
            limit = min(limit, shard.next - place)
            with closing(shards.records_from(connection, shard, place, limit)) as found:
                kept = _page(found)
        return _answer(shard, place, kept, tells_more=request.HasField("table_name"))

    # ---- beside the service

    def table_of(self, instance: str, stream: str, iterator: str) -> str:
        """The name of the table that has this stream, or the shard of this iterator; empty when there is none."""
        if not stream:
            with self._store.reading() as connection:
                shard = shards.shard_named(connection, iterator.partition("\t")[0])
            stream = shard.stream if shard else ""
        return next((table.name for table in self._store.streamed(instance) if table.stream_id == stream), "")

    def table(self, instance: str, name: str) -> Table:
        """A table that has a stream.

        :raises SpecError: there is none of that name.
        """
        for table in self._store.streamed(instance):
            if table.name == name:
                return table
        raise SpecError(f"The instance {instance!r} has no table {name!r} with a stream.")

    def shards(self, instance: str, table: str) -> tuple[Shard, ...]:
        """The shards of a table's stream, parents before children."""
        streamed = self.table(instance, table)
        self._expire(streamed)
        with self._store.reading() as connection:
            return tuple(shards.shards_of(connection, streamed.stream_id))

    def split_shard(
        self, instance: str, table: str, shard: str | None = None, at: PrimaryKey | None = None
    ) -> tuple[str, str]:
        """Splits an open shard in two; the new ones' ids, lower keys first.

        :param shard: which; by default the one that holds `at`, or the one with the most records.
        :param at: the first key (or the beginning of a key) of the upper part; by default the middle row's.
        :raises SpecError: there is no such open shard, or nowhere to cut it.
        """
        streamed = self.table(instance, table)
        key = None if at is None else _sort_key(streamed, at)
        with self._store.transaction() as connection:
            found = [one for one in shards.shards_of(connection, streamed.stream_id) if one.is_open]
            if shard is not None:
                found = [one for one in found if one.id == shard]
            elif key is not None:
                found = [one for one in found if one.holds(key)]
            if not found:
                raise SpecError(f"The stream of {table!r} has no open shard {shard or at!r}.")
            chosen = max(found, key=lambda one: one.next - one.first)
            cut = self._store.middle_key(streamed, chosen.low, chosen.high) if key is None else key
            if cut is None or cut == chosen.low or not chosen.holds(cut):
                raise SpecError(
                    f"The shard {chosen.id} cannot be cut there; name a key between its first and its last."
                )
            made = shards.split(connection, chosen, cut, self._clock.micros())
            self._log.forget(streamed)
        return made

    def merge_shards(self, instance: str, table: str, shard: str, other: str) -> str:
        """Merges two open neighbours; the new shard's id.

        :raises SpecError: they are not open, or no neighbours.
        """
        streamed = self.table(instance, table)
        with self._store.transaction() as connection:
            found = [
                one
                for one in shards.shards_of(connection, streamed.stream_id)
                if one.is_open and one.id in (shard, other)
            ]
            found.sort(key=lambda one: one.low)
            if len(found) != 2 or found[0].high != found[1].low:
                raise SpecError(f"{shard} and {other} are not two open shards of {table!r} that lie side by side.")
            made = shards.merge(connection, found[0], found[1], self._clock.micros())
            self._log.forget(streamed)
        return made

    def expire(self, instance: str, table: str, before_micros: int | None = None) -> None:
        """Lets records expire now: those before the first one of a record time, or all."""
        streamed = self.table(instance, table)
        with self._store.transaction() as connection:
            for shard in shards.shards_of(connection, streamed.stream_id):
                end = shard.next
                if before_micros is not None:
                    end = shards.place_of_time(connection, shard, before_micros)
                shards.trim(connection, shard, end)

    def hold(self, instance: str, table: str) -> None:
        """Shows no record from now on until `release`: those written meanwhile become visible late, all at once."""
        streamed = self.table(instance, table)
        with self._store.transaction() as connection:
            found = shards.shards_of(connection, streamed.stream_id)
            self._held[streamed.stream_id] = {shard.n: shard for shard in found}

    def release(self, instance: str, table: str) -> None:
        """Shows every record again."""
        self._held.pop(self.table(instance, table).stream_id, None)

    # ---- the rest

    def _seen(self, shard: Shard) -> Shard:
        held = self._held.get(shard.stream)
        if held is None:
            return shard
        then = held.get(shard.n)
        if then is None:
            return replace(shard, next=shard.first, closed_micros=None)
        return replace(shard, next=max(shard.first, then.next), closed_micros=then.closed_micros)

    def _table(self, instance: str, stream: str, missing: Callable[[], ServiceError]) -> Table:
        for table in self._store.streamed(instance):
            if table.stream_id == stream:
                return table
        raise missing()

    def _expire(self, table: Table) -> None:
        cutoff = self._clock.micros() - table.stream_hours * HOUR_MICROS
        with self._store.reading() as connection:
            found = shards.shards_of(connection, table.stream_id)
            if not any(shards.is_stale(connection, shard, cutoff) for shard in found):
                return
        with self._store.transaction() as connection:
            for shard in shards.shards_of(connection, table.stream_id):
                if shards.is_stale(connection, shard, cutoff):
                    shards.trim(connection, shard, shards.place_of_time(connection, shard, cutoff))
            for shard in shards.shards_of(connection, table.stream_id):
                if shard.first == shard.next and shards.is_stale(connection, shard, cutoff):
                    shards.forget(connection, shard)


def _iterator(shard: Shard, place: int) -> str:
    return f"{shard.id}\t{place:016x}"


def _place(iterator: str) -> tuple[str, int]:
    id_, _, place = iterator.partition("\t")
    try:
        return id_, int(place, 16)
    except ValueError:
        raise trimmed() from None


def _page(found: Iterable[Kept]) -> list[Kept]:
    kept: list[Kept] = []
    size = 0
    for one in found:
        size += len(one.record) + len(one.origin or b"")
        if kept and size > PAGE_BYTES:
            break
        kept.append(one)
    return kept


def _answer(shard: Shard, place: int, kept: list[Kept], *, tells_more: bool) -> pb.GetStreamRecordResponse:
    answer = pb.GetStreamRecordResponse()
    for one in kept:
        answer.stream_records.add(action_type=one.action, record=one.record, origin_record=one.origin)
    end = place + len(kept)
    if shard.is_open or end < shard.next:
        answer.next_shard_iterator = _iterator(shard, end)
    if tells_more:
        answer.may_more_record = end < shard.next
    size = sum(len(one.record) for one in kept)
    answer.consumed.capacity_unit.read = max(1, -(-size // UNIT_BYTES))
    return answer


def _sort_key(table: Table, key: PrimaryKey) -> bytes:
    try:
        parts = read_change(encode_key(key)).parts
        match_key(parts, table.keys[: len(parts)])
    except (ServiceError, RecordError) as error:
        raise SpecError(f"{key!r} is no beginning of a key of {table.name!r}: {error}") from error
    return sort_key(parts)
