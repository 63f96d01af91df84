"""An object store in memory: the verbs of the real one, for tests that publish hundreds of times."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable, Iterator, Sequence

from airflow_tablestore.pipeline.store import Part, StoredObject, UploadGone, crc64_of


class MemoryStore:
    """One bucket. Every verb is atomic."""

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}
        self._uploads: dict[tuple[str, str], dict[int, bytes]] = {}
        self._lock = threading.RLock()

    def uri(self, key: str) -> str:
        return f"oss://fake/{key}"

    def put(self, key: str, data: bytes) -> None:
        with self._lock:
            self._objects[key] = bytes(data)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        with self._lock:
            return self._objects.setdefault(key, data) is data

    def get(self, key: str) -> bytes | None:
        return self._objects.get(key)

    def read(self, key: str, begin: int, size: int) -> bytes | None:
        data = self._objects.get(key)
        return None if data is None else data[begin : begin + size]

    def head(self, key: str) -> StoredObject | None:
        data = self._objects.get(key)
        return None if data is None else StoredObject(key, len(data), crc64_of(data))

    def list(self, prefix: str) -> Iterator[StoredObject]:
        with self._lock:
            found = {key: len(data) for key, data in self._objects.items() if key.startswith(prefix)}
        return (StoredObject(key, found[key]) for key in sorted(found))

    def delete(self, keys: Iterable[str]) -> None:
        with self._lock:
            for key in keys:
                self._objects.pop(key, None)

    def initiate(self, key: str) -> str:
        upload_id = uuid.uuid4().hex
        with self._lock:
            self._uploads[key, upload_id] = {}
        return upload_id

    def upload_part(self, key: str, upload_id: str, number: int, data: bytes | bytearray) -> Part:
        with self._lock:
            self._parts(key, upload_id)[number] = bytes(data)
        return Part(number, f"{crc64_of(data):X}", len(data))

    def list_parts(self, key: str, upload_id: str) -> Sequence[Part]:
        with self._lock:
            parts = self._parts(key, upload_id)
            return [Part(n, f"{crc64_of(data):X}", len(data)) for n, data in sorted(parts.items())]

    def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> int:
        with self._lock:
            uploaded = self._parts(key, upload_id)
            data = b"".join(uploaded[part.number] for part in parts)
            self._objects[key] = data
            del self._uploads[key, upload_id]
        return crc64_of(data)

    def abort(self, key: str, upload_id: str) -> None:
        with self._lock:
            self._uploads.pop((key, upload_id), None)

    def _parts(self, key: str, upload_id: str) -> dict[int, bytes]:
        try:
            return self._uploads[key, upload_id]
        except KeyError:
            raise UploadGone(key) from None
