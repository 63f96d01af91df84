"""Not faster than the author allows: a bucket of rows and bytes that all threads of a task share."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from airflow_tablestore.pipeline.contract import Limits

BYTES_PER_MEGABIT = 125_000
"""`mbps` is megabits per second, as the job settings of DataWorks say."""


class Throttle:
    """Makes readers wait so that a share of the run's limits is kept, on average from the beginning.

    :param tasks: how many tasks share the run's limits.
    :param sleep: waits for so many seconds, or less when the work is to stop.
    """

    def __init__(
        self,
        limits: Limits,
        tasks: int = 1,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ):
        self._rows_per_second = limits.rows_per_second / max(tasks, 1)
        self._bytes_per_second = limits.mbps * BYTES_PER_MEGABIT / max(tasks, 1)
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._free_at = clock()

    def took(self, rows: int, bytes_read: int) -> None:
        """Wait as long as these rows and bytes are worth; returns at once without limits."""
        worth = max(_seconds(rows, self._rows_per_second), _seconds(bytes_read, self._bytes_per_second))
        if not worth:
            return
        with self._lock:
            self._free_at = max(self._free_at, self._clock()) + worth
            pause = self._free_at - self._clock()
        self._sleep(pause)


def _seconds(amount: int, per_second: float) -> float:
    return amount / per_second if per_second else 0.0
