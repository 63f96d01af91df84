"""Records that cannot go on: counted against the author's limit, told with key and reason, never lost silently.

The first of them are told in the log. Samples go into the report and into the manifest: those with the smallest keys,
whatever order the threads met them in, so that equal runs write equal manifests. A sample holds no value but the key.
"""

from __future__ import annotations

import logging
import threading
from bisect import insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_tablestore.errors import DirtyLimitExceeded

log = logging.getLogger(__name__)

SAMPLES = 10
"""How many dirty records a task names in its log, and how many a report and a manifest keep."""

KEY_CHARACTERS = 200
REASON_CHARACTERS = 300


@dataclass(frozen=True, slots=True, order=True)
class DirtySample:
    """One dirty record: its key as people write it, and why it could not go on."""

    key: str
    reason: str

    def to_json(self) -> dict[str, str]:
        return {"key": self.key, "reason": self.reason}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> DirtySample:
        return cls(data["key"], data["reason"])


class DirtyRecords:
    """The dirty records of one piece of work. Safe to use from several threads.

    :param allowed: how many the run accepts; the next one ends it.
    """

    def __init__(self, allowed: int):
        self._allowed = allowed
        self._count = 0
        self._samples: list[DirtySample] = []
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """How many there have been."""
        return self._count

    @property
    def samples(self) -> tuple[DirtySample, ...]:
        """The records with the smallest keys, at most SAMPLES."""
        with self._lock:
            return tuple(self._samples)

    def add(self, key: str, reason: str) -> None:
        """:raises DirtyLimitExceeded: this one is too many."""
        key = _cut(_in_one_line(key), KEY_CHARACTERS)
        with self._lock:
            self._count += 1
            count = self._count
            insort(self._samples, DirtySample(key, _cut(_in_one_line(reason), REASON_CHARACTERS)))
            del self._samples[SAMPLES:]
        if count <= SAMPLES:
            log.warning("dirty record %s: %s", key, reason)
        if count > self._allowed:
            raise DirtyLimitExceeded(
                f"more dirty records than limits.errors allows ({self._allowed}); the last is {key}: {reason}"
            )


def samples_of(groups: Iterable[Sequence[DirtySample]]) -> tuple[DirtySample, ...]:
    """The samples of several pieces of work as those of one."""
    return tuple(sorted(sample for group in groups for sample in group)[:SAMPLES])


def samples_from_json(data: Iterable[dict[str, Any]]) -> tuple[DirtySample, ...]:
    return tuple(DirtySample.from_json(sample) for sample in data)


def refuse_dirty(count: int, allowed: int, samples: Sequence[DirtySample]) -> None:
    """:raises DirtyLimitExceeded: the tasks together have met more dirty records than the run accepts."""
    if count > allowed:
        told = "; ".join(f"{sample.key}: {sample.reason}" for sample in samples[:3])
        raise DirtyLimitExceeded(
            f"{count} dirty records, limits.errors allows {allowed}; nothing is published. "
            f"The tasks' logs show samples with key and reason. {told}".rstrip()
        )


def _in_one_line(text: str) -> str:
    """A text as a log can show it: a table's own line breaks and escapes must not look like lines of ours."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
