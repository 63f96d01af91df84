"""Keys, rows and values out of PlainBuffer, one `Row` at a time.

Nothing is passed over: an unknown tag, a length that does not fit or a wrong checksum is a ProtocolError.
"""

from __future__ import annotations

import struct

from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.wire.plainbuffer.layout import (
    DOUBLE,
    HEADER,
    INTEGER,
    LENGTH,
    MARKED,
    OPS,
    SEQUENCE,
    SEQUENCE_TAGS,
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
    TYPE_AUTO_INCREMENT,
    TYPE_BINARY,
    TYPE_BOOLEAN,
    TYPE_DOUBLE,
    TYPE_INF_MAX,
    TYPE_INF_MIN,
    TYPE_INTEGER,
    TYPE_STRING,
    check_shape,
    checksum,
)
from airflow_tablestore.wire.row import (
    Cell,
    CellOp,
    KeyValue,
    PrimaryKey,
    Row,
    SequenceInfo,
    Value,
)


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
    place = len(block) - SEQUENCE.size - 2  # the row's checksum and its tag follow
    if place < len(HEADER) or block[-2] != TAG_ROW_CHECKSUM:
        raise ProtocolError("a row with a sequence was expected")
    return _read_sequence(block, place)[0]


def without_sequence(block: bytes) -> bytes:
    """The row of such a block as `encode_row` gives it, less its sequence, so that rows can be joined into a block.

    Nothing is verified: a row's checksum does not cover its sequence, and whoever reads the row checks the rest.
    """
    return block[len(HEADER) : -SEQUENCE.size - 2] + block[-2:]


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
        known = OPS.get(content[place + 1])
        if known is None:
            raise ProtocolError(f"column {name!r}: unknown operation {content[place + 1]}")
        op = known
        place += 2
    if content[place] == TAG_TIMESTAMP:
        (timestamp,) = INTEGER.unpack_from(content, place + 1)
        total = checksum(content[place + 1 : place + 9], total)
        place += 9
    total = checksum(op_byte, total)
    place = _read_checksum(content, place, name, total)
    cell = Cell(name, value, timestamp, op)
    check_shape(cell, ProtocolError)
    return cell, total, place


def _read_name(content: bytes, place: int) -> tuple[str, int, int]:
    if content[place] != TAG_CELL or content[place + 1] != TAG_NAME:
        raise unexpected(content, place)
    (length,) = LENGTH.unpack_from(content, place + 2)
    place += 6
    label = content[place : place + length]
    if len(label) != length:
        raise IndexError
    return read_text(label, f"byte {place}: a column name"), checksum(label), place + length


def _read_content(content: bytes, place: int, name: str, total: int) -> tuple[Value | KeyValue, int, int]:
    (length,) = LENGTH.unpack_from(content, place + 1)
    place += 5
    value = _read_value(content, place, length, name)
    return value, checksum(content[place : place + length], total), place + length


def _read_value(content: bytes, place: int, length: int, name: str) -> Value | KeyValue:
    """The value whose type byte stands at `place`; type byte and value fill `length` bytes exactly."""
    kind = content[place]
    if kind in (TYPE_STRING, TYPE_BINARY):
        (size,) = LENGTH.unpack_from(content, place + 1)
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
        return int(INTEGER.unpack_from(content, place + 1)[0])
    if kind == TYPE_DOUBLE:
        return float(DOUBLE.unpack_from(content, place + 1)[0])
    if kind == TYPE_BOOLEAN:
        if content[place + 1] > 1:
            raise ProtocolError(f"column {name!r}: {content[place + 1]} is no boolean")
        return content[place + 1] == 1
    return MARKED[kind]


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
    extension, size, inner, inner_size, e, epoch, t, moment, i, index = SEQUENCE.unpack_from(content, place)
    if (extension, size, inner, inner_size, e, t, i) != SEQUENCE_TAGS:
        raise ProtocolError(f"byte {place}: an extension of a row that is no sequence")
    return SequenceInfo(epoch, moment, index), place + SEQUENCE.size


def unexpected(content: bytes, place: int) -> ProtocolError:
    """The error for a byte that no row can have at this place."""
    return ProtocolError(f"byte {place}: {content[place]:#04x} cannot stand here")
