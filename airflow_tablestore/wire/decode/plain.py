"""PlainBuffer blocks to columns, in plain Python: correct everywhere, and the judge of every faster decoder.

No row and no cell becomes an object. Integers and doubles stay the eight bytes that they are on the wire, because
Arrow keeps them the same way; text stays bytes until Arrow checks it as a whole. A known cell costs one comparison
(the bytes with which it must begin: name, length and type), one checksum and one append. The cell that comes next is
guessed from the row before; a wrong guess costs a look-up by name.

Checksums: CRC-8 starting at `a` over bytes `b` is CRC(b) xor CRC(a, as many zeros). So a name's checksum is computed
once for the decoder, and a timestamp's once for all neighbouring cells that share it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from airflow_tablestore.errors import ProtocolError, SpecError
from airflow_tablestore.wire.decode import ARROW_TYPES, Decoded, Stray, Wanted
from airflow_tablestore.wire.decode.matrix import decode_columns
from airflow_tablestore.wire.matrix import MAGIC
from airflow_tablestore.wire.plainbuffer import (
    TAG_CELL,
    TAG_CELL_CHECKSUM,
    TAG_CELLS,
    TAG_DELETE,
    TAG_EXTENSION,
    TAG_KEY,
    TAG_OP,
    TAG_ROW_CHECKSUM,
    TAG_TIMESTAMP,
    begin,
    checksum,
    cut_short,
    ends_in_zeros,
    read_cell,
    read_key_cell,
    unexpected,
)
from airflow_tablestore.wire.row import CellOp, ColumnType, Value

_NEXT = bytes(checksum(bytes((byte,))) for byte in range(256))
"""CRC of one byte: `_NEXT[total ^ byte]` continues a checksum by a byte."""

_NEXT_EIGHT = bytes(checksum(bytes(8), byte) for byte in range(256))
"""What a checksum becomes after eight zeros."""

_LENGTH = struct.Struct("<I")
_TEXT = struct.Struct("<IBI")
"""Value length, type and text length of a string or binary."""

_EIGHT, _BYTES, _BIT = range(3)
"""How a value lies in its cell: eight bytes, a length and bytes, one byte."""

_KINDS = {
    ColumnType.INTEGER: (_EIGHT, 0),
    ColumnType.DOUBLE: (_EIGHT, 1),
    ColumnType.BOOLEAN: (_BIT, 2),
    ColumnType.STRING: (_BYTES, 3),
    ColumnType.BINARY: (_BYTES, 7),
}
_SIZES = {_EIGHT: 9, _BIT: 2}


class _Column:
    """A wanted column: the bytes with which its cells begin, and the values found so far (None: no such cell).

    `follower` is the column whose cell came next the last time.
    """

    __slots__ = ("follower", "has_nulls", "kind", "prefix", "seed", "size", "type_byte", "values", "wanted")

    def __init__(self, wanted: Wanted):
        name = wanted.name.encode()
        self.wanted = wanted
        self.kind, self.type_byte = _KINDS[wanted.type]
        self.prefix = b"\x03\x04" + _LENGTH.pack(len(name)) + name + b"\x05"
        self.seed = checksum(name)
        if self.kind != _BYTES:
            self.prefix += _LENGTH.pack(_SIZES[self.kind]) + bytes((self.type_byte,))
            self.seed = checksum(bytes((self.type_byte,)), self.seed)
        self.size = len(self.prefix)
        self.values: list[bytes | bool | None] = []
        self.has_nulls = False
        self.follower: _Column = self

    def fill(self, row: int) -> None:
        """Null in the rows before `row` that had no such cell.

        :raises ProtocolError: this row had one already.
        """
        if len(self.values) > row:
            raise _second_version(self.wanted.name, row)
        if len(self.values) < row:
            self.values += [None] * (row - len(self.values))
            self.has_nulls = True

    def array(self) -> pa.Array:
        """The values so far.

        :raises ProtocolError: text that is not UTF-8.
        """
        arrow = pa.type_for_alias(ARROW_TYPES[self.wanted.type])
        if self.kind == _EIGHT:
            if self.has_nulls:
                return pa.array(self.values, pa.binary(8)).view(arrow)
            joined = b"".join(self.values)  # type: ignore[arg-type]
            return pa.Array.from_buffers(arrow, len(self.values), [None, pa.py_buffer(joined)])
        if self.wanted.type is not ColumnType.STRING:
            return pa.array(self.values, arrow)
        try:
            return pa.array(self.values, pa.binary()).cast(arrow)
        except pa.ArrowInvalid as error:
            raise ProtocolError(f"column {self.wanted.name!r}: a string that is not UTF-8") from error


class _Start:
    """What stands before the first cell of a part of a row: begins no cell itself."""

    __slots__ = ("follower", "prefix")

    def __init__(self) -> None:
        self.prefix: tuple[bytes, ...] = ()
        self.follower: Any = self


class PlainDecoder:
    """Turns blocks into columns; keep one between blocks, not between threads. A row of 12 cells takes about 8 µs.

    :raises SpecError: the same column is wanted twice.
    """

    def __init__(self, wanted: Sequence[Wanted]):
        self._wanted = tuple(wanted)
        self._columns = [_Column(one) for one in wanted]
        self._keys = {c.wanted.name.encode(): c for c in self._columns if c.wanted.is_key}
        self._attributes = {c.wanted.name.encode(): c for c in self._columns if not c.wanted.is_key}
        if len(self._keys) + len(self._attributes) != len(self._columns):
            raise SpecError("a column is wanted twice")
        self._before_keys, self._before_attributes = _Start(), _Start()
        self._conflicts: list[Stray] = []
        self._others: list[Stray] = []
        self._seen: set[str] = set()
        self._seen_row = -1

    def decode(self, block: bytes | memoryview) -> Decoded:
        """The block's rows; see `Decoder`. Nothing is kept of a block that is refused."""
        self._clear()
        content = bytes(block)
        if content.startswith(MAGIC):
            return decode_columns(content, self._wanted)
        try:
            rows = self._walk(content, begin(content))
        except (IndexError, struct.error) as error:
            raise cut_short(max((len(column.values) for column in self._columns), default=0)) from error
        for column in self._columns:
            column.fill(rows)
        decoded = Decoded(self._batch(rows), tuple(self._conflicts), tuple(self._others))
        self._clear()
        return decoded

    def _clear(self) -> None:
        self._conflicts, self._others = [], []
        self._seen_row = -1
        for column in self._columns:
            column.values = []
            column.has_nulls = False

    def _batch(self, rows: int) -> pa.RecordBatch:
        if not self._columns:
            return pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))
        names = [column.wanted.name for column in self._columns]
        return pa.RecordBatch.from_arrays([column.array() for column in self._columns], names)

    def _walk(self, content: bytes, place: int) -> int:
        """Reads every cell into its column; the number of rows.

        One long loop: a call for each cell would cost as much as the cell itself.
        """
        startswith, crc, read_text_head = content.startswith, checksum, _TEXT.unpack_from
        row = moment_sum = 0
        moment = b"\x00"  # the timestamp of the cell before, with the tags around it
        while place < len(content) and not ends_in_zeros(content, place):
            if content[place] == TAG_KEY:
                place += 1
            elif content[place] != TAG_CELLS:
                raise unexpected(content, place)
            names, last, row_sum = self._keys, self._before_keys, 0

            while True:
                column = last.follower
                if not startswith(column.prefix, place):
                    tag = content[place]
                    if tag == TAG_CELLS and names is self._keys:
                        names, last = self._attributes, self._before_attributes
                        place += 1
                        continue
                    if tag != TAG_CELL:
                        break
                    found = _named(names, content, place)
                    if found is None or not startswith(found.prefix, place):
                        total, place = self._stray(content, place, row, found, names)
                        row_sum = _NEXT[row_sum ^ total]
                        continue
                    last.follower = column = found

                start, values = place + column.size, column.values
                data: bytes | bool
                if column.kind == _EIGHT:
                    end = start + 8
                    data = content[start:end]
                    total = crc(data, column.seed)
                elif column.kind == _BYTES:
                    size, type_byte, length = read_text_head(content, start)
                    if type_byte != column.type_byte:
                        total, place = self._stray(content, place, row, column, names)
                        row_sum = _NEXT[row_sum ^ total]
                        continue
                    if size != length + 5:
                        raise ProtocolError(f"byte {start}: two lengths of a value do not agree ({size} and {length})")
                    end = start + 9 + length
                    data = content[start + 9 : end]
                    total = crc(content[start + 4 : end], column.seed)
                else:
                    end = start + 1
                    if content[start] > 1:
                        raise ProtocolError(f"byte {start}: {content[start]} is no boolean")
                    data = content[start] == 1
                    total = _NEXT[column.seed ^ data]

                if content[end] == TAG_CELL_CHECKSUM:
                    place = end + 1
                elif names is self._keys:
                    raise unexpected(content, end)
                else:
                    if not startswith(moment, end):
                        moment = _moment(content, end)
                        moment_sum = crc(moment[1:9])
                    total = _NEXT_EIGHT[total] ^ moment_sum
                    place = end + 10
                if content[place] != total:
                    raise ProtocolError(
                        f"column {column.wanted.name!r}, row {row}: the checksum of a cell does not match"
                    )
                place += 1
                row_sum = _NEXT[row_sum ^ total]
                if len(values) != row:
                    column.fill(row)
                values.append(data)
                last = column

            if tag != TAG_ROW_CHECKSUM:
                raise _misplaced(content, place)
            # a row's checksum ends with a byte for the delete marker, which a range read never has: zero
            if content[place + 1] != _NEXT[row_sum]:
                raise ProtocolError(f"row {row}: the checksum of a row does not match")
            place += 2
            row += 1
        return row

    def _stray(
        self, content: bytes, place: int, row: int, column: _Column | None, names: Mapping[bytes, _Column]
    ) -> tuple[int, int]:
        """A cell that has no place in the columns: its checksum, and where the next thing begins.

        Parts of the key that nobody wanted are passed over: the table's description has them, so they are not unknown.
        """
        name: str
        value: Value
        if names is self._keys:
            name, part, total, place = read_key_cell(content, place)
            if not isinstance(part, (int, str, bytes)):
                raise ProtocolError(f"key column {name!r}, row {row}: {part.value} in a stored row")
            value = part
        else:
            cell, total, place = read_cell(content, place)
            if cell.value is None or cell.op is not CellOp.PUT:
                raise ProtocolError(f"column {cell.name!r}, row {row}: {cell.op.value} in a range read")
            name, value = cell.name, cell.value
        if column is not None:
            column.fill(row)
            column.values.append(None)
            column.has_nulls = True
            self._conflicts.append(Stray(row, name, value))
        elif names is self._attributes:
            self._note_other(Stray(row, name, value))
        return total, place

    def _note_other(self, stray: Stray) -> None:
        if stray.row != self._seen_row:
            self._seen_row = stray.row
            self._seen.clear()
        if stray.column in self._seen:
            raise _second_version(stray.column, stray.row)
        self._seen.add(stray.column)
        self._others.append(stray)


def _named(names: Mapping[bytes, _Column], content: bytes, place: int) -> _Column | None:
    (length,) = _LENGTH.unpack_from(content, place + 2)
    return names.get(content[place + 6 : place + 6 + length])


def _moment(content: bytes, place: int) -> bytes:
    """The timestamp at `place`, from its tag to the tag of the checksum that must follow."""
    if content[place] != TAG_TIMESTAMP:
        raise _misplaced(content, place)
    if content[place + 9] != TAG_CELL_CHECKSUM:
        raise _misplaced(content, place + 9)
    return content[place : place + 10]


def _misplaced(content: bytes, place: int) -> ProtocolError:
    what = {TAG_DELETE: "a delete marker", TAG_EXTENSION: "a sequence", TAG_OP: "an operation"}.get(content[place])
    return ProtocolError(f"byte {place}: {what} in a range read") if what else unexpected(content, place)


def _second_version(column: str, row: int) -> ProtocolError:
    return ProtocolError(f"column {column!r}, row {row}: a second version of a cell, though one was asked for")
