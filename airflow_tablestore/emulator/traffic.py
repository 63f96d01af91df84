"""The latest requests that an emulator answered: what, when, how fast, and what was made to go wrong.

Names only: no keys, no values, no signatures, no queries (a presigned address holds its signature there).
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

KEPT = 2000
"""Requests that are remembered; older ones are forgotten."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer. `at` is the wall clock in UTC; `status` is 0 when there was no answer.

    `table` names the tables, separated by commas; for OSS it is "bucket/key", and `instance` is the bucket.
    """

    at: str
    service: str
    instance: str
    operation: str
    table: str
    status: int
    millis: float
    fault: str = ""

    def as_json(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)


class RequestLog:
    """A bounded list of exchanges, oldest first. Safe to use from many threads."""

    def __init__(self, kept: int = KEPT):
        self._kept: deque[Exchange] = deque(maxlen=kept)
        self._lock = threading.Lock()
        self._total = 0

    @property
    def total(self) -> int:
        """How many there were since the start or the last `clear`, also those that are forgotten."""
        return self._total

    def add(self, exchange: Exchange) -> None:
        """Remembers one."""
        with self._lock:
            self._kept.append(exchange)
            self._total += 1

    def list(self) -> list[Exchange]:
        """Those that are remembered."""
        with self._lock:
            return list(self._kept)

    def clear(self) -> None:
        """Forgets them."""
        with self._lock:
            self._kept.clear()
            self._total = 0
