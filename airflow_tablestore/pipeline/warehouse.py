"""What the pipeline asks of a data warehouse: tables that are loaded by upload sessions and one commit.

`sinks.maxcompute.MaxCompute` is the real one. The engine knows only this page, so loading is tested without a socket.
Every verb either happened or raises one of our errors; a verb that may be repeated has been repeated already.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from airflow_tablestore.pipeline.target import BlockCompression

MOST_BLOCKS = 20_000
"""Of one upload session; their numbers begin at 0. Source: MaxCompute documentation, "Limits of Tunnel"."""


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column of a table. `type` is in lower case, as the service tells it: "bigint", "varchar(20)"."""

    name: str
    type: str
    is_nullable: bool = True


@dataclass(frozen=True, slots=True)
class TableShape:
    """A table's columns, the names of those that it is partitioned by, in their order, and those of its primary key."""

    columns: tuple[TableColumn, ...]
    partitioned_by: tuple[str, ...] = ()
    primary_key: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Partition:
    """A table, or one partition of it: `values` are the partition's names and values, in the table's order."""

    table: str
    values: tuple[tuple[str, str], ...] = ()

    @property
    def spec(self) -> str:
        """As the service writes it: pt=20261121,hm=0400; empty without partitions."""
        return ",".join(f"{name}={value}" for name, value in self.values)


class UploadStatus(enum.Enum):
    """What has become of an upload session."""

    OPEN = "open"
    COMMITTED = "committed"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload session. `columns` are the table's when it was begun, `blocks` the numbers that have arrived.

    `most_bytes` is the longest text or binary value that it takes; 0 when it does not say.
    """

    id: str
    status: UploadStatus
    columns: tuple[TableColumn, ...] = ()
    blocks: frozenset[int] = frozenset()
    most_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Download:
    """A session that reads the rows of a place as they were when it was begun."""

    id: str
    rows: int


Body = Callable[[], Iterator[bytes]]
"""Gives a block's bytes, again and again: a request that failed is made once more."""


class RowStream(Protocol):
    """A stream into one place: rows are there for every reader as soon as they are written. Used by one thread."""

    @property
    def columns(self) -> tuple[TableColumn, ...]:
        """The table's, when the stream was opened."""
        ...

    def write(self, rows: Sequence[Sequence[Any]]) -> int:
        """Write rows of the table's columns; how many bytes they took. Some may be there though it failed.

        :raises RetryLater: the table was changed, or is locked, or the stream is gone; a new one may do.
        """
        ...

    def close(self) -> None:
        """Let go of the place; the rows stay."""
        ...


class Upserting(Protocol):
    """Rows that wait for their commit. Used by one thread."""

    def commit(self) -> None:
        """Make all of them the table's, at once.

        :raises RetryLater: nobody knows whether it happened; bringing the rows again does no harm.
        """
        ...

    def give_up(self) -> None:
        """Drop them."""
        ...


class Warehouse(Protocol):
    """One project. Safe to use from several threads."""

    def uri(self, place: Partition) -> str:
        """How people write this place: maxcompute://project/table/pt=20261121."""
        ...

    def shape(self, table: str) -> TableShape | None:
        """The table as it is now; None when there is no such table."""
        ...

    def create_table(self, table: str, shape: TableShape) -> None:
        """Make the table, unless it is there."""
        ...

    def run_sql(self, statement: str) -> None:
        """Run a statement to its end."""
        ...

    def begin(self, place: Partition, *, replaces: bool) -> Upload:
        """A new session; its partition is made when it is missing.

        :param replaces: whether the commit puts its rows in the place of what is there, or adds them.
        """
        ...

    def find(self, place: Partition, upload_id: str) -> Upload:
        """The session as it is now; its status is GONE when it has expired or never was."""
        ...

    def put_block(
        self,
        place: Partition,
        upload_id: str,
        block: int,
        body: Body,
        compression: BlockCompression = BlockCompression.NONE,
    ) -> None:
        """Write a block, in the place of an earlier one of its number.

        :param body: framed record batches, see `sinks.arrow_body`; compressed, see `sinks.block_compression`.
        :raises StartOver: the session takes no blocks any more (task "plan").
        """
        ...

    def commit(self, place: Partition, upload_id: str, blocks: Sequence[int]) -> None:
        """Make all blocks rows of the partition, at once. These are all that the session holds.

        :raises StartOver: the session, the table or the partition is not what it was (task "plan").
        :raises RetryLater: nobody knows whether it happened; the session's status tells.
        """
        ...

    def begin_reading(self, place: Partition) -> Download:
        """A look at the rows as they are now.

        :raises Rejected: there is no such table or partition.
        """
        ...

    def read(self, place: Partition, download_id: str, columns: Sequence[str], begin: int, count: int) -> bytes:
        """Some rows of a look: Arrow record batch messages without a schema, their columns in the table's order."""
        ...

    def stream(self, place: Partition, slots: int) -> RowStream:
        """A new stream into the place; its partition is made when it is missing."""
        ...

    def add_partition(self, place: Partition) -> None:
        """Make the partition, unless it is there."""
        ...

    def upsert(self, place: Partition, rows: Sequence[Sequence[Any]], deletions: Sequence[Sequence[Any]]) -> Upserting:
        """Bring rows of a table with a primary key, to be put in place of those of their keys, and rows to delete.

        Nobody sees any of it before its `commit`. Each key at most once.
        """
        ...
