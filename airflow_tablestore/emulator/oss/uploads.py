"""Multipart uploads as they are kept: parts that arrive in any order, and the moment when they become an object.

Completing links the parts' pieces to the object and forgets the upload in one transaction, so an upload is either
there to be continued or gone with its object visible.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from airflow_tablestore.emulator.oss import crc64
from airflow_tablestore.emulator.oss.errors import Refusal
from airflow_tablestore.emulator.oss.pieces import Piece
from airflow_tablestore.emulator.oss.rows import (
    MULTIPART,
    Content,
    StoredObject,
    bucket_of,
    forget,
    keep,
    maybe_object,
    now_millis,
    replace,
)
from airflow_tablestore.emulator.oss.store import Store

SMALLEST_PART = 100 * 1024
"""Bytes of every part but the last. Source: the service's limits for multipart upload."""
MOST_PARTS = 10_000


@dataclass(frozen=True, slots=True)
class Upload:
    """An unfinished upload; `id` grows with the time it was begun."""

    id: str
    bucket: str
    key: str
    begun_millis: int
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Part:
    """A part that has arrived."""

    number: int
    piece: Piece
    modified_millis: int

    @property
    def etag(self) -> str:
        """MD5 of the part in upper-case hex."""
        return self.piece.md5.upper()


@dataclass(frozen=True, slots=True)
class ListedPart:
    """What the client says a part is when it completes an upload."""

    number: int
    etag: str


def begin(store: Store, bucket: str, key: str, attributes: Mapping[str, str], *, is_new_only: bool) -> Upload:
    """A new upload. :raises Refusal: NoSuchBucket, FileAlreadyExists."""
    stamp = now_millis()
    upload = Upload(f"{stamp:012X}{secrets.token_hex(10).upper()}", bucket, key, stamp, attributes)
    with store.database.writing() as connection:
        bucket_of(connection, bucket)
        if is_new_only and maybe_object(connection, bucket, key):
            raise Refusal("FileAlreadyExists", details={"ObjectName": key})
        connection.execute(
            "INSERT INTO uploads VALUES (?, ?, ?, ?, ?)", (upload.id, bucket, key, stamp, json.dumps(dict(attributes)))
        )
    return upload


def check(store: Store, bucket: str, key: str, upload_id: str) -> None:
    """Refuses early, before the bytes of a part are read. :raises Refusal: NoSuchBucket, NoSuchUpload."""
    with store.database.reading() as connection:
        _upload_of(connection, bucket, key, upload_id)


def put_part(store: Store, bucket: str, key: str, upload_id: str, number: int, piece: Piece) -> Part:
    """Keeps the part in place of an earlier one of its number. :raises Refusal: NoSuchUpload."""
    part = Part(number, piece, now_millis())
    with store.database.writing() as connection:
        _upload_of(connection, bucket, key, upload_id)
        earlier = connection.execute(
            "SELECT piece FROM parts WHERE upload = ? AND number = ?", (upload_id, number)
        ).fetchall()
        keep(connection, [piece])
        connection.execute(
            "INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?)", (upload_id, number, piece.id, part.modified_millis)
        )
        given_up = forget(connection, (row[0] for row in earlier))
    store.folder.remove(given_up)
    return part


def parts(store: Store, bucket: str, key: str, upload_id: str, marker: int, limit: int) -> tuple[Upload, list[Part]]:
    """The upload, and up to `limit` of its parts behind the marker, by number. :raises Refusal: NoSuchUpload."""
    with store.database.reading() as connection:
        upload = _upload_of(connection, bucket, key, upload_id)
        return upload, _parts_of(connection, upload_id, marker, limit)


def uploads_from(
    connection: sqlite3.Connection, bucket: str, key: str, upload_id: str, limit: int, *, is_inclusive: bool
) -> list[Upload]:
    """Up to `limit` uploads by key and age: behind that upload, or from the key on."""
    compare = ">=" if is_inclusive else ">"
    rows = connection.execute(
        f"SELECT id, bucket, key, begun_millis, attributes FROM uploads WHERE bucket = ? "  # noqa: S608
        f"AND (key, id) {compare} (?, ?) ORDER BY key, id LIMIT ?",
        (bucket, key, upload_id, limit),
    )
    return [_upload_from(row) for row in rows]


