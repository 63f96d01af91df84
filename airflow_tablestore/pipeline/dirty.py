"""Records that cannot go on: counted against the author's limit, told with key and reason, never lost silently."""

from __future__ import annotations

import logging
import threading

from airflow_tablestore.errors import DirtyLimitExceeded

log = logging.getLogger(__name__)

SAMPLES = 10
"""How many dirty records a task names in its log."""

KEY_CHARACTERS = 200


class DirtyRecords:
    """The dirty records of one piece of work. Safe to use from several threads.

    :param allowed: how many the run accepts; the next one ends it.
    """

    def __init__(self, allowed: int):
        self._allowed = allowed
        self._count = 0
        self._lock = threading.Lock()

    def add(self, key: str, reason: str) -> None:
        """:raises DirtyLimitExceeded: this one is too many."""
        with self._lock:
            self._count += 1
            count = self._count
        key = _in_one_line(key)
        if count <= SAMPLES:
            log.warning("dirty record %s: %s", key, reason)
        if count > self._allowed:
            raise DirtyLimitExceeded(
                f"more dirty records than limits.errors allows ({self._allowed}); the last is {key}: {reason}"
            )


def _in_one_line(key: str) -> str:
    """A key as a log can show it: a table's own line breaks and escapes must not look like lines of ours."""
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in key)
    return text if len(text) <= KEY_CHARACTERS else text[: KEY_CHARACTERS - 1] + "…"
