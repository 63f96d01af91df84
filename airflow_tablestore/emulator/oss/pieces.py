"""Bytes on their way in and out: a body is spooled as it arrives and read back in chunks.

A short piece travels in memory and is kept in the database; a longer one is written to its final file at once and
becomes visible when a transaction names it. No whole object is ever in memory. Files that nobody names any more are
removed, but not while somebody reads them.
"""

from __future__ import annotations

import hashlib
import os
import threading
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from airflow_tablestore.emulator.oss import crc64

INLINE_BYTES = 64 * 1024
"""A piece up to this size stays in memory and in the database."""
CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Piece:
    """Stored bytes; `data` is None when they are in the file named by `id`. `md5` is in lower-case hex."""

    id: str
    size: int
    crc: int
    md5: str
    data: bytes | None = field(default=None, repr=False)


class Spool:
    """Bytes that arrive in order and become a `Piece`. `discard` removes what nobody adopted.

    A request that is given up may be discarded while its last bytes are being written in another thread.
    """

    def __init__(self, folder: PieceFolder):
        self._folder, self.id = folder, uuid.uuid4().hex
        self._memory = bytearray()
        self._file: int | None = None
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._is_adopted = self._is_over = False
        self._lock = threading.Lock()
        self.size, self.crc = 0, 0

    def write(self, data: bytes) -> None:
        """Adds bytes; long bodies go to the disk. Nothing happens after `discard`."""
        with self._lock:
            if not self._is_over:
                self._write(data)

    def _write(self, data: bytes) -> None:
        self._md5.update(data)
        self.crc = crc64.checksum(data, self.crc)
        self.size += len(data)
        if self._file is None:
            self._memory += data
            if len(self._memory) <= INLINE_BYTES:
                return
            self._file = os.open(self._folder.path(self.id), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            data = bytes(self._memory)
            self._memory.clear()
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]

    def md5(self) -> bytes:
        """The digest of everything written so far."""
        return self._md5.digest()

    def piece(self) -> Piece:
        """What was written, safe on the disk. Nothing more may be written."""
        if self._file is None:
            return Piece(self.id, self.size, self.crc, self._md5.hexdigest(), bytes(self._memory))
        if self._file >= 0:
            self._folder.settle(self._file)
            self._file = -1
        return Piece(self.id, self.size, self.crc, self._md5.hexdigest())

    def text(self) -> bytes:
        """The whole body, for documents; callers bound its size first."""
        if self._file is None:
            return bytes(self._memory)
        return self._folder.path(self.id).read_bytes()

    @property
    def is_on_disk(self) -> bool:
        """Whether there is a file to let go of."""
        return self._file is not None

    def adopted(self) -> None:
        """The piece now belongs to an object or to an upload."""
        self._is_adopted = True

    def discard(self) -> None:
        """Lets go of the file; removes it unless the piece was adopted."""
        with self._lock:
            self._is_over = True
            if self._file is None:
                return
            if self._file >= 0:
                os.close(self._file)
                self._file = -1
            if not self._is_adopted:
                self._folder.path(self.id).unlink(missing_ok=True)


class PieceFolder:
    """The files of long pieces."""

    def __init__(self, path: Path, *, is_durable: bool):
        path.mkdir(parents=True, exist_ok=True)
        self._path, self._is_durable = path, is_durable
        self.lock = threading.Lock()
        self._readers: Counter[str] = Counter()
        self._doomed: set[str] = set()

    def path(self, piece: str) -> Path:
        """Where the piece is."""
        return self._path / piece

    def settle(self, file: int) -> None:
        """Closes a written file; when data is kept, its bytes and its name are on the disk afterwards."""
        try:
            if self._is_durable:
                os.fsync(file)
                _sync_folder(self._path)
        finally:
            os.close(file)

    def pin(self, pieces: Iterable[Piece]) -> None:
        """Keeps the files until `unpin`. Call it with `lock` held since the pieces were looked up."""
        self._readers.update(piece.id for piece in pieces if piece.data is None)

    def unpin(self, pieces: Iterable[Piece]) -> None:
        """Ends a reading; removes what was given up meanwhile."""
        with self.lock:
            for piece in pieces:
                if piece.data is not None:
                    continue
                self._readers[piece.id] -= 1
                if not self._readers[piece.id]:
                    del self._readers[piece.id]
                    if piece.id in self._doomed:
                        self._doomed.discard(piece.id)
                        self.path(piece.id).unlink(missing_ok=True)

    def remove(self, ids: Iterable[str]) -> None:
        """Removes the files, each once its last reader has gone."""
        with self.lock:
            for piece in ids:
                if piece in self._readers:
                    self._doomed.add(piece)
                else:
                    self.path(piece).unlink(missing_ok=True)

    def sweep(self, named: set[str]) -> int:
        """Removes the files that no row names: what was being written when the last process died. Says how many."""
        strays = [entry.path for entry in os.scandir(self._path) if entry.name not in named]
        for stray in strays:
            os.unlink(stray)
        return len(strays)


class Reading:
    """A range of an object's bytes, in chunks. Holds the files until it is closed."""

    def __init__(self, folder: PieceFolder, pieces: tuple[Piece, ...], start: int, size: int):
        self._folder, self._pieces = folder, pieces
        self._start, self.size = start, size
        self._is_open = True

    def chunks(self) -> Iterator[bytes]:
        """The bytes in order."""
        skip, left = self._start, self.size
        for piece in self._pieces:
            if left <= 0:
                return
            if skip >= piece.size:
                skip -= piece.size
                continue
            for chunk in self._of_piece(piece, skip, min(left, piece.size - skip)):
                left -= len(chunk)
                yield chunk
            skip = 0

    def close(self) -> None:
        """Lets the files go. Calling it again does nothing."""
        if self._is_open:
            self._is_open = False
            self._folder.unpin(self._pieces)

    def __enter__(self) -> Reading:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _of_piece(self, piece: Piece, skip: int, size: int) -> Iterator[bytes]:
        if piece.data is not None:
            yield piece.data[skip : skip + size]
            return
        with self._folder.path(piece.id).open("rb", buffering=0) as file:
            file.seek(skip)
            while size > 0:
                chunk = file.read(min(size, CHUNK_BYTES))
                if not chunk:
                    raise OSError(f"piece {piece.id} is shorter than {piece.size} bytes")
                size -= len(chunk)
                yield chunk


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
