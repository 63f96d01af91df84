"""Blocks of rows to columns through the C library: PlainBuffer and SimpleRowMatrix, in one pass over the bytes.

What the library does not take, it does not explain: the plain decoder reads that block again, and either finds words
for what is wrong or copes with it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from airflow_tablestore.errors import SpecError
from airflow_tablestore.native import Stray as Located
from airflow_tablestore.native import library
from airflow_tablestore.wire.decode import Decoded, Stray, Wanted, arrow_schema
from airflow_tablestore.wire.decode.plain import PlainDecoder
from airflow_tablestore.wire.matrix import MAGIC, read_fields, read_value
from airflow_tablestore.wire.plainbuffer import (
    TYPE_BINARY,
    TYPE_BOOLEAN,
    TYPE_DOUBLE,
    TYPE_INTEGER,
    TYPE_STRING,
    read_cell,
    read_key_cell,
)
from airflow_tablestore.wire.row import ColumnType

TYPES = {
    ColumnType.INTEGER: TYPE_INTEGER,
    ColumnType.DOUBLE: TYPE_DOUBLE,
    ColumnType.BOOLEAN: TYPE_BOOLEAN,
    ColumnType.STRING: TYPE_STRING,
    ColumnType.BINARY: TYPE_BINARY,
}
ARROW_ARRAY_BYTES = 80
"""Arrow's C data interface on 64 bits: five counts, five pointers."""

NO_MEMORY = -2


class NativeDecoder:
    """Turns blocks into columns; keep one between blocks, not between threads. A row of 12 cells takes about 0.3 µs.

    :raises SpecError: the same column is wanted twice, or the library is not there.
    """

    def __init__(self, wanted: Sequence[Wanted]):
        self._handle: int | None = None
        self._library = library()
        if self._library is None:
            raise SpecError(
                "The C decoder is not there: install a wheel for this machine, or install from source where there is "
                "a C compiler."
            )
        self._wanted = tuple(wanted)
        self._plain = PlainDecoder(wanted)
        self._schema = arrow_schema(wanted)
        names = [one.name.encode() for one in wanted]
        self._handle = self._library.tablestore_decoder_new(
            len(names),
            b"".join(names),
            (ctypes.c_uint32 * len(names))(*map(len, names)),
            bytes(TYPES[one.type] for one in wanted),
            bytes(one.is_key for one in wanted),
        )
        if not self._handle:
            raise MemoryError

    def __del__(self) -> None:
        handle, self._handle = self._handle, None
        if handle:
            self._library.tablestore_decoder_free(handle)

    def decode(self, block: bytes | memoryview) -> Decoded:
        """The block's rows; see `Decoder`. The block is not kept."""
        content = pa.py_buffer(block)
        array = (ctypes.c_uint64 * (ARROW_ARRAY_BYTES // 8))()
        to = ctypes.addressof(array)
        rows = self._library.tablestore_decoder_decode(self._handle, content.address, content.size, to)
        if rows == NO_MEMORY:
            raise MemoryError
        if rows < 0:
            return self._plain.decode(block)
        records = pa.RecordBatch._import_from_c(to, self._schema)
        strays = self._strays()
        if not strays:
            return Decoded(records)
        conflicts, others = self._told(bytes(block), strays)
        seen = {(stray.row, stray.column) for stray in others}
        if len(seen) < len(others):  # a second version of a cell that nobody wanted
            return self._plain.decode(block)
        return Decoded(records, conflicts, others)

    def _strays(self) -> Sequence[Located]:
        count = ctypes.c_int64()
        first = self._library.tablestore_decoder_strays(self._handle, ctypes.byref(count))
        return first[: count.value] if count.value else ()

    def _told(self, content: bytes, strays: Sequence[Located]) -> tuple[tuple[Stray, ...], tuple[Stray, ...]]:
        """The cells without a place, read from where they begin: conflicts, and cells that nobody wanted."""
        fields = read_fields(content) if content.startswith(MAGIC) else None
        conflicts: list[Stray] = []
        others: list[Stray] = []
        for one in strays:
            value: Any
            if fields is not None:
                name = fields[one.field]
                value, _ = read_value(content, one.place, name)
            elif one.field:
                name, value, _, _ = read_key_cell(content, one.place)
            else:
                cell, _, _ = read_cell(content, one.place)
                name, value = cell.name, cell.value
            (others if one.column < 0 else conflicts).append(Stray(one.row, name, value))
        return tuple(conflicts), tuple(others)
