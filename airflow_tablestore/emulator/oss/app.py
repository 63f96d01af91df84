"""The OSS service as an ASGI application: who asks, what is asked, which handler answers.

The signature is checked before a byte of the body is read. Bodies are spooled as they arrive and answers are sent in
chunks, so nothing large is ever in memory; everything that waits for the disk runs in worker threads. The table
`ROUTES` says what exists; what the service has and this emulator has not is refused with NotImplemented.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow_tablestore.emulator.accounts import DEMO_BUCKET, Accounts
from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.gate import FAULTS_OF, ServiceFaults
from airflow_tablestore.emulator.oss import buckets, listing, multipart, objects, sign
from airflow_tablestore.emulator.oss.errors import Refusal, refuse_larger
from airflow_tablestore.emulator.oss.pieces import CHUNK_BYTES, Reading, Spool
from airflow_tablestore.emulator.oss.request import Address, Answer, Request, address_of
from airflow_tablestore.emulator.oss.store import Store

Handler = Callable[[Store, Request], Answer]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

log = logging.getLogger(__name__)

WORKERS = 8
LONGEST_KEY = 1023

ACCOUNT, BUCKET, OBJECT = "account", "bucket", "object"

ROUTES: Mapping[tuple[str, str, str], Handler] = {
    (ACCOUNT, "GET", ""): buckets.list_buckets,
    (BUCKET, "GET", ""): listing.list_objects,
    (BUCKET, "GET", "uploads"): listing.list_uploads,
    (BUCKET, "GET", "bucketInfo"): buckets.information,
    (BUCKET, "GET", "location"): buckets.location,
    (BUCKET, "GET", "stat"): buckets.statistics,
    (BUCKET, "GET", "acl"): buckets.get_acl,
    (BUCKET, "PUT", "acl"): buckets.put_acl,
    (BUCKET, "PUT", ""): buckets.create,
    (BUCKET, "HEAD", ""): buckets.head,
    (BUCKET, "DELETE", ""): buckets.delete,
    (BUCKET, "POST", "delete"): buckets.delete_keys,
    (OBJECT, "PUT", ""): objects.put,
    (OBJECT, "GET", ""): objects.get,
    (OBJECT, "HEAD", ""): objects.head,
    (OBJECT, "DELETE", ""): objects.delete,
    (OBJECT, "GET", "objectMeta"): objects.meta,
    (OBJECT, "HEAD", "objectMeta"): objects.meta,
    (OBJECT, "GET", "acl"): objects.get_acl,
    (OBJECT, "PUT", "acl"): objects.put_acl,
    (OBJECT, "POST", "append"): objects.append,
    (OBJECT, "POST", "uploads"): multipart.begin,
    (OBJECT, "PUT", "uploadId"): multipart.put_part,
    (OBJECT, "POST", "uploadId"): multipart.complete,
    (OBJECT, "GET", "uploadId"): multipart.list_parts,
    (OBJECT, "DELETE", "uploadId"): multipart.abort,
}
"""What is asked of what, by method and sub-resource, and who answers."""

PLAIN_PARAMETERS = frozenset(
    """
    prefix delimiter marker max-keys encoding-type list-type continuation-token start-after fetch-owner key-marker
    upload-id-marker max-uploads max-parts part-number-marker partNumber position sequential security-token
    x-oss-traffic-limit x-oss-request-payer
    """.split()  # noqa: SIM905 - easier to read than a list of quoted words
)
"""Names in a query that choose no other operation, though some of them are signed like those that do."""


class OssApp:
    """The service over one store; `storage_path` None keeps everything only until `close`.

    `clock` is for data that has a life of its own, which objects here have not.
    """

    def __init__(self, storage_path: Path | None, accounts: Accounts, clock: Clock):
        self._accounts = accounts
        self.clock = clock
        self.store = Store(storage_path)
        self._threads = ThreadPoolExecutor(WORKERS, thread_name_prefix="oss")
        self.store.create_bucket(DEMO_BUCKET)

    def close(self) -> None:
        """Ends the workers and closes the store."""
        self._threads.shutdown(wait=True)
        self.store.close()

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answers one request."""
        started, request_id = time.monotonic(), secrets.token_hex(12).upper()
        host, method = "", scope["method"]
        spool, is_handed_over = self.store.spool(), False
        try:
            address = address_of(scope)
            host = address.host
            address = self._signed(address)
            _refuse_on_demand(scope.get(FAULTS_OF))
            handler = _accepted(address)
            if not await self._received(address, receive, spool):
                return  # the caller went away in the middle of its body
            is_handed_over = True
            answer = await self._in_thread(_handled, handler, self.store, Request(address, spool))
        except Refusal as refusal:
            answer = _refused(refusal, method, request_id, host)
        except Exception:  # whatever goes wrong, the caller gets the service's 500 and the server lives on
            log.exception("OSS request %s %s failed", method, scope["path"])
            answer = _refused(Refusal("InternalError"), method, request_id, host)
        finally:
            if spool.is_on_disk and not is_handed_over:
                await self._in_thread(spool.discard)
        millis = round((time.monotonic() - started) * 1000)
        answer.headers = {"x-oss-request-id": request_id, "x-oss-server-time": str(millis), **answer.headers}
        await self._sent(answer, method, send)

    def _signed(self, address: Address) -> Address:
        """What the signed request is about. :raises Refusal: it is not signed well."""
        try:
            self._verify(address)
        except Refusal as refusal:
            # a client may name the bucket in the host and in the path; the signature says which one it meant
            other = address.in_path()
            if refusal.code != "SignatureDoesNotMatch" or other is None:
                raise
            self._verify(other)
            return other
        return address

    def _verify(self, address: Address) -> None:
        signed = sign.SignedRequest(address.method, address.bucket, address.key, address.query, address.headers)
        sign.verify(signed, self._accounts.secret_of, datetime.now(UTC))

    async def _received(self, address: Address, receive: Receive, spool: Spool) -> bool:
        """Whether the whole body arrived."""
        waiting = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return False
            waiting += message.get("body", b"")
            is_last = not message.get("more_body", False)
            if is_last and not spool.size and len(waiting) <= CHUNK_BYTES // 4:
                spool.write(bytes(waiting))  # short: stays in memory, so no thread is needed
                return True
            if is_last or len(waiting) >= CHUNK_BYTES:
                await self._in_thread(spool.write, bytes(waiting))
                waiting.clear()
                refuse_larger(spool.size)
            if is_last:
                return True

    async def _sent(self, answer: Answer, method: str, send: Send) -> None:
        headers = {"server": "AliyunOSS", **answer.headers}
        body = answer.body
        if isinstance(body, bytes) and answer.status not in (204, 304) and method != "HEAD":
            headers["content-length"] = str(len(body))
        encoded = [
            (name.encode("latin-1"), value.encode("utf-8", "surrogateescape")) for name, value in headers.items()
        ]
        try:
            await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
            if isinstance(body, bytes):
                await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})
                return
            chunks = body.chunks()
            while (chunk := await self._in_thread(next, chunks, None)) is not None:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            if isinstance(body, Reading):
                await self._in_thread(body.close)

    def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Awaitable[Any]:
        return asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)


