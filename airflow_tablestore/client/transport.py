"""Bytes to the service and back: the one place with sockets.

One pool of kept connections per endpoint, safe for threads. What urllib3 and TLS raise becomes ours here; what an
answer means is left to `client.client`. Proxies of the environment are not used; certificates are always checked.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    IncompleteRead,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from airflow_tablestore.client.endpoint import Endpoint
from airflow_tablestore.client.retry import CONNECTION_LOST, TIMED_OUT, UNREACHABLE
from airflow_tablestore.errors import Rejected, RequestError, RetryLater
from airflow_tablestore.wire.call import Room

CONNECT_SECONDS = 10.0
"""Most seconds for connecting: a service that is there answers a handshake at once."""

CHUNK_BYTES = 128 * 1024
"""What is read at once into a room: urllib3 hands out bytes of this size, and the allocator keeps them for the next."""

MOST_ROOM_BYTES = 64 * 1024 * 1024
"""A page has some megabytes; a header that promises more does not have memory set aside before its bytes come."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | memoryview = field(repr=False)


class Transport:
    """Kept connections to one endpoint."""

    def __init__(self, endpoint: Endpoint, *, connections: int):
        self._endpoint = endpoint
        self._pool = urllib3.connection_from_url(
            endpoint.url,
            maxsize=connections,
            block=True,
            retries=False,
            timeout=urllib3.Timeout(
                connect=min(CONNECT_SECONDS, endpoint.timeout_seconds), read=endpoint.timeout_seconds
            ),
        )

    def post(self, uri: str, headers: Mapping[str, str], body: bytes, room: Room | None = None) -> Answer:
        """The answer to one request, whatever its status.

        :param room: where the body of a success is put, if its size is told.
        :raises RetryLater: no answer, or not the whole of one; its code says how far the request came.
        :raises Rejected: the peer's certificate is not to be trusted.
        """
        options: dict[str, Any] = {"redirect": False, "retries": False, "preload_content": room is None}
        try:
            response = self._pool.urlopen("POST", uri, body=body, headers=headers, **options)
            content = response.data if room is None else _read_into(room, response)
        except (HTTPError, OSError) as error:
            raise self._translated(uri.lstrip("/"), error) from error
        return Answer(response.status, {k.lower(): v for k, v in response.headers.items()}, content)

    def close(self) -> None:
        """Close the kept connections; those in use close when their answer has come."""
        self._pool.close()

    def _translated(self, operation: str, error: HTTPError | OSError) -> RequestError:
        place = self._endpoint
        match error:
            case SSLError() if _is_about_trust(error):
                message = f"the certificate of {place} is not trusted: {error}. Check the endpoint's host name, and "
                return Rejected(message + "the machine's root certificates.", operation=operation, code="TLSFailed")
            case SSLError() if "WRONG_VERSION_NUMBER" in str(error):
                message = f"what answers at {place} speaks no TLS. Check the port; if it is an emulator, write the "
                return Rejected(message + "connection's host with http://.", operation=operation, code="TLSFailed")
            case NameResolutionError():
                message = f"there is no host with the name in {place}. Check the connection's endpoint, and DNS."
                return RetryLater(message, operation=operation, code=UNREACHABLE)
            case NewConnectionError():
                message = f"nobody answers at {place}: {_reason(error)}. Check the connection's endpoint and port."
                return RetryLater(message, operation=operation, code=UNREACHABLE)
            case ConnectTimeoutError():
                message = f"no connection to {place} within {CONNECT_SECONDS:g} s. Check the connection's endpoint, "
                message += "and whether this network may reach it (VPC endpoints answer only inside their VPC)."
                return RetryLater(message, operation=operation, code=UNREACHABLE)
            case ReadTimeoutError():
                message = f"{place} gave no answer within {place.timeout_seconds:g} s. If this lasts, raise the "
                return RetryLater(message + "connection's timeout_seconds.", operation=operation, code=TIMED_OUT)
            case _:
                message = f"the connection to {place} broke off: {_reason(error)}."
                return RetryLater(message, operation=operation, code=CONNECTION_LOST)


def _read_into(room: Room, response: urllib3.BaseHTTPResponse) -> bytes | memoryview:
    """The body of an answer that was not read yet; its connection is kept for the next request, or closed."""
    told = response.headers.get("content-length", "")
    is_plain = told.isascii() and told.isdigit() and "content-encoding" not in response.headers
    try:
        size = int(told) if is_plain and 200 <= response.status < 300 else 0
        if not 0 < size <= MOST_ROOM_BYTES:
            return response.data
        body, place = room.take(size), 0
        while place < size:
            chunk = response.read(min(CHUNK_BYTES, size - place), decode_content=False)
            if not chunk:
                raise IncompleteRead(place, size - place)
            body[place : place + len(chunk)] = chunk
            place += len(chunk)
        return body
    except BaseException:
        response.close()
        raise
    finally:
        response.release_conn()


def _is_about_trust(error: SSLError) -> bool:
    cause = error.args[0] if error.args else None
    return isinstance(cause, ssl.CertificateError | ssl.SSLCertVerificationError) or "CERTIFICATE" in str(error)


def _reason(error: BaseException) -> str:
    """The innermost reason, without urllib3's objects and addresses."""
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text.strip().rstrip(".")[:200]
