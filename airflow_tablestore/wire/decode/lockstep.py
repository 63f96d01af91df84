"""PlainBuffer blocks to columns with numpy, where there is no C library: all rows of a block walk their cells together.

Only regular blocks are taken: every row has the cells of the first one, in the same order and of the same types, and
all of them are wanted (parts of the key need not be). Where one row differs, the plain decoder reads the block; it also
finds the words for what is wrong. So this module may refuse what it likes, and must prove what it takes: each byte of a
block is compared, checked by a checksum, or both.

Rows are found by the bytes with which the first one begins. Content may hold these bytes too; so each row must end
where the next was found.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from airflow_tablestore.wire.decode import ARROW_TYPES, Decoded, Wanted, arrow_schema
from airflow_tablestore.wire.decode.crc_arrays import after, crc_of_eight, crc_of_spans
from airflow_tablestore.wire.decode.plain import PlainDecoder
from airflow_tablestore.wire.plainbuffer import (
    HEADER,
    TAG_CELL,
    TAG_CELL_CHECKSUM,
    TAG_CELLS,
    TAG_KEY,
    TAG_NAME,
    TAG_ROW_CHECKSUM,
    TAG_TIMESTAMP,
    TAG_VALUE,
    TYPE_BINARY,
    TYPE_BOOLEAN,
    TYPE_DOUBLE,
    TYPE_INTEGER,
    TYPE_STRING,
    checksum,
)
from airflow_tablestore.wire.row import ColumnType

FEWEST_ROWS = 200
"""Smaller blocks cost more this way than row by row."""

PATIENCE, PAUSE = 3, 20
"""After so many irregular blocks in a row, so many are not even tried."""

_TYPES = {
    TYPE_INTEGER: ColumnType.INTEGER,
    TYPE_DOUBLE: ColumnType.DOUBLE,
    TYPE_BOOLEAN: ColumnType.BOOLEAN,
    TYPE_STRING: ColumnType.STRING,
    TYPE_BINARY: ColumnType.BINARY,
}
_FIXED = {TYPE_INTEGER: 8, TYPE_DOUBLE: 8, TYPE_BOOLEAN: 1}
_LENGTH = struct.Struct("<I")
_LONGEST_GATHERED = 48
"""Bytes of an average text: longer ones are joined one by one, which costs less than an index for each byte."""

Places = npt.NDArray[np.int64]


class _Irregular(Exception):
    """A block that is not read here. Never leaves this module."""


class LockstepDecoder:
    """Turns blocks into columns; keep one between blocks, not between threads. A row of 12 cells takes about 2 µs.

    :param fewest_rows: smaller blocks are left to the plain decoder.
    :raises SpecError: the same column is wanted twice.
    """

    def __init__(self, wanted: Sequence[Wanted], *, fewest_rows: int = FEWEST_ROWS):
        self._plain = PlainDecoder(wanted)
        self._wanted = {(one.is_key, one.name.encode()): one for one in wanted}
        self._schema = arrow_schema(wanted)
        self._fewest_rows = fewest_rows
        self._missed = 0

    def decode(self, block: bytes | memoryview) -> Decoded:
        """The block's rows; see `Decoder`."""
        if self._missed >= PATIENCE and (self._missed - PATIENCE) % PAUSE:
            self._missed += 1
            return self._plain.decode(block)
        content = bytes(block)
        try:
            records = self._regular(content)
        except (_Irregular, IndexError, struct.error, UnicodeDecodeError, pa.ArrowInvalid):
            self._missed += 1
            return self._plain.decode(content)
        self._missed = 0
        return Decoded(records)

    def _regular(self, content: bytes) -> pa.RecordBatch:
        if not content.startswith(HEADER) or not self._wanted:
            raise _Irregular
        starts = _row_starts(content)
        if len(starts) < self._fewest_rows:
            raise _Irregular
        walk = _Walk(content, starts)
        found: dict[tuple[bool, bytes], pa.Array] = {}
        is_key = True
        walk.expect(TAG_KEY)
        while walk.tag() != TAG_ROW_CHECKSUM:
            if is_key and walk.tag() == TAG_CELLS:
                is_key = False
                walk.expect(TAG_CELLS)
                continue
            name, kind, array = walk.cell(has_version=not is_key)
            wanted = self._wanted.get((is_key, name))
            if (is_key, name) in found or (wanted is None and not is_key):
                raise _Irregular
            name.decode()  # wanted or not, it has to be text
            if (wanted is not None and wanted.type is not kind) or (is_key and kind in _NEVER_IN_KEYS):
                raise _Irregular
            found[is_key, name] = array
        walk.end()
        rows = len(starts)
        arrays = [
            found[place] if place in found else pa.nulls(rows, pa.type_for_alias(ARROW_TYPES[one.type]))
            for place, one in self._wanted.items()
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema)


_NEVER_IN_KEYS = (ColumnType.DOUBLE, ColumnType.BOOLEAN)


def _row_starts(content: bytes) -> Places:
    """Where rows may begin: the first cell's name follows. A block without rows has none."""
    first = len(HEADER)
    (length,) = _LENGTH.unpack_from(content, first + 3)
    head = content[first : first + 8 + length]
    if content[first] != TAG_KEY or len(head) < 8 + length:
        raise _Irregular
    return np.array([match.start() for match in re.finditer(re.escape(head), content)], np.int64)


