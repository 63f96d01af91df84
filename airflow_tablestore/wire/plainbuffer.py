"""Rows to PlainBuffer bytes and back: the form in which the data, stream and tunnel services carry keys and rows.

A block is a header and rows; a row is tagged parts (key, cells, delete marker, sequence) and a checksum; a cell is a
name, and what it has of value, operation and time, and a checksum. Nothing is passed over: an unknown tag, a length
that does not fit or a wrong checksum is a ProtocolError. Blocks become columns in `wire.decode`; this module makes
one `Row` at a time.

Source: tests/vectors/plainbuffer.json. Two traps are in the format: a cell's checksum takes its timestamp before its
operation although they are written the other way round, and a row's checksum does not cover its sequence.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from fastcrc import crc8

from airflow_tablestore.errors import ProtocolError, RecordError
from airflow_tablestore.wire.row import (
    AUTO_INCREMENT,
    INF_MAX,
    INF_MIN,
    INT64_MAX,
    INT64_MIN,
    Cell,
    CellOp,
    KeyValue,
    PrimaryKey,
    Row,
    SequenceInfo,
    Value,
)

checksum = crc8.smbus
"""CRC-8, polynomial 0x07, starting at 0 or at the checksum of what came before: `checksum(data, before)`."""

HEADER = b"\x75\x00\x00\x00"
"""What every block begins with; a block of several rows is the header and `encode_row` of each."""

TAG_KEY, TAG_CELLS, TAG_CELL, TAG_NAME, TAG_VALUE, TAG_OP, TAG_TIMESTAMP = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07
TAG_DELETE, TAG_ROW_CHECKSUM, TAG_CELL_CHECKSUM, TAG_EXTENSION = 0x08, 0x09, 0x0A, 0x0B
TAG_SEQUENCE, TAG_EPOCH, TAG_SEQUENCE_TIME, TAG_ROW_INDEX = 0x0C, 0x0D, 0x0E, 0x0F

TYPE_INTEGER, TYPE_DOUBLE, TYPE_BOOLEAN, TYPE_STRING, TYPE_BINARY = 0, 1, 2, 3, 7
TYPE_INF_MIN, TYPE_INF_MAX, TYPE_AUTO_INCREMENT = 9, 10, 11

_OP_BYTES = {CellOp.DELETE_ALL_VERSIONS: 1, CellOp.DELETE_ONE_VERSION: 3, CellOp.INCREMENT: 4}
_OPS = {byte: op for op, byte in _OP_BYTES.items()}
_MARKS: dict[object, int] = {
    INF_MIN: TYPE_INF_MIN,
    INF_MAX: TYPE_INF_MAX,
    AUTO_INCREMENT: TYPE_AUTO_INCREMENT,
}
_MARKED: dict[int, KeyValue] = {TYPE_INF_MIN: INF_MIN, TYPE_INF_MAX: INF_MAX, TYPE_AUTO_INCREMENT: AUTO_INCREMENT}

_LENGTH = struct.Struct("<I")
_INTEGER = struct.Struct("<q")
_DOUBLE = struct.Struct("<d")
_SEQUENCE = struct.Struct("<BIBIBiBqBi")
"""Extension tag and its length, sequence tag and its length, then epoch, microseconds and row index with their tags."""
_SEQUENCE_TAGS = (TAG_EXTENSION, 24, TAG_SEQUENCE, 19, TAG_EPOCH, TAG_SEQUENCE_TIME, TAG_ROW_INDEX)


# ---- writing


def encode_key(key: PrimaryKey) -> bytes:
    """A key alone, as requests carry it; its parts may be bounds.

    :raises RecordError: no part, or a part that is no key value.
    """
    if not key:
        raise RecordError("a primary key needs at least one part")
    return HEADER + encode_row(Row(key))


def encode_put(key: PrimaryKey, cells: Iterable[Cell]) -> bytes:
    """The row change of a put.

    :raises RecordError: a cell that does anything but put, or a value that Tablestore cannot hold.
    """
    row = Row(key, tuple(cells))
    for cell in row.cells:
        if cell.op is not CellOp.PUT:
            raise RecordError(f"column {cell.name!r}: a put cannot hold the operation {cell.op.value}")
    return HEADER + encode_row(row)


def encode_update(key: PrimaryKey, cells: Iterable[Cell]) -> bytes:
    """The row change of an update: every cell says what it does.

    :raises RecordError: a cell that is not what its operation needs, or a value that Tablestore cannot hold.
    """
    return HEADER + encode_row(Row(key, tuple(cells)))


def encode_delete(key: PrimaryKey) -> bytes:
    """The row change of a delete.

    :raises RecordError: a part that is no key value.
    """
    return HEADER + encode_row(Row(key, is_delete=True))


def encode_rows(rows: Iterable[Row]) -> bytes:
    """A block of rows, as answers carry them; the header alone when there is none.

    :raises RecordError: a row that Tablestore cannot hold.
    """
    return HEADER + b"".join(map(encode_row, rows))


def encode_row(row: Row) -> bytes:
    """One row without the block's header, so that rows can be kept encoded and joined.

    :raises RecordError: a value that Tablestore cannot hold, or a cell that is not what its operation needs.
    """
    parts: list[bytes] = []
    sums = bytearray()
    if row.key:
        parts.append(b"\x01")
        parts += [_encode_cell(name, _typed_key(name, value), None, None, sums) for name, value in row.key]
    if row.cells:
        parts.append(b"\x02")
        for cell in row.cells:
            content = None if cell.value is None else _typed(cell.name, cell.value)
            _check_shape(cell, RecordError)
            parts.append(_encode_cell(cell.name, content, _OP_BYTES.get(cell.op), cell.timestamp, sums))
    if row.is_delete:
        parts.append(b"\x08")
    if row.sequence is not None:
        parts.append(_encode_sequence(row.sequence))
    sums.append(row.is_delete)
    parts.append(bytes((TAG_ROW_CHECKSUM, checksum(bytes(sums)))))
    return b"".join(parts)


def encode_value(value: Value) -> bytes:
    """A value alone, without tag and length: the form of a filter's `column_value`.

    :raises RecordError: a value that Tablestore cannot hold.
    """
    return _typed("value", value)


def _encode_cell(name: str, content: bytes | None, op: int | None, timestamp: int | None, sums: bytearray) -> bytes:
    """One cell; its checksum is also added to `sums`, of which the row's checksum is made."""
    label = _utf8(name, name)
    total = checksum(label)
    written = b"\x03\x04" + _LENGTH.pack(len(label)) + label
    if content is not None:
        total = checksum(content, total)
        written += b"\x05" + _LENGTH.pack(len(content)) + content
    if op is not None:
        written += bytes((TAG_OP, op))
    if timestamp is not None:
        moment = _packed_integer(name, timestamp)
        total = checksum(moment, total)
        written += b"\x07" + moment
    if op is not None:
        total = checksum(bytes((op,)), total)
    sums.append(total)
    return written + bytes((TAG_CELL_CHECKSUM, total))