def complete(
    store: Store, bucket: str, key: str, upload_id: str, listed: Sequence[ListedPart] | None, *, is_new_only: bool
) -> StoredObject:
    """Makes the object of the listed parts, or of all when None; parts that are not listed are gone.

    :raises Refusal: NoSuchUpload; InvalidPart, InvalidPartOrder, EntityTooSmall; FileAlreadyExists. The upload stays.
    """
    with store.database.writing() as connection:
        upload = _upload_of(connection, bucket, key, upload_id)
        arrived = _parts_of(connection, upload_id, 0, MOST_PARTS)
        chosen = arrived if listed is None else _chosen(arrived, listed, upload_id)
        if not chosen:
            raise Refusal("InvalidArgument", "The upload has no parts.")
        for part in chosen[:-1]:
            if part.piece.size < SMALLEST_PART:
                details = {"MinSizeAllowed": str(SMALLEST_PART), "ProposedSize": str(part.piece.size)}
                raise Refusal("EntityTooSmall", details={**details, "PartNumber": str(part.number)})
        content = _joined(chosen)
        stored, given_up = replace(connection, bucket, key, content, upload.attributes, is_new_only=is_new_only)
        given_up += _end(connection, upload_id, (part.piece.id for part in arrived))
    store.folder.remove(given_up)
    return stored


def abort(store: Store, bucket: str, key: str, upload_id: str) -> None:
    """Forgets the upload and its parts. :raises Refusal: NoSuchUpload."""
    with store.database.writing() as connection:
        _upload_of(connection, bucket, key, upload_id)
        arrived = _parts_of(connection, upload_id, 0, MOST_PARTS)
        given_up = _end(connection, upload_id, (part.piece.id for part in arrived))
    store.folder.remove(given_up)


def _upload_of(connection: sqlite3.Connection, bucket: str, key: str, upload_id: str) -> Upload:
    bucket_of(connection, bucket)
    row = connection.execute(
        "SELECT id, bucket, key, begun_millis, attributes FROM uploads WHERE id = ? AND bucket = ? AND key = ?",
        (upload_id, bucket, key),
    ).fetchone()
    if row is None:
        raise Refusal("NoSuchUpload", details={"UploadId": upload_id})
    return _upload_from(row)


def _upload_from(row: tuple[str, str, str, int, str]) -> Upload:
    id, bucket, key, begun_millis, attributes = row
    return Upload(id, bucket, key, begun_millis, json.loads(attributes))


def _parts_of(connection: sqlite3.Connection, upload_id: str, marker: int, limit: int) -> list[Part]:
    rows = connection.execute(
        "SELECT t.number, t.modified_millis, p.id, p.size, p.crc, p.md5, p.data FROM parts t "
        "JOIN pieces p ON p.id = t.piece WHERE t.upload = ? AND t.number > ? ORDER BY t.number LIMIT ?",
        (upload_id, marker, limit),
    )
    return [
        Part(number, Piece(id, size, int(crc), md5, data), stamp) for number, stamp, id, size, crc, md5, data in rows
    ]


def _chosen(arrived: Iterable[Part], listed: Sequence[ListedPart], upload_id: str) -> list[Part]:
    by_number = {part.number: part for part in arrived}
    chosen, last = [], 0
    for wanted in listed:
        if wanted.number <= last:
            raise Refusal("InvalidPartOrder", details={"UploadId": upload_id})
        part, last = by_number.get(wanted.number), wanted.number
        if part is None or part.etag != wanted.etag.strip('" ').upper():
            details = {"UploadId": upload_id, "PartNumber": str(wanted.number), "PartEtag": wanted.etag}
            raise Refusal("InvalidPart", details=details)
        chosen.append(part)
    return chosen


def _joined(chosen: Sequence[Part]) -> Content:
    crc, digests = 0, hashlib.md5(usedforsecurity=False)
    for part in chosen:
        crc = crc64.combined(crc, part.piece.crc, part.piece.size)
        digests.update(bytes.fromhex(part.piece.md5))
    etag = f"{digests.hexdigest().upper()}-{len(chosen)}"
    return Content(MULTIPART, etag, [part.piece for part in chosen], crc)


def _end(connection: sqlite3.Connection, upload_id: str, pieces: Iterable[str]) -> list[str]:
    connection.execute("DELETE FROM parts WHERE upload = ?", (upload_id,))
    connection.execute("DELETE FROM uploads WHERE id = ?", (upload_id,))
    return forget(connection, pieces)
