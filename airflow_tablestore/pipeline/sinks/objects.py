"""One slice's batches into objects: encoded, cut into parts, uploaded; visible only when they are published.

Guarantees: memory is bounded by a part and what the encoder holds; an object that has reached its size is followed by
the next; a slice without rows makes no object; every byte is in the object's CRC64.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import pyarrow as pa

from airflow_tablestore.errors import RetryLater, TablestoreError
from airflow_tablestore.pipeline.claim import UploadLog
from airflow_tablestore.pipeline.contract import Encoder, Format, PendingObject
from airflow_tablestore.pipeline.formats.groups import Groups
from airflow_tablestore.pipeline.store import Store, UploadGone, crc64_of

log = logging.getLogger(__name__)

MIB = 1 << 20

PART_BYTES, PARTS_OF_ONE_SIZE = 4 * MIB, 500
"""Every 500 parts they grow by 4 MiB: 10,000 parts, the most that OSS takes, hold 410 GiB."""

MOST_OBJECT_BYTES = 400 * 1024 * MIB
"""An object of ours ends here at the latest, below what its parts can hold."""

ROLL_ROWS, ROLL_BYTES = 4096, 4 * MIB
"""How often a size is looked at: so the cut depends on the rows alone, not on the pages they came in."""


class ObjectWriter:
    """Writes one slice.

    :param name: the key of the slice's n-th object.
    :param max_bytes: an object that has reached this is followed by another; 0 for MOST_OBJECT_BYTES.
    """

    def __init__(
        self,
        store: Store,
        uploads: UploadLog,
        format: Format,
        schema: pa.Schema,
        name: Callable[[int], str],
        max_bytes: int = 0,
    ):
        self._store, self._uploads, self._format, self._schema, self._name = store, uploads, format, schema, name
        self._max_bytes = min(max_bytes or MOST_OBJECT_BYTES, MOST_OBJECT_BYTES)
        self._groups = Groups(schema, ROLL_ROWS, ROLL_BYTES) if max_bytes else None
        self._done: list[PendingObject] = []
        self._upload: _Upload | None = None
        self._encoder: Encoder | None = None

    def write(self, records: pa.RecordBatch) -> None:
        """:raises Superseded: a higher attempt has begun, or a later run has published."""
        if self._groups is None:
            self._put(records)
            return
        for group in self._groups.add(records):
            self._put_group(group)

    def finish(self) -> Sequence[PendingObject]:
        """The objects of this slice, every byte of them in the store."""
        if self._groups is not None:
            for group in self._groups.rest():
                self._put_group(group)
        self._close()
        return tuple(self._done)

    def abort(self) -> None:
        """Drop what was uploaded. Never raises; what is left is on record for whoever comes next."""
        pending = [(o.key, o.upload_id) for o in self._done]
        if self._upload is not None:
            self._upload.is_dropped = True
            pending.append((self._upload.key, self._upload.upload_id))
        self._done, self._upload, self._encoder = [], None, None
        for key, upload_id in pending:
            try:
                self._store.abort(key, upload_id)
            except TablestoreError as error:
                log.info("%s is left for the next attempt to abort: %s", self._store.uri(key), error)

    def _put_group(self, group: pa.Table) -> None:
        for records in group.to_batches():
            self._put(records, may_roll=False)
        self._roll()

    def _put(self, records: pa.RecordBatch, may_roll: bool = True) -> None:
        if not records.num_rows:
            return
        if self._upload is None or self._encoder is None:
            self._upload = _Upload(self._store, self._uploads, self._name(len(self._done)))
            self._encoder = self._format.encoder(self._schema, self._upload)
        self._encoder.write(records)
        self._upload.rows += records.num_rows
        if may_roll:
            self._roll()

    def _roll(self) -> None:
        if self._upload is not None and self._upload.bytes >= self._max_bytes:
            self._close()

    def _close(self) -> None:
        if self._upload is None or self._encoder is None:
            return
        self._encoder.close()
        self._done.append(self._upload.finish())
        self._upload = self._encoder = None


class _Upload:
    """A multipart upload as a byte sink: keeps less than a part in memory."""

    def __init__(self, store: Store, uploads: UploadLog, key: str):
        self._store, self._uploads = store, uploads
        self.key, self.upload_id = key, uploads.begin(key)
        self.rows = self.bytes = self._crc64 = self._parts = 0
        self._held = bytearray()
        self.is_dropped = False  # an encoder may still write when it is thrown away: parquet's footer, for one

    def write(self, data: bytes | memoryview) -> int:
        if self.is_dropped:
            return len(data)
        self.bytes += len(data)
        rest = memoryview(data)
        while rest:
            wanted = PART_BYTES * (1 + self._parts // PARTS_OF_ONE_SIZE) - len(self._held)
            self._held += rest[:wanted]
            if len(rest) >= wanted:
                self._send()
            rest = rest[wanted:]
        return len(data)

    def finish(self) -> PendingObject:
        if self._held:
            self._send()
        return PendingObject(self.key, self.upload_id, self.rows, self.bytes, self._crc64)

    def _send(self) -> None:
        part, self._held = self._held, bytearray()
        self._parts += 1
        self._crc64 = crc64_of(part, self._crc64)
        try:
            self._store.upload_part(self.key, self.upload_id, self._parts, part)
        except UploadGone as error:
            self._uploads.check_rank()
            told = f"the upload of {self._store.uri(self.key)} was aborted from outside"
            raise RetryLater(told, operation="UploadPart", code="NoSuchUpload") from error
