"""Buckets and objects as they are kept: every change is one transaction, and what it lets go of is removed after it.

Raises the service's refusals for what depends on the stored state (a missing bucket, an object that must not be
overwritten). Everything about HTTP is left to the handlers. Uploads are in `uploads.py`, over the same database.
"""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from airflow_tablestore.emulator.oss import crc64
from airflow_tablestore.emulator.oss.database import Database
from airflow_tablestore.emulator.oss.errors import Refusal, refuse_larger
from airflow_tablestore.emulator.oss.pieces import Piece, PieceFolder, Reading, Spool
from airflow_tablestore.emulator.oss.rows import (
    APPENDABLE,
    MULTIPART,
    NORMAL,
    Bucket,
    Content,
    StoredObject,
    bucket_of,
    drop,
    keep,
    maybe_object,
    now_millis,
    object_of,
    pieces_of,
    replace,
)


class Store:
    """Everything under one directory; None keeps it in a temporary one that `close` removes."""

    def __init__(self, path: Path | None):
        self._temporary = None if path else Path(tempfile.mkdtemp(prefix="airflow-tablestore-oss-"))
        self.root = root = path or self._temporary or Path()
        root.mkdir(parents=True, exist_ok=True)
        is_durable = path is not None
        self.database = Database(root / "oss.sqlite", is_durable=is_durable)
        self.folder = PieceFolder(root / "pieces", is_durable=is_durable)
        with self.database.reading() as connection:
            named = {row[0] for row in connection.execute("SELECT id FROM pieces WHERE data IS NULL")}
        self.swept = self.folder.sweep(named)

    def close(self) -> None:
        """Closes the database; an ephemeral store is gone afterwards."""
        self.database.close()
        if self._temporary:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def clear(self) -> None:
        """Removes every object, upload and bucket."""
        with self.database.writing() as connection:
            long = [row[0] for row in connection.execute("SELECT id FROM pieces WHERE data IS NULL")]
            for table in ("objects", "extents", "parts", "uploads", "pieces", "buckets"):
                connection.execute(f"DELETE FROM {table}")  # noqa: S608
        self.folder.remove(long)

    def sizes(self) -> list[tuple[str, int, int]]:
        """Name, number of objects and their bytes, of every bucket."""
        with self.database.reading() as connection:
            return connection.execute(
                "SELECT b.name, count(o.id), coalesce(sum(o.size), 0) FROM buckets b "
                "LEFT JOIN objects o ON o.bucket = b.name GROUP BY b.name ORDER BY b.name"
            ).fetchall()

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """The keys of a bucket that begin with the prefix, in the order of their bytes."""
        with self.database.reading() as connection:
            bucket_of(connection, bucket)
            rows = connection.execute(
                "SELECT key FROM objects WHERE bucket = ? AND substr(key, 1, ?) = ? ORDER BY key",
                (bucket, len(prefix), prefix),
            )
            return [row[0] for row in rows]

    def put_bytes(self, bucket: str, key: str, body: bytes) -> StoredObject:
        """Stores a whole object that is in memory."""
        spool = self.spool()
        try:
            spool.write(body)
            piece = spool.piece()
            content = Content(NORMAL, piece.md5.upper(), [piece], piece.crc)
            stored = self.put(bucket, key, content, {}, is_new_only=False)
            spool.adopted()
        finally:
            spool.discard()
        return stored

    def spool(self) -> Spool:
        """A place for bytes that arrive."""
        return Spool(self.folder)

    def create_bucket(self, name: str, *, acl: str = "private", storage_class: str = "Standard") -> None:
        """Makes the bucket; an owner's repeated request changes its access control list only."""
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", name):
            raise Refusal("InvalidBucketName", details={"BucketName": name})
        with self.database.writing() as connection:
            connection.execute(
                "INSERT INTO buckets VALUES (?, ?, ?, ?) ON CONFLICT(name) DO UPDATE SET acl = excluded.acl",
                (name, now_millis(), acl, storage_class),
            )

    def bucket(self, name: str) -> Bucket:
        """:raises Refusal: NoSuchBucket."""
        with self.database.reading() as connection:
            return bucket_of(connection, name)

    def buckets(self, prefix: str, marker: str, limit: int) -> list[Bucket]:
        """Up to `limit` buckets behind the marker, by name."""
        with self.database.reading() as connection:
            rows = connection.execute(
                "SELECT name, created_millis, acl, storage_class FROM buckets "
                "WHERE name > ? AND substr(name, 1, ?) = ? ORDER BY name LIMIT ?",
                (marker, len(prefix), prefix, limit),
            )
            return [Bucket(*row) for row in rows]

    def delete_bucket(self, name: str) -> None:
        """:raises Refusal: NoSuchBucket; BucketNotEmpty when it has objects or unfinished uploads."""
        with self.database.writing() as connection:
            bucket_of(connection, name)
            for table in ("objects", "uploads"):
                if connection.execute(f"SELECT 1 FROM {table} WHERE bucket = ? LIMIT 1", (name,)).fetchone():  # noqa: S608
                    raise Refusal("BucketNotEmpty", details={"BucketName": name})
            connection.execute("DELETE FROM buckets WHERE name = ?", (name,))

    def find(self, bucket: str, key: str) -> StoredObject:
        """:raises Refusal: NoSuchBucket, NoSuchKey."""
        with self.database.reading() as connection:
            bucket_of(connection, bucket)
            return object_of(connection, bucket, key)

    def read(self, found: StoredObject, start: int, size: int) -> Reading | None:
        """The bytes of the object as it was found; None when it was replaced meanwhile. The caller closes it."""
        with self.folder.lock, self.database.reading() as connection:
            pieces = pieces_of(connection, found.id)
            if not pieces and found.size:
                return None
            self.folder.pin(pieces)
        return Reading(self.folder, pieces, start, size)

    def put(
        self, bucket: str, key: str, content: Content, attributes: Mapping[str, str], *, is_new_only: bool
    ) -> StoredObject:
        """Stores the object in place of an earlier one.

        :param is_new_only: (`x-oss-forbid-overwrite`) refuses when there is one.
        """
        with self.database.writing() as connection:
            bucket_of(connection, bucket)
            stored, given_up = replace(connection, bucket, key, content, attributes, is_new_only=is_new_only)
        self.folder.remove(given_up)
        return stored

    def append(self, bucket: str, key: str, position: int, piece: Piece, attributes: Mapping[str, str]) -> StoredObject:
        """Adds the piece at the end; makes an appendable object when there is none.

        :raises Refusal: PositionNotEqualToLength with the right position; ObjectNotAppendable.
        """
        with self.database.writing() as connection:
            bucket_of(connection, bucket)
            earlier = maybe_object(connection, bucket, key)
            if earlier and earlier.kind != APPENDABLE:
                raise Refusal("ObjectNotAppendable", details={"ObjectName": key})
            size = earlier.size if earlier else 0
            if position != size:
                raise Refusal("PositionNotEqualToLength", headers={"x-oss-next-append-position": str(size)})
            refuse_larger(size + piece.size, "The object with what is appended")
            if earlier is None:
                content = Content(APPENDABLE, _appended_etag(piece.crc, piece.size), [piece], piece.crc)
                return replace(connection, bucket, key, content, attributes, is_new_only=False)[0]
            return _extended(connection, earlier, piece)

    def copy(
        self, source: StoredObject, bucket: str, key: str, attributes: Mapping[str, str], *, is_new_only: bool
    ) -> StoredObject:
        """Makes an object of the same pieces; no data is moved.

        :raises Refusal: EntityTooLarge; NoSuchKey when the source was replaced or removed meanwhile.
        """
        refuse_larger(source.size, "Source object Length")
        kind = MULTIPART if source.kind == MULTIPART else NORMAL
        with self.database.writing() as connection:
            bucket_of(connection, bucket)
            pieces = _as_found(pieces_of(connection, source.id), source)
            content = Content(kind, source.etag, pieces, source.crc)
            stored, given_up = replace(connection, bucket, key, content, attributes, is_new_only=is_new_only)
        self.folder.remove(given_up)
        return stored

    def change_attributes(self, bucket: str, key: str, changes: Mapping[str, str]) -> None:
        """Sets attributes of an object; its bytes and its time stay."""
        with self.database.writing() as connection:
            bucket_of(connection, bucket)
            found = object_of(connection, bucket, key)
            connection.execute(
                "UPDATE objects SET attributes = ? WHERE id = ?",
                (json.dumps({**found.attributes, **changes}), found.id),
            )

    def delete(self, bucket: str, keys: Iterable[str]) -> None:
        """Removes the objects, all at once; a missing one is no error."""
        given_up: list[str] = []
        with self.database.writing() as connection:
            bucket_of(connection, bucket)
            for key in keys:
                found = maybe_object(connection, bucket, key)
                if found:
                    given_up += drop(connection, found.id)
        self.folder.remove(given_up)