def _accepted(address: Address) -> Handler:
    """Who answers the request. :raises Refusal: nobody does, or its body is too long."""
    handler = handler_of(address)
    length = address.headers.get("content-length", "0")
    if not re.fullmatch("[0-9]{1,19}", length):
        raise Refusal("InvalidArgument", "The Content-Length header is invalid.")
    refuse_larger(int(length))
    return handler


def _handled(handler: Handler, store: Store, request: Request) -> Answer:
    """The answer. The body is let go of in the same thread, so never between its adoption and the end of it."""
    try:
        return handler(store, request)
    finally:
        request.body.discard()


def handler_of(address: Address) -> Handler:
    """Who answers a request for this.

    :raises Refusal: NotImplemented for a sub-resource that is not here, MethodNotAllowed, or a name that cannot be.
    """
    level = OBJECT if address.key else BUCKET if address.bucket else ACCOUNT
    if level == OBJECT and (len(address.key.encode()) > LONGEST_KEY or address.key[0] in "/\\"):
        raise Refusal("InvalidObjectName", details={"ObjectName": address.key})
    asked = sorted({name for name, value in address.query if _is_sub_resource(name, value)})
    known = {sub for known_level, _, sub in ROUTES if known_level == level and sub}
    for name in asked:
        if name not in known:
            raise Refusal("NotImplemented", details={"Parameter": name})
    if len(asked) > 1:
        raise Refusal("InvalidArgument", f"Conflicting parameters: {', '.join(asked)}.")
    sub_resource = asked[0] if asked else ""
    handler = ROUTES.get((level, address.method, sub_resource))
    if handler is None:
        raise Refusal("MethodNotAllowed", details={"Method": address.method, "ResourceType": level.capitalize()})
    return handler


def _is_sub_resource(name: str, value: str) -> bool:
    """Whether a name in the query chooses an operation: one that is signed as such, or any that has no value."""
    if name in PLAIN_PARAMETERS or name.startswith("response-") or (name == "versionId" and value == "null"):
        return False
    return name in sign.SUB_RESOURCES or (not value and not name.startswith("x-oss-"))


def _refuse_on_demand(faults: ServiceFaults | None) -> None:
    fault = faults.fault if faults else None
    if fault is not None:
        raise Refusal(fault.code, fault.told_message, status=fault.told_status)


def _refused(refusal: Refusal, method: str, request_id: str, host: str) -> Answer:
    body = refusal.body(request_id, host)
    headers = dict(refusal.headers)
    if method == "HEAD" and body:
        headers["x-oss-err"] = base64.b64encode(body).decode("ascii")
    elif body:
        headers["content-type"] = "application/xml"
    return Answer(refusal.status, headers, b"" if method == "HEAD" else body)
