"""A request as handlers see it, and their answer: HTTP without sockets.

Where the bucket is named depends on the address: in the path for an IP address or localhost, else in the host.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote_to_bytes

from airflow_tablestore.emulator.oss.errors import Refusal
from airflow_tablestore.emulator.oss.pieces import Reading, Spool

LONGEST_DOCUMENT = 8 * 1024 * 1024
"""Bytes of an XML body: 10,000 parts, or 1,000 keys of 1,023 bytes, fit."""


@dataclass(frozen=True, slots=True)
class Address:
    """What a request is about, before anybody has looked at its signature or its body."""

    method: str
    host: str
    bucket: str
    key: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]

    def in_path(self) -> Address | None:
        """The same request with the bucket taken from the path, when host and path name the same one; else None."""
        bucket, _, key = self.key.partition("/")
        if not bucket or bucket != self.bucket or not _bucket_in(self.host):
            return None
        return replace(self, key=key)


@dataclass(frozen=True, slots=True)
class Request:
    """A verified request with its whole body received."""

    address: Address
    body: Spool

    @property
    def bucket(self) -> str:
        """Name of the bucket; empty when the request is about the account."""
        return self.address.bucket

    @property
    def key(self) -> str:
        """Key of the object; empty when the request is about the bucket."""
        return self.address.key

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers by lower-case name."""
        return self.address.headers

    def parameter(self, name: str, default: str = "") -> str:
        """A value of the query."""
        return next((value for found, value in self.address.query if found == name), default)

    def number(self, name: str, default: int, smallest: int, largest: int) -> int:
        """A whole number of the query. :raises Refusal: InvalidArgument."""
        text = self.parameter(name)
        if not text:
            return default
        if not re.fullmatch(r"[0-9]{1,19}", text) or not smallest <= int(text) <= largest:
            raise Refusal("InvalidArgument", details={"ArgumentName": name, "ArgumentValue": text})
        return int(text)

    @property
    def is_url_encoded(self) -> bool:
        """Whether keys in the answer are percent-encoded. :raises Refusal: InvalidArgument."""
        encoding = self.parameter("encoding-type")
        if encoding not in ("", "url"):
            raise Refusal("InvalidArgument", "Invalid Encoding Method specified in Request.")
        return encoding == "url"

    @property
    def is_new_only(self) -> bool:
        """Whether an object that exists must not be overwritten."""
        return self.headers.get("x-oss-forbid-overwrite", "").lower() == "true"

    def document(self) -> bytes:
        """The body of a request that holds XML. :raises Refusal: MalformedXML when it is longer than any can be."""
        if self.body.size > LONGEST_DOCUMENT:
            raise Refusal("MalformedXML")
        return self.body.text()


@dataclass(slots=True)
class Answer:
    """Status, headers and bytes of an answer. A `Reading` is closed by whoever sends it."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Reading = b""


def xml_answer(body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer that is a document."""
    return Answer(200, {"content-type": "application/xml", **(headers or {})}, body)


def address_of(scope: Mapping[str, Any]) -> Address:
    """What an ASGI request is about. :raises Refusal: the path or the query is not UTF-8."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        text = value.decode("utf-8", "surrogateescape").strip()
        known = headers.get(name.decode("latin-1").lower())
        headers[name.decode("latin-1").lower()] = text if known is None else f"{known},{text}"
    host = headers.get("host", "")
    raw_path = scope.get("raw_path") or scope["path"].encode()
    path = _decoded(raw_path.split(b"?", 1)[0].removeprefix(b"/"))
    bucket = _bucket_in(host)
    key = path
    if not bucket:
        bucket, _, key = path.partition("/")
    return Address(scope["method"], host, bucket, key, _query(scope["query_string"]), headers)


def _query(raw: bytes) -> tuple[tuple[str, str], ...]:
    pairs = (pair.partition(b"=") for pair in raw.split(b"&") if pair)
    return tuple((_decoded(name), _decoded(value.replace(b"+", b" "))) for name, _, value in pairs)


def _decoded(raw: bytes) -> str:
    try:
        return unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise Refusal("InvalidURI") from None


def _bucket_in(host: str) -> str:
    """The bucket that the host names, or nothing when the path names it."""
    name = re.sub(r":\d+$", "", host).strip("[]").lower()
    first, dot, rest = name.partition(".")
    if not dot or first.startswith("oss-") or _is_ip(name):
        return ""
    return first if rest else ""


def _is_ip(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
