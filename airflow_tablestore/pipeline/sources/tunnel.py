"""A tunnel's records as columns: one row for each row of the table and each change, with nothing left out.

The columns are the key's, and then `action` (put, update, delete), `sequence` (sorts as the changes of a key do; null
for rows of the table, which have no place in the change log), `time` (microseconds), `cells` and `before` as JSON.

Guarantees: every record becomes one row, in its order; one that cannot be read, or has another key than the table's, is
dirty: it is told and left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from airflow_tablestore.consumer.table import show_key
from airflow_tablestore.consumer.tunnel import Batch
from airflow_tablestore.consumer.tunnel.records import place_of
from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.pipeline.contract import JSON_MARK, Column, Schema
from airflow_tablestore.pipeline.sources.cell_json import (
    cell_json,
    cells_before_json,
    cells_json,
    json_text,
    place_text,
)
from airflow_tablestore.pipeline.sources.changes import refuse_taken_names
from airflow_tablestore.wire.decode import ARROW_TYPES, Wanted
from airflow_tablestore.wire.decode.changes import ChangesDecoder, changes_decoder, place_texts
from airflow_tablestore.wire.row import Row, type_of
from airflow_tablestore.wire.table import TableDescription
from airflow_tablestore.wire.tunnel_channel import TunnelRecord

ADDED = ("action", "sequence", "time", "cells", "before")
"""What follows the key."""

Refuse = Callable[[str, str], None]
"""Hears of a dirty record: its key and the reason. May raise to end the run."""


@dataclass(slots=True)
class TunnelRows:
    """Makes the rows.

    :raises SpecError: a key column has the name of a column that is added.
    """

    keys: tuple[Column, ...]
    refuse: Refuse
    dirty: int = field(default=0, init=False)
    _decoder: ChangesDecoder = field(init=False)

    def __post_init__(self) -> None:
        refuse_taken_names(Schema(self.keys), ADDED)
        self._decoder = changes_decoder([Wanted(key.name, key.type, True) for key in self.keys], of_stream=False)

    @classmethod
    def of_table(cls, description: TableDescription, refuse: Refuse) -> TunnelRows:
        """For the key that the table has."""
        return cls(tuple(Column(key.name, key.type, is_key=True) for key in description.keys), refuse)

    def schema(self) -> pa.Schema:
        """The schema of every batch."""
        json_mark = {JSON_MARK: b"1"}
        return pa.schema(
            [
                *(pa.field(key.name, pa.type_for_alias(ARROW_TYPES[key.type])) for key in self.keys),
                pa.field("action", pa.string()),
                pa.field("sequence", pa.string()),
                pa.field("time", pa.int64()),
                pa.field("cells", pa.string(), metadata=json_mark),
                pa.field("before", pa.string(), metadata=json_mark),
            ]
        )

    def batch(self, batches: Iterable[Batch]) -> pa.RecordBatch:
        """The rows of these batches."""
        batches = list(batches)
        quick = self._at_once([record for batch in batches for record in batch.records])
        return self.one_by_one(batches) if quick is None else quick

    def _at_once(self, records: Sequence[TunnelRecord]) -> pa.RecordBatch | None:
        """All rows, when none is dirty; else None."""
        try:
            changes = self._decoder.decode(records)
            before = [_before(record) for record in records]
        except ProtocolError:
            return None
        if changes.unlike:
            return None
        columns = [
            *changes.keys,
            pa.array([record.action.value for record in records], pa.string()),
            place_texts(changes.places),
            changes.places.column("time"),
            cells_json(changes.cells, changes.places.column("cells")),
            pa.array(before, pa.string()),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema())

    def one_by_one(self, batches: Iterable[Batch]) -> pa.RecordBatch:
        """As `batch`, by way of each row: where a record is dirty."""
        rows = [row for batch in batches for row in self._rows(batch)]
        columns: Sequence[Sequence[Any]] = list(zip(*rows, strict=True)) or [[] for _ in self.schema()]
        arrays = [pa.array(values, one.type) for values, one in zip(columns, self.schema(), strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema())

    def _rows(self, batch: Batch) -> Iterator[tuple[Any, ...]]:
        for number, record in enumerate(batch.records):
            try:
                row = record.decoded()
                if self._is_keyed(row):
                    yield self._row(record, row)
                else:
                    self._dirty(show_key(row.key), "its key is not that of the table")
            except ProtocolError as error:
                self._dirty(place_of(batch, number), f"it cannot be read: {error}")

    def _dirty(self, key: str, reason: str) -> None:
        self.dirty += 1
        self.refuse(key, reason)

    def _row(self, record: TunnelRecord, row: Row) -> tuple[Any, ...]:
        sequence = row.sequence
        return (
            *(value for _, value in row.key),
            record.action.value,
            None if sequence is None else place_text(sequence),
            None if sequence is None else sequence.timestamp,
            json_text([cell_json(cell) for cell in row.cells]),
            _before(record),
        )

    def _is_keyed(self, row: Row) -> bool:
        found = [(name, type_of(value)) for name, value in row.key if isinstance(value, int | str | bytes)]
        return found == [(key.name, key.type) for key in self.keys]


def _before(record: TunnelRecord) -> str | None:
    return json_text(cells_before_json(record.origin)) if record.origin else None
