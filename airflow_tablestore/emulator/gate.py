"""What stands before each service: it logs requests, makes them go wrong on demand, and serves `/_emulator/`.

An ASGI application around another one. What concerns connections and bytes is done here; a fault that only the service
can tell (its own errors, rows of a batch, checksums inside a signed body) is handed to it in the request's scope under
`FAULTS_OF`. The code that keeps data knows nothing of either.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from airflow_tablestore.emulator.faults import OSS, Asked, Fault, Faults, Kind
from airflow_tablestore.emulator.server import CONNECTION, App
from airflow_tablestore.emulator.traffic import Exchange, RequestLog

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[Mapping[str, Any], Receive, Send], Awaitable[None]]
Describe = Callable[[Mapping[str, Any], bytes], Asked]

FAULTS_OF = "airflow_tablestore.faults"
"""Where a request's scope holds its `ServiceFaults`."""
ADMIN_PATH = "/_emulator"
BODILESS = (204, 304)
MOST_LOOKED_AT = 64 * 1024 * 1024
"""Bytes of a body that are read to tell the tables; no service takes a longer request where that matters."""


@dataclass(slots=True)
class ServiceFaults:
    """What a service itself does wrong with one request: `fault` with the whole, `strike_row` with its rows.

    `struck_rows` are the rows' faults so far.
    """

    asked: Asked
    faults: Faults
    fault: Fault | None = None
    struck_rows: list[Fault] = field(default_factory=list)

    def strike_row(self, table: str) -> Fault | None:
        """The fault of the next row of this table."""
        asked = Asked(self.asked.service, self.asked.instance, self.asked.operation, (table,))
        fault = self.faults.strike_row(asked)
        if fault is not None:
            self.struck_rows.append(fault)
        return fault


