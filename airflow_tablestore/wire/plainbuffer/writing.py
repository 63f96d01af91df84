"""Keys, rows and values as PlainBuffer. What no key or cell can hold is a RecordError."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from airflow_tablestore.errors import RecordError
from airflow_tablestore.wire.plainbuffer.layout import (
    DOUBLE,
    HEADER,
    INTEGER,
    LENGTH,
    MARKS,
    OP_BYTES,
    SEQUENCE,
    SEQUENCE_TAGS,
    TAG_CELL_CHECKSUM,
    TAG_OP,
    TAG_ROW_CHECKSUM,
    check_shape,
    checksum,
)
from airflow_tablestore.wire.row import (
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
            check_shape(cell, RecordError)
            parts.append(_encode_cell(cell.name, content, OP_BYTES.get(cell.op), cell.timestamp, sums))
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
    written = b"\x03\x04" + LENGTH.pack(len(label)) + label
    if content is not None:
        total = checksum(content, total)
        written += b"\x05" + LENGTH.pack(len(content)) + content
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
        return b"\x03" + LENGTH.pack(len(text)) + text
    if kind is bool:
        return b"\x02\x01" if value else b"\x02\x00"
    if kind is int:
        return b"\x00" + _packed_integer(name, value)  # type: ignore[arg-type]
    if kind is float:
        return b"\x01" + DOUBLE.pack(value)
    if kind is bytes:
        return b"\x07" + LENGTH.pack(len(value)) + value  # type: ignore[arg-type, operator]
    raise RecordError(f"column {name!r}: Tablestore holds no value of type {kind.__name__}")


def _typed_key(name: str, value: KeyValue) -> bytes:
    mark = MARKS.get(value)
    if mark is not None:
        return bytes((mark,))
    if type(value) not in (int, str, bytes):
        raise RecordError(f"key column {name!r}: a {type(value).__name__} cannot be part of a primary key")
    return _typed(name, value)  # type: ignore[arg-type]


def _packed_integer(name: str, value: int) -> bytes:
    if not INT64_MIN <= value <= INT64_MAX:
        raise RecordError(f"column {name!r}: the integer {value} does not fit in 64 bits")
    return INTEGER.pack(value)


def _utf8(name: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise RecordError(f"column {name!r}: text that UTF-8 cannot hold ({error.reason})") from error


def _encode_sequence(sequence: SequenceInfo) -> bytes:
    extension, size, inner, inner_size, epoch, moment, index = SEQUENCE_TAGS
    try:
        tail = (epoch, sequence.epoch, moment, sequence.timestamp, index, sequence.row_index)
        return SEQUENCE.pack(extension, size, inner, inner_size, *tail)
    except struct.error as error:
        raise RecordError(f"the sequence {sequence} does not fit its fields") from error
