"""How long to wait before a channel is read again: not at all while it is full of data, longer and longer when not.

Source: reference of the official clients, which begin at 10 or 20 ms, end at 2 or 5 s, and take a quarter of chance.
"""

from __future__ import annotations

from collections.abc import Callable

from airflow_tablestore.wire.tunnel_channel import RecordPage

FIRST_SECONDS = 0.02
FACTOR = 3.0
CHANCE = 0.25
FULL_RECORDS = 500
FULL_BYTES = 900 * 1024


class Pauses:
    """The pauses of one channel.

    :param chance: from 0 to 1, random.
    """

    def __init__(self, longest_seconds: float, chance: Callable[[], float]):
        self._longest, self._chance = longest_seconds, chance
        self._next = FIRST_SECONDS

    def after(self, page: RecordPage, *, is_stream: bool) -> float:
        """Seconds to wait after this page."""
        if not is_stream or is_full(page):
            self._next = FIRST_SECONDS
            return 0.0
        seconds = min(self._next, self._longest)
        self._next = min(self._next * FACTOR, self._longest)
        return seconds * (1 + CHANCE * (2 * self._chance() - 1))


def is_full(page: RecordPage) -> bool:
    """Whether there is more at once."""
    if page.may_more is not None:
        return page.may_more
    return len(page.records) > FULL_RECORDS or page.bytes > FULL_BYTES
