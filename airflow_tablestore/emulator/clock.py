"""The time of stored data: cell versions, time to live, retention of the change log.

Tests move it forward. It is never used for signatures, `x-ots-date` or `Last-Modified`: clients compare those with
their own clock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from airflow_tablestore.errors import SpecError

_LATEST_MICROS = 221_845_392_000_000_000
"""The year 9000: versions and dates have room for some time after it."""


class Clock:
    """The wall clock plus what was added to it. Safe to use from many threads."""

    def __init__(self, wall_nanos: Callable[[], int] = time.time_ns):
        self._wall_nanos = wall_nanos
        self._ahead_micros = 0
        self._lock = threading.Lock()

    def micros(self) -> int:
        """Microseconds since 1970."""
        with self._lock:
            return self._wall_nanos() // 1000 + self._ahead_micros

    def millis(self) -> int:
        """Milliseconds since 1970."""
        return self.micros() // 1000

    def advance(self, seconds: float) -> None:
        """Moves the time of data; a negative number moves it back.

        :raises SpecError: it would leave the years 1970 to 9000; then it stays.
        """
        with self._lock:
            self._ahead_micros = self._checked(self._ahead_micros + round(seconds * 1_000_000))

    def move_to(self, micros: int) -> None:
        """Makes the time of data this one (microseconds since 1970); it goes on from there.

        :raises SpecError: it is out of the years 1970 to 9000; then it stays.
        """
        with self._lock:
            self._ahead_micros = self._checked(micros - self._wall_nanos() // 1000)

    @property
    def ahead_seconds(self) -> float:
        """How far it is ahead of the wall clock; negative when behind."""
        with self._lock:
            return self._ahead_micros / 1_000_000

    def reset(self) -> None:
        """Goes back to the wall clock."""
        with self._lock:
            self._ahead_micros = 0

    def _checked(self, ahead_micros: int) -> int:
        if not 0 <= self._wall_nanos() // 1000 + ahead_micros < _LATEST_MICROS:
            raise SpecError("The time of data can be in the years 1970 to 9000 only; it was not moved.")
        return ahead_micros
