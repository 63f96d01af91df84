"""Buckets and objects as rows: values, and the steps that transactions are made of.

Every function works on an open connection; who begins and ends the transaction is `store.py` and `uploads.py`. What
lets go of pieces returns the ids of files, to be removed after the transaction, never in it.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from airflow_tablestore.emulator.oss.errors import Refusal
from airflow_tablestore.emulator.oss.pieces import Piece

NORMAL, MULTIPART, APPENDABLE = "Normal", "Multipart", "Appendable"
"""The kinds of objects, as `x-oss-object-type` says them."""

_OBJECT_COLUMNS = "id, bucket, key, kind, etag, size, crc, modified_millis, attributes"


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket; the access control list is one word."""

    name: str
    created_millis: int
    acl: str = "private"
    storage_class: str = "Standard"


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object without its bytes. `attributes` are the headers that came with it and go out with it, lower case."""

    id: int
    bucket: str
    key: str
    kind: str
    etag: str
    size: int
    crc: int
    modified_millis: int
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Content:
    """What an object is made of before it is stored."""

    kind: str
    etag: str
    pieces: Sequence[Piece]
    crc: int

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(piece.size for piece in self.pieces)


def now_millis() -> int:
    """The time that objects and uploads are stamped with: the wall clock, which clients compare with their own."""
    return time.time_ns() // 1_000_000


def bucket_of(connection: sqlite3.Connection, name: str) -> Bucket:
    """:raises Refusal: NoSuchBucket."""
    row = connection.execute(
        "SELECT name, created_millis, acl, storage_class FROM buckets WHERE name = ?", (name,)
    ).fetchone()
    if row is None:
        raise Refusal("NoSuchBucket", details={"BucketName": name})
    return Bucket(*row)


def maybe_object(connection: sqlite3.Connection, bucket: str, key: str) -> StoredObject | None:
    """The object, if there is one."""
    row = connection.execute(
        f"SELECT {_OBJECT_COLUMNS} FROM objects WHERE bucket = ? AND key = ?",  # noqa: S608
        (bucket, key),
    ).fetchone()
    return row and object_from(row)


def object_of(connection: sqlite3.Connection, bucket: str, key: str) -> StoredObject:
    """:raises Refusal: NoSuchKey."""
    found = maybe_object(connection, bucket, key)
    if found is None:
        raise Refusal("NoSuchKey", details={"Key": key})
    return found


def objects_from(
    connection: sqlite3.Connection, bucket: str, start: str, limit: int, *, is_inclusive: bool
) -> list[StoredObject]:
    """Up to `limit` objects from the start key on, in the order of their UTF-8 bytes."""
    compare = ">=" if is_inclusive else ">"
    rows = connection.execute(
        f"SELECT {_OBJECT_COLUMNS} FROM objects WHERE bucket = ? AND key {compare} ? ORDER BY key LIMIT ?",  # noqa: S608
        (bucket, start, limit),
    )
    return [object_from(row) for row in rows]


def object_from(row: tuple[int, str, str, str, str, int, str, int, str]) -> StoredObject:
    """A row of `objects` as a value."""
    id, bucket, key, kind, etag, size, crc, modified_millis, attributes = row
    return StoredObject(id, bucket, key, kind, etag, size, int(crc), modified_millis, json.loads(attributes))


def pieces_of(connection: sqlite3.Connection, object_id: int) -> tuple[Piece, ...]:
    """The pieces of an object in order."""
    rows = connection.execute(
        "SELECT p.id, p.size, p.crc, p.md5, p.data FROM extents e JOIN pieces p ON p.id = e.piece "
        "WHERE e.object = ? ORDER BY e.ordinal",
        (object_id,),
    )
    return tuple(Piece(id, size, int(crc), md5, data) for id, size, crc, md5, data in rows)


def replace(
    connection: sqlite3.Connection,
    bucket: str,
    key: str,
    content: Content,
    attributes: Mapping[str, str],
    *,
    is_new_only: bool,
) -> tuple[StoredObject, list[str]]:
    """Stores an object in an open transaction; also the ids of the files that nobody names any more.

    :raises Refusal: FileAlreadyExists.
    """
    earlier = maybe_object(connection, bucket, key)
    if earlier and is_new_only:
        raise Refusal("FileAlreadyExists", details={"ObjectName": key})
    stamp, text = now_millis(), json.dumps(dict(attributes))
    cursor = connection.execute(
        "INSERT OR REPLACE INTO objects(bucket, key, kind, etag, size, crc, modified_millis, attributes) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (bucket, key, content.kind, content.etag, content.size, str(content.crc), stamp, text),
    )
    object_id = int(cursor.lastrowid or 0)
    keep(connection, content.pieces)
    connection.executemany(
        "INSERT INTO extents VALUES (?, ?, ?)",
        ((object_id, ordinal, piece.id) for ordinal, piece in enumerate(content.pieces)),
    )
    given_up = drop(connection, earlier.id) if earlier else []
    stored = StoredObject(
        object_id, bucket, key, content.kind, content.etag, content.size, content.crc, stamp, attributes
    )
    return stored, given_up


def keep(connection: sqlite3.Connection, pieces: Iterable[Piece]) -> None:
    """Names the pieces, so that they exist from this transaction on."""
    connection.executemany(
        "INSERT OR IGNORE INTO pieces VALUES (?, ?, ?, ?, ?)",
        ((piece.id, piece.size, str(piece.crc), piece.md5, piece.data) for piece in pieces),
    )


def drop(connection: sqlite3.Connection, object_id: int) -> list[str]:
    """Removes an object's rows; the ids of the files that nobody names any more."""
    pieces = [row[0] for row in connection.execute("SELECT piece FROM extents WHERE object = ?", (object_id,))]
    connection.execute("DELETE FROM extents WHERE object = ?", (object_id,))
    connection.execute("DELETE FROM objects WHERE id = ?", (object_id,))
    return forget(connection, pieces)


def forget(connection: sqlite3.Connection, pieces: Iterable[str]) -> list[str]:
    """Removes those pieces that no object and no part names; the ids of those that are files."""
    files = []
    for piece in dict.fromkeys(pieces):
        row = connection.execute(
            "DELETE FROM pieces WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM extents WHERE piece = ?1) "
            "AND NOT EXISTS (SELECT 1 FROM parts WHERE piece = ?1) RETURNING data IS NULL",
            (piece,),
        ).fetchone()
        if row and row[0]:
            files.append(piece)
    return files
