"""The changes of a stream as they come, from all its shards, for as long as somebody wants them.

No window and no position that is kept: this is for looking. Changes of one row come in their order, since a shard is
read after its parents; between shards there is no order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from airflow_tablestore.consumer.shards import StreamShape, describe
from airflow_tablestore.consumer.stream import SEEK_MICROS, Position, begin_of, seek
from airflow_tablestore.consumer.table import Sender
from airflow_tablestore.wire.stream import Shard, StreamPage, StreamRecord, get_stream_records

POLL_SECONDS = 1.0
"""Between two looks at a stream where nothing new was; each look costs a request for every open shard."""


@dataclass(frozen=True, slots=True)
class Change:
    """One record, and the shard it is from."""

    shard: str
    record: StreamRecord


def places_of_now(sender: Sender, shape: StreamShape, now_micros: int) -> dict[str, Position]:
    """Where each shard's records of now begin, by the service's own search: exact enough for who looks on from now."""
    return {shard.id: seek(sender, shape.id, shard.id, now_micros + SEEK_MICROS) for shard in shape.shards}


def follow(
    sender: Sender,
    table: str,
    stream_id: str,
    start: Mapping[str, Position],
    *,
    wait: Callable[[float], bool | None],
    ends_when_caught_up: bool = False,
) -> Iterator[Change]:
    """The records from `start` on; a shard that is not in it is read from its beginning.

    :param wait: waits so many seconds, and says whether to stop; asked whenever nothing new was there.
    :param ends_when_caught_up: stop where `wait` would be asked.
    :raises PositionLost: records expired before they were read.
    :raises Rejected: the stream was switched off.
    """
    shape = describe(sender, stream_id)
    reading: dict[str, str] = {shard: place.iterator for shard, place in start.items() if not place.is_end}
    over = {shard for shard, place in start.items() if place.is_end}
    while True:
        is_quiet, has_ended = True, False
        for shard in shape.shards:
            if shard.id in over or not _is_ready(shard, shape.shards, over):
                continue
            iterator = reading.get(shard.id) or begin_of(sender, stream_id, shard.id).iterator
            page: StreamPage = sender.send(get_stream_records(iterator, table_name=table))
            yield from (Change(shard.id, record) for record in page.records)
            is_quiet = is_quiet and not page.records and not page.may_more
            if page.next_iterator is None:
                over.add(shard.id)
                has_ended = True
            else:
                reading[shard.id] = page.next_iterator
        if has_ended:
            shape = describe(sender, stream_id)  # its children are listed now, if they were not before
        elif is_quiet and (ends_when_caught_up or wait(POLL_SECONDS)):
            return


def _is_ready(shard: Shard, listed: Iterable[Shard], over: set[str]) -> bool:
    """Whether all parents have been read to their end; those that are not listed any more hold nothing."""
    waiting = {one.id for one in listed} - over
    return waiting.isdisjoint(shard.parents)
