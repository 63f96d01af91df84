"""Primary keys as bytes that sort like the keys, and the checks a key must pass.

SQLite compares blobs byte by byte, so a table's rows lie in key order and a range of keys is a range of blobs. Each
column is one mark and, for a value, its bytes: integers with the sign turned, big endian; strings and binaries with
NUL escaped and a terminator. INF_MIN and INF_MAX are marks alone, below and above every value, so a bound needs no
other code than a key.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from airflow_tablestore.emulator.tablestore.errors import invalid, invalid_key

INTEGER, DOUBLE, BOOLEAN, STRING, NULL, BINARY = 0, 1, 2, 3, 6, 7
INF_MIN, INF_MAX, AUTO_INCREMENT = 9, 10, 11
TYPE_NAMES = {
    INTEGER: "VT_INTEGER",
    DOUBLE: "VT_DOUBLE",
    BOOLEAN: "VT_BOOLEAN",
    STRING: "VT_STRING",
    NULL: "VT_NULL",
    BINARY: "VT_BLOB",
    INF_MIN: "VT_INF_MIN",
    INF_MAX: "VT_INF_MAX",
    AUTO_INCREMENT: "VT_AUTO_INCREMENT",
}
"""Value types of PlainBuffer and the names that the service's messages give them."""

MAX_KEY_COLUMNS = 4
MAX_KEY_BYTES = 1024

_BELOW, _VALUE, _ABOVE = b"\x00", b"\x01", b"\x02"
_SIGN = 1 << 63
_LITTLE, _BIG = struct.Struct("<q"), struct.Struct(">cQ")


class KeyPart(NamedTuple):
    """One column of a key. `payload` is what follows the type on the wire, without a string's length."""

    name: bytes
    type: int
    payload: bytes


class KeyColumn(NamedTuple):
    """One column of a table's key."""

    name: bytes
    type: int
    is_auto_increment: bool = False


def check_key(parts: Sequence[KeyPart], *, is_bound: bool = False, is_write: bool = False) -> None:
    """Refuses a key that no table could take.

    :param is_bound: INF_MIN and INF_MAX are allowed.
    :param is_write: AUTO_INCREMENT is allowed.
    """
    if not 1 <= len(parts) <= MAX_KEY_COLUMNS:
        raise invalid(f"The number of primary key columns must be in range: [1, {MAX_KEY_COLUMNS}].")
    for name, kind, payload in parts:
        if kind == INTEGER:
            continue
        if kind in (STRING, BINARY):
            if len(payload) > MAX_KEY_BYTES:
                raise invalid(
                    f"The length of primary key column: '{show(name)}' exceeds the MaxLength:{MAX_KEY_BYTES} "
                    f"with CurrentLength:{len(payload)}."
                )
        elif kind == AUTO_INCREMENT:
            if not is_write:
                raise invalid("PKAutoIncr can't be used for read operations.")
        elif not (is_bound and kind in (INF_MIN, INF_MAX)):
            raise invalid(f"{TYPE_NAMES.get(kind, kind)} is an invalid type for the primary key.")
    if len(parts) > 1 and len({part.name for part in parts}) < len(parts):
        names = [part.name for part in parts]
        twice = next(name for name in names if names.count(name) > 1)
        raise invalid(f"Duplicated primary key name: '{show(twice)}'.")


def match_key(parts: Sequence[KeyPart], columns: Sequence[KeyColumn]) -> None:
    """Refuses a key whose columns are not the table's, in the table's order."""
    if len(parts) != len(columns):
        raise invalid_key(f"Validate PK size fail. Input: {len(parts)}, Meta: {len(columns)}.")
    for (name, kind, _), column in zip(parts, columns, strict=True):
        if name != column.name:
            raise invalid_key(f"Validate PK name fail. Input: {show(name)}, Meta: {show(column.name)}.")
        if kind != column.type and kind not in (INF_MIN, INF_MAX):
            if kind == AUTO_INCREMENT and column.is_auto_increment:
                continue
            raise invalid_key(f"Validate PK type fail. Input: {TYPE_NAMES[kind]}, Meta: {TYPE_NAMES[column.type]}.")


def sort_key(parts: Sequence[KeyPart]) -> bytes:
    """Bytes that compare as the keys do. A prefix of a key sorts before every key that begins with it."""
    out = []
    for _, kind, payload in parts:
        if kind == INTEGER:
            out.append(_BIG.pack(_VALUE, _LITTLE.unpack(payload)[0] + _SIGN))
        elif kind == INF_MIN:
            out.append(_BELOW)
        elif kind == INF_MAX:
            out.append(_ABOVE)
        else:
            out.append(_VALUE + payload.replace(b"\x00", b"\x00\xff") + b"\x00\x01")
    return b"".join(out)


def show(name: bytes) -> str:
    """A name as the service's messages show it."""
    return name.decode("utf-8", "replace")
