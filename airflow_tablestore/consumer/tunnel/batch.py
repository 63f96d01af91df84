"""Some records of one channel, in their order, and how the reader is told that they are done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from airflow_tablestore.consumer.tunnel.meter import units_of
from airflow_tablestore.consumer.tunnel.records import Refuse, arrow_of, rows_of
from airflow_tablestore.wire.row import Row
from airflow_tablestore.wire.tunnel_channel import Place, TunnelRecord

if TYPE_CHECKING:
    import pyarrow as pa


class Origin(Protocol):
    """Where a batch comes from and goes back to."""

    @property
    def next_number(self) -> int:
        """The number of the next checkpoint."""

    @property
    def is_current(self) -> bool:
        """Whether the channel is still this client's."""

    def done(self, batch: Batch) -> bool:
        """Notes that a batch is done; False when the channel is somebody else's now."""

    def commit(self, batch: Batch) -> None:
        """Notes that a batch is done, and confirms it with the service at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Some records of one channel; `number` counts them from 1 since the channel was opened here.

    `token` is the position behind the last record: the checkpoint that will confirm it. `before` is the position in
    front of the first one. In a `with`, it is done when the block ends without an error.
    """

    at: Place
    number: int
    records: tuple[TunnelRecord, ...]
    before: str
    token: str
    is_stream: bool
    size: int
    origin: Origin = field(repr=False)

    @property
    def channel(self) -> str:
        """The channel's id."""
        return self.at.channel_id

    @property
    def is_current(self) -> bool:
        """Whether the channel is still this worker's, as far as it knows; else others read the records again."""
        return self.origin.is_current

    @property
    def read_units(self) -> int:
        """The capacity units that reading it took, as `meter` reckons them."""
        return units_of(self.size)

    @property
    def checkpoint_number(self) -> int:
        """The number that its commit will have, if nothing else of the channel is committed before.

        With a reader that does not confirm by itself: whoever opens the channel next finds this number and `token`, or
        a greater number, when the commit was kept; else it was not.
        """
        return self.origin.next_number

    def rows(self, refuse: Refuse | None = None) -> Iterator[tuple[TunnelRecord, Row]]:
        """Each record with its row, in their order.

        :param refuse: hears of a record that cannot be read, which is then left out. It may raise.
        :raises RecordError: without `refuse`: a record that cannot be read.
        """
        return rows_of(self, refuse)

    def to_arrow(self, refuse: Refuse | None = None) -> pa.RecordBatch:
        """The records as columns: action, sequence, time, the key's columns by their names, cells, and before.

        `cells` is a list of structs with name, op, version (milliseconds), and the value in the field of its type:
        integer, double, boolean, string or binary. `before` is such a list too, of the row as it was before the change;
        null where the service tells none.
        :param refuse: as of `rows`.
        :raises RecordError: without `refuse`: a record that cannot be read, or has another key than those before it.
        """
        return arrow_of(self, refuse)

    def done(self) -> bool:
        """Says that the sink has taken the records for good: they need not be read again.

        It is confirmed with the service a little later, when everything before it in the channel is done too.
        False: the channel is somebody else's now, who will read them again.
        """
        return self.origin.done(self)

    def commit(self) -> None:
        """Says that it is done, and returns when the service has confirmed it. All before it must be done.

        :raises Superseded: the channel is somebody else's now; what was written for this batch does not count.
        """
        self.origin.commit(self)

    def __enter__(self) -> Batch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.done()
