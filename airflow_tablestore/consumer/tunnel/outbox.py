"""Batches on their way from the channels to whoever takes them, within a bound of memory.

A batch takes room from when it is read until it is done, and room for it is kept before it is read: else each channel
would hold a page beyond the bound while it waits. What nobody has taken yet can be withdrawn; what somebody has
is waited for.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable

from airflow_tablestore.consumer.tunnel.batch import Batch, Origin

FIRST_PAGE_BYTES = 1024 * 1024
"""How large a page is expected to be before one was seen: about what the service gives at a time."""

LOOK_SECONDS = 1.0
"""A wait looks around so often, whether or not anybody told it to."""


class Outbox:
    """The one way out of a reader, for any number of channels and takers."""

    def __init__(self, max_bytes: int):
        self._max_bytes = max_bytes
        self._changed = threading.Condition()
        self._queue: deque[Batch] = deque()
        self._bytes = 0
        self._kept = 0  # room for pages that are being read
        self._waiting = 0  # bytes of pages that turned out larger than the room that was kept for them
        self._largest = 0  # page that was seen
        self.most_bytes = 0
        """Most bytes of batches that were in memory at a time."""
        self._taken: set[Batch] = set()
        self._in_hand: Counter[str] = Counter()  # by channel, also across its lives
        self._error: BaseException | None = None
        self._is_closed = False

    # ---- channels

    def keep_room(self, is_wanted: Callable[[], bool]) -> int | None:
        """Keeps room for a page before it is read: its bytes, to be given back by `put` or `free`; None: not wanted."""
        with self._changed:
            while is_wanted() and not self._has_room(self._expected):
                self._changed.wait(LOOK_SECONDS)
            if not is_wanted():
                return None
            room = self._expected
            self._kept += room
            return room

    def free(self, room: int) -> None:
        """Gives room back that was kept for nothing."""
        with self._changed:
            self._kept -= room
            self._changed.notify_all()

    def put(self, batch: Batch, is_wanted: Callable[[], bool], room: int = 0) -> bool:
        """Offers a batch when there is room; False when it is not wanted any more.

        :param room: what was kept for it.
        """
        with self._changed:
            self._kept -= room
            self._waiting += batch.size
            self._largest = max(self._largest, batch.size)
            self.most_bytes = max(self.most_bytes, self._bytes + self._waiting)
            while is_wanted() and not self._has_room(batch.size):
                self._changed.wait(LOOK_SECONDS)
            self._waiting -= batch.size
            self._changed.notify_all()
            if not is_wanted():
                return False
            self._bytes += batch.size
            self._queue.append(batch)
            return True

    @property
    def _expected(self) -> int:
        """Bytes of the next page: as many as the largest had that was seen."""
        return self._largest or min(FIRST_PAGE_BYTES, self._max_bytes)

    def _has_room(self, size: int) -> bool:
        held = self._bytes + self._kept
        return not held or held + size <= self._max_bytes

    def withdraw(self, origin: Origin) -> list[Batch]:
        """Takes back what nobody has taken."""
        with self._changed:
            mine = [batch for batch in self._queue if batch.origin is origin]
            self._queue = deque(batch for batch in self._queue if batch.origin is not origin)
            self._bytes -= sum(batch.size for batch in mine)
            self._changed.notify_all()
            return mine

    def wake(self) -> None:
        """Lets those who wait look around."""
        with self._changed:
            self._changed.notify_all()

    # ---- takers

    def take(self, seconds: float | None = None, *, per_channel: int = 0) -> Batch | None:
        """The next batch; None after so many seconds, or when there will be no more.

        :param per_channel: most batches of one channel in hands at a time; 0: any number, as far as there is room.
        :raises TablestoreError: what ended the reader.
        """
        end = None if seconds is None else time.monotonic() + seconds
        with self._changed:
            while True:
                if self._error is not None:
                    raise self._error
                if self._is_closed:
                    return None
                batch = next((one for one in self._queue if self._may_take(one, per_channel)), None)
                if batch is not None:
                    self._queue.remove(batch)
                    self._taken.add(batch)
                    self._in_hand[batch.channel] += 1
                    return batch
                left = LOOK_SECONDS if end is None else min(LOOK_SECONDS, end - time.monotonic())
                if left <= 0:
                    return None
                self._changed.wait(left)

    def release(self, batch: Batch) -> bool:
        """Frees the room of a batch that was taken; False when that was done before."""
        with self._changed:
            if batch not in self._taken:
                return False
            self._taken.remove(batch)
            self._bytes -= batch.size
            self._in_hand[batch.channel] -= 1
            if not self._in_hand[batch.channel]:
                del self._in_hand[batch.channel]
            self._changed.notify_all()
            return True

    # ---- the end

    def close(self, error: BaseException | None = None) -> None:
        """Nothing more will come; takers are told the error."""
        with self._changed:
            self._is_closed, self._error = True, self._error or error
            self._changed.notify_all()

    @property
    def is_closed(self) -> bool:
        """Whether nothing more will come."""
        return self._is_closed

    def _may_take(self, batch: Batch, per_channel: int) -> bool:
        return not per_channel or self._in_hand[batch.channel] < per_channel
