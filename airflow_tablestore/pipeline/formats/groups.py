"""Batches regrouped so that their borders depend on the rows alone, not on how a service cut its pages.

A group ends after a number of rows, or earlier when its rows hold a number of bytes: so memory is bounded too.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc


class Groups:
    """Collects batches, hands on groups. A row's size is 8 bytes a column and the bytes of its strings and binaries."""

    def __init__(self, schema: pa.Schema, rows: int, max_bytes: int):
        self._schema, self._rows, self._max_bytes = schema, rows, max_bytes
        self._held: list[pa.RecordBatch] = []
        self._held_rows = 0
        self._held_bytes = 0

    def add(self, records: pa.RecordBatch) -> Iterator[pa.Table]:
        """The groups that these records complete."""
        while records.num_rows:
            count, size = self._fitting(records)
            self._held.append(records.slice(0, count))
            self._held_rows += count
            self._held_bytes += size
            records = records.slice(count)
            if self._held_rows >= self._rows or self._held_bytes >= self._max_bytes:
                yield self._take()

    def rest(self) -> Iterator[pa.Table]:
        """The last group, if there is one."""
        if self._held:
            yield self._take()

    def _fitting(self, records: pa.RecordBatch) -> tuple[int, int]:
        """How many of the rows still belong to the present group, and their size: up to the row that fills it."""
        head = records.slice(0, self._rows - self._held_rows)
        sizes = pc.cumulative_sum(_row_sizes(head))
        before_full = pc.sum(pc.less(sizes, self._max_bytes - self._held_bytes)).as_py()
        count = min(before_full + 1, head.num_rows)
        return count, sizes[count - 1].as_py()

    def _take(self) -> pa.Table:
        table = pa.Table.from_batches(self._held, self._schema)
        self._held, self._held_rows, self._held_bytes = [], 0, 0
        return table


def _row_sizes(records: pa.RecordBatch) -> pa.Array:
    sizes: pa.Array = pa.repeat(pa.scalar(8 * records.num_columns, pa.int64()), records.num_rows)
    for column in records.columns:
        if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
            sizes = pc.add(sizes, pc.cast(pc.fill_null(pc.binary_length(column), 0), pa.int64()))
    return sizes
