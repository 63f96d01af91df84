"""Columns to lines through the C library, for the settings that nearly everybody has.

Bytes are the same as those of `delimited.rows_as_text`. Doubles and dates are rendered there; the library writes the
other types, quotes and joins.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from airflow_tablestore.native import Cells, library
from airflow_tablestore.pipeline.formats.render import alphabet, as_text

if TYPE_CHECKING:
    from airflow_tablestore.pipeline.formats.delimited import Dialect

_INTEGER, _BOOLEAN, _TEXT, _BINARY = 0, 2, 3, 7


def can_write(dialect: Dialect) -> bool:
    """Whether the library is there and knows these settings: quotes where needed, a delimiter of one byte, and neither
    delimiter nor null such that a number, a boolean or base64 could need quotes."""
    letters = frozenset().union(*(alphabet(kind) or () for kind in (pa.int64(), pa.float64(), pa.bool_(), pa.binary())))
    return (
        library() is not None
        and dialect.quoting.value == "needed"
        and dialect.marks_quotes
        and len(dialect.delimiter.encode()) == 1
        and dialect.delimiter not in letters
        and (not dialect.null or not set(dialect.null) <= letters)
    )


class _Lines:
    """Memory of the library, given back when the last who reads it is gone."""

    def __init__(self, address: int):
        self._address = address

    def __del__(self) -> None:
        library().tablestore_lines_free(self._address)


def lines(records: pa.RecordBatch, dialect: Dialect) -> memoryview:
    """One line per row, newline included, as UTF-8."""
    if not records.num_rows:
        return memoryview(b"")
    arrays = [_prepared(column, dialect) for column in records.columns]
    columns = (Cells * len(arrays))(*(_cells(array) for array in arrays))
    size, null = ctypes.c_size_t(), dialect.null.encode()
    address = library().tablestore_lines_write(
        columns, len(arrays), records.num_rows, ord(dialect.delimiter), null, len(null), ctypes.byref(size)
    )
    if not address:
        raise MemoryError
    return memoryview(pa.foreign_buffer(address, size.value, _Lines(address)))


def _prepared(column: pa.Array, dialect: Dialect) -> pa.Array:
    kind = column.type
    if kind in (pa.int64(), pa.bool_(), pa.binary(), pa.string()):
        return column
    return as_text(column, dialect.date_pattern)


def _cells(array: pa.Array) -> Cells:
    kinds: dict[Any, int] = {pa.int64(): _INTEGER, pa.bool_(): _BOOLEAN, pa.binary(): _BINARY}
    kind = kinds.get(array.type, _TEXT)
    valid, values, *text = (None if buffer is None else buffer.address for buffer in array.buffers())
    return Cells(valid, values, text[0] if text else None, array.offset, kind)
