"""OSS as the pipeline's object store: the only place that talks to oss2.

Guarantees: what was put or uploaded is what the store holds (the CRC64 of every part and object is computed here and
compared with the server's); a verb that may be repeated has been repeated before it fails; `oss2`'s errors never leave.
"""

from __future__ import annotations

import copy
import ipaddress
import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import urlsplit

import oss2
import requests

from airflow_tablestore.errors import ProtocolError, Rejected, RequestError, RetryLater
from airflow_tablestore.pipeline.store import Part, StoredObject, UploadGone, crc64_of

T = TypeVar("T")

ATTEMPTS = 6
BASE_SECONDS, CAP_SECONDS = 0.2, 10.0
TIMEOUT_SECONDS = 60.0
KEYS_PER_DELETE = 1000
"""The most keys of one DeleteMultipleObjects (OSS documentation, "DeleteMultipleObjects")."""

HTTP_RANGE_PAST_END = 416
"""The status for a range that begins after the object's last byte."""
STRICT_RANGES = {"x-oss-range-behavior": "standard"}
"""Without it a range that does not fit is ignored and all bytes come (OSS documentation, "GetObject")."""

_BUSY = {"ServiceUnavailable", "InternalError", "RequestTimeout", "OperationAborted", "TooManyRequests", "Throttling"}
_ADVICE = {
    "NoSuchBucket": "Create the bucket, or correct its name.",
    "AccessDenied": "Give the connection's user the rights listed in docs/howto/connections.md.",
    "InvalidAccessKeyId": "Correct the access key id of the OSS connection.",
    "SignatureDoesNotMatch": "Correct the access key secret of the OSS connection, or its region.",
    "RequestTimeTooSkewed": "Set this machine's clock: it is more than 15 minutes off the service's.",
    "SecurityTokenExpired": "Renew the STS token of the OSS connection.",
    "InvalidSecurityToken": "Renew the STS token of the OSS connection.",
    "InvalidBucketName": "Correct the bucket's name: 3 to 63 lower-case letters, digits and hyphens.",
    "FileImmutable": "The bucket has a retention policy; choose another bucket.",
}


def _is_told(record: logging.LogRecord) -> bool:
    """Not what oss2 tells a debug log: the headers of requests and what it signs hold the STS token."""
    return record.levelno > logging.DEBUG


for _talker in ("oss2.http", "oss2.auth"):
    logging.getLogger(_talker).addFilter(_is_told)


@dataclass(frozen=True, slots=True)
class OssEndpoint:
    """Where a bucket's service is and who asks. A `region` means signatures of version 4."""

    url: str
    access_key_id: str
    access_key_secret: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)
    region: str | None = None

    @property
    def is_local(self) -> bool:
        """An address in numbers or localhost, where no bucket can be part of the host's name."""
        host = urlsplit(self.url).hostname or ""
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return host == "localhost"
        return True


