"""Things with a key, divided on disk by a hash of the key, so that all of one key come together in bounded memory.

A bucket that turns out too large is divided again, by another hash; one that is large because of a single key stays.
What was kept first comes first: the order within a key is that in which it was kept.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

MOST_FILES = 200
"""That are open at a time, far below what systems allow."""

MOST_BUCKET_BYTES = 16 * 1024 * 1024
"""Of a file; in memory what it holds takes five to eight times that."""

DEEPEST = 4
"""So often a bucket is divided again at most. What is still too large then is one key's."""

Key = tuple[Any, ...]


class Buckets:
    """Files in a folder, open for writing until they are read. Not safe for several threads.

    :param count: how many to begin with; a guess is good enough.
    """

    def __init__(self, folder: Path, count: int, *, most_bytes: int = MOST_BUCKET_BYTES, depth: int = 0):
        self._most_bytes, self._depth = most_bytes, depth
        self._paths = [folder / f"bucket-{depth}-{number}" for number in range(max(1, min(MOST_FILES, count)))]
        self._files: list[IO[bytes]] = [path.open("wb") for path in self._paths]

    def keep(self, key: Key, thing: Any) -> None:
        """:param thing: plain values."""
        # Python's own hash: the files do not outlive the process. The depth makes it another one each time.
        pickle.dump((key, thing), self._files[hash((self._depth, key)) % len(self._files)], pickle.HIGHEST_PROTOCOL)

    def close(self) -> None:
        """Close the files; nothing can be kept any more."""
        for file in self._files:
            file.close()

    def __iter__(self) -> Iterator[Path]:
        """Each bucket, to be read by `kept`; it is removed before the next one comes."""
        self.close()
        for path in self._paths:
            if self._depth < DEEPEST and path.stat().st_size > self._most_bytes and _has_several(path):
                yield from self._divided(path)
            else:
                yield path
            path.unlink(missing_ok=True)

    def _divided(self, path: Path) -> Iterator[Path]:
        count = 1 + path.stat().st_size * 2 // self._most_bytes
        smaller = Buckets(path.parent, count, most_bytes=self._most_bytes, depth=self._depth + 1)
        try:
            for key, thing in kept(path):
                smaller.keep(key, thing)
            path.unlink()
            yield from smaller
        finally:
            smaller.close()


def kept(path: Path) -> Iterator[tuple[Key, Any]]:
    """What a bucket holds."""
    with path.open("rb") as file:
        while True:
            try:
                yield pickle.load(file)  # noqa: S301 - written a moment ago by this process, in a folder of its own
            except EOFError:
                return


def _has_several(path: Path) -> bool:
    keys = (key for key, _ in kept(path))
    first = next(keys, None)
    return any(key != first for key in keys)
