"""Answers that are sent deflated, for both ends: what is asked for, what an answer says of itself, and the bytes.

A request names `deflate`; an answer that is deflated names it too, with the size of what was deflated, of which its MD5
is made. A service that knows nothing of it answers as ever. Worth it on links below a gigabit a second.

Source: the official Java client, which asks with these headers and inflates (zlib) before it checks the MD5. No vector:
no client that runs here asks for it.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from airflow_tablestore.errors import ProtocolError

TYPE, SIZE = "x-ots-response-compress-type", "x-ots-response-compress-size"
DEFLATE = "deflate"
LEVEL = 1
"""Of what the emulator sends: the quickest."""


def deflated(body: bytes) -> tuple[dict[str, str], bytes]:
    """The headers that say it, and the bytes."""
    return {TYPE: DEFLATE, SIZE: str(len(body))}, zlib.compress(body, LEVEL)


def inflated(headers: Mapping[str, str], body: bytes | memoryview) -> bytes | memoryview:
    """The body of an answer; header names are in lower case. Never more bytes than the headers name.

    :raises ProtocolError: it was compressed in another way, or is not as large as it says.
    """
    kind = headers.get(TYPE)
    if kind is None:
        return body
    if kind.strip().lower() != DEFLATE:
        raise ProtocolError(f"an answer that is compressed with {kind[:40]!r}; deflate was asked for")
    told = headers.get(SIZE, "")
    if not (told.isascii() and told.isdigit()):
        raise ProtocolError(f"a deflated answer whose size is {told[:40]!r}")
    size, inflater = int(told), zlib.decompressobj()
    try:
        plain = inflater.decompress(body, size + 1)
    except zlib.error as error:
        raise ProtocolError(f"a deflated answer that cannot be inflated: {error}") from error
    if len(plain) != size or not inflater.eof or inflater.unused_data:
        raise ProtocolError(f"a deflated answer of {size} bytes is damaged")
    return plain
