"""Which shards a reader of a stream reads, in which order, from where to where.

A reader of a stream's window gets pages of records, not decoded, shard by shard: `ShardSpan`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from airflow_tablestore.wire.call import Call
from airflow_tablestore.wire.stream import StreamRecord

T = TypeVar("T")


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