def _typed(name: str, value: Value) -> bytes:
    kind = type(value)
    if kind is str:
        text = _utf8(name, value)  # type: ignore[arg-type]
        return b"\x03" + _LENGTH.pack(len(text)) + text
    if kind is bool:
        return b"\x02\x01" if value else b"\x02\x00"
    if kind is int:
        return b"\x00" + _packed_integer(name, value)  # type: ignore[arg-type]
    if kind is float:
        return b"\x01" + _DOUBLE.pack(value)
    if kind is bytes:
        return b"\x07" + _LENGTH.pack(len(value)) + value  # type: ignore[arg-type, operator]
    raise RecordError(f"column {name!r}: Tablestore holds no value of type {kind.__name__}")


def _typed_key(name: str, value: KeyValue) -> bytes:
    mark = _MARKS.get(value)
    if mark is not None:
        return bytes((mark,))
    if type(value) not in (int, str, bytes):
        raise RecordError(f"key column {name!r}: a {type(value).__name__} cannot be part of a primary key")
    return _typed(name, value)  # type: ignore[arg-type]


def _packed_integer(name: str, value: int) -> bytes:
    if not INT64_MIN <= value <= INT64_MAX:
        raise RecordError(f"column {name!r}: the integer {value} does not fit in 64 bits")
    return _INTEGER.pack(value)


