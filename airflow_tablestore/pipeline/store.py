"""What the pipeline asks of an object store: a dozen verbs, and the values they speak in.

`sinks.oss.ObjectStore` is the real one. The publication protocol, the claims and the writers know only this page, so
they are tested without a socket. Every verb either happened or raises one of our errors; a verb that may be repeated
has been repeated already.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from fastcrc import crc64


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What a listing or a HEAD says of an object. `crc64` is None where the store does not tell it (listings)."""

    key: str
    bytes: int
    crc64: int | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """One uploaded part, as completing needs it."""

    number: int
    etag: str
    bytes: int


class ObjectReader(Protocol):
    """One bucket, to read from. Safe to use from several threads."""

    def uri(self, key: str) -> str:
        """How people write this object: oss://bucket/key."""
        ...

    def get(self, key: str) -> bytes | None:
        """The object's bytes; None when there is no such object."""
        ...

    def read(self, key: str, begin: int, size: int) -> bytes | None:
        """So many of the object's bytes from `begin` on, fewer at its end; None when there is no such object."""
        ...

    def head(self, key: str) -> StoredObject | None: ...

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Every object whose key starts with the prefix, in the order of keys."""
        ...


class Store(ObjectReader, Protocol):
    """One bucket. Safe to use from several threads."""

    def put(self, key: str, data: bytes) -> None: ...

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Whether this call made the object. False: it stood already, and still stands as it was.

        :param data: unique to the caller, so that a lost answer can be told from a lost race.
        """
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Remove the objects; those that are absent already are none the worse."""
        ...

    def initiate(self, key: str) -> str:
        """The id of a new multipart upload, invisible until it is completed."""
        ...

    def upload_part(self, key: str, upload_id: str, number: int, data: bytes | bytearray) -> Part:
        """:raises UploadGone: somebody has aborted or completed this upload."""
        ...

    def list_parts(self, key: str, upload_id: str) -> Sequence[Part]:
        """:raises UploadGone: somebody has aborted or completed this upload."""
        ...

    def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> int:
        """Make the object visible; its CRC64 as the store computed it.

        :raises UploadGone: somebody has aborted or completed this upload.
        """
        ...

    def abort(self, key: str, upload_id: str) -> None:
        """Drop an upload; one that is gone already is none the worse."""
        ...


class UploadGone(Exception):
    """The multipart upload exists no more: aborted by whoever outranks us, or completed (perhaps by us, unanswered).

    It never leaves the pipeline: each caller knows what the two mean where it stands.
    """


def crc64_of(data: bytes | bytearray | memoryview, crc: int = 0) -> int:
    """The CRC64 (ECMA-182, as OSS computes it) of what had `crc` so far, followed by these bytes.

    Source: OSS's x-oss-hash-crc64ecma is the XZ variant (reflected, inverted); checked against crcmod's in a test.
    """
    return crc64.xz(data, crc)
