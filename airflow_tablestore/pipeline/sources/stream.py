"""The changes of one shard between two positions, as batches.

Which shard is read from where to where is `consumer.stream`; how a change becomes rows is `changes`.

Guarantees: every change comes in the shard's order. In multi_version each cell that it put or deleted is one row. In
single_version_and_update_only each put and update is one row with the pinned columns; deletes, and updates that put
none of them, are counted and passed over; a cell in another type than its column is converted without loss if the
author declared that type, else the record is dirty.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from airflow_tablestore.consumer.stream import ShardSpan
from airflow_tablestore.consumer.table import Sender, full_range
from airflow_tablestore.errors import SpecError
from airflow_tablestore.pipeline.contract import Batch, Column, Constant, Picked, Schema
from airflow_tablestore.pipeline.selection import ChangeMode, ChangeSelection, TableSelection, Unknown
from airflow_tablestore.pipeline.sources.changes import (
    CELL_COLUMNS,
    SEQUENCE_COLUMN,
    CellChanges,
    Refuse,
    RowChanges,
    refuse_taken_names,
)
from airflow_tablestore.pipeline.sources.pinning import Pinned, pin_schema
from airflow_tablestore.wire.table import TableDescription


def pin_changes(
    sender: Sender, selection: ChangeSelection, description: TableDescription, earlier: Schema | None = None
) -> Pinned:
    """The columns of this window and of those that follow it.

    In multi_version these are the key's. Else the types of the columns chosen are those that the author declares, that
    an earlier window has pinned, that the table defines, or that a few of its rows have.

    :raises SpecError: a column that the table does not seem to have, a type that a key column cannot have, or a name
        that the output needs for itself.
    """
    if selection.mode is ChangeMode.MULTI_VERSION:
        keys = tuple(Column(key.name, key.type, is_key=True) for key in description.keys)
        pinned = Pinned(Schema(keys, is_picked=True))
        refuse_taken_names(pinned.schema, (*CELL_COLUMNS, *((SEQUENCE_COLUMN,) if selection.with_sequence else ())))
        return pinned
    if not selection.picked:
        raise SpecError(f"{ChangeMode.SINGLE_VERSION} needs the columns to export: source.columns")
    rows = TableSelection(selection.table, selection.columns, dict(selection.types), Unknown.DROP)
    pinned = pin_schema(sender, rows, description, [full_range(description)], earlier)
    refuse_taken_names(pinned.schema, (SEQUENCE_COLUMN,) if selection.with_sequence else ())
    return pinned


def output_columns(selection: ChangeSelection) -> tuple[Picked | Constant, ...] | None:
    """What the output has of a source's columns, for `transforms.columns`; None: all."""
    if selection.mode is ChangeMode.MULTI_VERSION or selection.columns is None:
        return None
    sequence = (Picked(SEQUENCE_COLUMN, SEQUENCE_COLUMN),) if selection.with_sequence else ()
    return (*selection.columns, *sequence)


@dataclass(frozen=True, slots=True)
class Decoding:
    """How changes become rows: what the author chose, the pinned columns, and who hears of dirty records.

    :param refuse: is given a dirty record's key and the reason, and may raise to end the run.
    """

    selection: ChangeSelection
    schema: Schema
    refuse: Refuse

    def changes(self) -> CellChanges | RowChanges:
        """What makes the rows of one shard. Not for several threads.

        :raises SpecError: a column has a name that the output needs for itself.
        """
        chosen = self.selection
        if chosen.mode is ChangeMode.MULTI_VERSION:
            return CellChanges(self.schema, chosen.with_sequence, self.refuse)
        shows_key = any(column.is_key and column.name in chosen.picked for column in self.schema.columns)
        return RowChanges(self.schema, chosen.with_sequence, self.refuse, shows_key)


@dataclass(slots=True)
class StreamSource:
    """A source: the records of a span.

    `dirty`: records refused. `partial_rows`: updates that lack some of the columns chosen. `passed_over`: changes that
    put none of them, deletes among them.
    """

    span: ShardSpan
    decoding: Decoding
    dirty: int = field(default=0, init=False)
    partial_rows: int = field(default=0, init=False)
    passed_over: int = field(default=0, init=False)
    _changes: CellChanges | RowChanges = field(init=False)

    def __post_init__(self) -> None:
        self._changes = self.decoding.changes()

    def schema(self) -> pa.Schema:
        return self._changes.schema()

    def batches(self) -> Iterator[Batch]:
        """A batch for each page that holds records; it may be left without rows."""
        for page in self.span:
            if page:
                rows = self._changes.batch(page, self.span.shard)
                self._count()
                yield Batch(rows, bytes_read=sum(len(record.row) for record in page))

    def _count(self) -> None:
        counts = self._changes.counts
        self.dirty, self.partial_rows, self.passed_over = counts.dirty, counts.partial_rows, counts.passed_over