def _utf8(name: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise RecordError(f"column {name!r}: text that UTF-8 cannot hold ({error.reason})") from error


def _encode_sequence(sequence: SequenceInfo) -> bytes:
    extension, size, inner, inner_size, epoch, moment, index = _SEQUENCE_TAGS
    try:
        tail = (epoch, sequence.epoch, moment, sequence.timestamp, index, sequence.row_index)
        return _SEQUENCE.pack(extension, size, inner, inner_size, *tail)
    except struct.error as error:
        raise RecordError(f"the sequence {sequence} does not fit its fields") from error


def _check_shape(cell: Cell, failure: type[RecordError] | type[ProtocolError]) -> None:
    """Each operation has what it needs and nothing else.

    Source: the Java SDK refuses stream cells of any other shape (an increment is in requests only).
    """
    op, has_value, has_time = cell.op, cell.value is not None, cell.timestamp is not None
    if op is CellOp.PUT:
        fits = has_value
    elif op is CellOp.INCREMENT:
        fits = type(cell.value) is int
    elif op is CellOp.DELETE_ONE_VERSION:
        fits = has_time and not has_value
    else:
        fits = not has_time and not has_value
    if not fits:
        raise failure(f"column {cell.name!r}: {op.value} with the wrong value or timestamp")


# ---- reading


def decode_rows(block: bytes | memoryview) -> list[Row]:
    """The rows of a block, whatever they hold; none when there are no bytes at all.

    Zeros after the last row are passed over, because an official client (npm) sends them; no other byte may follow.
    :raises ProtocolError: the bytes are no valid block.
    """
    content = bytes(block)
    rows: list[Row] = []
    place = begin(content)
    try:
        while place < len(content) and not ends_in_zeros(content, place):
            row, place = _read_row(content, place)
            rows.append(row)
    except (IndexError, struct.error) as error:
        raise cut_short(len(rows)) from error
    return rows


def decode_key(block: bytes | memoryview) -> PrimaryKey:
    """The key of a block that holds one key and nothing else.

    :raises ProtocolError: the bytes are no valid block, or hold more or less than a key.
    """
    rows = decode_rows(block)
    if len(rows) != 1 or not rows[0].key or rows[0] != Row(rows[0].key):
        raise ProtocolError("a primary key was expected, but the block holds something else")
    return rows[0].key


def decode_value(content: bytes) -> Value:
    """A value alone, the inverse of `encode_value`.

    :raises ProtocolError: the bytes are no value.
    """
    try:
        value = _read_value(content, 0, len(content), "value")
    except (IndexError, struct.error) as error:
        raise ProtocolError("a value ends too early") from error
    if not isinstance(value, (int, float, str, bytes)):
        raise ProtocolError("a bound is no value")
    return value


def decode_sequence(block: bytes) -> SequenceInfo:
    """The sequence of a block that holds one row, looked up at its end; nothing else is read or verified.

    :raises ProtocolError: the block does not end in a row with a sequence.
    """
    place = len(block) - _SEQUENCE.size - 2  # the row's checksum and its tag follow
    if place < len(HEADER) or block[-2] != TAG_ROW_CHECKSUM:
        raise ProtocolError("a row with a sequence was expected")
    return _read_sequence(block, place)[0]


def without_sequence(block: bytes) -> bytes:
    """The row of such a block as `encode_row` gives it, less its sequence, so that rows can be joined into a block.

    Nothing is verified: a row's checksum does not cover its sequence, and whoever reads the row checks the rest.
    """
    return block[len(HEADER) : -_SEQUENCE.size - 2] + block[-2:]


def begin(content: bytes) -> int:
    """Where the rows of a block begin.

    :raises ProtocolError: the block has no header.
    """
    if content and not content.startswith(HEADER):
        raise ProtocolError("a block of rows must begin with the PlainBuffer header 75 00 00 00")
    return len(HEADER)


def ends_in_zeros(content: bytes, place: int) -> bool:
    """Whether nothing but zeros is left; a zero where a row must begin followed by anything else is refused.

    :raises ProtocolError: a zero that is no padding.
    """
    if content[place]:
        return False
    if content.count(0, place) != len(content) - place:
        raise ProtocolError(f"byte {place}: a zero between rows")
    return True


def cut_short(rows: int) -> ProtocolError:
    """The error for a block that ends inside a row."""
    return ProtocolError(f"the block ends in the middle of row {rows}")


def _read_row(content: bytes, place: int) -> tuple[Row, int]:
    key: list[tuple[str, KeyValue]] = []
    cells: list[Cell] = []
    sums = bytearray()
    first = place
    if content[place] == TAG_KEY:
        place += 1
        while content[place] == TAG_CELL:
            name, value, total, place = read_key_cell(content, place)
            key.append((name, value))
            sums.append(total)
    if content[place] == TAG_CELLS:
        place += 1
        while content[place] == TAG_CELL:
            cell, total, place = read_cell(content, place)
            cells.append(cell)
            sums.append(total)
    is_delete = content[place] == TAG_DELETE
    place += is_delete
    sequence = None
    if content[place] == TAG_EXTENSION:
        sequence, place = _read_sequence(content, place)
    if content[place] != TAG_ROW_CHECKSUM or place == first:
        raise unexpected(content, place)
    sums.append(is_delete)
    if content[place + 1] != checksum(bytes(sums)):
        raise ProtocolError(f"byte {place}: the checksum of a row does not match")
    return Row(tuple(key), tuple(cells), is_delete, sequence), place + 2


def read_key_cell(content: bytes, place: int) -> tuple[str, KeyValue, int, int]:
    """A key part that begins at `place`: name, value, checksum, and where the next thing begins.

    :raises ProtocolError: it is none. IndexError and struct.error mean that the block ends inside it.
    """
    name, total, place = _read_name(content, place)
    if content[place] != TAG_VALUE:
        raise ProtocolError(f"byte {place}: key column {name!r} has no value")
    value, total, place = _read_content(content, place, name, total)
    if isinstance(value, (bool, float)):
        raise ProtocolError(f"key column {name!r}: a {type(value).__name__} cannot be part of a primary key")
    return name, value, total, _read_checksum(content, place, name, total)


def read_cell(content: bytes, place: int) -> tuple[Cell, int, int]:
    """A cell that begins at `place`, its checksum, and where the next thing begins.

    :raises ProtocolError: it is none. IndexError and struct.error mean that the block ends inside it.
    """
    name, total, place = _read_name(content, place)
    value: Value | None = None
    timestamp: int | None = None
    op, op_byte = CellOp.PUT, b""
    if content[place] == TAG_VALUE:
        found, total, place = _read_content(content, place, name, total)
        if not isinstance(found, (int, float, str, bytes)):
            raise ProtocolError(f"column {name!r}: a bound is no value")
        value = found
    if content[place] == TAG_OP:
        op_byte = content[place + 1 : place + 2]
        known = _OPS.get(content[place + 1])
        if known is None:
            raise ProtocolError(f"column {name!r}: unknown operation {content[place + 1]}")
        op = known
        place += 2
    if content[place] == TAG_TIMESTAMP:
        (timestamp,) = _INTEGER.unpack_from(content, place + 1)
        total = checksum(content[place + 1 : place + 9], total)
        place += 9
    total = checksum(op_byte, total)
    place = _read_checksum(content, place, name, total)
    cell = Cell(name, value, timestamp, op)
    _check_shape(cell, ProtocolError)
    return cell, total, place


def _read_name(content: bytes, place: int) -> tuple[str, int, int]:
    if content[place] != TAG_CELL or content[place + 1] != TAG_NAME:
        raise unexpected(content, place)
    (length,) = _LENGTH.unpack_from(content, place + 2)
    place += 6
    label = content[place : place + length]
    if len(label) != length:
        raise IndexError
    return read_text(label, f"byte {place}: a column name"), checksum(label), place + length


def _read_content(content: bytes, place: int, name: str, total: int) -> tuple[Value | KeyValue, int, int]:
    (length,) = _LENGTH.unpack_from(content, place + 1)
    place += 5
    value = _read_value(content, place, length, name)
    return value, checksum(content[place : place + length], total), place + length


def _read_value(content: bytes, place: int, length: int, name: str) -> Value | KeyValue:
    """The value whose type byte stands at `place`; type byte and value fill `length` bytes exactly."""
    kind = content[place]
    if kind in (TYPE_STRING, TYPE_BINARY):
        (size,) = _LENGTH.unpack_from(content, place + 1)
        data = content[place + 5 : place + 5 + size]
        if size + 5 != length:
            raise ProtocolError(f"column {name!r}: two lengths of a value do not agree ({length} and {size})")
        if len(data) != size:
            raise IndexError
        return data if kind == TYPE_BINARY else read_text(data, f"column {name!r}")
    if kind not in _FIXED:
        raise ProtocolError(f"column {name!r}: unknown value type {kind}")
    if length != _FIXED[kind]:
        raise ProtocolError(f"column {name!r}: a value of type {kind} takes {_FIXED[kind]} bytes, not {length}")
    if kind == TYPE_INTEGER:
        return int(_INTEGER.unpack_from(content, place + 1)[0])
    if kind == TYPE_DOUBLE:
        return float(_DOUBLE.unpack_from(content, place + 1)[0])
    if kind == TYPE_BOOLEAN:
        if content[place + 1] > 1:
            raise ProtocolError(f"column {name!r}: {content[place + 1]} is no boolean")
        return content[place + 1] == 1
    return _MARKED[kind]


_FIXED = {TYPE_INTEGER: 9, TYPE_DOUBLE: 9, TYPE_BOOLEAN: 2, TYPE_INF_MIN: 1, TYPE_INF_MAX: 1, TYPE_AUTO_INCREMENT: 1}
"""Types of one size: bytes of type byte and value."""


def read_text(data: bytes, where: str) -> str:
    """The text of UTF-8 bytes.

    :raises ProtocolError: they are none.
    """
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ProtocolError(f"{where}: not UTF-8 ({error.reason})") from error


def _read_checksum(content: bytes, place: int, name: str, total: int) -> int:
    if content[place] != TAG_CELL_CHECKSUM:
        raise unexpected(content, place)
    if content[place + 1] != total:
        raise ProtocolError(f"column {name!r}: the checksum of a cell does not match")
    return place + 2


def _read_sequence(content: bytes, place: int) -> tuple[SequenceInfo, int]:
    extension, size, inner, inner_size, e, epoch, t, moment, i, index = _SEQUENCE.unpack_from(content, place)
    if (extension, size, inner, inner_size, e, t, i) != _SEQUENCE_TAGS:
        raise ProtocolError(f"byte {place}: an extension of a row that is no sequence")
    return SequenceInfo(epoch, moment, index), place + _SEQUENCE.size


def unexpected(content: bytes, place: int) -> ProtocolError:
    """The error for a byte that no row can have at this place."""
    return ProtocolError(f"byte {place}: {content[place]:#04x} cannot stand here")
