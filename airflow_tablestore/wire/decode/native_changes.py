"""Records of a change log to columns through the C library; what it does not take is read in Python."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from itertools import accumulate

import pyarrow as pa

from airflow_tablestore.errors import SpecError
from airflow_tablestore.native import library
from airflow_tablestore.wire.decode import Wanted, arrow_schema
from airflow_tablestore.wire.decode.changes import CELLS, PLACES, Changes, PlainChanges, Record
from airflow_tablestore.wire.decode.native import ARROW_ARRAY_BYTES, NO_MEMORY, TYPES
from airflow_tablestore.wire.stream import Action

_ACTIONS = {Action.PUT: 0, Action.UPDATE: 1, Action.DELETE: 2}

_NUMBERED = pa.schema([one.with_type(pa.int64()) if one.name == "name" else one for one in CELLS])
"""Cells as the library gives them: names by their numbers."""


class NativeChanges:
    """Turns records into columns; see `ChangesDecoder`. A cell takes about 0.1 µs.

    :raises SpecError: the library is not there.
    """

    def __init__(self, keys: Sequence[Wanted], *, of_stream: bool = True):
        self._handle: int | None = None
        self._library = library()
        if self._library is None:
            raise SpecError(
                "The C decoder is not there: install a wheel for this machine, or install from source where there is "
                "a C compiler."
            )
        self._plain = PlainChanges(keys, of_stream=of_stream)
        self._places = pa.schema([*arrow_schema(keys), *PLACES])
        self._keys = len(keys)
        self._of_stream = of_stream
        names = [key.name.encode() for key in keys]
        sizes = (ctypes.c_uint32 * len(names))(*map(len, names))
        types = bytes(TYPES[key.type] for key in keys)
        self._handle = self._library.tablestore_changes_new(len(names), b"".join(names), sizes, types)
        if not self._handle:
            raise MemoryError

    def __del__(self) -> None:
        handle, self._handle = self._handle, None
        if handle:
            self._library.tablestore_changes_free(handle)

    def decode(self, records: Sequence[Record]) -> Changes:
        """See `ChangesDecoder`."""
        content = pa.py_buffer(b"".join([record.row for record in records]))
        ends = (ctypes.c_int64 * len(records))(*accumulate(len(record.row) for record in records))
        actions = bytes([_ACTIONS[record.action] for record in records])
        given = [(ctypes.c_uint64 * (ARROW_ARRAY_BYTES // 8))() for _ in range(3)]
        to = [ctypes.addressof(array) for array in given]
        found = self._library.tablestore_changes_decode(
            self._handle, content.address, ends, len(records), actions, self._of_stream, *to
        )
        if found == NO_MEMORY:
            raise MemoryError
        if found < 0:
            return self._plain.decode(records)
        head = pa.RecordBatch._import_from_c(to[0], self._places)
        cells = pa.RecordBatch._import_from_c(to[1], _NUMBERED)
        names = pa.RecordBatch._import_from_c(to[2], pa.schema([pa.field("name", pa.string())])).column(0)
        at = CELLS.get_field_index("name")
        return Changes(
            keys=tuple(head.columns[: self._keys]),
            places=pa.RecordBatch.from_arrays(head.columns[self._keys :], schema=PLACES),
            cells=cells.set_column(at, CELLS.field(at), names.take(cells.column(at))),
        )