def _as_found(pieces: Sequence[Piece], source: StoredObject) -> list[Piece]:
    """The pieces without what was appended since. :raises Refusal: NoSuchKey when the object is gone."""
    kept, size = [], 0
    for piece in pieces:
        if size == source.size:
            break
        kept.append(piece)
        size += piece.size
    if size != source.size:
        raise Refusal("NoSuchKey", details={"Key": source.key})
    return kept


def _extended(connection: sqlite3.Connection, earlier: StoredObject, piece: Piece) -> StoredObject:
    crc, size = crc64.combined(earlier.crc, piece.crc, piece.size), earlier.size + piece.size
    stamp, etag = now_millis(), _appended_etag(crc, size)
    keep(connection, [piece])
    connection.execute(
        "INSERT INTO extents SELECT ?1, coalesce(max(ordinal), -1) + 1, ?2 FROM extents WHERE object = ?1",
        (earlier.id, piece.id),
    )
    connection.execute(
        "UPDATE objects SET etag = ?, size = ?, crc = ?, modified_millis = ? WHERE id = ?",
        (etag, size, str(crc), stamp, earlier.id),
    )
    return StoredObject(earlier.id, earlier.bucket, earlier.key, APPENDABLE, etag, size, crc, stamp, earlier.attributes)


def _appended_etag(crc: int, size: int) -> str:
    """32 hex digits that change with the content. The service's are not the content's MD5 either."""
    return f"{crc:016X}{size:016X}"
