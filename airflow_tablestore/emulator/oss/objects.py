"""Handlers of single objects: put, get, head, delete, append, copy, access control list."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import unquote

from airflow_tablestore.emulator.oss import attributes, conditions
from airflow_tablestore.emulator.oss.errors import Refusal
from airflow_tablestore.emulator.oss.pieces import Reading
from airflow_tablestore.emulator.oss.request import Answer, Request, xml_answer
from airflow_tablestore.emulator.oss.rows import NORMAL, Content, StoredObject
from airflow_tablestore.emulator.oss.store import Store
from airflow_tablestore.emulator.oss.xml import Element, document

OWNER = "1000000000000000"
"""The account that owns everything here."""
COPY_SOURCE = "x-oss-copy-source"


def put(store: Store, request: Request) -> Answer:
    """Stores the body, or a copy when a source is named."""
    if COPY_SOURCE in request.headers:
        return _copy(store, request)
    kept = attributes.attributes_from(request.headers)
    attributes.check_md5(request.headers, request.body.md5())
    piece = request.body.piece()
    content = Content(NORMAL, piece.md5.upper(), [piece], piece.crc)
    stored = store.put(request.bucket, request.key, content, kept, is_new_only=request.is_new_only)
    request.body.adopted()
    return Answer(200, _written(stored))


def append(store: Store, request: Request) -> Answer:
    """Adds the body at a position, which must be the end."""
    position = request.number("position", -1, 0, 2**63 - 1)
    if position < 0:
        raise Refusal("MissingArgument", details={"ArgumentName": "position"})
    kept = attributes.attributes_from(request.headers)
    attributes.check_md5(request.headers, request.body.md5())
    stored = store.append(request.bucket, request.key, position, request.body.piece(), kept)
    request.body.adopted()
    return Answer(200, {**_written(stored), "x-oss-next-append-position": str(stored.size)})


def get(store: Store, request: Request) -> Answer:
    """The object, or a range of its bytes, under the request's conditions."""
    while True:
        found = store.find(request.bucket, request.key)
        conditions.check(request.headers, found)
        chosen = conditions.byte_range(request.headers, found.size)
        start, size = chosen or (0, found.size)
        reading = store.read(found, start, size)
        if reading is not None:
            break
    headers = {**attributes.headers_of(found), **_overrides(request), "content-length": str(size)}
    if chosen is None:
        return Answer(200, headers, reading)
    return Answer(206, {**headers, "content-range": f"bytes {start}-{start + size - 1}/{found.size}"}, reading)


def head(store: Store, request: Request) -> Answer:
    """What `get` tells about the object, without its bytes."""
    found = store.find(request.bucket, request.key)
    conditions.check(request.headers, found)
    return Answer(200, {**attributes.headers_of(found), "content-length": str(found.size)})


def meta(store: Store, request: Request) -> Answer:
    """The few facts of `?objectMeta`: length, ETag, time, checksum."""
    found = store.find(request.bucket, request.key)
    told = {
        "etag": f'"{found.etag}"',
        "last-modified": attributes.http_date(found.modified_millis),
        "content-length": str(found.size) if request.address.method == "HEAD" else "0",
        "x-oss-hash-crc64ecma": str(found.crc),
    }
    return Answer(200, told)


def delete(store: Store, request: Request) -> Answer:
    """Removes the object; a missing one is no error."""
    store.delete(request.bucket, [request.key])
    return Answer(204)


def get_acl(store: Store, request: Request) -> Answer:
    """The access control list, one word."""
    found = store.find(request.bucket, request.key)
    return xml_answer(acl_document(found.attributes.get("x-oss-object-acl", "default")))


def put_acl(store: Store, request: Request) -> Answer:
    """Sets the access control list. It is kept and told, and grants nothing: only signed requests are served."""
    acl = request.headers.get("x-oss-object-acl", "")
    if acl not in attributes.ACLS:
        raise Refusal("InvalidArgument", "no such object access control exists")
    store.change_attributes(request.bucket, request.key, {"x-oss-object-acl": acl})
    return Answer(200)


def acl_document(grant: str) -> bytes:
    """The document of `?acl`, of a bucket or an object."""
    return document(
        Element(
            "AccessControlPolicy",
            [owner(), Element("AccessControlList", [Element("Grant", grant)])],
        )
    )


def owner() -> Element:
    """The element that names the owner."""
    return Element("Owner", [Element("ID", OWNER), Element("DisplayName", OWNER)])


def source_of(store: Store, headers: Mapping[str, str]) -> StoredObject:
    """The object that `x-oss-copy-source` names, under its conditions.

    :raises Refusal: InvalidArgument, NoSuchBucket, NoSuchKey, PreconditionFailed, NotModified.
    """
    path, _, version = headers[COPY_SOURCE].partition("?")
    bucket, slash, key = unquote(path).removeprefix("/").partition("/")
    if not slash or not bucket or not key:
        raise Refusal("InvalidArgument", "Copy Source must mention the source bucket and key: /bucket/key.")
    if version not in ("", "versionId=null"):
        raise Refusal("NotImplemented", details={"Header": COPY_SOURCE})
    found = store.find(bucket, key)
    conditions.check(headers, found, prefix=f"{COPY_SOURCE}-")
    return found


def _copy(store: Store, request: Request) -> Answer:
    directive = request.headers.get("x-oss-metadata-directive", "COPY").upper()
    if directive not in ("COPY", "REPLACE"):
        raise Refusal("InvalidArgument", "The MetadataDirective is invalid.")
    source = source_of(store, request.headers)
    kept = attributes.attributes_from(request.headers)
    if directive == "COPY":
        own: dict[str, str] = {name: kept[name] for name in ("x-oss-storage-class", "x-oss-object-acl") if name in kept}
        inherited = {name: value for name, value in source.attributes.items() if name != "x-oss-object-acl"}
        kept = {**inherited, **own}
    stored = store.copy(source, request.bucket, request.key, kept, is_new_only=request.is_new_only)
    return xml_answer(
        document(
            Element(
                "CopyObjectResult",
                [Element("LastModified", iso_date(stored.modified_millis)), Element("ETag", f'"{stored.etag}"')],
            )
        ),
        _written(stored),
    )


def iso_date(millis: int) -> str:
    """A time as the service writes it in XML: whole seconds, the fraction always zero."""
    return datetime.fromtimestamp(millis // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _written(stored: StoredObject) -> dict[str, str]:
    return {"etag": f'"{stored.etag}"', "x-oss-hash-crc64ecma": str(stored.crc)}


def _overrides(request: Request) -> dict[str, str]:
    asked = ((name, request.parameter(f"response-{name}")) for name in attributes.OVERRIDES)
    return {name: value for name, value in asked if value}


def whole(store: Store, found: StoredObject, start: int, size: int) -> Reading:
    """Bytes of an object for a copy. :raises Refusal: NoSuchKey when it was replaced meanwhile."""
    reading = store.read(found, start, size)
    if reading is None:
        raise Refusal("NoSuchKey", details={"Key": found.key})
    return reading
