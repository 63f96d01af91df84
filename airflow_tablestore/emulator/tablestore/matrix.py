"""Rows as SimpleRowMatrix: the names once, then the values of each row; no versions, one checksum over all.

A value has the same bytes here as in a stored cell, so nothing is decoded. This is on purpose not the encoder that the
package's own tests of the form use. Source: vectors/matrix.json, read by the official Java and Go parsers.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from fastcrc.crc8 import smbus as crc8

from airflow_tablestore.emulator.tablestore.cells import key_parts, stored_cells, stored_key, value_of
from airflow_tablestore.emulator.tablestore.keys import BINARY, STRING, KeyPart

_MAGIC = b"SRM0"
_UINT, _LENGTH = struct.Struct("<I"), struct.Struct("<H")
_ROW, _NULL, _SUM = b"\x02", b"\x06", b"\x01"


def matrix(
    rows: Sequence[bytes], keys: Sequence[bytes], columns: Sequence[bytes] | None, *, has_entire_key: bool
) -> bytes:
    """The block of encoded rows.

    :param keys: the names of the key's columns to show, in the key's order.
    :param columns: the names of the other fields; None shows every column that some row has, by name.
    """
    found = []
    for row in rows:
        section = stored_key(row)
        cells = {cell.name: value_of(cell) for cell in stored_cells(row, len(section.wire))}
        found.append(({part.name: _value(part) for part in key_parts(section)}, cells))
    if columns is None:
        columns = sorted({name for _, cells in found for name in cells})
    names = b"".join(_LENGTH.pack(len(name)) + name for name in (*keys, *columns))
    options = 20 + len(names)
    parts = [_MAGIC, struct.pack("<4I", options + 7, options, len(keys), len(columns)), names]
    parts.append(b"\x0a%c\x03%b" % (has_entire_key, _UINT.pack(len(found))))
    for key, cells in found:
        parts.append(_ROW)
        parts += [key[name] for name in keys]
        parts += [cells.get(name, _NULL) for name in columns]
    parts.append(_SUM)
    content = b"".join(parts)
    return content + bytes((crc8(content),))


def _value(part: KeyPart) -> bytes:
    size = _UINT.pack(len(part.payload)) if part.type in (STRING, BINARY) else b""
    return bytes((part.type,)) + size + part.payload
