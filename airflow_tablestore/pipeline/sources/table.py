"""The rows of one slice of a table, as batches with the run's pinned columns.

Guarantees: every row of the slice comes once, in key order, whatever attributes it has; a cell in another type than its
column is converted without loss if the author declared that type, else its row is a dirty record; cells of columns that
the schema does not know go to `_other`, are counted and dropped, or end the run, as the author chose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from airflow_tablestore.consumer.table import Forms, Sender, pages, show_key
from airflow_tablestore.errors import RecordError
from airflow_tablestore.pipeline.contract import JSON_MARK, OTHER_COLUMN, Batch, Schema
from airflow_tablestore.pipeline.full_export.plan import Slice
from airflow_tablestore.pipeline.selection import TableSelection, Unknown
from airflow_tablestore.pipeline.sources.conversion import others_as_json, settled
from airflow_tablestore.pipeline.sources.wide import whole_rows
from airflow_tablestore.wire.call import Room
from airflow_tablestore.wire.decode import ARROW_TYPES, Decoded, Stray, Wanted, decoder
from airflow_tablestore.wire.row import PrimaryKey, Value
from airflow_tablestore.wire.table import MOST_COLUMNS, Form, RangeRead

Refuse = Callable[[str, str], None]
"""Hears of a dirty record: its key and the reason."""


def arrow_schema(schema: Schema) -> pa.Schema:
    """The Arrow schema of every batch that is read with this schema."""
    fields = [pa.field(c.name, pa.type_for_alias(ARROW_TYPES[c.type])) for c in schema.columns]
    if schema.keeps_others:
        fields.append(pa.field(OTHER_COLUMN, pa.string(), metadata={JSON_MARK: b"1"}))
    return pa.schema(fields)


def columns_to_ask_for(schema: Schema) -> tuple[str, ...]:
    """What GetRange shall return; () for all.

    A row without any of the named columns is left out by the service, so one key column, which every row has, is always
    among them. Source: the service's documentation of columns_to_get; DataX loses such rows.
    """
    if not schema.is_picked or not schema.columns:
        return ()
    attributes = [column.name for column in schema.columns if not column.is_key]
    if len(attributes) + 1 > MOST_COLUMNS:
        return ()
    return (schema.columns[0].name, *attributes)


def forms_for(selection: TableSelection) -> Forms:
    """The forms to ask for, one object for all slices. Only where columns are named: else none could be missed."""
    return Forms(Form.BULK, Form.MATRIX) if selection.asks_compact else Forms()


@dataclass(slots=True)
class TableSlice:
    """A source: one slice of a table. `others` counts the cells of unknown columns, `rows` those handed on.

    :param refuse: hears of dirty records, and may raise to end the run.
    :param forms: what the slices of a run have learnt of the service; see `forms_for`.
    """

    sender: Sender
    selection: TableSelection
    pinned: Schema
    slice: Slice
    refuse: Refuse
    forms: Forms | None = None
    others: int = field(default=0, init=False)
    dirty: int = field(default=0, init=False)

    def schema(self) -> pa.Schema:
        return arrow_schema(self.pinned)

    def batches(self) -> Iterator[Batch]:
        decode = decoder([Wanted(c.name, c.type, c.is_key) for c in self.pinned.columns]).decode
        span = self.slice.range
        columns = columns_to_ask_for(self.pinned)
        read = RangeRead(self.selection.table, span.begin, span.end, span.is_backward, columns)
        forms = forms_for(self.selection) if self.forms is None else self.forms
        keys = sum(column.is_key for column in self.pinned.columns)
        asked = pages(self.sender, read, forms if columns else None, Room())  # no decoder keeps bytes of a block
        for page, decoded in whole_rows(asked, decode, keys):
            yield Batch(self._settled(decoded), page.next_key, len(page.rows))

    def _settled(self, decoded: Decoded) -> pa.RecordBatch:
        """The batch once every stray cell has found its place or its row has gone."""
        records = decoded.records
        reasons: dict[int, str] = {}
        if decoded.conflicts:
            records, reasons = settled(records, decoded.conflicts, self.pinned.columns)
        if decoded.others or self.pinned.keeps_others:
            records = self._with_others(records, decoded.others)
        if not reasons:
            return records
        for row, reason in reasons.items():
            self.dirty += 1
            self.refuse(show_key(self._key(records, row)), reason)
        return records.filter(pa.array([row not in reasons for row in range(records.num_rows)]))

    def _with_others(self, records: pa.RecordBatch, others: Sequence[Stray]) -> pa.RecordBatch:
        if not self.pinned.is_picked:
            self.others += len(others)
            if others and self.selection.unknown is Unknown.FAIL:
                first = others[0]
                raise RecordError(
                    f"row {show_key(self._key(records, first.row))} has the column '{first.column}', which the pinned "
                    "schema does not know; pin the schema anew (--repin), or choose unknown_columns: other"
                )
        if not self.pinned.keeps_others:
            return records
        rows: dict[int, dict[str, Value]] = {}
        for stray in others:
            rows.setdefault(stray.row, {})[stray.column] = stray.value
        texts = [others_as_json(rows[row]) if row in rows else None for row in range(records.num_rows)]
        return pa.RecordBatch.from_arrays([*records.columns, pa.array(texts, pa.string())], schema=self.schema())

    def _key(self, records: pa.RecordBatch, row: int) -> PrimaryKey:
        names = [column.name for column in self.pinned.columns if column.is_key]
        return tuple((name, records.column(name)[row].as_py()) for name in names)
