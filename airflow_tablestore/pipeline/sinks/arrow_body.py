"""The body of a block, and of rows that are read: Arrow record batch messages, without their schema, in checksummed
chunks.

The chunk's size (uint32, big endian) comes first, then chunks, each with its CRC32C behind it; last the CRC32C of all.
The tunnel's own client needs pandas for this. Source: bodies that pyodps sends, in tests/vectors/maxcompute.json.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fastcrc import crc32

CHUNK_BYTES = 65536
"""What the official client sends."""


def framed(pieces: Iterable[bytes], chunk_bytes: int = CHUNK_BYTES) -> Iterator[bytes]:
    """The body that carries these messages.

    :param pieces: the messages, cut anywhere.
    """
    yield chunk_bytes.to_bytes(4, "big")
    held, total = bytearray(), 0
    for piece in pieces:
        total = crc32.iscsi(piece, total)
        held += piece
        whole = len(held) - len(held) % chunk_bytes
        for start in range(0, whole, chunk_bytes):
            chunk = bytes(held[start : start + chunk_bytes])
            yield chunk + crc32.iscsi(chunk).to_bytes(4, "big")
        del held[:whole]
    yield bytes(held) + total.to_bytes(4, "big")


def unframed(body: bytes) -> bytes:
    """The messages that a body carries.

    :raises ValueError: it is cut or damaged.
    """
    size, view, total = int.from_bytes(body[:4], "big"), memoryview(body)[4:], 0
    if len(body) < 8 or not size:
        raise ValueError("the body is cut short")
    pieces: list[bytes] = []
    while len(view) > size + 4:
        piece, told, view = bytes(view[:size]), bytes(view[size : size + 4]), view[size + 4 :]
        if crc32.iscsi(piece) != int.from_bytes(told, "big"):
            raise ValueError("a chunk does not match its checksum")
        total = crc32.iscsi(piece, total)
        pieces.append(piece)
    last, told = bytes(view[:-4]), bytes(view[-4:])
    if len(last) == size or crc32.iscsi(last, total) != int.from_bytes(told, "big"):
        raise ValueError("the body does not match its checksum, or is cut short")
    return b"".join((*pieces, last))


def empty() -> Iterator[bytes]:
    """The body of a block without rows."""
    return framed(())
