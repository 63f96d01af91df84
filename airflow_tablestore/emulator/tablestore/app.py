"""The Tablestore data service as an ASGI application: HTTP, signatures, errors on the wire.

`service.py` knows the operations. Every request is verified and every answer signed with the caller's key, as official
clients demand; the signing clock is this machine's, never the clock of the data. Requests are carried out in worker
threads; the store lets one write at a time.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow_tablestore.emulator.accounts import Accounts
from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.gate import FAULTS_OF, ServiceFaults
from airflow_tablestore.emulator.tablestore.errors import ServiceError
from airflow_tablestore.emulator.tablestore.faulty import faulty
from airflow_tablestore.emulator.tablestore.service import Service
from airflow_tablestore.emulator.tablestore.validation import Limits
from airflow_tablestore.errors import Rejected
from airflow_tablestore.wire.compress import DEFLATE, TYPE, deflated
from airflow_tablestore.wire.proto import table_pb2 as pb
from airflow_tablestore.wire.sign import KEY_ID, Caller, sign_response, unsigned_response, verify_request

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

WORKERS = 4
"""Threads that carry out requests: more only wait for each other."""

Answer = tuple[int, dict[str, str], bytes]


class TablestoreApp:
    """The service over one store; `storage_path` None keeps everything only until `close`.

    :param clock: the time of data: cell versions, time to live, generated keys.
    """

    def __init__(
        self,
        storage_path: Path | None,
        accounts: Accounts,
        clock: Clock,
        *,
        limits: Limits | None = None,
    ):
        self._accounts = accounts
        self.clock = clock
        self.service = Service(storage_path, clock, limits)
        self._threads = ThreadPoolExecutor(WORKERS, thread_name_prefix="tablestore")

    def close(self) -> None:
        """Ends the workers and closes the store."""
        self._threads.shutdown(wait=True)
        self.service.close()

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answers one request."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        body = await _received(receive, self.service.limits.request_bytes)
        if body is None:
            return
        loop = asyncio.get_running_loop()
        status, told, answer = await loop.run_in_executor(
            self._threads, self.answer, scope["method"], scope["path"], headers, body, scope.get(FAULTS_OF)
        )
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [
                    (b"content-length", str(len(answer)).encode()),
                    *((name.encode("latin-1"), value.encode("latin-1")) for name, value in told.items()),
                ],
            }
        )
        await send({"type": "http.response.body", "body": answer})

    def answer(
        self, method: str, uri: str, headers: Mapping[str, str], body: bytes, faults: ServiceFaults | None = None
    ) -> Answer:
        """Status, headers and body of the answer to one request; header names are in lower case.

        :param faults: what shall go wrong with it on demand, once the caller is known.
        """
        request_id = str(uuid.uuid4())
        caller: Caller | None = None
        try:
            if method != "POST":
                raise ServiceError("OTSMethodNotAllowed", "Only POST method for requests is supported.")
            if len(body) > self.service.limits.request_bytes:
                raise ServiceError("OTSRequestBodyTooLarge", "The size of POST data is too large.")
            caller = verify_request(uri, headers, body, secret_of=self._accounts.secret_of, now=datetime.now(UTC))
            self.service.instances.check(caller.instance)
            perform = self.service.answer if faults is None else faulty(self.service.answer, faults)
            status, answer = 200, perform(uri.lstrip("/"), caller.instance, body)
        except ServiceError as error:
            status, answer = error.status, _told(error.code, error.message)
        except Rejected as error:
            status, answer = error.status, _told(error.code, str(error))
        now = datetime.now(UTC)
        if caller is None:
            return status, unsigned_response(answer, request_id=request_id, now=now), answer
        more, sent = deflated(answer) if answer and headers.get(TYPE) == DEFLATE else ({}, answer)
        signed = sign_response(
            uri, answer, access_key_id=headers[KEY_ID], key=caller.key, request_id=request_id, now=now, extra=more
        )
        return status, signed, sent


def _told(code: str, message: str) -> bytes:
    return pb.Error(code=code, message=message).SerializeToString()


async def _received(receive: Receive, most: int) -> bytes | None:
    """The body, one byte more than the most when it is too long, or None when the caller went away."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        size += len(part)
        if size <= most:
            parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts) if size <= most else bytes(most + 1)
