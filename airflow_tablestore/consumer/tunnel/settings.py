"""How a worker behaves: its limits, its intervals and its patience."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one worker; the defaults suit a task that runs for minutes or for ever.

    :param max_channels: most channels that are read at once; others that the service gives wait for their turn.
    :param turn_seconds: when others wait, a channel makes room after so long; one that has nothing to tell, after a
        quarter of it.
    :param max_bytes: most bytes of records in memory, read and not done.
    :param heartbeat_seconds: how often the service is told that this worker lives. The official Java client takes no
        less than 5.
    :param timeout_seconds: a worker that is silent for so long loses its channels to others; a killed one, too.
    :param checkpoint_seconds: how often what is done is confirmed; after a crash so much is read again.
    :param pause_seconds: longest pause between two reads of a channel that has little to tell. Reads are billed.
    :param reconnect_seconds: longest pause before a lost worker connects again.
    :param tag: how people see this worker.
    """

    max_channels: int = 64
    turn_seconds: float = 10.0
    max_bytes: int = 64 * 1024 * 1024
    heartbeat_seconds: float = 10.0
    timeout_seconds: int = 120
    checkpoint_seconds: float = 5.0
    pause_seconds: float = 2.0
    reconnect_seconds: float = 10.0
    tag: str = field(default_factory=socket.gethostname)

    def __post_init__(self) -> None:
        if self.max_channels < 1 or self.max_bytes < 1:
            raise ValueError("a worker reads at least one channel, and holds at least one byte")
        if not 0 < self.heartbeat_seconds < self.timeout_seconds:
            raise ValueError("heartbeats must be sent more often than the timeout")
