"""The shards of a stream as it is now, and the order in which they are read.

A split shard has two children, a merged one shares a child with its neighbour. A child continues its parents' records,
so it is read after them. A parent that the stream does not list any more holds nothing, and nobody waits for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from airflow_tablestore.consumer.table import Sender
from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.wire.stream import Shard, describe_stream


@dataclass(frozen=True, slots=True)
class StreamShape:
    """A stream as it is now. `shards` are in an order in which parents come before their children."""

    id: str
    created_micros: int
    expiration_hours: int
    shards: tuple[Shard, ...]


def describe(sender: Sender, stream_id: str) -> StreamShape:
    """All shards that the stream still lists.

    :raises ProtocolError: the shards are their own ancestors, or the pages of the list have no end.
    """
    page = sender.send(describe_stream(stream_id))
    shards, asked = list(page.shards), set[str]()
    while page.next_shard is not None:
        if page.next_shard in asked:
            raise ProtocolError(f"DescribeStream goes on at {page.next_shard!r}, where it has been already")
        asked.add(page.next_shard)
        page = sender.send(describe_stream(stream_id, page.next_shard))
        shards.extend(page.shards)
    known = {shard.id: shard for shard in shards}  # a page may begin with the shard that ended the one before
    return StreamShape(stream_id, page.created_micros, page.expiration_hours, parents_first(known.values()))


def parents_first(shards: Iterable[Shard]) -> tuple[Shard, ...]:
    """The shards, each after those of its parents that are among them; else in the order given.

    :raises ProtocolError: a shard is its own ancestor.
    """
    return tuple(shard for generation in generations(shards) for shard in generation)


def generations(shards: Iterable[Shard]) -> Iterator[tuple[Shard, ...]]:
    """The shards in groups: each shard's parents, if they are among them, are in earlier groups.

    :raises ProtocolError: a shard is its own ancestor.
    """
    waiting = {shard.id: shard for shard in shards}
    while waiting:
        ready = tuple(shard for shard in waiting.values() if waiting.keys().isdisjoint(shard.parents))
        if not ready:
            raise ProtocolError(f"the shards {', '.join(waiting)} are their own ancestors")
        yield ready
        waiting = {id_: shard for id_, shard in waiting.items() if shard not in ready}


def families(shards: Sequence[Shard], ended: Iterable[str]) -> list[tuple[Shard, ...]]:
    """The shards, in groups that are connected through parents which have not been read to their end.

    Each group keeps the given order, and the groups stand in the order of their first shards.
    """
    over, group = set(ended), {shard.id: {shard.id} for shard in shards}
    for shard in shards:
        for parent in shard.parents:
            if parent in group and parent not in over and group[parent] is not group[shard.id]:
                joined = group[parent] | group[shard.id]
                group.update(dict.fromkeys(joined, joined))
    unique = {id(group[shard.id]): group[shard.id] for shard in shards}
    return [tuple(shard for shard in shards if shard.id in members) for members in unique.values()]
