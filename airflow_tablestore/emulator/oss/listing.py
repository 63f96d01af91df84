"""Pages of a sorted listing, folded at a delimiter: objects (both versions) and unfinished uploads.

One walk serves all three: it reads entries in key order from a starting point, folds those that share a prefix up to
the delimiter into one line, and jumps over the rest of such a group instead of reading it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from airflow_tablestore.emulator.oss.errors import Refusal
from airflow_tablestore.emulator.oss.objects import iso_date, owner
from airflow_tablestore.emulator.oss.request import Answer, Request, xml_answer
from airflow_tablestore.emulator.oss.rows import StoredObject, bucket_of, objects_from
from airflow_tablestore.emulator.oss.store import Store
from airflow_tablestore.emulator.oss.uploads import Upload, uploads_from
from airflow_tablestore.emulator.oss.xml import Element, document, names


class Keyed(Protocol):
    """An entry of a listing."""

    @property
    def key(self) -> str: ...


E = TypeVar("E", bound=Keyed)


@dataclass(frozen=True, slots=True)
class Page(Generic[E]):
    """One page: entries and folded prefixes, in order; `last` is the last of either."""

    entries: tuple[E, ...]
    prefixes: tuple[str, ...]
    is_truncated: bool
    last: str


@dataclass(frozen=True, slots=True)
class From:
    """Where a walk goes on: behind a key (and behind one entry of that key), or at it."""

    key: str
    id: str = ""
    is_inclusive: bool = False


def walk(read: Callable[[From, int], Sequence[E]], start: From, prefix: str, delimiter: str, limit: int) -> Page[E]:
    """The entries from `start` on whose keys begin with the prefix, `limit` lines of them.

    :param read: gives up to n entries from a place on, in order.
    """
    at: From | None = start if start.key >= prefix else From(prefix, is_inclusive=True)
    if delimiter and start.key.startswith(prefix) and start.key.endswith(delimiter) and len(start.key) > len(prefix):
        at = _behind(start.key)  # the start is a folded prefix of the page before
    entries: list[E] = []
    folded: list[str] = []
    last = ""
    while at is not None:
        found = read(at, limit + 1 - len(entries) - len(folded))
        if not found:
            break
        at = None
        for entry in found:
            if not entry.key.startswith(prefix):
                return Page(tuple(entries), tuple(folded), False, last)
            if len(entries) + len(folded) == limit:
                return Page(tuple(entries), tuple(folded), True, last)
            cut = entry.key.find(delimiter, len(prefix)) if delimiter else -1
            if cut >= 0:
                last = entry.key[: cut + len(delimiter)]
                folded.append(last)
                at = _behind(last)
                break
            entries.append(entry)
            last = entry.key
            at = From(entry.key, getattr(entry, "id", "") if isinstance(entry, Upload) else "")
    return Page(tuple(entries), tuple(folded), False, last)


def _behind(prefix: str) -> From | None:
    """The first place behind every key that begins with the prefix; None when there is none."""
    while prefix:
        code = ord(prefix[-1]) + 1
        if code == 0xD800:
            code = 0xE000  # surrogates are no characters
        if code <= 0x10FFFF:
            return From(prefix[:-1] + chr(code), is_inclusive=True)
        prefix = prefix[:-1]
    return None


def list_objects(store: Store, request: Request) -> Answer:
    """Objects of a bucket: version 2 when `list-type=2`, else version 1."""
    version = request.parameter("list-type")
    if version not in ("", "2"):
        raise Refusal("InvalidArgument", details={"ArgumentName": "list-type", "ArgumentValue": version})
    prefix, delimiter = request.parameter("prefix"), request.parameter("delimiter")
    limit = request.number("max-keys", 100, 1, 1000)
    is_second = version == "2"
    start = _start_of_second(request) if is_second else request.parameter("marker")
    with store.database.reading() as connection:
        bucket_of(connection, request.bucket)

        def read(at: From, count: int) -> list[StoredObject]:
            return objects_from(connection, request.bucket, at.key, count, is_inclusive=at.is_inclusive)

        page = walk(read, From(start), prefix, delimiter, limit)
    is_encoded = request.is_url_encoded
    told = [
        Element("Name", request.bucket),
        Element("Prefix", names(prefix, is_url_encoded=is_encoded)),
        Element("MaxKeys", limit),
        Element("Delimiter", names(delimiter, is_url_encoded=is_encoded)),
        *([Element("EncodingType", "url")] if is_encoded else []),
        Element("IsTruncated", page.is_truncated),
        *(_second(request, page) if is_second else _first(request, page)),
        *(
            _contents(found, is_encoded, has_owner=not is_second or request.parameter("fetch-owner") == "true")
            for found in page.entries
        ),
        *(Element("CommonPrefixes", [Element("Prefix", names(p, is_url_encoded=is_encoded))]) for p in page.prefixes),
    ]
    return xml_answer(document(Element("ListBucketResult", told)))


def list_uploads(store: Store, request: Request) -> Answer:
    """Unfinished uploads of a bucket, by key and then by age."""
    prefix, delimiter = request.parameter("prefix"), request.parameter("delimiter")
    key_marker, id_marker = request.parameter("key-marker"), request.parameter("upload-id-marker")
    limit = request.number("max-uploads", 1000, 1, 1000)
    # without an upload's id the marker means "behind every upload of that key"
    start = From(key_marker, (id_marker or "\U0010ffff") if key_marker else "")
    with store.database.reading() as connection:
        bucket_of(connection, request.bucket)

        def read(at: From, count: int) -> list[Upload]:
            return uploads_from(connection, request.bucket, at.key, at.id, count, is_inclusive=at.is_inclusive)

        page = walk(read, start, prefix, delimiter, limit)
    is_encoded = request.is_url_encoded
    is_last_upload = bool(page.entries) and page.entries[-1].key == page.last
    told = [
        *([Element("EncodingType", "url")] if is_encoded else []),
        Element("Bucket", request.bucket),
        Element("KeyMarker", names(key_marker, is_url_encoded=is_encoded)),
        Element("UploadIdMarker", id_marker),
        Element("NextKeyMarker", names(page.last, is_url_encoded=is_encoded) if page.is_truncated else ""),
        Element("NextUploadIdMarker", page.entries[-1].id if page.is_truncated and is_last_upload else ""),
        Element("Delimiter", names(delimiter, is_url_encoded=is_encoded)),
        Element("Prefix", names(prefix, is_url_encoded=is_encoded)),
        Element("MaxUploads", limit),
        Element("IsTruncated", page.is_truncated),
        *(_upload(upload, is_encoded) for upload in page.entries),
        *(Element("CommonPrefixes", [Element("Prefix", names(p, is_url_encoded=is_encoded))]) for p in page.prefixes),
    ]
    return xml_answer(document(Element("ListMultipartUploadsResult", told)))


def _first(request: Request, page: Page[StoredObject]) -> list[Element]:
    is_encoded = request.is_url_encoded
    told = [Element("Marker", names(request.parameter("marker"), is_url_encoded=is_encoded))]
    if page.is_truncated:
        told.append(Element("NextMarker", names(page.last, is_url_encoded=is_encoded)))
    return told


def _second(request: Request, page: Page[StoredObject]) -> list[Element]:
    told = [
        Element("StartAfter", names(request.parameter("start-after"), is_url_encoded=request.is_url_encoded)),
        Element("KeyCount", len(page.entries) + len(page.prefixes)),
    ]
    if token := request.parameter("continuation-token"):
        told.append(Element("ContinuationToken", token))
    if page.is_truncated:
        told.append(Element("NextContinuationToken", base64.urlsafe_b64encode(page.last.encode()).decode("ascii")))
    return told


def _start_of_second(request: Request) -> str:
    token = request.parameter("continuation-token")
    if not token:
        return request.parameter("start-after")
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise Refusal("InvalidArgument", "The continuation token provided is incorrect.") from None


def _contents(found: StoredObject, is_encoded: bool, *, has_owner: bool) -> Element:
    told = [
        Element("Key", names(found.key, is_url_encoded=is_encoded)),
        Element("LastModified", iso_date(found.modified_millis)),
        Element("ETag", f'"{found.etag}"'),
        Element("Type", found.kind),
        Element("Size", found.size),
        Element("StorageClass", found.attributes.get("x-oss-storage-class", "Standard")),
    ]
    return Element("Contents", [*told, owner()] if has_owner else told)


def _upload(upload: Upload, is_encoded: bool) -> Element:
    return Element(
        "Upload",
        [
            Element("Key", names(upload.key, is_url_encoded=is_encoded)),
            Element("UploadId", upload.id),
            Element("StorageClass", upload.attributes.get("x-oss-storage-class", "Standard")),
            Element("Initiated", iso_date(upload.begun_millis)),
        ],
    )
