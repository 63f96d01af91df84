"""Bytes into compressed bytes, the same ones on every machine and however the input was cut.

Compressors may let the borders of their input show in their output, so it is gathered into blocks of one size first.
Neither format gets a time or a name in its header.
"""

from __future__ import annotations

import enum
import zlib
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from airflow_tablestore.pipeline.contract import ByteSink

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_BYTES = 1024 * 1024
"""Large enough that the call is nothing beside the work, small enough to be nothing beside an upload's part."""


class Compression(enum.StrEnum):
    """What is done to the bytes of a text format. Parquet compresses its own pages."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"

    @property
    def suffix(self) -> str:
        return {"none": "", "gzip": ".gz", "zstd": ".zst"}[self.value]


class Plain:
    """What does not compress: hands on what it gets, without a copy."""

    def __init__(self, to: ByteSink):
        self._to = to

    def write(self, data: bytes | memoryview) -> int:
        return self._to.write(data)

    def close(self) -> None:
        """Nothing is held back, and nothing follows."""


class Blocks(ABC):
    """A byte sink that compresses blocks of one size; `close` takes the rest."""

    def __init__(self, to: ByteSink):
        self._to = to
        self._held = bytearray()

    def write(self, data: bytes | memoryview) -> int:
        self._held += data
        if len(self._held) >= BLOCK_BYTES:
            whole = len(self._held) // BLOCK_BYTES * BLOCK_BYTES
            for start in range(0, whole, BLOCK_BYTES):
                self._take(bytes(self._held[start : start + BLOCK_BYTES]))
            del self._held[:whole]
        return len(data)

    def close(self) -> None:
        if self._held:
            self._take(bytes(self._held))
        self._held = bytearray()
        self._end()

    @abstractmethod
    def _take(self, block: bytes) -> None:
        """Compress a block of BLOCK_BYTES, or the last one."""

    @abstractmethod
    def _end(self) -> None:
        """Write what follows the last block."""


class Gzip(Blocks):
    """RFC 1952, level 6, without time and name; zlib writes the header's system byte as Unix everywhere we run."""

    def __init__(self, to: ByteSink):
        super().__init__(to)
        self._deflate = zlib.compressobj(6, zlib.DEFLATED, zlib.MAX_WBITS | 16)

    def _take(self, block: bytes) -> None:
        self._to.write(self._deflate.compress(block))

    def _end(self) -> None:
        self._to.write(self._deflate.flush())


class Zstd(Blocks):
    """RFC 8878, through Arrow's own copy of the library: Python has none before 3.14."""

    def __init__(self, to: ByteSink):
        import pyarrow as pa

        super().__init__(to)
        self._stream: pa.CompressedOutputStream = pa.CompressedOutputStream(as_arrow_file(to), "zstd")

    def _take(self, block: bytes) -> None:
        self._stream.write(block)

    def _end(self) -> None:
        self._stream.close()


def compressor(kind: Compression, to: ByteSink) -> Plain | Gzip | Zstd:
    """A sink that compresses into another; closing it leaves the other open."""
    kinds: dict[Compression, type[Plain | Gzip | Zstd]]
    kinds = {Compression.NONE: Plain, Compression.GZIP: Gzip, Compression.ZSTD: Zstd}
    return kinds[kind](to)


def as_arrow_file(to: ByteSink) -> pa.PythonFile:
    """A byte sink as a file that Arrow's writers accept; closing that file leaves the sink open."""
    import pyarrow as pa

    return pa.PythonFile(_WriteOnly(to), mode="w")


class _WriteOnly:
    """The few methods of a Python file that Arrow calls."""

    def __init__(self, to: ByteSink):
        self._to = to
        self._written = 0
        self.closed = False

    def write(self, data: bytes | memoryview) -> int:
        self._to.write(data)
        self._written += len(data)
        return len(data)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        """Nothing is held back here."""

    def close(self) -> None:
        self.closed = True
