"""A request as handlers see it, and their answer: HTTP without sockets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from airflow_tablestore.emulator.maxcompute.errors import Refusal

_NAME = re.compile(r"[A-Za-z0-9_]{1,128}\Z")


@dataclass(frozen=True, slots=True)
class Address:
    """What a request is about: `path` are the parts behind the endpoint, like ("projects", "p", "tables", "t")."""

    method: str
    path: tuple[str, ...]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    is_under_api: bool = False

    @property
    def host(self) -> str:
        """Where the client thinks we are."""
        return self.headers.get("host", "127.0.0.1")

    @property
    def project(self) -> str:
        """Name of the project; empty when there is none."""
        return self.path[1].lower() if len(self.path) > 1 and self.path[0] == "projects" else ""

    @property
    def own_path(self) -> tuple[str, ...]:
        """The parts behind the project, without its `schemas/default`."""
        rest = self.path[2:]
        return rest[2:] if rest[:2] == ("schemas", "default") else rest

    @property
    def table(self) -> str:
        """Name of the table; empty when there is none."""
        own = self.own_path
        return own[1].lower() if len(own) > 1 and own[0] == "tables" else ""

    @property
    def is_tunnel(self) -> bool:
        """Whether the tunnel is asked: its errors are JSON."""
        return "x-odps-tunnel-version" in self.headers

    def parameter(self, name: str, default: str = "") -> str:
        """A value of the query."""
        return self.query.get(name, default)

    def has(self, name: str) -> bool:
        """Whether the query has the name, with or without a value."""
        return name in self.query

    def is_true(self, name: str) -> bool:
        """Whether a flag of the query is set; a name without a value counts."""
        return self.query.get(name, "false").lower() in ("true", "")

    def number(self, name: str, default: int, most: int) -> int:
        """A whole number of the query. :raises Refusal: InvalidArgument."""
        text = self.query.get(name)
        if text is None:
            return default
        if not re.fullmatch("[0-9]{1,18}", text) or int(text) > most:
            raise Refusal("InvalidArgument", f"{name} is {text!r}: a whole number up to {most} is wanted.")
        return int(text)


@dataclass(frozen=True, slots=True)
class Request:
    """A verified request with its whole body."""

    address: Address
    body: bytes = field(default=b"", repr=False)


@dataclass(slots=True)
class Answer:
    """Status, headers and bytes of an answer; an iterator's bytes are made while they are sent."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Iterator[bytes] = b""


def xml_answer(body: bytes, **headers: str) -> Answer:
    """An answer that is a document."""
    return Answer(200, {"content-type": "application/xml", **headers}, body)


def address_of(scope: Mapping[str, Any]) -> Address:
    """What an ASGI request is about; nothing is refused here."""
    headers: dict[str, str] = {}
    for raw, value in scope["headers"]:
        name = raw.decode("latin-1").lower()
        text = value.decode("utf-8", "surrogateescape").strip()
        headers[name] = f"{headers[name]},{text}" if name in headers else text
    raw_path = (scope.get("raw_path") or scope["path"].encode()).split(b"?", 1)[0].decode("latin-1")
    path = tuple(unquote(part, errors="replace") for part in raw_path.split("/") if part)
    is_under_api = path[:1] == ("api",)
    query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True, errors="replace"))
    return Address(scope["method"], path[1:] if is_under_api else path, query, headers, is_under_api)


def name_checked(name: str, what: str) -> str:
    """The name, when it can be one. :raises Refusal: InvalidArgument."""
    if not _NAME.match(name):
        raise Refusal("InvalidArgument", f"{name[:60]!r} is no name of a {what}.")
    return name
