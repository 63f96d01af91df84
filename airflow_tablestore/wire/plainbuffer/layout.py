"""The bytes of PlainBuffer that have a meaning, and what an operation on a cell needs: shared by both directions."""

from __future__ import annotations

import struct

from fastcrc import crc8

from airflow_tablestore.errors import ProtocolError, RecordError
from airflow_tablestore.wire.row import (
    AUTO_INCREMENT,
    INF_MAX,
    INF_MIN,
    Cell,
    CellOp,
    KeyValue,
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

OP_BYTES = {CellOp.DELETE_ALL_VERSIONS: 1, CellOp.DELETE_ONE_VERSION: 3, CellOp.INCREMENT: 4}
OPS = {byte: op for op, byte in OP_BYTES.items()}
MARKS: dict[object, int] = {
    INF_MIN: TYPE_INF_MIN,
    INF_MAX: TYPE_INF_MAX,
    AUTO_INCREMENT: TYPE_AUTO_INCREMENT,
}
MARKED: dict[int, KeyValue] = {TYPE_INF_MIN: INF_MIN, TYPE_INF_MAX: INF_MAX, TYPE_AUTO_INCREMENT: AUTO_INCREMENT}

LENGTH = struct.Struct("<I")
INTEGER = struct.Struct("<q")
DOUBLE = struct.Struct("<d")
SEQUENCE = struct.Struct("<BIBIBiBqBi")
"""Extension tag and its length, sequence tag and its length, then epoch, microseconds and row index with their tags."""
SEQUENCE_TAGS = (TAG_EXTENSION, 24, TAG_SEQUENCE, 19, TAG_EPOCH, TAG_SEQUENCE_TIME, TAG_ROW_INDEX)


def check_shape(cell: Cell, failure: type[RecordError] | type[ProtocolError]) -> None:
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
