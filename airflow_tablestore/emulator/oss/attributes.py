"""The headers that are kept with an object and given back with it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from email.utils import formatdate

from airflow_tablestore.emulator.oss.errors import Refusal
from airflow_tablestore.emulator.oss.rows import APPENDABLE, NORMAL, StoredObject

ENCRYPTION = "x-oss-server-side-encryption"
KEPT = (
    "content-type",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "expires",
    ENCRYPTION,
    "x-oss-storage-class",
    "x-oss-object-acl",
)
META_PREFIX = "x-oss-meta-"
LONGEST_META = 8 * 1024
NOT_THERE = (
    "x-oss-callback",
    "x-oss-tagging",
    "x-oss-server-side-data-encryption",
    "x-oss-server-side-encryption-key-id",
    "x-oss-object-worm-mode",
)
"""Headers that ask for what this emulator does not have."""

ACLS = ("default", "private", "public-read", "public-read-write")
STORAGE_CLASSES = ("Standard", "IA", "Archive", "ColdArchive", "DeepColdArchive")
OVERRIDES = ("content-type", "content-language", "expires", "cache-control", "content-disposition", "content-encoding")
"""Headers of an answer that a reader may choose with `response-<name>` in the query."""


def attributes_from(headers: Mapping[str, str]) -> dict[str, str]:
    """What to keep of a request's headers.

    :raises Refusal: they are too long, not allowed, or ask for what is not there.
    """
    for name in NOT_THERE:
        if name in headers:
            raise Refusal("NotImplemented", details={"Header": name})
    if headers.get(ENCRYPTION, "AES256") != "AES256":  # with OSS's own keys; others would need a key service
        raise Refusal("NotImplemented", details={"Header": ENCRYPTION})
    if headers.get("x-oss-object-acl", "default") not in ACLS:
        raise Refusal("InvalidArgument", "no such object access control exists")
    if headers.get("x-oss-storage-class", "Standard") not in STORAGE_CLASSES:
        raise Refusal("InvalidArgument", "no such storage class exists")
    meta = {name: value for name, value in headers.items() if name.startswith(META_PREFIX)}
    if sum(len(name) + len(value.encode("utf-8", "surrogateescape")) for name, value in meta.items()) > LONGEST_META:
        raise Refusal("InvalidArgument", "The user metadata is longer than 8 KB.")
    kept = {name: headers[name] for name in KEPT if headers.get(name)}
    return {"content-type": "application/octet-stream", **kept, **meta}


def headers_of(found: StoredObject) -> dict[str, str]:
    """The headers that tell a reader about an object, without its length."""
    told = {
        "etag": f'"{found.etag}"',
        "last-modified": http_date(found.modified_millis),
        "x-oss-object-type": found.kind,
        "x-oss-hash-crc64ecma": str(found.crc),
        "x-oss-storage-class": "Standard",
        "accept-ranges": "bytes",
    }
    if found.kind == NORMAL and "-" not in found.etag:
        told["content-md5"] = base64.b64encode(bytes.fromhex(found.etag)).decode("ascii")
    if found.kind == APPENDABLE:
        told["x-oss-next-append-position"] = str(found.size)
    told.update((name, value) for name, value in found.attributes.items() if name != "x-oss-object-acl")
    return told


def http_date(millis: int) -> str:
    """A time as HTTP writes it; the fraction of the second is cut."""
    return formatdate(millis // 1000, usegmt=True)


def check_md5(headers: Mapping[str, str], digest: bytes) -> None:
    """:raises Refusal: InvalidDigest when `Content-MD5` is there and is not the body's."""
    told = headers.get("content-md5")
    if told is None:
        return
    try:
        is_right = base64.b64decode(told, validate=True) == digest
    except (binascii.Error, ValueError):
        is_right = False
    if not is_right:
        raise Refusal("InvalidDigest", details={"Content-MD5": told})
