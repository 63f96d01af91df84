"""The tunnel's record stream: rows as protobuf-like fields with a CRC32C each, and a checked end.

Bytes to columns of Python values and back; no types of Arrow here. Values: int, float, bool, bytes (string, binary,
decimal, json), a pair of seconds and nanoseconds (timestamps, intervals), list, list of pairs (map), tuple (struct).
Column i is field i+1; an absent field is null. Source: tests/vectors/maxcompute.json, made by pyodps.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from fastcrc import crc32

from airflow_tablestore.emulator.maxcompute.errors import Refusal
from airflow_tablestore.emulator.maxcompute.kinds import INTEGERS, DataType

END_RECORD, META_COUNT, META_CHECKSUM = 33553408, 33554430, 33554431
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
ROWS_AT_ONCE = 16384
"""Rows that are decoded before they are handed on."""

_LONG, _INT = struct.Struct("<q"), struct.Struct("<i")
_DOUBLE, _FLOAT = struct.Struct("<d"), struct.Struct("<f")
_VARINT_TYPES = frozenset({*INTEGERS, "boolean", "date", "datetime", "interval_year_month"})
_BYTES_TYPES = frozenset({"string", "binary", "varchar", "char", "decimal", "json"})
_PAIR_TYPES = frozenset({"timestamp", "timestamp_ntz", "interval_day_time"})


def _malformed(why: str) -> Refusal:
    return Refusal("MalformedDataStream", f"The record stream is not well-formed: {why}.")


class _Bytes:
    """The stream, read from the front; `summed` collects what the row's checksum is over."""

    __slots__ = ("_body", "_size", "at", "summed")

    def __init__(self, body: bytes):
        self._body, self._size, self.at = body, len(body), 0
        self.summed: list[bytes] = []

    @property
    def is_over(self) -> bool:
        return self.at >= self._size

    def varint(self) -> int:
        body, at, value, shift = self._body, self.at, 0, 0
        while shift < 70:
            if at >= self._size:
                raise _malformed("it ends in the middle of a number")
            byte = body[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                self.at = at
                return value & 0xFFFFFFFFFFFFFFFF
            shift += 7
        raise _malformed("a number is longer than ten bytes")

    def zigzag(self) -> int:
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > self._size:
            raise _malformed("it ends in the middle of a value")
        taken = self._body[self.at : end]
        self.at = end
        return taken

    def count(self) -> int:
        """A number of elements, each of which takes a byte at least."""
        found = self.varint()
        if found > self._size - self.at:
            raise _malformed("a container is longer than the stream")
        return found

    def flag(self) -> bool:
        return bool(self.varint())


Reader = Callable[[_Bytes], Any]


def _reader(kind: DataType) -> Reader:
    name = kind.name
    if name == "boolean":
        return _read_boolean
    if name in _VARINT_TYPES:
        return _read_long if INTEGERS.get(name, 64) == 64 else _bounded(name)
    if name in ("double", "float"):
        return _read_double if name == "double" else _read_float
    if name in _BYTES_TYPES:
        return _read_bytes
    if name in _PAIR_TYPES:
        return _read_pair
    inner = [_reader(part) for part in kind.parts]
    if name == "array":
        return lambda source: _read_elements(source, inner[0])
    if name == "map":
        return lambda source: _read_map(source, inner[0], inner[1])
    return lambda source: tuple(None if source.flag() else read(source) for read in inner)


def _read_long(source: _Bytes) -> int:
    value = source.zigzag()
    source.summed.append(_LONG.pack(value))
    return value


def _bounded(name: str) -> Reader:
    most = 1 << (INTEGERS[name] - 1)

    def read(source: _Bytes) -> int:
        value = _read_long(source)
        if not -most <= value < most:
            raise _malformed(f"{value} is no {name}")
        return value

    return read


def _read_boolean(source: _Bytes) -> bool:
    value = source.flag()
    source.summed.append(b"\1" if value else b"\0")
    return value


def _read_double(source: _Bytes) -> float:
    raw = source.take(8)
    source.summed.append(raw)
    return float(_DOUBLE.unpack(raw)[0])


def _read_float(source: _Bytes) -> float:
    raw = source.take(4)
    source.summed.append(raw)
    return float(_FLOAT.unpack(raw)[0])


def _read_bytes(source: _Bytes) -> bytes:
    raw = source.take(source.varint())
    source.summed.append(raw)
    return raw


def _read_pair(source: _Bytes) -> tuple[int, int]:
    seconds, nanos = source.zigzag(), source.zigzag()
    if not -1_000_000_000 < nanos < 1_000_000_000:
        raise _malformed(f"{nanos} nanoseconds are more than a second")
    source.summed += (_LONG.pack(seconds), _INT.pack(nanos))
    return seconds, nanos


def _read_elements(source: _Bytes, read: Reader) -> list[Any]:
    return [None if source.flag() else read(source) for _ in range(source.count())]


def _read_map(source: _Bytes, read_key: Reader, read_value: Reader) -> list[tuple[Any, Any]]:
    keys, values = _read_elements(source, read_key), _read_elements(source, read_value)
    if len(keys) != len(values) or None in keys:
        raise _malformed("a map has keys without values, or null for a key")
    return list(zip(keys, values, strict=True))


def _wire_type(kind: DataType) -> int:
    if kind.name in _VARINT_TYPES:
        return VARINT
    return {"double": FIXED64, "float": FIXED32}.get(kind.name, LENGTH)


def decoded(body: bytes, kinds: Sequence[DataType]) -> Iterator[list[list[Any]]]:
    """Columns of up to `ROWS_AT_ONCE` rows at a time, to the end of the stream.

    :raises Refusal: MalformedDataStream, CorruptedDataStream (a checksum), IncompleteBody (no end). What was handed
        out before is to be given up then.
    """
    source = _Bytes(body)
    fields = {(number << 3) | _wire_type(kind): (number, _reader(kind)) for number, kind in enumerate(kinds, 1)}
    columns: list[list[Any]] = [[] for _ in kinds]
    row: list[Any] = [None] * len(kinds)
    total, waiting = 0, 0
    checksums: list[bytes] = []
    checksum_of_checksums = 0
    while not source.is_over:
        tag = source.varint()
        known = fields.get(tag)
        if known is not None:
            number, read = known
            source.summed.append(_INT.pack(number))
            row[number - 1] = read(source)
            continue
        if tag == END_RECORD << 3:
            found = crc32.iscsi(b"".join(source.summed))
            if source.varint() & 0xFFFFFFFF != found:
                raise Refusal("CorruptedDataStream", f"The checksum of row {total + 1} is wrong.")
            source.summed.clear()
            checksums.append(found.to_bytes(4, "little"))
            for column, value in zip(columns, row, strict=True):
                column.append(value)
            row = [None] * len(kinds)
            total, waiting = total + 1, waiting + 1
            if waiting == ROWS_AT_ONCE:
                checksum_of_checksums = crc32.iscsi(b"".join(checksums), checksum_of_checksums)
                checksums.clear()
                yield columns
                columns, waiting = [[] for _ in kinds], 0
            continue
        if tag != META_COUNT << 3:
            raise _malformed(f"field {tag >> 3} of wire type {tag & 7} is none of the schema's")
        if source.summed:
            raise _malformed("it ends in the middle of a row")
        _check_end(source, total, crc32.iscsi(b"".join(checksums), checksum_of_checksums))
        if waiting:
            yield columns
        return
    raise Refusal("IncompleteBody", "The record stream ends without its count and checksum.")


def _check_end(source: _Bytes, total: int, checksum: int) -> None:
    if source.zigzag() != total:
        raise Refusal("IncompleteBody", f"The record stream holds {total} rows, which is not what its end says.")
    if source.varint() != META_CHECKSUM << 3:
        raise _malformed("its count is followed by no checksum")
    if source.varint() & 0xFFFFFFFF != checksum:
        raise Refusal("CorruptedDataStream", "The checksum of the record stream is wrong.")
    if not source.is_over:
        raise _malformed("something follows its end")


# ---- writing


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _zigzag(value: int) -> bytes:
    return _varint((value << 1) ^ (value >> 63) if value < 0 else value << 1)


Writer = Callable[[Any, bytearray, list[bytes]], None]


def _writer(kind: DataType) -> Writer:
    name = kind.name
    if name == "boolean":
        return _write_boolean
    if name in _VARINT_TYPES:
        return _write_long
    if name in ("double", "float"):
        return _fixed(_DOUBLE if name == "double" else _FLOAT)
    if name in _BYTES_TYPES:
        return _write_bytes
    if name in _PAIR_TYPES:
        return _write_pair
    return _container(kind)


def _write_long(value: Any, out: bytearray, summed: list[bytes]) -> None:
    out += _zigzag(value)
    summed.append(_LONG.pack(value))


def _write_boolean(value: Any, out: bytearray, summed: list[bytes]) -> None:
    raw = b"\1" if value else b"\0"
    out += raw
    summed.append(raw)


def _fixed(form: struct.Struct) -> Writer:
    def write(value: Any, out: bytearray, summed: list[bytes]) -> None:
        raw = form.pack(value)
        out += raw
        summed.append(raw)

    return write


def _write_bytes(value: Any, out: bytearray, summed: list[bytes]) -> None:
    out += _varint(len(value))
    out += value
    summed.append(value)


def _write_pair(value: Any, out: bytearray, summed: list[bytes]) -> None:
    seconds, nanos = value
    out += _zigzag(seconds)
    out += _zigzag(nanos)
    summed += (_LONG.pack(seconds), _INT.pack(nanos))


def _container(kind: DataType) -> Writer:
    inner = [_writer(part) for part in kind.parts]

    def elements(values: Iterable[Any], writers: Iterable[Writer], out: bytearray, summed: list[bytes]) -> None:
        for value, write in zip(values, writers, strict=False):
            out.append(value is None)
            if value is not None:
                write(value, out, summed)

    def write_list(values: Sequence[Any], write: Writer, out: bytearray, summed: list[bytes]) -> None:
        out += _varint(len(values))
        elements(values, [write] * len(values), out, summed)

    def write_map(value: Any, out: bytearray, summed: list[bytes]) -> None:
        write_list([key for key, _ in value], inner[0], out, summed)
        write_list([held for _, held in value], inner[1], out, summed)

    if kind.name == "array":
        return lambda value, out, summed: write_list(value, inner[0], out, summed)
    if kind.name == "map":
        return write_map
    return lambda value, out, summed: elements(value, inner, out, summed)


def encoded(batches: Iterable[Sequence[Sequence[Any]]], kinds: Sequence[DataType]) -> Iterator[bytes]:
    """The stream of batches of columns; its end comes with the last piece."""
    fields = [
        (_varint((number << 3) | _wire_type(kind)), _INT.pack(number), _writer(kind))
        for number, kind in enumerate(kinds, 1)
    ]
    end = _varint(END_RECORD << 3)
    total, checksum_of_checksums = 0, 0
    for columns in batches:
        out, checksums = bytearray(), []
        rows = list(zip(*columns, strict=True)) if columns else []
        for row in rows:
            summed: list[bytes] = []
            for value, (tag, number, write) in zip(row, fields, strict=True):
                if value is not None:
                    out += tag
                    summed.append(number)
                    write(value, out, summed)
            checksum = crc32.iscsi(b"".join(summed))
            out += end
            out += _varint(checksum)
            checksums.append(checksum.to_bytes(4, "little"))
        checksum_of_checksums = crc32.iscsi(b"".join(checksums), checksum_of_checksums)
        total += len(rows)
        if out:
            yield bytes(out)
    yield (_varint(META_COUNT << 3) + _zigzag(total) + _varint(META_CHECKSUM << 3) + _varint(checksum_of_checksums))