class Gate:
    """One service behind faults and log.

    :param describe: what a request is about, from its scope and its body (empty when `needs_body` is False).
    :param admin: answers what is under `/_emulator/`.
    """

    def __init__(
        self,
        app: App,
        describe: Describe,
        *,
        needs_body: bool,
        faults: Faults,
        log: RequestLog,
        admin: Application,
    ):
        self._app, self._describe, self._needs_body = app, describe, needs_body
        self._faults, self._log, self._admin = faults, log, admin

    def close(self) -> None:
        """Closes the service."""
        self._app.close()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answers one request."""
        path = scope["path"]
        if path == ADMIN_PATH or path.startswith(ADMIN_PATH + "/"):
            await self._admin(scope, receive, send)
            return
        started, at = time.monotonic(), datetime.now(UTC)
        body = b""
        if self._needs_body:
            body, receive = await _looked_at(receive)
        asked = self._describe(scope, body)
        faults = self._faults.strike(asked)
        inner = _told_to_the_service(asked, self._faults, faults)

        def noted(status: int) -> None:
            struck = [*faults, *(inner.struck_rows[:1] if inner else ())]
            self._log.add(
                Exchange(
                    at=at.isoformat(timespec="milliseconds"),
                    service=asked.service,
                    instance=asked.instance,
                    operation=asked.operation,
                    table=",".join(asked.tables),
                    status=status,
                    millis=round((time.monotonic() - started) * 1000, 1),
                    fault=",".join(map(str, struck)),
                )
            )

        link = _Link(scope, receive, send, noted)
        try:
            await self._answer({**scope, FAULTS_OF: inner} if inner else scope, link, faults)
        finally:
            link.ended()

    async def _answer(self, scope: Mapping[str, Any], link: _Link, faults: tuple[Fault, ...]) -> None:
        for fault in faults:
            if fault.kind == Kind.LATENCY:
                await asyncio.sleep(fault.seconds)
        kind = next((fault.kind for fault in faults if fault.kind != Kind.LATENCY), None)
        if kind == Kind.RESET:
            await link.reset()
            return
        await self._app(scope, link.receive, link.sending(kind))
        if kind == Kind.LOST_ANSWER:
            await link.reset()


class _Link:
    """One request's way to its client and back.

    :param noted: called once, with the status that the client sees (0: none), before the client can know the answer's
        end; so who has an answer finds it in the log.
    """

    def __init__(self, scope: Mapping[str, Any], receive: Receive, send: Send, noted: Callable[[int], None]):
        self._connection, self._is_head = scope[CONNECTION], scope["method"] == "HEAD"
        self.receive, self._send = receive, send
        self._noted: Callable[[int], None] | None = noted
        self._held: dict[str, Any] = {}
        self._status = 0
        self._left: int | None = None  # bytes of the promised length; with the last of them the client has its answer

    def ended(self) -> None:
        """Notes the exchange, unless that was done."""
        noted, self._noted = self._noted, None
        if noted is not None:
            noted(self._status)

    async def reset(self) -> None:
        """Ends the connection at once; what was not sent is lost."""
        self.ended()
        self._connection.reset()
        await self._until_gone()

    def sending(self, kind: Kind | None) -> Send:
        """How the service's answer is sent."""
        if kind == Kind.LOST_ANSWER:
            return _swallowed
        if kind == Kind.CUT_BODY:
            return self._cut
        if kind == Kind.WRONG_MD5:
            return self._changed
        if kind == Kind.WRONG_CRC:
            return self._with_wrong_crc
        return self._sent

    async def _sent(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._left = next((int(v) for name, v in message["headers"] if name.lower() == b"content-length"), None)
            if self._left == 0 or self._is_head or self._status in BODILESS:  # the headers are all that is sent
                self.ended()
        else:
            if self._left is not None:
                self._left -= len(message.get("body", b""))
            if self._left == 0 or not message.get("more_body", False):
                self.ended()
        await self._send(message)

    async def _cut(self, message: dict[str, Any]) -> None:
        """Sends half of the body's first bytes and then nothing more; an answer without a body is lost whole."""
        if message["type"] == "http.response.start":
            self._held = message
            return
        if not self._connection.is_open:
            return
        body = message.get("body", b"")
        if len(body) > 1:
            await self._sent(self._held)
            self.ended()
            await self._send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        self.ended()
        self._connection.end()
        await self._until_gone()

    async def _changed(self, message: dict[str, Any]) -> None:
        body = message.get("body", b"")
        await self._sent({**message, "body": body[:-1] + bytes((body[-1] ^ 1,))} if body else message)

    async def _with_wrong_crc(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = [
                (name, str(int(value) ^ 1).encode() if name == b"x-oss-hash-crc64ecma" else value)
                for name, value in message["headers"]
            ]
            message = {**message, "headers": headers}
        await self._sent(message)

    async def _until_gone(self) -> None:
        # the server would otherwise answer 500 for a request that got no answer
        while (await self.receive())["type"] != "http.disconnect":
            pass


async def _swallowed(message: dict[str, Any]) -> None:
    return


def _told_to_the_service(asked: Asked, faults: Faults, struck: tuple[Fault, ...]) -> ServiceFaults | None:
    own = next((f for f in struck if f.kind == Kind.ERROR or (f.kind == Kind.WRONG_CRC and asked.service != OSS)), None)
    if own is None and not faults.may_strike_rows(asked):
        return None
    return ServiceFaults(asked, faults, own)


async def _looked_at(receive: Receive) -> tuple[bytes, Receive]:
    """The body, and a `receive` that tells it again. A body that is too long to be looked at is told as empty."""
    messages: list[Mapping[str, Any]] = []
    size = 0
    while True:
        message = await receive()
        messages.append(message)
        size += len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body", False) or size > MOST_LOOKED_AT:
            break
    messages.reverse()

    async def again() -> Mapping[str, Any]:
        return messages.pop() if messages else await receive()

    if size > MOST_LOOKED_AT:
        return b"", again
    return b"".join(message.get("body", b"") for message in reversed(messages)), again
