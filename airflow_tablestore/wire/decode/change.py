"""One stream record's key and cells as plain tuples: what `decode_rows` says of it, in a third of the time.

Only what a log holds is read here, and everything that is read is verified. Whatever else there is (a part of another
shape, damage, a boolean that is none) is left to `decode_rows`, which says what is wrong with it.
"""

from __future__ import annotations

import struct

from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.wire.plainbuffer import (
    HEADER,
    TAG_CELL,
    TAG_CELL_CHECKSUM,
    TAG_CELLS,
    TAG_DELETE,
    TAG_EXTENSION,
    TAG_KEY,
    TAG_NAME,
    TAG_OP,
    TAG_ROW_CHECKSUM,
    TAG_TIMESTAMP,
    TAG_VALUE,
    TYPE_BINARY,
    TYPE_BOOLEAN,
    TYPE_DOUBLE,
    TYPE_INTEGER,
    TYPE_STRING,
    checksum,
    decode_rows,
    decode_sequence,
)
from airflow_tablestore.wire.row import CellOp, KeyValue, SequenceInfo, Value

ChangedCell = tuple[str, Value | None, int | None, CellOp]
"""Name, value, version and operation."""

Change = tuple[tuple[tuple[str, KeyValue], ...], list[ChangedCell], SequenceInfo]

_LENGTH = struct.Struct("<I").unpack_from
_INTEGER = struct.Struct("<q").unpack_from
_DOUBLE = struct.Struct("<d").unpack_from
_OPS = {1: CellOp.DELETE_ALL_VERSIONS, 3: CellOp.DELETE_ONE_VERSION}
_FORMS = {
    CellOp.PUT: (True, True),
    CellOp.DELETE_ONE_VERSION: (False, True),
    CellOp.DELETE_ALL_VERSIONS: (False, False),
}
"""Whether each operation has a value and a version, in a log."""

_SEQUENCE_BYTES = 29
"""The sequence of a row, with its tags and lengths."""


class _Unusual(Exception):
    """Something that is not read here. Never leaves this module."""


class ChangeReader:
    """Reads stream records; keep one, it remembers the names of columns. Not for several threads."""

    def __init__(self) -> None:
        self._names: dict[bytes, tuple[str, int]] = {}

    def read(self, block: bytes) -> Change:
        """The key, the cells and the sequence of a block that holds one stream record.

        :raises ProtocolError: it is none.
        """
        try:
            return self._read(block)
        except (_Unusual, IndexError, struct.error, UnicodeDecodeError):
            return _slowly(block)

    def _read(self, block: bytes) -> Change:
        if block[: len(HEADER) + 1] != _BEGIN:
            raise _Unusual
        key, sums, place = self._cells(block, len(HEADER) + 1)
        cells: list[ChangedCell] = []
        if block[place] == TAG_CELLS:
            cells, more, place = self._cells(block, place + 1)
            sums += more
        is_delete = block[place] == TAG_DELETE
        place += is_delete
        end = place + _SEQUENCE_BYTES
        if block[place] != TAG_EXTENSION or block[end] != TAG_ROW_CHECKSUM or len(block) != end + 2:
            raise _Unusual
        sums.append(is_delete)
        if block[end + 1] != checksum(bytes(sums)):
            raise _Unusual
        parts = []
        for name, value, version, op in key:
            if not isinstance(value, int | str | bytes) or isinstance(value, bool) or version is not None:
                raise _Unusual
            if op is not CellOp.PUT:
                raise _Unusual
            parts.append((name, value))
        for _, value, version, op in cells:
            if _FORMS[op] != (value is not None, version is not None):
                raise _Unusual
        return tuple(parts), cells, decode_sequence(block)

    def _cells(self, block: bytes, place: int) -> tuple[list[ChangedCell], bytearray, int]:
        cells: list[ChangedCell] = []
        sums = bytearray()
        crc, names = checksum, self._names
        while block[place] == TAG_CELL:
            if block[place + 1] != TAG_NAME:
                raise _Unusual
            start = place + 6
            place = start + _LENGTH(block, place + 2)[0]
            label = block[start:place]
            known = names.get(label)
            if known is None:
                known = names[label] = label.decode(), crc(label)
            name, total = known
            value: Value | None = None
            version: int | None = None
            op = CellOp.PUT
            tag = block[place]
            if tag == TAG_VALUE:
                start = place + 5
                place = start + _LENGTH(block, place + 1)[0]
                value = _value(block, start, place)
                total = crc(block[start:place], total)
                tag = block[place]
            op_byte = b""
            if tag == TAG_OP:
                op_byte = block[place + 1 : place + 2]
                op = _OPS.get(block[place + 1], CellOp.INCREMENT)
                place += 2
                tag = block[place]
            if tag == TAG_TIMESTAMP:
                (version,) = _INTEGER(block, place + 1)
                total = crc(block[place + 1 : place + 9], total)
                place += 9
                tag = block[place]
            total = crc(op_byte, total)
            if tag != TAG_CELL_CHECKSUM or block[place + 1] != total or op is CellOp.INCREMENT:
                raise _Unusual
            place += 2
            sums.append(total)
            cells.append((name, value, version, op))
        return cells, sums, place


_BEGIN = HEADER + bytes((TAG_KEY,))


def _value(block: bytes, start: int, end: int) -> Value:
    kind, size = block[start], end - start
    if kind in (TYPE_STRING, TYPE_BINARY):
        if _LENGTH(block, start + 1)[0] != size - 5 or end > len(block):
            raise _Unusual
        data = block[start + 5 : end]
        return data.decode() if kind == TYPE_STRING else data
    if kind == TYPE_INTEGER and size == 9:
        found: int = _INTEGER(block, start + 1)[0]
        return found
    if kind == TYPE_DOUBLE and size == 9:
        number: float = _DOUBLE(block, start + 1)[0]
        return number
    if kind == TYPE_BOOLEAN and size == 2 and block[start + 1] <= 1:
        return block[start + 1] == 1
    raise _Unusual


def _slowly(block: bytes) -> Change:
    rows = decode_rows(block)
    if len(rows) != 1 or not rows[0].key or rows[0].sequence is None:
        raise ProtocolError("a stream record must be one row with a key and a sequence")
    (row,) = rows
    return row.key, [(cell.name, cell.value, cell.timestamp, cell.op) for cell in row.cells], rows[0].sequence
