"""A block's body in the encodings that MaxCompute's tunnel takes, piece by piece, in bounded memory.

zlib is Python's, zstd and lz4 frames are Arrow's own copies; the framing around Arrow's snappy is written here.
Source: bodies that pyodps sends and the names of their encodings; google/snappy, framing_format.txt.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from fastcrc import crc32

from airflow_tablestore.pipeline.contract import ByteSink
from airflow_tablestore.pipeline.formats.compression import Blocks, Zstd, as_arrow_file
from airflow_tablestore.pipeline.target import BlockCompression

if TYPE_CHECKING:
    import pyarrow as pa

SNAPPY_HEAD = b"\xff\x06\x00\x00sNaPpY"
SNAPPY_PIECE = 65536
"""Most bytes of one chunk before compression."""


class Deflate(Blocks):
    """RFC 1950, level 1 as the official client has it: rows are sent once and read once."""

    def __init__(self, to: ByteSink):
        super().__init__(to)
        self._deflate = zlib.compressobj(1)

    def _take(self, block: bytes) -> None:
        self._to.write(self._deflate.compress(block))

    def _end(self) -> None:
        self._to.write(self._deflate.flush())


class Lz4(Blocks):
    """An lz4 frame."""

    def __init__(self, to: ByteSink):
        import pyarrow as pa

        super().__init__(to)
        self._stream: pa.CompressedOutputStream = pa.CompressedOutputStream(as_arrow_file(to), "lz4")

    def _take(self, block: bytes) -> None:
        self._stream.write(block)

    def _end(self) -> None:
        self._stream.close()


class Snappy(Blocks):
    """Chunks of snappy, each with the turned CRC32C of what it holds."""

    def __init__(self, to: ByteSink):
        import pyarrow as pa

        super().__init__(to)
        self._codec = pa.Codec("snappy")
        to.write(SNAPPY_HEAD)

    def _take(self, block: bytes) -> None:
        for start in range(0, len(block), SNAPPY_PIECE):
            piece = block[start : start + SNAPPY_PIECE]
            packed_piece: bytes = self._codec.compress(piece, asbytes=True)
            crc = crc32.iscsi(piece)
            turned = (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
            head = b"\x00" + (len(packed_piece) + 4).to_bytes(3, "little") + turned.to_bytes(4, "little")
            self._to.write(head + packed_piece)

    def _end(self) -> None:
        """Nothing follows the last chunk."""


_KINDS: dict[BlockCompression, type[Blocks]] = {
    BlockCompression.ZLIB: Deflate,
    BlockCompression.ZSTD: Zstd,
    BlockCompression.LZ4: Lz4,
    BlockCompression.SNAPPY: Snappy,
}


def packed(pieces: Iterable[bytes], compression: BlockCompression) -> Iterator[bytes]:
    """The body, compressed."""
    if compression is BlockCompression.NONE:
        yield from pieces
        return
    made = _Made()
    blocks = _KINDS[compression](made)
    for piece in pieces:
        blocks.write(piece)
        yield from made.taken()
    blocks.close()
    yield from made.taken()


class _Made:
    """What a compressor has made and nobody has taken yet."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes | memoryview) -> int:
        if len(data):  # an empty piece would end a chunked request
            self._pieces.append(bytes(data))
        return len(data)

    def taken(self) -> list[bytes]:
        pieces, self._pieces = self._pieces, []
        return pieces
