"""The checkpoints of one channel: each has the number after the one before, and the service refuses any other.

A write whose answer was lost has perhaps been done. So an unclear write is settled by reading: what is kept is either
ours, and we go on from its number, or somebody else's, and the channel is not ours any more. Source: the official Go
client reads the number anew as well, but then leaves its checkpoint unwritten.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol

from airflow_tablestore.errors import Rejected, RetryLater, Superseded
from airflow_tablestore.wire.call import Call
from airflow_tablestore.wire.tunnel_channel import Checkpoint, Place, get_checkpoint, put_checkpoint

NOT_NEXT = "OTSSequenceNumberNotMatch"
GONE = "OTSResourceGone"
ATTEMPTS = 5


class Send(Protocol):
    """How a call is sent: `Client.send`."""

    def __call__(self, call: Call[Any]) -> Any:
        """What the service answers."""


class Checkpoints:
    """Reads and writes the checkpoints of a channel; safe for threads.

    :param may_write: whether the channel is still this client's, asked before each write.
    """

    def __init__(self, send: Send, at: Place, may_write: Callable[[], bool] = lambda: True):
        self._send, self.at, self._may_write = send, at, may_write
        self._lock = threading.Lock()
        self._kept = Checkpoint("", 0)

    @property
    def token(self) -> str:
        """The token that is known to be kept."""
        return self._kept.token

    @property
    def number(self) -> int:
        """The number of the checkpoint that is known to be kept."""
        return self._kept.number

    def open(self) -> Checkpoint:
        """What is kept; to be read before anything else."""
        with self._lock:
            self._kept = self._send(get_checkpoint(self.at))
            return self._kept

    def write(self, token: str) -> None:
        """Keeps this token, unless it is kept already.

        :raises Superseded: somebody else reads the channel now.
        :raises RetryLater: the service cannot be reached.
        """
        with self._lock:
            for attempt in range(ATTEMPTS):
                if token == self._kept.token:
                    return
                if not self._may_write():
                    raise self._superseded()
                wanted = Checkpoint(token, self._kept.number + 1)
                try:
                    self._send(put_checkpoint(self.at, wanted))
                except Rejected as error:
                    if error.code == GONE:
                        raise self._superseded() from error
                    if error.code != NOT_NEXT or attempt == ATTEMPTS - 1:
                        raise
                    self._settle(token)
                except RetryLater:
                    if attempt == ATTEMPTS - 1:
                        raise
                    self._settle(token)
                else:
                    self._kept = wanted

    def _settle(self, tried: str) -> None:
        try:
            found = self._send(get_checkpoint(self.at))
        except Rejected as error:
            if error.code == GONE:
                raise self._superseded() from error
            raise
        if found.token not in (tried, self._kept.token):
            raise self._superseded()
        self._kept = found

    def _superseded(self) -> Superseded:
        return Superseded(f"The channel {self.at.channel_id} is read by somebody else now.")
