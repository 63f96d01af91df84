"""Rows as PlainBuffer bytes: what a request's row asks for, and the form in which rows are stored.

A stored row is exactly the bytes that an answer carries (without the file header), so a range is a concatenation and a
projection copies slices. Of a stored cell only name and version are looked at; its value stays encoded. Requests are
read with every checksum verified; this is on purpose not the codec that the package's client uses, so that the two
judge each other. Source: vectors/plainbuffer.json.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from fastcrc.crc8 import smbus as crc8

from airflow_tablestore.emulator.tablestore.errors import broken, invalid
from airflow_tablestore.emulator.tablestore.keys import (
    AUTO_INCREMENT,
    BINARY,
    BOOLEAN,
    DOUBLE,
    INF_MAX,
    INF_MIN,
    INTEGER,
    STRING,
    KeyPart,
    show,
)

HEADER = b"\x75\x00\x00\x00"
PUT, DELETE_ALL, DELETE_ONE, INCREMENT = 0, 1, 3, 4
"""What a cell of a change does; PUT has no byte on the wire."""

_KEY, _DATA, _CELL, _NAME, _VALUE, _OP, _TIMESTAMP, _DELETE, _ROW_SUM, _CELL_SUM = range(1, 11)
_FIXED = {INTEGER: 9, DOUBLE: 9, BOOLEAN: 2}
_UINT, _INT64 = struct.Struct("<I"), struct.Struct("<q")
_uint_at, _int64_at = _UINT.unpack_from, _INT64.unpack_from


class KeySection(NamedTuple):
    """The key part of a row as it is on the wire, and its cells' checksums."""

    wire: bytes
    checksums: bytes


class ChangedCell(NamedTuple):
    """One cell of a request.

    `head` is its bytes up to and with the value, `checksum` the checksum so far; `value` begins with its type and is
    empty when the cell has none.
    """

    name: bytes
    op: int
    timestamp: int | None
    value: bytes
    head: bytes
    checksum: int


class StoredCell(NamedTuple):
    """One version of a column. `wire` is the whole cell; its last byte is its checksum."""

    name: bytes
    timestamp: int
    wire: bytes


class Change(NamedTuple):
    """What a request's row says: its key, its cells in the order given, and whether it deletes the row."""

    parts: tuple[KeyPart, ...]
    key: KeySection
    cells: list[ChangedCell]
    is_delete: bool


def read_change(block: bytes) -> Change:
    """The row of a put, update or delete; also a bare key, as reads send it.

    :raises ServiceError: the bytes are not one row of PlainBuffer, or a checksum is wrong. Zeros after the row are
        tolerated, since an official client sends them.
    """
    try:
        if block[:4] != HEADER:
            raise broken(f"mismatch header, actual: {_uint_at(block, 0)[0]} , expect: {HEADER[0]}.")
        parts, key, at = _read_key(block, 4)
        cells: list[ChangedCell] = []
        sums = bytearray(key.checksums)
        if block[at] == _DATA:
            at = _read_cells(block, at + 1, cells, sums)
        is_delete = block[at] == _DELETE
        sums.append(is_delete)
        at += is_delete
        if block[at] != _ROW_SUM:
            raise broken("row is not end with checksum tag.")
        _same_sum(block[at + 1], crc8(bytes(sums)))
        if len(block) > at + 2 and block[at + 2 :].strip(b"\x00"):
            raise broken("has more data in cell, but they can't be parsed.")
    except (IndexError, struct.error):
        raise invalid("data format is invalid.") from None
    return Change(parts, key, cells, is_delete)


def _read_key(block: bytes, start: int) -> tuple[tuple[KeyPart, ...], KeySection, int]:
    if block[start] != _KEY:
        raise broken("PK is empty.")
    at = start + 1
    parts, sums = [], bytearray()
    while block[at] == _CELL:
        name, at = _read_name(block, at + 1)
        if block[at] != _VALUE:
            raise broken(f"PK value cannot be NULL, name: {show(name)}.")
        value, at = _read_value(block, at + 1, name, is_key=True)
        if block[at] == _OP:
            raise invalid(f"OpType cannot be given for primary key name :'{show(name)}'.")
        if block[at] == _TIMESTAMP:
            raise invalid(f"Timestamp cannot be given for primary key name:'{show(name)}'.")
        checksum = crc8(value, crc8(name))
        _end_of_cell(block, at, checksum)
        at += 2
        sums.append(checksum)
        kind = value[0]
        parts.append(KeyPart(name, kind, value[5:] if kind in (STRING, BINARY) else value[1:]))
    if not parts:
        raise broken("no PK follow PKTag.")
    return tuple(parts), KeySection(block[start:at], bytes(sums)), at


def _read_cells(block: bytes, at: int, cells: list[ChangedCell], sums: bytearray) -> int:
    if block[at] != _CELL:
        raise broken("no Cells follow CellTag.")
    while block[at] == _CELL:
        start = at
        name, at = _read_name(block, at + 1)
        value = b""
        op, timestamp = PUT, None
        if block[at] == _VALUE:
            value, at = _read_value(block, at + 1, name)
        checksum = so_far = crc8(value, crc8(name))
        head_end = at
        if block[at] == _OP:
            op = block[at + 1]
            at += 2
        if block[at] == _TIMESTAMP:
            timestamp = _int64_at(block, at + 1)[0]
            checksum = crc8(block[at + 1 : at + 9], checksum)
            at += 9
        if op:
            checksum = crc8(bytes((op,)), checksum)
        _end_of_cell(block, at, checksum)
        at += 2
        sums.append(checksum)
        cells.append(ChangedCell(name, op, timestamp, value, block[start:head_end], so_far))
    return at


