"""Temporary keys (STS) that somebody renews while a client works: read anew now and then, and when they are refused.

Where they are kept is left to `read`. One thread reads at a time; the others go on with the keys that are known.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from airflow_tablestore.wire.sign import Credentials

_log = logging.getLogger(__name__)

RENEW_SECONDS = 60.0
"""Keys of STS live 15 minutes at least. Source: RAM documentation, AssumeRole, DurationSeconds."""


class RenewedKeys:
    """The keys of now, for `Client(credentials=…)`.

    :param first: the keys that are known.
    :param read: the keys as they are kept now; what it raises is told in the log, and the known ones are used on.
    """

    def __init__(
        self,
        first: Credentials,
        read: Callable[[], Credentials],
        *,
        every_seconds: float = RENEW_SECONDS,
        stopwatch: Callable[[], float] = time.monotonic,
    ):
        self._known, self._read = first, read
        self._every_seconds, self._stopwatch = every_seconds, stopwatch
        self._read_at = stopwatch()
        self._reading = threading.Lock()

    def __call__(self) -> Credentials:
        """The keys to sign with."""
        if self._stopwatch() - self._read_at >= self._every_seconds and self._reading.acquire(blocking=False):
            try:
                self._renew()
            finally:
                self._reading.release()
        return self._known

    def has_others_than(self, refused: Credentials) -> bool:
        """Whether there are other keys now than those that the service has refused; looks for them."""
        with self._reading:
            if self._known == refused:
                self._renew()
            return self._known != refused

    def _renew(self) -> None:
        self._read_at = self._stopwatch()
        try:
            self._known = self._read()
        except Exception as error:  # noqa: BLE001 - the known keys may be good for a while yet
            # The error's text is left out: it comes from where keys are kept.
            _log.warning(
                "The access key could not be read anew (%s); going on with the one before.", type(error).__name__
            )
