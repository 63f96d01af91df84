"""Rows for a warehouse's table: converted into its columns, as Arrow record batch messages.

What was converted to see whether it fits is kept for the writing that follows in the same thread.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_tablestore.pipeline.contract import ByteSink, Unfit

if TYPE_CHECKING:
    import pyarrow as pa

    from airflow_tablestore.pipeline.sinks.table_columns import TableMapping


class TableFormat:
    """The format of one load. Safe to use from several threads."""

    suffix = ""

    def __init__(self, mapping: TableMapping):
        self._mapping = mapping
        self._latest = threading.local()

    def describe(self) -> dict[str, Any]:
        return {"type": "table"}

    def unfit(self, records: pa.RecordBatch) -> Sequence[Unfit]:
        """The rows that hold a value which its column cannot."""
        rows, reasons = self._mapping.apply(records)
        if not reasons:
            self._latest.pair = records, rows
        return [Unfit(row, reasons[row]) for row in sorted(reasons)]

    def encoder(self, schema: pa.Schema, to: ByteSink) -> TableEncoder:
        return TableEncoder(self, to)

    def converted(self, records: pa.RecordBatch) -> pa.RecordBatch:
        """The table's columns of rows that all fit."""
        known, rows = getattr(self._latest, "pair", (None, None))
        self._latest.pair = None, None
        return rows if known is records else self._mapping.apply(records)[0]


class TableEncoder:
    """Writes record batch messages, without the schema and without an end."""

    def __init__(self, format: TableFormat, to: ByteSink):
        self._format, self._to = format, to

    def write(self, records: pa.RecordBatch) -> None:
        self._to.write(memoryview(self._format.converted(records).serialize()))

    def close(self) -> None: ...