def _read_name(block: bytes, at: int) -> tuple[bytes, int]:
    if block[at] != _NAME:
        raise broken("attr has no name.")
    start = at + 5
    end: int = start + _uint_at(block, at + 1)[0]
    return block[start:end], end


def _read_value(block: bytes, at: int, name: bytes, *, is_key: bool = False) -> tuple[bytes, int]:
    size = _uint_at(block, at)[0]
    end = at + 4 + size
    value = block[at + 4 : end]
    kind = value[0]
    if kind in (STRING, BINARY):
        if size < 5 or _uint_at(value, 1)[0] != size - 5 or len(value) != size:
            raise broken(f"wrong string format, size: {size}.")
        if kind == STRING and not value.isascii():
            _check_text(value, name)
    elif is_key and kind in (INF_MIN, INF_MAX, AUTO_INCREMENT):
        if size != 1:
            raise invalid("data format is invalid.")
    elif _FIXED.get(kind) != size or len(value) != size:
        raise invalid("data format is invalid, unknown variant type occured.")
    return value, end


def _check_text(value: bytes, name: bytes) -> None:
    try:
        value[5:].decode("utf-8")
    except UnicodeDecodeError:
        raise invalid(f"Value of column '{show(name)}' must be UTF8 encoding.") from None


def _end_of_cell(block: bytes, at: int, checksum: int) -> None:
    if block[at] != _CELL_SUM:
        raise broken("cell is not end with checksum[0x0A] tag.")
    _same_sum(block[at + 1], checksum)


def _same_sum(sent: int, computed: int) -> None:
    if sent != computed:
        raise broken(f"checksum is mismatch, {sent} :{computed} :")


def stored_cell(cell: ChangedCell, timestamp: int) -> StoredCell:
    """The cell as it is kept: with a version, without an operation."""
    stamp = _INT64.pack(timestamp)
    return StoredCell(
        cell.name,
        timestamp,
        b"%b\x07%b\x0a%c" % (cell.head, stamp, crc8(stamp, cell.checksum)),
    )


def integer_cell(name: bytes, value: int, timestamp: int) -> StoredCell:
    """A stored cell that holds an integer."""
    payload = bytes((INTEGER,)) + _INT64.pack(value)
    head = b"\x03\x04%b%b\x05%b%b" % (_UINT.pack(len(name)), name, _UINT.pack(len(payload)), payload)
    return stored_cell(ChangedCell(name, PUT, None, payload, head, crc8(payload, crc8(name))), timestamp)


def value_of(cell: StoredCell) -> bytes:
    """The encoded value of a stored cell, beginning with its type."""
    start = 11 + len(cell.name)
    return cell.wire[start : start + _uint_at(cell.wire, start - 4)[0]]


def key_section(parts: Iterable[KeyPart]) -> KeySection:
    """The wire form of a key."""
    out, sums = [b"\x01"], bytearray()
    for name, kind, payload in parts:
        prefix = _UINT.pack(len(payload)) if kind in (STRING, BINARY) else b""
        value = bytes((kind,)) + prefix + payload
        sums.append(crc8(value, crc8(name)))
        out.append(
            b"\x03\x04%b%b\x05%b%b\x0a%c" % (_UINT.pack(len(name)), name, _UINT.pack(len(value)), value, sums[-1])
        )
    return KeySection(b"".join(out), bytes(sums))


def key_block(key: KeySection) -> bytes:
    """A key alone as a complete block, as `next_start_primary_key` and returned keys are sent."""
    return HEADER + encode_row(key, ())


def encode_row(key: KeySection, cells: Sequence[StoredCell]) -> bytes:
    """A row without the file header."""
    sums = bytearray(key.checksums)
    out = [key.wire]
    if cells:
        out.append(b"\x02")
        wires = [cell[2] for cell in cells]
        out += wires
        sums += bytes([wire[-1] for wire in wires])
    sums.append(0)
    out.append(b"\x09%c" % crc8(bytes(sums)))
    return b"".join(out)


def stored_key(row: bytes) -> KeySection:
    """The key part of a stored row."""
    at, sums = 1, bytearray()
    while row[at] == _CELL:
        at += 6 + _uint_at(row, at + 2)[0]
        at += 7 + _uint_at(row, at + 1)[0]
        sums.append(row[at - 1])
    return KeySection(row[:at], bytes(sums))


def stored_cells(row: bytes, start: int) -> list[StoredCell]:
    """The cells of a stored row, columns by name and each column's versions from new to old.

    :param start: where its key part ends.
    """
    cells: list[StoredCell] = []
    if row[start] != _DATA:
        return cells
    at = start + 1
    add = cells.append
    while row[at] == _CELL:
        name_end = at + 6 + _uint_at(row, at + 2)[0]
        value_end = name_end + 5 + _uint_at(row, name_end + 1)[0]
        end = value_end + 11
        add(StoredCell(row[at + 6 : name_end], _int64_at(row, value_end + 1)[0], row[at:end]))
        at = end
    return cells


def key_parts(key: KeySection) -> tuple[KeyPart, ...]:
    """The columns of a key part."""
    return _read_key(key.wire + b"\x09", 0)[0]
