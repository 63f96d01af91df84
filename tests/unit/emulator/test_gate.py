"""The log of an emulator: who has an answer finds its request there."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from airflow_tablestore.emulator.faults import Asked, Faults
from airflow_tablestore.emulator.gate import Gate
from airflow_tablestore.emulator.server import CONNECTION
from airflow_tablestore.emulator.traffic import RequestLog


class Service:
    """Answers with a body of so many bytes, half by half; with a status that has none, if there are none."""

    def __init__(self, length: int, status: int):
        self.length, self.status = length, status

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"Content-Length", b"%d" % self.length)] if self.status == 200 else []
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        if scope["method"] == "HEAD" or self.status != 200:
            await send({"type": "http.response.body", "body": b""})
            return
        half = self.length // 2
        await send({"type": "http.response.body", "body": bytes(half), "more_body": True})
        await send({"type": "http.response.body", "body": bytes(self.length - half)})

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("method", "length", "status", "at"),
    [("POST", 10, 200, 3), ("POST", 0, 200, 1), ("HEAD", 10, 200, 1), ("DELETE", 0, 204, 1), ("GET", 0, 304, 1)],
)
def test_a_request_is_in_the_log_before_the_last_byte_of_its_answer_is_sent(method, length, status, at):
    log, logged = RequestLog(), []

    async def send(message: Any) -> None:
        logged.append(len(log.list()))

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    gate = Gate(
        Service(length, status),
        lambda scope, body: Asked("tablestore", "demo", "ListTable"),
        needs_body=True,
        faults=Faults(),
        log=log,
        admin=None,
    )
    asyncio.run(gate({"path": "/ListTable", "method": method, CONNECTION: None}, receive, send))

    assert logged[: at - 1] == [0] * (at - 1)
    assert logged[at - 1] == 1
    assert [one.operation for one in log.list()] == ["ListTable"]
