"""Rows to PlainBuffer bytes and back: the form in which the data, stream and tunnel services carry keys and rows.

A block is a header and rows; a row is tagged parts (key, cells, delete marker, sequence) and a checksum; a cell is a
name, and what it has of value, operation and time, and a checksum. Nothing is passed over: an unknown tag, a length
that does not fit or a wrong checksum is a ProtocolError. Blocks become columns in `wire.decode`; this module makes
one `Row` at a time.

Source: tests/vectors/plainbuffer.json. Two traps are in the format: a cell's checksum takes its timestamp before its
operation although they are written the other way round, and a row's checksum does not cover its sequence.
"""

from __future__ import annotations

from airflow_tablestore.wire.plainbuffer.layout import (
    HEADER,
    TAG_CELL,
    TAG_CELL_CHECKSUM,
    TAG_CELLS,
    TAG_DELETE,
    TAG_EPOCH,
    TAG_EXTENSION,
    TAG_KEY,
    TAG_NAME,
    TAG_OP,
    TAG_ROW_CHECKSUM,
    TAG_ROW_INDEX,
    TAG_SEQUENCE,
    TAG_SEQUENCE_TIME,
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
    checksum,
)
from airflow_tablestore.wire.plainbuffer.reading import (
    begin,
    cut_short,
    decode_key,
    decode_rows,
    decode_sequence,
    decode_value,
    ends_in_zeros,
    read_cell,
    read_key_cell,
    read_text,
    unexpected,
    without_sequence,
)
from airflow_tablestore.wire.plainbuffer.writing import (
    encode_delete,
    encode_key,
    encode_put,
    encode_row,
    encode_rows,
    encode_update,
    encode_value,
)

__all__ = [
    "HEADER",
    "TAG_CELL",
    "TAG_CELLS",
    "TAG_CELL_CHECKSUM",
    "TAG_DELETE",
    "TAG_EPOCH",
    "TAG_EXTENSION",
    "TAG_KEY",
    "TAG_NAME",
    "TAG_OP",
    "TAG_ROW_CHECKSUM",
    "TAG_ROW_INDEX",
    "TAG_SEQUENCE",
    "TAG_SEQUENCE_TIME",
    "TAG_TIMESTAMP",
    "TAG_VALUE",
    "TYPE_AUTO_INCREMENT",
    "TYPE_BINARY",
    "TYPE_BOOLEAN",
    "TYPE_DOUBLE",
    "TYPE_INF_MAX",
    "TYPE_INF_MIN",
    "TYPE_INTEGER",
    "TYPE_STRING",
    "begin",
    "checksum",
    "cut_short",
    "decode_key",
    "decode_rows",
    "decode_sequence",
    "decode_value",
    "encode_delete",
    "encode_key",
    "encode_put",
    "encode_row",
    "encode_rows",
    "encode_update",
    "encode_value",
    "ends_in_zeros",
    "read_cell",
    "read_key_cell",
    "read_text",
    "unexpected",
    "without_sequence",
]
