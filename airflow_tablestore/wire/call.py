"""A request as a value.

Every operation of every service is a function in `wire` that returns a `Call`; the client knows how to send one and
nothing about operations. So a call can be built, compared and read back in a test without a socket.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")

API_VERSION = "2015-12-31"
"""`x-ots-apiversion` of the data, stream and delivery services; tunnels say 2018-04-01."""


class Room:
    """Memory for the answers of one reader, one after another: each overwrites the one before.

    A fresh page of megabytes is given back to the system when it is freed, and every byte of the next one is a page
    fault again; reading costs a tenth less without that. For one thread, and for readers that keep nothing of an answer
    when they ask for the next.
    """

    def __init__(self) -> None:
        self._bytes = bytearray()

    def take(self, size: int) -> memoryview:
        """So many bytes, with what an earlier answer has left in them."""
        if len(self._bytes) < size:
            self._bytes = bytearray(size)
        return memoryview(self._bytes)[:size]


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request: where it goes, its bytes, and how its answer is read.

    `read` gets the body of a 2xx answer, bytes or a view of the room, and raises ProtocolError when it is not what the
    operation returns.
    `is_repeatable` says that sending it twice is the same as sending it once, so a lost answer may be retried.
    `subject` is what it is about, for messages: "table rides".
    `room` is where the body of its answer may be put; None: each body has memory of its own.
    """

    uri: str
    body: bytes
    read: Callable[[Any], T]
    is_repeatable: bool = True
    api_version: str = API_VERSION
    subject: str = ""
    room: Room | None = field(default=None, repr=False, compare=False)

    @property
    def operation(self) -> str:
        """The operation's name, as messages and logs show it."""
        return self.uri.lstrip("/")
