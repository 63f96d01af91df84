"""The MaxCompute service as an ASGI application: who asks, what is asked, which handler answers.

The signature is checked before the body is read. Handlers run in worker threads, one answer's rows are made while they
are sent. The REST interface and the tunnel are one application: a client finds the tunnel where it found the rest.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow_tablestore.emulator.accounts import Accounts
from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.gate import FAULTS_OF, ServiceFaults
from airflow_tablestore.emulator.maxcompute import rest, sign, tunnel
from airflow_tablestore.emulator.maxcompute.errors import Refusal
from airflow_tablestore.emulator.maxcompute.request import Address, Answer, Request, address_of
from airflow_tablestore.emulator.maxcompute.routes import operation_of
from airflow_tablestore.emulator.maxcompute.store import Store

Handler = Callable[[Store, Request], Answer]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

log = logging.getLogger(__name__)

WORKERS = 8
LARGEST_BODY = 1024**3
"""Bytes of one request as they are sent; they are in memory while it is answered."""

HANDLERS: Mapping[str, Handler] = {
    "GetProject": rest.get_project,
    "GetTunnel": rest.get_tunnel,
    "TakeNote": rest.take_note,
    "ListTables": rest.list_tables,
    "GetTable": rest.get_table,
    "ReadTable": rest.read_table,
    "PreviewTable": rest.preview_table,
    "ListPartitions": rest.list_partitions,
    "GetPartition": rest.get_partition,
    "CreateInstance": rest.create_instance,
    "ListInstances": rest.list_instances,
    "GetInstance": rest.get_instance,
    "GetInstanceStatus": rest.get_instance_status,
    "GetInstanceResult": rest.get_instance_result,
    "GetInstanceSource": rest.get_instance_source,
    "StopInstance": rest.stop_instance,
    "CreateUpload": tunnel.create_upload,
    "GetUpload": tunnel.get_upload,
    "UploadBlock": tunnel.upload_block,
    "CommitUpload": tunnel.commit_upload,
    "CreateDownload": tunnel.create_download,
    "GetDownload": tunnel.get_download,
    "DownloadRows": tunnel.download_rows,
    "CreateInstanceDownload": tunnel.create_instance_download,
    "GetInstanceDownload": tunnel.create_instance_download,
    "DownloadInstanceRows": tunnel.download_instance_rows,
    "CreateStream": tunnel.create_stream,
    "GetStream": tunnel.get_stream,
    "UploadStream": tunnel.upload_stream,
    "AbortStream": tunnel.abort_stream,
    "CreateUpsert": tunnel.create_upsert,
    "GetUpsert": tunnel.get_upsert,
    "UploadUpsert": tunnel.upload_upsert,
    "CommitUpsert": tunnel.commit_upsert,
    "AbortUpsert": tunnel.abort_upsert,
}
"""Who answers each operation."""


class MaxComputeApp:
    """The service over one store; `storage_path` None keeps everything only until `close`."""

    def __init__(self, storage_path: Path | None, accounts: Accounts, clock: Clock):
        self._accounts = accounts
        self.store = Store(storage_path, clock)
        self._threads = ThreadPoolExecutor(WORKERS, thread_name_prefix="maxcompute")

    def close(self) -> None:
        """Ends the workers and closes the store."""
        self._threads.shutdown(wait=True)
        self.store.close()

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answers one request."""
        request_id = secrets.token_hex(12).upper()
        address = address_of(scope)
        try:
            self._verify(address, scope)
            _refuse_on_demand(scope.get(FAULTS_OF))
            handler = _handler(address)
            body = await _received(receive)
            if body is None:
                return  # the caller went away in the middle of its body
            answer = await self._in_thread(handler, self.store, Request(address, body))
        except Refusal as refusal:
            answer = _refused(refusal, address, request_id)
        except Exception:  # whatever goes wrong, the caller gets the service's 500 and the server lives on
            log.exception("MaxCompute request %s %s failed", scope["method"], scope["path"])
            answer = _refused(Refusal("InternalServerError"), address, request_id)
        answer.headers = {"x-odps-request-id": request_id, "server": "Tengine", **answer.headers}
        await self._sent(answer, send)

    def _verify(self, address: Address, scope: Mapping[str, Any]) -> None:
        raw_path = (scope.get("raw_path") or scope["path"].encode()).split(b"?", 1)[0]
        target = sign.target_of(raw_path, scope["query_string"])
        sign.verify(address.method, target, address.headers, self._accounts.secret_of, datetime.now(UTC))

    async def _sent(self, answer: Answer, send: Send) -> None:
        headers, body = answer.headers, answer.body
        if isinstance(body, bytes):
            headers["content-length"] = str(len(body))
        encoded = [(name.encode("latin-1"), text.encode("latin-1", "replace")) for name, text in headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
        if isinstance(body, bytes):
            await send({"type": "http.response.body", "body": body})
            return
        while (chunk := await self._in_thread(_next, body)) is not None:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Awaitable[Any]:
        return asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)


def _next(chunks: Iterator[bytes]) -> bytes | None:
    """The next chunk that is not empty; an empty one would end the answer for some clients."""
    return next((chunk for chunk in chunks if chunk), None)


def _handler(address: Address) -> Handler:
    operation = operation_of(address)
    if not operation:
        raise Refusal("NoSuchObject", f"There is no /{'/'.join(address.path)[:200]} here.")
    if operation == "-":
        raise Refusal("MethodNotAllowed")
    return HANDLERS[operation]


def _refuse_on_demand(faults: ServiceFaults | None) -> None:
    fault = faults.fault if faults else None
    if fault is not None:
        raise Refusal(fault.code, fault.told_message, status=fault.told_status)


def _refused(refusal: Refusal, address: Address, request_id: str) -> Answer:
    if address.is_tunnel:
        body = refusal.as_json(request_id, address.host)
        return Answer(refusal.status, {"content-type": "application/json"}, body)
    body = refusal.as_xml(request_id, address.host)
    return Answer(refusal.status, {"content-type": "application/xml"}, body)


async def _received(receive: Receive) -> bytes | None:
    """The whole body; None when the caller went away."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        parts.append(part)
        size += len(part)
        if size > LARGEST_BODY:
            raise Refusal("InvalidArgument", f"The body is longer than {LARGEST_BODY} bytes.")
        if not message.get("more_body", False):
            return b"".join(parts)
