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
    """Answers with a body of so many bytes, half by half."""

    def __init__(self, length: int):
        self.length = length

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"Content-Length", b"%d" % self.length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        half = self.length // 2
        await send({"type": "http.response.body", "body": bytes(half), "more_body": True})
        await send({"type": "http.response.body", "body": bytes(self.length - half)})

    def close(self) -> None: ...


@pytest.mark.parametrize(("method", "length", "at"), [("POST", 10, 3), ("POST", 0, 1), ("HEAD", 10, 1)])
def test_a_request_is_in_the_log_before_the_last_byte_of_its_answer_is_sent(method, length, at):
    log, logged = RequestLog(), []

    async def send(message: Any) -> None:
        logged.append(len(log.list()))

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    gate = Gate(
        Service(length),
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