class _Walk:
    """All rows at once, at the same cell of each: `places` is where they stand."""

    def __init__(self, content: bytes, starts: Places):
        self._content, self._starts = content, starts
        self._bytes = np.frombuffer(content, np.uint8)
        self._places = starts.copy()
        self._row_sums = np.zeros(len(starts), np.uint8)

    def tag(self) -> int:
        """What comes next in the first row; the others are compared when it is read."""
        return self._content[int(self._places[0])]

    def expect(self, byte: int) -> None:
        """The same byte in every row."""
        if not (self._bytes[self._places] == byte).all():
            raise _Irregular
        self._places += 1

    def cell(self, *, has_version: bool) -> tuple[bytes, ColumnType, pa.Array]:
        """The next cell of every row: its name, type and values."""
        first = int(self._places[0])
        (length,) = _LENGTH.unpack_from(self._content, first + 2)
        name = self._content[first + 6 : first + 6 + length]
        type_byte = self._content[first + 6 + length + 5]
        if type_byte not in _TYPES:
            raise _Irregular
        head = bytes((TAG_CELL, TAG_NAME)) + _LENGTH.pack(length) + name + bytes((TAG_VALUE,))
        total = np.full(len(self._starts), checksum(name), np.uint8)
        size = _FIXED.get(type_byte)
        if size is None:
            self._pass(head)
            array, total = self._texts(type_byte, total)
        else:
            self._pass(head + _LENGTH.pack(size + 1) + bytes((type_byte,)))
            array, total = self._fixed(type_byte, size, checksum(bytes((type_byte,)), checksum(name)))
        if has_version and self.tag() == TAG_TIMESTAMP:
            self.expect(TAG_TIMESTAMP)
            words = self._items(8)
            total = after(total, 8) ^ crc_of_eight(words)
            self._places += 8
        self.expect(TAG_CELL_CHECKSUM)
        if not (self._bytes[self._places] == total).all():
            raise _Irregular
        self._places += 1
        self._row_sums = after(self._row_sums ^ total, 1)
        return name, _TYPES[type_byte], array

    def end(self) -> None:
        """The end of every row, which must be where the next one begins, or the block's own."""
        self.expect(TAG_ROW_CHECKSUM)
        # the last byte of a row's checksum is that of the delete marker, which is not there: zero
        if not (self._bytes[self._places] == after(self._row_sums, 1)).all():
            raise _Irregular
        ends = self._places + 1
        if ends[-1] != len(self._content) or not (ends[:-1] == self._starts[1:]).all():
            raise _Irregular

    def _pass(self, wanted: bytes) -> None:
        """These bytes in every row."""
        found = self._strided(np.dtype((np.void, len(wanted))))[self._places]
        if found.tobytes() != wanted * len(self._starts):
            raise _Irregular
        self._places += len(wanted)

    def _strided(self, kind: np.dtype[Any]) -> npt.NDArray[Any]:
        """An item of this size at every byte of the block; to ask for one beyond its end is an IndexError."""
        count = len(self._content) - kind.itemsize + 1
        return np.ndarray((max(count, 0),), kind, self._content, 0, (1,))

    def _items(self, size: int) -> npt.NDArray[Any]:
        return self._strided(np.dtype(f"<u{size}"))[self._places]

    def _fixed(self, type_byte: int, size: int, seed: int) -> tuple[pa.Array, npt.NDArray[np.uint8]]:
        items = self._items(size)
        seeds = np.full(len(items), seed, np.uint8)
        self._places += size
        if type_byte == TYPE_BOOLEAN:
            if (items > 1).any():
                raise _Irregular
            return pa.array(items.astype(np.bool_)), after(seeds ^ items, 1)
        kind = pa.int64() if type_byte == TYPE_INTEGER else pa.float64()
        array = pa.Array.from_buffers(kind, len(items), [None, pa.py_buffer(items)])
        return array, after(seeds, 8) ^ crc_of_eight(items)

    def _texts(self, type_byte: int, total: npt.NDArray[np.uint8]) -> tuple[pa.Array, npt.NDArray[np.uint8]]:
        sizes = self._items(4).astype(np.int64)
        self._places += 4
        begins = self._places.copy()
        if not (self._bytes[self._places] == type_byte).all():
            raise _Irregular
        self._places += 1
        lengths = self._items(4).astype(np.int64)
        self._places += 4
        starts = self._places.copy()
        ends = starts + lengths
        if not (sizes == lengths + 5).all() or (ends >= len(self._content)).any():
            raise _Irregular
        self._places = ends.copy()
        array = pa.Array.from_buffers(
            pa.binary(),
            len(starts),
            [None, pa.py_buffer(_offsets(lengths)), pa.py_buffer(self._joined(starts, ends, lengths))],
        )
        text = array.cast(pa.string()) if type_byte == TYPE_STRING else array  # ArrowInvalid: not UTF-8
        return text, crc_of_spans(self._content, begins, ends, total)

    def _joined(self, starts: Places, ends: Places, lengths: Places) -> Any:
        total = int(lengths.sum())
        if total > _LONGEST_GATHERED * len(starts):
            pairs = zip(starts.tolist(), ends.tolist(), strict=True)
            return b"".join([self._content[start:end] for start, end in pairs])
        before = np.cumsum(lengths) - lengths
        return self._bytes[np.arange(total) + np.repeat(starts - before, lengths)]


def _offsets(lengths: Places) -> npt.NDArray[np.int32]:
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return offsets
