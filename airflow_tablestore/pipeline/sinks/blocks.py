"""One slice's batches into one block of an upload session, sent once the slice is complete.

Guarantees: memory is bounded, since what is long waits in a temporary file; a request that fails is made again with the
same bytes; a slice without rows makes no block; nothing has to be undone when the slice fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING

from fastcrc import crc64

from airflow_tablestore.pipeline.contract import Format, PendingObject
from airflow_tablestore.pipeline.sinks.arrow_body import framed
from airflow_tablestore.pipeline.sinks.block_compression import packed
from airflow_tablestore.pipeline.table_upload import Block, TableLoad

if TYPE_CHECKING:
    import pyarrow as pa

SPOOLED_BYTES = 4 << 20
"""What a slice keeps in memory; the rest waits in a temporary file."""

PIECE_BYTES = 1 << 20


class BlockWriter:
    """Writes one slice."""

    def __init__(self, load: TableLoad, upload_id: str, block: Block, output: pa.Schema, format: Format):
        self._load, self._upload_id, self._block = load, upload_id, block
        self._spool = _Spool()
        self._encoder = format.encoder(output, self._spool)
        self._rows = 0

    def write(self, records: pa.RecordBatch) -> None:
        if records.num_rows:
            self._encoder.write(records)
            self._rows += records.num_rows

    def finish(self) -> Sequence[PendingObject]:
        """The slice's block, which has arrived.

        :raises StartOver: the session takes no blocks any more.
        """
        self._encoder.close()
        try:
            if not self._rows:
                return ()
            place, compression = self._load.place, self._load.target.compression
            self._load.warehouse.put_block(place, self._upload_id, self._block.number, self._body, compression)
        finally:
            self.abort()
        return (PendingObject(self._block.key, self._upload_id, self._rows, self._spool.bytes, self._spool.crc),)

    def abort(self) -> None:
        """Drop what has not been sent. A block that was sent is made empty by the publication if nobody reports it."""
        self._spool.file.close()

    def _body(self) -> Iterator[bytes]:
        return packed(framed(self._spool.pieces()), self._load.target.compression)


class _Spool:
    """The block's messages until they are sent."""

    def __init__(self) -> None:
        self.file: SpooledTemporaryFile[bytes] = SpooledTemporaryFile(SPOOLED_BYTES)  # noqa: SIM115 - the writer closes it
        self.bytes = self.crc = 0

    def write(self, data: bytes | memoryview) -> int:
        piece = bytes(data)
        self.bytes, self.crc = self.bytes + len(piece), crc64.xz(piece, self.crc)
        return self.file.write(piece)

    def pieces(self) -> Iterator[bytes]:
        self.file.seek(0)
        while piece := self.file.read(PIECE_BYTES):
            yield piece
