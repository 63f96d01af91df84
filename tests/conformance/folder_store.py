"""An object store in a folder: the same verbs as the real one, no socket, and it survives a killed process.

Every verb is atomic by a rename or a link, as OSS's are; so several processes and threads may share one folder.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote, unquote

from airflow_tablestore.pipeline.store import Part, StoredObject, UploadGone, crc64_of


class FolderStore:
    """One bucket. `requests` lists every verb and key that this instance was asked for, in order."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.requests: list[tuple[str, str]] = []
        for name in ("objects", "uploads", "temp"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def uri(self, key: str) -> str:
        return f"oss://fake/{key}"

    def put(self, key: str, data: bytes) -> None:
        self._asked("put", key)
        os.replace(self._temporary(data), self._object(key))

    def put_if_absent(self, key: str, data: bytes) -> bool:
        self._asked("put_if_absent", key)
        temporary = self._temporary(data)
        try:
            os.link(temporary, self._object(key))
        except FileExistsError:
            return False
        finally:
            temporary.unlink()
        return True

    def get(self, key: str) -> bytes | None:
        self._asked("get", key)
        try:
            return self._object(key).read_bytes()
        except FileNotFoundError:
            return None

    def read(self, key: str, begin: int, size: int) -> bytes | None:
        self._asked("read", key)
        try:
            return self._object(key).read_bytes()[begin : begin + size]
        except FileNotFoundError:
            return None

    def head(self, key: str) -> StoredObject | None:
        self._asked("head", key)
        try:
            data = self._object(key).read_bytes()
        except FileNotFoundError:
            return None
        return StoredObject(key, len(data), crc64_of(data))

    def list(self, prefix: str) -> Iterator[StoredObject]:
        self._asked("list", prefix)
        keys = sorted(unquote(file.name) for file in (self.folder / "objects").iterdir())
        for key in keys:
            if key.startswith(prefix):
                try:
                    size = self._object(key).stat().st_size
                except FileNotFoundError:  # deleted meanwhile
                    continue
                yield StoredObject(key, size)

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._asked("delete", key)
            self._object(key).unlink(missing_ok=True)

    def initiate(self, key: str) -> str:
        self._asked("initiate", key)
        upload_id = uuid.uuid4().hex
        upload = self.folder / "uploads" / upload_id
        upload.mkdir()
        (upload / "key").write_text(json.dumps(key))
        return upload_id

    def upload_part(self, key: str, upload_id: str, number: int, data: bytes | bytearray) -> Part:
        self._asked("upload_part", key)
        upload = self._upload(key, upload_id)
        try:
            os.replace(self._temporary(data), upload / f"{number:05d}")
        except FileNotFoundError as error:
            raise UploadGone(key) from error
        return Part(number, f"{crc64_of(data):X}", len(data))

    def list_parts(self, key: str, upload_id: str) -> Sequence[Part]:
        self._asked("list_parts", key)
        try:
            files = sorted(file for file in self._upload(key, upload_id).iterdir() if file.name.isdigit())
            return [Part(int(f.name), f"{crc64_of(f.read_bytes()):X}", f.stat().st_size) for f in files]
        except FileNotFoundError as error:
            raise UploadGone(key) from error

    def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> int:
        self._asked("complete", key)
        upload = self._upload(key, upload_id)
        assembled = upload / f"assembled-{uuid.uuid4().hex}"
        try:
            data = b"".join((upload / f"{part.number:05d}").read_bytes() for part in parts)
            assembled.write_bytes(data)
            os.replace(assembled, self._object(key))  # fails when the upload has been aborted up to this very moment
        except FileNotFoundError as error:
            raise UploadGone(key) from error
        self._remove(upload)
        return crc64_of(data)

    def abort(self, key: str, upload_id: str) -> None:
        self._asked("abort", key)
        self._remove(self.folder / "uploads" / upload_id)

    def keys(self, prefix: str = "") -> list[str]:
        """What stands under the prefix, for tests to look at; no request."""
        keys = (unquote(file.name) for file in (self.folder / "objects").iterdir())
        return sorted(key for key in keys if key.startswith(prefix))

    def pending_uploads(self) -> list[str]:
        """The keys of the uploads that are neither completed nor aborted; no request."""
        return sorted(json.loads((u / "key").read_text()) for u in (self.folder / "uploads").iterdir())

    def _asked(self, verb: str, key: str) -> None:
        self.requests.append((verb, key))

    def _object(self, key: str) -> Path:
        return self.folder / "objects" / quote(key, safe="")

    def _upload(self, key: str, upload_id: str) -> Path:
        upload = self.folder / "uploads" / upload_id
        try:
            if json.loads((upload / "key").read_text()) == key:
                return upload
        except FileNotFoundError:
            pass
        raise UploadGone(key)

    def _temporary(self, data: bytes | bytearray) -> Path:
        file = self.folder / "temp" / uuid.uuid4().hex
        file.write_bytes(data)
        return file

    @staticmethod
    def _remove(upload: Path) -> None:
        shutil.rmtree(upload, ignore_errors=True)
