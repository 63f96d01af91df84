"""The question whether a tunnel has unread data, asked again and again without a worker.

`TunnelTrigger` watches an asset: it asks for a run whenever one is worth it, for ever. `TunnelDataTrigger` waits once,
for a task. What is looked at, and when a run is worth it, is decided in `pipeline.tunnel.unread`.

A trigger knows the name of a connection, never what is in it; it is read anew for each look. What was asked for is kept
in memory: a triggerer that is started anew asks for one run more at most, which finds what is left or nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseHook
from airflow.triggers.base import BaseEventTrigger, BaseTrigger, TriggerEvent

from airflow_tablestore.errors import RetryLater, TablestoreError
from airflow_tablestore.hooks.fields import fields_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

    from airflow_tablestore.pipeline.connections import Fields
    from airflow_tablestore.pipeline.tunnel.unread import Unread

Answer = dict[str, Any]
"""`{"done": {"found": …, "told": sentence}}`, or `{"error": sentence}`."""

POLL_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 300.0
"""Between two looks while the service, or the connection, cannot be had."""


def _look(connection: Connection | Fields, table: str, tunnel: str, creates: bool) -> Unread:
    """Looks once, over this connection. Blocks."""
    from airflow_tablestore.client import Client
    from airflow_tablestore.pipeline.connections import tablestore_endpoint
    from airflow_tablestore.pipeline.tunnel.unread import look_for_unread

    with Client(tablestore_endpoint(fields_of(connection))) as client:
        return look_for_unread(client, table, tunnel, creates=creates)


class TunnelTrigger(BaseEventTrigger):
    """Fires when a tunnel has data that nobody has read, nobody reads now, and no run was asked for; then goes on.

    For an `AssetWatcher`. A run that was asked for and has moved nothing is asked for again after `again_seconds`; one
    that looks by itself is asked for every `look_seconds` in which nothing else was. Errors are logged, and asking goes
    on more slowly.

    :param connection: the name of a `tablestore` connection.
    :param creates: a run makes the tunnel when it is absent.
    """

    def __init__(
        self,
        connection: str,
        table: str,
        tunnel: str,
        creates: bool = False,
        poll_seconds: float = POLL_SECONDS,
        again_seconds: float = 600.0,
        look_seconds: float = 3600.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.connection, self.table, self.tunnel, self.creates = connection, table, tunnel, creates
        self.poll_seconds, self.again_seconds, self.look_seconds = poll_seconds, again_seconds, look_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        names = ("connection", "table", "tunnel", "creates", "poll_seconds", "again_seconds", "look_seconds")
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        from airflow_tablestore.pipeline.tunnel.unread import Pace

        pace = Pace(time.monotonic(), self.again_seconds, self.look_seconds)
        pause = self.poll_seconds
        while True:
            try:
                fields = fields_of(await BaseHook.aget_connection(self.connection))  # not in the thread: see there
                unread = await asyncio.to_thread(self.look, fields)
            except Exception as error:  # noqa: BLE001 - a watcher that ends is nobody's to start again
                pause = min(2 * pause, max(self.poll_seconds, LONGEST_PAUSE_SECONDS))
                self.log.warning("Looking again in %s s: %s: %s", pause, type(error).__name__, error)
            else:
                pause = self.poll_seconds
                if pace.asks(unread, time.monotonic()):
                    told = {"table": self.table, "tunnel": self.tunnel, "found": unread.found.value}
                    yield TriggerEvent({**told, "told": unread.told})  # type: ignore[no-untyped-call]
            await asyncio.sleep(pause)

    def look(self, connection: Connection | Fields) -> Unread:
        """Looks once, over this connection. Blocks.

        :raises TablestoreError: nothing can be told now.
        """
        return _look(connection, self.table, self.tunnel, self.creates)


class TunnelDataTrigger(BaseTrigger):
    """Fires when a tunnel has data that nobody has read, or when it was waited for long enough.

    An error is told at the end of the waiting only, for it may pass; so runs that fail follow each other slowly.

    :param connection: the name of a `tablestore` connection.
    :param creates: a run makes the tunnel when it is absent.
    :param until: when the waiting ends, in ISO 8601 with its offset.
    :param since: before this moment nobody looks; "" for none.
    """

    def __init__(
        self,
        connection: str,
        table: str,
        tunnel: str,
        until: str,
        creates: bool = False,
        since: str = "",
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.connection, self.table, self.tunnel, self.creates = connection, table, tunnel, creates
        self.until, self.since, self.poll_seconds = until, since, poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        names = ("connection", "table", "tunnel", "until", "creates", "since", "poll_seconds")
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        while self.is_early:
            await asyncio.sleep(max(0.0, min(self._left(self.since), self.poll_seconds)))
        while True:
            answer = await self._answer()
            if answer is not None:
                break
            await asyncio.sleep(max(0.0, min(self.poll_seconds, self._left(self.until))))
        yield TriggerEvent(answer)  # type: ignore[no-untyped-call]

    async def _answer(self) -> Answer | None:
        try:
            fields = fields_of(await BaseHook.aget_connection(self.connection))
            return await asyncio.to_thread(self.answer, fields)
        except Exception as error:
            if self._left(self.until) <= 0:
                raise
            self.log.warning("Looking again: %s: %s", type(error).__name__, error)
            return None

    def answer(self, connection: Connection | Fields) -> Answer | None:
        """Looks once, over this connection; None: not yet. Blocks."""
        from airflow_tablestore.pipeline.tunnel.unread import Found

        is_over = self._left(self.until) <= 0
        try:
            unread = _look(connection, self.table, self.tunnel, self.creates)
        except RetryLater as error:
            self.log.warning("Looking again: %s", error)
            return {"done": {"found": Found.UNKNOWN.value, "told": str(error)}} if is_over else None
        except TablestoreError as error:
            self.log.warning("Looking again: %s", error)
            return {"error": str(error)} if is_over else None
        if unread.is_there:
            return {"done": {"found": unread.found.value, "told": unread.told}}
        if not is_over:
            self.log.info("%s", unread.told)
            return None
        if unread.found is Found.BROKEN:
            return {"error": unread.told}
        return {"done": {"found": unread.found.value, "told": unread.told}}

    @property
    def is_early(self) -> bool:
        """Whether nobody shall look yet."""
        return self._left(self.since) > 0

    @staticmethod
    def _left(moment: str) -> float:
        """Seconds until this moment."""
        return (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds() if moment else 0.0
