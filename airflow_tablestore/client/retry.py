"""When a call is sent again, and after how long.

Pure: errors and numbers in, a decision out. Sending and sleeping are done in `client.client`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from airflow_tablestore.errors import RetryLater, TablestoreError
from airflow_tablestore.wire.call import Call
from airflow_tablestore.wire.error import was_never_applied

UNREACHABLE = "Unreachable"
"""Our code for a request that never left: no such host, nobody listens, no connection in time."""

TIMED_OUT = "TimedOut"
CONNECTION_LOST = "ConnectionLost"
DAMAGED_BODY = "DamagedBody"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to go on. Pauses double from `base_seconds` to `cap_seconds`; half of each is left to chance.

    :param attempts: most times that a call is sent.
    :param total_seconds: no new attempt is begun later than this after the first one.
    :param first_attempts: most times while the endpoint has never answered: a wrong address shall be told soon.

    The defaults ride out a partition that moves or a service that restarts; Airflow's own retries come after them.
    """

    attempts: int = 16
    base_seconds: float = 0.1
    cap_seconds: float = 20.0
    total_seconds: float = 300.0
    first_attempts: int = 4

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.first_attempts < 1 or not 0 <= self.base_seconds <= self.cap_seconds:
            raise ValueError("a retry policy has at least one attempt, and a base of at most its cap")

    def pause(self, attempt: int, chance: float, after_seconds: float = 0.0) -> float:
        """Seconds to wait after the attempt with this number (from 1).

        :param chance: from 0 to 1, random.
        :param after_seconds: what the service asked for; it is obeyed up to the cap.
        """
        full = min(self.cap_seconds, self.base_seconds * 2.0 ** min(attempt - 1, 60))
        return max(full / 2 + full / 2 * chance, min(after_seconds, self.cap_seconds))

    def attempts_for(self, error: RetryLater, *, has_answered: bool) -> int:
        """Most attempts when this is how the latest one ended."""
        if error.code == UNREACHABLE and not has_answered:
            return min(self.attempts, self.first_attempts)
        return self.attempts


NO_RETRY = RetryPolicy(attempts=1)
"""Every failure is told at once, for probes."""


def may_repeat(call: Call[Any], error: TablestoreError) -> bool:
    """Whether sending the call again can help and does no harm.

    A call that must not be done twice is repeated only when it is certain that it was not done.
    """
    if not isinstance(error, RetryLater):
        return False
    return call.is_repeatable or error.code == UNREACHABLE or was_never_applied(error)


OnRetry = Callable[[str], None]
"""Hears why a call is sent again, in one sentence. Called from the thread that sends."""
