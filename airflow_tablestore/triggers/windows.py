"""An alarm for a window that is not due yet.

It only waits. Whether the window may be read is decided by the task that it wakes, which asks the service again. So it
needs no connection, holds no secret, and a triggerer that is started anew goes on to the same moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

LONGEST_SLEEP_SECONDS = 60.0
"""Sleeping in pieces, for a machine that was suspended or whose clock is set meanwhile."""


class WindowDueTrigger(BaseTrigger):
    """Fires when the service's clock reaches a moment.

    :param window: which window is waited for; for people who look at the trigger.
    :param due_at: the moment by the service's clock, in ISO 8601 with its offset.
    :param service_ahead_seconds: how far that clock is ahead of this machine's; negative when behind.
    """

    def __init__(self, window: str, due_at: str, service_ahead_seconds: float = 0.0) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.window, self.due_at, self.service_ahead_seconds = window, due_at, service_ahead_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        given = {
            "window": self.window,
            "due_at": self.due_at,
            "service_ahead_seconds": self.service_ahead_seconds,
        }
        return f"{type(self).__module__}.{type(self).__qualname__}", given

    async def run(self) -> AsyncIterator[TriggerEvent]:
        due = datetime.fromisoformat(self.due_at) - timedelta(seconds=self.service_ahead_seconds)
        while (left := (due - datetime.now(UTC)).total_seconds()) > 0:
            await asyncio.sleep(min(left, LONGEST_SLEEP_SECONDS))
        yield TriggerEvent({"due_at": self.due_at})  # type: ignore[no-untyped-call]
