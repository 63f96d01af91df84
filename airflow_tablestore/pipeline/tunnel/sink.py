"""What draining a tunnel asks of the place that it goes to, and which place that is.

The loop in `drain` knows this page alone. It hands over a channel's batches in their order and confirms them with the
service once they are written; what a crash between the two means is for each sink to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

from airflow_tablestore.pipeline.target import ObjectTarget
from airflow_tablestore.pipeline.tunnel.copy_target import TableCopy
from airflow_tablestore.pipeline.tunnel.table_target import StreamTable, TableMode

if TYPE_CHECKING:
    from airflow_tablestore.client import Client
    from airflow_tablestore.consumer.tunnel import Batch
    from airflow_tablestore.pipeline.dirty import DirtyRecords, DirtySample
    from airflow_tablestore.pipeline.store import Store
    from airflow_tablestore.pipeline.warehouse import Warehouse
    from airflow_tablestore.wire.table import TableDescription
    from airflow_tablestore.wire.tunnel import Tunnel
    from airflow_tablestore.wire.tunnel_channel import Checkpoint, Place


class Refused:
    """The records that the sink could not take, counted against the author's limit. Used by one thread."""

    def __init__(self, dirty: DirtyRecords):
        self._dirty = dirty
        self.count = 0

    @property
    def samples(self) -> tuple[DirtySample, ...]:
        """Some of them."""
        return self._dirty.samples

    def add(self, key: str, reason: str) -> None:
        """:raises DirtyLimitExceeded: this one is too many."""
        self.count += 1
        self._dirty.add(key, reason)


@dataclass(frozen=True, slots=True)
class Job:
    """What a sink is told of the work: who asks, which tunnel of which table, and who counts dirty records."""

    pipeline: str
    client: Client
    tunnel: Tunnel
    table: TableDescription
    refused: Refused


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was written for some batches of a channel; their checkpoint is sent now. `size` is in bytes.

    `objects`: things that were written, as people count them: objects, requests with rows.
    """

    rows: int = 0
    objects: int = 0
    size: int = 0

    def confirm(self) -> None:
        """The checkpoint is kept: what was written counts."""

    def give_up(self) -> None:
        """The channel is another worker's, who reads these records again."""


class TunnelSink(Protocol):
    """Where one worker writes. `open` is called by the channels' threads, all else by one thread."""

    @property
    def most_bytes(self) -> int:
        """Of records, as they were read, that are gathered for one `write`; 0 leaves it to the loop."""
        ...

    def begin(self) -> int:
        """Look at the place before any channel is opened. How many things it has settled for workers before.

        :raises SpecError: the place cannot take the records.
        """
        ...

    def open(self, at: Place, kept: Checkpoint) -> int:
        """A channel will be read behind this checkpoint. How many things were settled that its last owner left."""
        ...

    def write(self, at: Place, batches: Sequence[Batch]) -> Receipt:
        """Write one channel's batches, in their order; they stay written when this returns.

        :raises DirtyLimitExceeded: a record cannot be written.
        :raises Superseded: the channel is another worker's, and nothing was written.
        """
        ...

    def close(self) -> None:
        """Let go of what it holds open; called once, whatever has happened."""
        ...


Target = ObjectTarget | StreamTable | TableCopy
"""Where a tunnel may be drained into."""


def tunnel_sink(target: Target, place: Any, job: Job) -> TunnelSink:
    """The sink of a target; `place` is what its connection leads to.

    :raises SpecError: the place cannot take the records.
    """
    if isinstance(target, StreamTable):
        return _table_sink(cast("Warehouse", place), target, job)
    if isinstance(target, TableCopy):
        from airflow_tablestore.pipeline.tunnel.copy_sink import TunnelCopy

        return TunnelCopy(cast("Client", place), target, job)
    from airflow_tablestore.pipeline.tunnel.objects import TunnelObjects

    return TunnelObjects(cast("Store", place), target, job)


def _table_sink(warehouse: Warehouse, target: StreamTable, job: Job) -> TunnelSink:
    if target.mode is TableMode.UPSERT:
        from airflow_tablestore.pipeline.tunnel.table_upsert import TunnelUpserts

        return TunnelUpserts(warehouse, target, job)
    from airflow_tablestore.pipeline.tunnel.table_stream import TunnelStream

    return TunnelStream(warehouse, target, job)