class ObjectStore:
    """One bucket of OSS, as `pipeline.store.Store` says. Each thread has connections of its own.

    :param sleep: how to wait between attempts, in seconds; true means that no further attempt is wanted.
    """

    def __init__(self, endpoint: OssEndpoint, bucket: str, *, sleep: Callable[[float], bool | None] = time.sleep):
        self.endpoint, self.bucket_name = endpoint, bucket
        self._sleep = sleep
        self._local = threading.local()
        self._sessions: list[oss2.Session] = []

    def pausing(self, sleep: Callable[[float], bool | None]) -> ObjectStore:
        """This bucket over the same connections, with a wait of its own between attempts: `stop.wait` of a run.

        A run that is asked to end then gives up at its next pause.
        """
        other = copy.copy(self)
        other._sleep = sleep
        return other

    def close(self) -> None:
        """Close the connections that are kept; the store may still be used, and then opens them again."""
        for session in list(self._sessions):
            session.session.close()

    def uri(self, key: str) -> str:
        """oss://bucket/key."""
        return f"oss://{self.bucket_name}/{key}"

    # ---- objects

    def put(self, key: str, data: bytes) -> None:
        """Write a whole object."""
        self._repeat("PutObject", key, lambda: _checked(key, data, self._bucket.put_object(key, data)))

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Whether this call made the object. False: it stood already, and still stands as it was.

        :param data: unique to the caller, so that a lost answer can be told from a lost race.
        """
        forbid = {"x-oss-forbid-overwrite": "true"}
        try:
            self._repeat(
                "PutObject", key, lambda: _checked(key, data, self._bucket.put_object(key, data, headers=forbid))
            )
        except Rejected as error:
            if error.code != "FileAlreadyExists":
                raise
            return self.get(key) == data
        return True

    def get(self, key: str) -> bytes | None:
        """The object's bytes, compared with the server's CRC64; None when there is no such object."""

        def read() -> bytes:
            answer = self._bucket.get_object(key)
            data: bytes = answer.read()
            if answer.server_crc is not None and int(answer.server_crc) != crc64_of(data):
                raise RetryLater(f"the bytes of {key} arrived damaged", operation="GetObject", code="CrcMismatch")
            return data

        return self._unless_absent("GetObject", key, read)

    def read(self, key: str, begin: int, size: int) -> bytes | None:
        """So many of the object's bytes from `begin` on, fewer at its end; None when there is no such object.

        A part has no CRC64 of its own: whoever reads an object in parts compares the whole.
        """
        if not size:
            return b""

        def ask() -> bytes:
            span = (begin, begin + size - 1)
            data: bytes = self._bucket.get_object(key, byte_range=span, headers=STRICT_RANGES).read()
            return data

        try:
            return self._unless_absent("GetObject", key, ask)
        except Rejected as error:
            if error.status != HTTP_RANGE_PAST_END:
                raise
            return b""

    def head(self, key: str) -> StoredObject | None:
        """Size and CRC64; None when there is no such object."""

        def ask() -> StoredObject:
            answer = self._bucket.head_object(key)
            crc = answer.headers.get("x-oss-hash-crc64ecma")
            return StoredObject(key, int(answer.content_length), None if crc is None else int(crc))

        return self._unless_absent("HeadObject", key, ask)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Every object whose key starts with the prefix, in the order of keys; a page at a time."""
        token, is_more = "", True
        while is_more:
            ask = partial(self._bucket.list_objects_v2, prefix, continuation_token=token, max_keys=1000)
            page = self._repeat("ListObjectsV2", prefix, ask)
            yield from (StoredObject(o.key, int(o.size)) for o in page.object_list)
            is_more, token = bool(page.is_truncated), page.next_continuation_token

    def delete(self, keys: Iterable[str]) -> None:
        """Remove the objects; those that are absent already are none the worse."""
        rest = iter(keys)
        while chunk := list(islice(rest, KEYS_PER_DELETE)):
            self._repeat("DeleteMultipleObjects", chunk[0], partial(self._delete_some, chunk))

    def _delete_some(self, keys: Sequence[str]) -> None:
        answer = self._bucket.batch_delete_objects(keys)
        left = set(keys).difference(answer.deleted_keys)  # those that were absent are told as deleted
        if left:
            told = f"OSS answered, but did not delete {len(left)} of {len(keys)} objects, such as {self.uri(min(left))}"
            raise RetryLater(told, operation="DeleteMultipleObjects", code="NotDeleted", request_id=answer.request_id)

    # ---- multipart uploads

    def initiate(self, key: str) -> str:
        """The id of a new multipart upload, invisible until it is completed."""
        return str(
            self._repeat("InitiateMultipartUpload", key, lambda: self._bucket.init_multipart_upload(key).upload_id)
        )

    def upload_part(self, key: str, upload_id: str, number: int, data: bytes | bytearray) -> Part:
        """:raises UploadGone: somebody has aborted or completed this upload."""
        answer = self._repeat(
            "UploadPart",
            key,
            lambda: _checked(key, data, self._bucket.upload_part(key, upload_id, number, data)),
        )
        return Part(number, answer.etag, len(data))

    def list_parts(self, key: str, upload_id: str) -> Sequence[Part]:
        """:raises UploadGone: somebody has aborted or completed this upload."""
        found: list[Part] = []
        marker, is_more = "0", True
        while is_more:
            ask = partial(self._bucket.list_parts, key, upload_id, marker=marker, max_parts=1000)
            page = self._repeat("ListParts", key, ask)
            found += [Part(int(p.part_number), p.etag, int(p.size)) for p in page.parts]
            is_more, marker = bool(page.is_truncated), page.next_marker
        return found

    def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> int:
        """Make the object visible; its CRC64 as the store computed it.

        :raises UploadGone: somebody has aborted or completed this upload.
        """
        infos = [oss2.models.PartInfo(p.number, p.etag) for p in parts]
        answer = self._repeat(
            "CompleteMultipartUpload", key, lambda: self._bucket.complete_multipart_upload(key, upload_id, infos)
        )
        if answer.crc is None:
            raise ProtocolError(f"OSS completed {self.uri(key)} without telling its CRC64.")
        return int(answer.crc)

    def abort(self, key: str, upload_id: str) -> None:
        """Drop an upload; one that is gone already is none the worse."""
        try:
            self._repeat("AbortMultipartUpload", key, lambda: self._bucket.abort_multipart_upload(key, upload_id))
        except UploadGone:
            return

    # ---- requests

    @property
    def _bucket(self) -> Any:
        bucket = getattr(self._local, "bucket", None)
        if bucket is None:
            bucket = self._local.bucket = self._connect()
        return bucket

    def _connect(self) -> Any:
        at = self.endpoint
        version = oss2.AUTH_VERSION_4 if at.region else oss2.AUTH_VERSION_1
        if at.security_token:
            auth = oss2.StsAuth(at.access_key_id, at.access_key_secret, at.security_token, version)
        else:
            auth = oss2.make_auth(at.access_key_id, at.access_key_secret, version)
        session = oss2.Session()
        self._sessions.append(session)
        try:
            return oss2.Bucket(
                auth,
                at.url,
                self.bucket_name,
                session=session,
                connect_timeout=TIMEOUT_SECONDS,
                enable_crc=False,  # its CRC64 is plain Python where crcmod has no C part; ours is compared instead
                region=at.region,
                is_path_style=at.is_local,
            )
        except oss2.exceptions.ClientError as error:
            raise Rejected(f"{at.url}, bucket {self.bucket_name}: {error.body}", code="InvalidEndpoint") from error

    def _unless_absent(self, operation: str, key: str, ask: Callable[[], T]) -> T | None:
        try:
            return self._repeat(operation, key, ask)
        except Rejected as error:
            # A HEAD has no body and so no code; a missing bucket would have said so to the verbs before.
            if error.code == "NoSuchKey" or (error.status == 404 and not error.code):
                return None
            raise

    def _repeat(self, operation: str, key: str, act: Callable[[], T]) -> T:
        """What `act` returns; repeated with growing pauses while the failure is one that passes."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._translated(operation, key, act)
            except RetryLater:
                if attempt == ATTEMPTS:
                    raise
                pause = min(CAP_SECONDS, BASE_SECONDS * 2 ** (attempt - 1))
                if self._sleep(pause * (1 + random.random()) / 2):  # noqa: S311 - jitter, no secret
                    raise
        raise ProtocolError("an attempt neither ended nor failed")

    def _translated(self, operation: str, key: str, act: Callable[[], T]) -> T:
        try:
            return act()
        except oss2.exceptions.RequestError as error:
            raise RetryLater(
                f"{self.endpoint.url} could not be reached for {self.uri(key)} ({type(error.exception).__name__})."
                " Check the endpoint of the OSS connection and the network.",
                operation=operation,
                code="Unreachable",
            ) from error
        except requests.RequestException as error:  # a body that was cut off while it was read
            raise RetryLater(f"the answer for {self.uri(key)} was cut off", operation=operation, code="Cut") from error
        except oss2.exceptions.OssError as error:
            raise self._meaning(operation, key, error) from error

    def _meaning(self, operation: str, key: str, error: Any) -> RequestError | UploadGone:
        code, status = str(error.code or ""), int(error.status)
        if code == "NoSuchUpload":
            return UploadGone(f"{self.uri(key)}: the multipart upload exists no more")
        told = f"{self.uri(key)}: {code or status}: {error.message or 'no further word'}"
        kind = RetryLater if code in _BUSY or status in (429, 500, 502, 503, 504) else Rejected
        advice = f" {_ADVICE[code]}" if code in _ADVICE else ""
        return kind(told + advice, operation=operation, code=code, status=status, request_id=error.request_id)


def _checked(key: str, data: bytes | bytearray, answer: Any) -> Any:
    """The answer, if the server holds the bytes that were sent."""
    if answer.crc is not None and int(answer.crc) != crc64_of(data):
        raise RetryLater(f"the bytes of {key} arrived damaged", operation="PutObject", code="CrcMismatch")
    return answer
