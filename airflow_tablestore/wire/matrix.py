"""SimpleRowMatrix bytes to rows and back: one version of each cell, no timestamps, the column names once for all rows.

The form in which BulkExport answers, and GetRange where it is asked for. Every row has every field, null where the row
has no such cell. One checksum covers the block, so nothing is believed before it matched.

Source: tests/vectors/matrix.json, read by the official Java and Go parsers.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from airflow_tablestore.errors import ProtocolError, RecordError
from airflow_tablestore.wire.plainbuffer import (
    TYPE_BINARY,
    TYPE_BOOLEAN,
    TYPE_DOUBLE,
    TYPE_INTEGER,
    TYPE_STRING,
    checksum,
    encode_value,
    read_text,
)
from airflow_tablestore.wire.row import Value

MAGIC = b"SRM0"
"""What every matrix begins with."""
_HEAD = struct.Struct("<4s4i")
"""Magic, where the rows begin, where the options begin, how many key fields, how many others."""
_OPTIONS = struct.Struct("<BBBi")
"""Tag and flag of the entire key, tag and number of rows."""
_NAME_LENGTH = struct.Struct("<h")
_LENGTH = struct.Struct("<I")
_INTEGER, _DOUBLE = struct.Struct("<q"), struct.Struct("<d")

_TAG_CHECKSUM, _TAG_ROW, _TAG_ROW_COUNT, _TAG_ENTIRE_KEY = 1, 2, 3, 10
_TYPE_NULL = 6
_LONGEST_NAME = 2**15 - 1


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows of values under `fields`, of which the first `key_count` are parts of the key.

    `has_entire_key` says that those are all parts of the table's key.
    """

    fields: tuple[str, ...]
    key_count: int
    rows: tuple[tuple[Value | None, ...], ...]
    has_entire_key: bool = True


def encode_matrix(matrix: Matrix) -> bytes:
    """The block of a matrix.

    :raises RecordError: a name or value that the form cannot hold, or a row of another width.
    """
    width = len(matrix.fields)
    if not 0 <= matrix.key_count <= width:
        raise RecordError(f"{matrix.key_count} key fields among {width} fields")
    names = b"".join(map(_encode_name, matrix.fields))
    options = _HEAD.size + len(names)
    head = _HEAD.pack(MAGIC, options + _OPTIONS.size, options, matrix.key_count, width - matrix.key_count)
    parts = [head, names, _OPTIONS.pack(_TAG_ENTIRE_KEY, matrix.has_entire_key, _TAG_ROW_COUNT, len(matrix.rows))]
    for number, row in enumerate(matrix.rows):
        if len(row) != width:
            raise RecordError(f"row {number} has {len(row)} values for {width} fields")
        parts.append(b"\x02")
        parts += [b"\x06" if value is None else encode_value(value) for value in row]
    parts.append(b"\x01")
    content = b"".join(parts)
    return content + bytes((checksum(content),))


def decode_matrix(block: bytes | memoryview) -> Matrix:
    """The matrix of a block.

    :raises ProtocolError: the bytes are no valid block.
    """
    content = bytes(block)
    if not content or checksum(content[:-1]) != content[-1]:
        raise ProtocolError("the checksum of a matrix does not match")
    try:
        return _read_matrix(content)
    except (IndexError, struct.error) as error:
        raise ProtocolError("the matrix ends too early") from error


def read_fields(content: bytes | memoryview) -> tuple[str, ...]:
    """The names of the fields of a block; no more of it is looked at.

    :raises ProtocolError: the block does not hold them.
    """
    try:
        _, rows, _, key_count, others = _HEAD.unpack_from(content)
        return _read_names(bytes(content[:rows]), _HEAD.size, key_count + others)[0]
    except struct.error as error:
        raise ProtocolError("the matrix ends too early") from error


def _encode_name(name: str) -> bytes:
    try:
        label = name.encode()
    except UnicodeEncodeError as error:
        raise RecordError(f"column {name!r}: text that UTF-8 cannot hold ({error.reason})") from error
    if len(label) > _LONGEST_NAME:
        raise RecordError(f"a column name of {len(label)} bytes; {_LONGEST_NAME} is the most")
    return _NAME_LENGTH.pack(len(label)) + label


def _read_matrix(content: bytes) -> Matrix:
    magic, data, options, key_count, others = _HEAD.unpack_from(content)
    if magic != MAGIC:
        raise ProtocolError("a matrix must begin with SRM0")
    if key_count < 0 or others < 0:
        raise ProtocolError(f"a matrix of {key_count} and {others} fields")
    fields, place = _read_names(content, _HEAD.size, key_count + others)
    entire_tag, is_entire, count_tag, count = _OPTIONS.unpack_from(content, place)
    if (options, data) != (place, place + _OPTIONS.size):
        raise ProtocolError(f"the parts of a matrix begin at {options} and {data}, not at {place} and after")
    if (entire_tag, count_tag) != (_TAG_ENTIRE_KEY, _TAG_ROW_COUNT) or is_entire > 1 or count < 0:
        raise ProtocolError("the options of a matrix are not what they must be")
    place = data
    rows = []
    for number in range(count):
        if content[place] != _TAG_ROW:
            raise ProtocolError(f"byte {place}: row {number} of {count} must begin here")
        row, place = _read_row(content, place + 1, fields)
        rows.append(row)
    if content[place] != _TAG_CHECKSUM or place + 2 != len(content):
        raise ProtocolError(f"byte {place}: a matrix of {count} rows must end here")
    return Matrix(fields, key_count, tuple(rows), is_entire == 1)


def _read_names(content: bytes, place: int, count: int) -> tuple[tuple[str, ...], int]:
    names = []
    for _ in range(count):
        (length,) = _NAME_LENGTH.unpack_from(content, place)
        place += _NAME_LENGTH.size
        if length < 0 or place + length > len(content):
            raise ProtocolError(f"byte {place}: a column name of {length} bytes")
        names.append(read_text(content[place : place + length], f"byte {place}: a column name"))
        place += length
    return tuple(names), place


def _read_row(content: bytes, place: int, fields: tuple[str, ...]) -> tuple[tuple[Value | None, ...], int]:
    row = []
    for name in fields:
        value, place = read_value(content, place, name)
        row.append(value)
    return tuple(row), place


def read_value(content: bytes, place: int, name: str) -> tuple[Value | None, int]:
    """The value of one field that begins at `place`, and where the next thing begins; None for null.

    :raises ProtocolError: it is none. IndexError and struct.error mean that the block ends inside it.
    """
    kind = content[place]
    place += 1
    if kind == _TYPE_NULL:
        return None, place
    if kind == TYPE_INTEGER:
        return int(_INTEGER.unpack_from(content, place)[0]), place + 8
    if kind == TYPE_DOUBLE:
        return float(_DOUBLE.unpack_from(content, place)[0]), place + 8
    if kind == TYPE_BOOLEAN:
        if content[place] > 1:
            raise ProtocolError(f"column {name!r}: {content[place]} is no boolean")
        return content[place] == 1, place + 1
    if kind not in (TYPE_STRING, TYPE_BINARY):
        raise ProtocolError(f"column {name!r}: unknown value type {kind}")
    (length,) = _LENGTH.unpack_from(content, place)
    place += _LENGTH.size
    data = content[place : place + length]
    if len(data) != length:
        raise IndexError
    return data if kind == TYPE_BINARY else read_text(data, f"column {name!r}"), place + length
