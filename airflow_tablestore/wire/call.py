"""A request as a value.

Every operation of every service is a function in `wire` that returns a `Call`; the client knows how to send one and
nothing about operations. So a call can be built, compared and read back in a test without a socket.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

API_VERSION = "2015-12-31"
"""`x-ots-apiversion` of the data, stream and delivery services; tunnels say 2018-04-01."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request: where it goes, its bytes, and how its answer is read.

    `read` gets the body of a 2xx answer and raises ProtocolError when the body is not what the operation returns.
    `is_repeatable` says that sending it twice is the same as sending it once, so a lost answer may be retried.
    `subject` is what it is about, for messages: "table rides".
    """

    uri: str
    body: bytes
    read: Callable[[bytes], T]
    is_repeatable: bool = True
    api_version: str = API_VERSION
    subject: str = ""

    @property
    def operation(self) -> str:
        """The operation's name, as messages and logs show it."""
        return self.uri.lstrip("/")
