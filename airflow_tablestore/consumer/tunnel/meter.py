"""What a worker's reads cost: requests, bytes, and the capacity units that they are worth.

The service bills what a tunnel reads in units of 4 KB, but its answers do not say how many they were: the answer to a
read has records, a token and whether there is more, and nothing else. So units are reckoned here from each answer's
size, and a bill may differ by what an answer has beside its rows.
Source: the messages of the official Go client; the price list's unit, 4 KB, rounded up for each request.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from airflow_tablestore.wire.tunnel_channel import RecordPage

UNIT_BYTES = 4096


def units_of(size: int) -> int:
    """The units of one answer of so many bytes; an empty one is one, too."""
    return max(1, -(-size // UNIT_BYTES))


@dataclass(frozen=True, slots=True)
class Usage:
    """What was read: `read_units` are reckoned, not told by the service. `most_held` bytes were in memory at a time."""

    reads: int = 0
    bytes: int = 0
    read_units: int = 0
    most_held: int = 0


class Meter:
    """Counts; for any number of threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._usage = Usage()

    def count(self, page: RecordPage) -> None:
        """One more answer."""
        with self._lock:
            now = self._usage
            self._usage = Usage(now.reads + 1, now.bytes + page.bytes, now.read_units + units_of(page.bytes))

    @property
    def usage(self) -> Usage:
        """What was counted until now."""
        return self._usage
