"""A change as the bytes of its stream record: what became of the row's cells, and the sequence.

A record says what was kept, not what was asked: cells have their versions, an increment is the integer that it led to,
and a key holds the part that the service filled in. Source: vectors/plainbuffer.json, the stream rows; the Java SDK
refuses cells of a record in any other shape.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from fastcrc.crc8 import smbus as crc8

from airflow_tablestore.emulator.tablestore.cells import (
    DELETE_ALL,
    HEADER,
    INCREMENT,
    PUT,
    ChangedCell,
    StoredCell,
    encode_row,
    stored_cell,
)
from airflow_tablestore.emulator.tablestore.rows import latest, update_row
from airflow_tablestore.emulator.tablestore.storage import RowChange
from airflow_tablestore.emulator.tablestore.table import Table
from airflow_tablestore.wire.proto import table_pb2 as pb

ACTIONS: dict[int, pb.ActionType] = {pb.PUT: pb.PUT_ROW, pb.UPDATE: pb.UPDATE_ROW, pb.DELETE: pb.DELETE_ROW}
"""What a write is called in its record."""

_INT64 = struct.Struct("<q")
_SEQUENCE = struct.Struct("<BIBIBiBqBi")
_EXTENSION = (0x0B, 24, 0x0C, 19, 0x0D)
"""Tags and lengths before the epoch; the row's checksum does not cover any of it."""
_ALL_VERSIONS = 1 << 40


class Place(NamedTuple):
    """Where a record stands: the shard's epoch, the record time in microseconds, the row's index in its write."""

    epoch: int
    micros: int
    row_index: int


def encode_record(table: Table, change: RowChange, sequence: Place) -> bytes:
    """The row of a record, as one PlainBuffer block."""
    wires = [_wire(table, change, cell) for cell in change.change.cells]
    is_delete = change.action == pb.DELETE
    sums = change.key.checksums + bytes([wire[-1] for wire in wires]) + bytes((is_delete,))
    parts = [HEADER, change.key.wire, b"\x02" if wires else b"", *wires, b"\x08" if is_delete else b""]
    parts.append(_SEQUENCE.pack(*_EXTENSION, sequence.epoch, 0x0E, sequence.micros, 0x0F, sequence.row_index))
    parts.append(b"\x09%c" % crc8(sums))
    return b"".join(parts)


def encode_origin(table: Table, change: RowChange) -> bytes | None:
    """The row before, with the columns that the stream asks for; None when it asks for none, or there was no row."""
    if not table.stream_columns or change.before is None:
        return None
    wanted = [cell for cell in change.before if cell.name in table.stream_columns]
    return HEADER + encode_row(change.key, latest(wanted, 1))


def _wire(table: Table, change: RowChange, cell: ChangedCell) -> bytes:
    stamp = change.now_millis if cell.timestamp is None else cell.timestamp
    if cell.op == PUT:
        return stored_cell(cell, stamp).wire
    if cell.op == INCREMENT:
        return _incremented(table, change, cell, stamp).wire
    if cell.op == DELETE_ALL:
        return b"%b\x06\x01\x0a%c" % (cell.head, crc8(b"\x01", cell.checksum))
    packed = _INT64.pack(stamp)
    return b"%b\x06\x03\x07%b\x0a%c" % (cell.head, packed, crc8(b"\x03", crc8(packed, cell.checksum)))


def _incremented(table: Table, change: RowChange, cell: ChangedCell, stamp: int) -> StoredCell:
    cells: Sequence[ChangedCell] = change.change.cells
    so_far = cells[: next(place for place, other in enumerate(cells) if other is cell) + 1]
    every_version = table.versions._replace(most=_ALL_VERSIONS)
    after = update_row(change.before or (), so_far, every_version, change.now_millis)
    return next(kept for kept in after if kept.name == cell.name and kept.timestamp == stamp)
