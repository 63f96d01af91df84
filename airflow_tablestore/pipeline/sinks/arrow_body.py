"""The body of a block: Arrow record batch messages, without their schema, in checksummed chunks.

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


def empty() -> Iterator[bytes]:
    """The body of a block without rows."""
    return framed(())
