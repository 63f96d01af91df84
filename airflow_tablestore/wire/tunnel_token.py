"""Where a channel of a tunnel goes on: the token that reads return and checkpoints keep.

A token is opaque for whoever only passes it on. What is inside tells a reader whether the channel is one of base data
or of the change log, and how new the latest record before it is.
Source: tests/vectors/tunnel_messages.json, the token rows.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.wire.message import parse
from airflow_tablestore.wire.proto import tunnel_pb2

FINISHED = "finished"
"""The token behind the last record of a channel that ended: nothing will follow, ever."""

VERSIONS = (1, 2)


@dataclass(frozen=True, slots=True)
class Token:
    """What is inside a token.

    `primary_key` is where a base channel goes on, a PlainBuffer block of one key (empty: at its beginning);
    `iterator` is where a channel of the change log goes on. `time_nanos` is the latest record's time, 0 when unknown;
    `records` is how many were read before it, None in tokens of version 1.
    """

    iterator: str = ""
    primary_key: bytes = b""
    time_nanos: int = 0
    records: int | None = None

    @property
    def is_stream(self) -> bool:
        """Whether the channel is one of the change log."""
        return bool(self.iterator)


def read_token(text: str) -> Token:
    """What a token says.

    :raises ProtocolError: it is none, of an unknown version, or FINISHED, behind which nothing is.
    """
    outer = _outer(text)
    if outer.version not in VERSIONS:
        raise ProtocolError(f"a token of version {outer.version}; {VERSIONS[0]} to {VERSIONS[-1]} are known")
    inner = parse(tunnel_pb2.TokenContent, outer.content)
    return Token(
        iterator=inner.iterator,
        primary_key=inner.primary_key,
        time_nanos=inner.timestamp,
        records=inner.total_count if inner.HasField("total_count") else None,
    )


def check_token(text: str) -> None:
    """Nothing, when it may be kept as a checkpoint: a token of any version, also of one that only the service knows.

    :raises ProtocolError: it is none.
    """
    if text != FINISHED:
        _outer(text)


def _outer(text: str) -> tunnel_pb2.Token:
    try:
        return parse(tunnel_pb2.Token, base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError, ProtocolError) as error:
        raise ProtocolError(f"{text[:40]!r} is no token of a tunnel") from error


def write_token(token: Token) -> str:
    """The token as text: of version 1, or of version 2 when it counts records."""
    inner = tunnel_pb2.TokenContent()
    if token.primary_key:
        inner.primary_key = token.primary_key
    if token.iterator:
        inner.iterator = token.iterator
    if token.time_nanos:
        inner.timestamp = token.time_nanos
    if token.records is not None:
        inner.total_count = token.records
    version = VERSIONS[0] if token.records is None else VERSIONS[1]
    outer = tunnel_pb2.Token(version=version, content=inner.SerializeToString())
    return base64.b64encode(outer.SerializeToString()).decode()
