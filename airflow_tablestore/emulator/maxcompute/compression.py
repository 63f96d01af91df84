"""Content encodings of the tunnel: what bodies are compressed with, and what answers may be.

zlib is Python's, zstd and lz4 frames are Arrow's; the framing of snappy is written here. A body that does not unpack
whole is refused: nothing is taken from a cut one.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fastcrc import crc32

from airflow_tablestore.emulator.maxcompute.errors import Refusal

LARGEST_BODY = 2 * 1024**3
"""Bytes of one unpacked body."""
_READ_BYTES = 1024 * 1024
_ARROW_CODECS: Mapping[str, str] = {"zstd": "zstd", "x-lz4-frame": "lz4", "x-odps-lz4-frame": "lz4", "lz4_frame": "lz4"}
SNAPPY = "x-snappy-framed"
ENCODINGS = frozenset({"deflate", SNAPPY, *_ARROW_CODECS})
_SNAPPY_HEAD = b"\xff\x06\x00\x00sNaPpY"
_SNAPPY_PIECE = 65536


def unpacked(body: bytes, encoding: str) -> bytes:
    """The body without its encoding; an empty name or `identity` is none.

    :raises Refusal: InvalidArgument for an unknown encoding, IncompleteBody or CorruptedDataStream.
    """
    encoding = encoding.lower()
    if encoding in ("", "identity"):
        return body
    if encoding == "deflate":
        return _inflated(body)
    if encoding == SNAPPY:
        return b"".join(_unsnapped(body))
    if encoding in _ARROW_CODECS:
        return _read_all(body, _ARROW_CODECS[encoding])
    raise Refusal("InvalidArgument", f"The content encoding {encoding!r} is not known.")


def accepted(header: str) -> str:
    """The encoding that `Accept-Encoding` asks for; empty for none.

    Only a header that names one encoding counts: HTTP libraries name several of their own accord.
    """
    name = header.strip().lower()
    return name if name in ENCODINGS else ""


def packed(pieces: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """The pieces of a body in an encoding; those of an empty name stay as they are."""
    if not encoding:
        yield from pieces
    elif encoding == "deflate":
        deflating = zlib.compressobj(1)
        for piece in pieces:
            yield deflating.compress(piece)
        yield deflating.flush()
    elif encoding == SNAPPY:
        yield _SNAPPY_HEAD
        for piece in pieces:
            for at in range(0, len(piece), _SNAPPY_PIECE):
                yield _snapped(piece[at : at + _SNAPPY_PIECE])
    else:
        yield from _compressed(pieces, _ARROW_CODECS[encoding])


def _compressed(pieces: Iterable[bytes], codec: str) -> Iterator[bytes]:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, codec) as out:
        for piece in pieces:
            out.write(piece)
    yield sink.getvalue().to_pybytes()


def _inflated(body: bytes) -> bytes:
    inflating = zlib.decompressobj()
    try:
        found = inflating.decompress(body, LARGEST_BODY)
    except zlib.error as error:
        raise Refusal("CorruptedDataStream", f"The body does not unpack: {error}.") from error
    if inflating.unconsumed_tail:
        raise Refusal("InvalidArgument", "The body is too long.")
    if not inflating.eof:
        raise Refusal("IncompleteBody", "The compressed body is cut short.")
    return found


def _read_all(body: bytes, codec: str) -> bytes:
    import pyarrow as pa

    parts: list[bytes] = []
    size = 0
    try:
        with pa.CompressedInputStream(pa.BufferReader(body), codec) as source:
            while part := source.read(_READ_BYTES):
                parts.append(part)
                size += len(part)
                if size > LARGEST_BODY:
                    raise Refusal("InvalidArgument", "The body is too long.")
    except (OSError, pa.ArrowException) as error:
        raise Refusal("CorruptedDataStream", f"The body does not unpack: {error}.") from error
    return b"".join(parts)


def _masked(data: bytes) -> int:
    """Snappy's checksum: a turned CRC32C. Source: google/snappy, framing_format.txt."""
    crc = crc32.iscsi(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _snapped(data: bytes) -> bytes:
    import pyarrow as pa

    packed_data: bytes = pa.compress(data, codec="snappy", asbytes=True)
    return b"\x00" + (len(packed_data) + 4).to_bytes(3, "little") + _masked(data).to_bytes(4, "little") + packed_data


def _unsnapped(body: bytes) -> Iterator[bytes]:
    at, size = 0, 0
    while at < len(body):
        kind, length = body[at], int.from_bytes(body[at + 1 : at + 4], "little")
        chunk = body[at + 4 : at + 4 + length]
        if len(chunk) < length or at + 4 > len(body):
            raise Refusal("IncompleteBody", "The compressed body is cut short.")
        at += 4 + length
        if kind == 0xFF or 0x80 <= kind < 0xFF:  # the head, padding, or what may be skipped
            continue
        if kind > 1 or length < 4:
            raise Refusal("CorruptedDataStream", "The body does not unpack: an unknown kind of chunk.")
        data = chunk[4:] if kind == 1 else _snappy_decoded(chunk[4:])
        if _masked(data) != int.from_bytes(chunk[:4], "little"):
            raise Refusal("CorruptedDataStream", "The body does not unpack: a wrong checksum.")
        size += len(data)
        if size > LARGEST_BODY:
            raise Refusal("InvalidArgument", "The body is too long.")
        yield data


def _snappy_decoded(data: bytes) -> bytes:
    import pyarrow as pa

    length, shift = 0, 0
    for byte in data[:5]:
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    if length > _SNAPPY_PIECE:
        raise Refusal("CorruptedDataStream", "The body does not unpack: a chunk is too long.")
    try:
        found: Any = pa.decompress(data, decompressed_size=length, codec="snappy", asbytes=True)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise Refusal("CorruptedDataStream", f"The body does not unpack: {error}.") from error
    return bytes(found)
