"""The question how far a tunnel is behind, asked again and again without a worker until it is little enough.

A trigger knows the name of a connection, never what is in it. It keeps nothing between two questions, so a triggerer
that is started anew goes on asking.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseHook
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_tablestore.errors import RetryLater, TablestoreError
from airflow_tablestore.hooks.fields import fields_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

Answer = dict[str, Any]
"""`{"done": {"behind_seconds": …}}`, or `{"error": sentence}`."""


class TunnelCaughtUpTrigger(BaseTrigger):
    """Fires when everything that a tunnel carries was consumed up to a short while ago, or never will be.

    :param connection: the name of a `tablestore` connection.
    :param max_lag_seconds: how short.
    """

    def __init__(self, connection: str, table: str, tunnel: str, max_lag_seconds: float, poll_seconds: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.connection, self.table, self.tunnel = connection, table, tunnel
        self.max_lag_seconds, self.poll_seconds = max_lag_seconds, poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        names = ("connection", "table", "tunnel", "max_lag_seconds", "poll_seconds")
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        while True:
            connection = await BaseHook.aget_connection(self.connection)
            try:
                answer = await asyncio.to_thread(self.answer, connection)
            except RetryLater as error:
                self.log.warning("Asking again in %s s: %s", self.poll_seconds, error)
                answer = None
            if answer is not None:
                break
            await asyncio.sleep(self.poll_seconds)
        yield TriggerEvent(answer)  # type: ignore[no-untyped-call]

    def answer(self, connection: Connection) -> Answer | None:
        """Ask once, over this connection; None: not yet. Blocks.

        :raises RetryLater: nobody answers now; this may pass.
        """
        from airflow_tablestore.client import Client
        from airflow_tablestore.pipeline.connections import tablestore_endpoint
        from airflow_tablestore.pipeline.tunnel.tunnels import look

        try:
            with Client(tablestore_endpoint(fields_of(connection))) as client:
                found = look(client, self.table, self.tunnel)
        except RetryLater:
            raise
        except TablestoreError as error:
            return {"error": str(error)}
        if found.tunnel.is_expired:
            return {"error": f"Tunnel {self.tunnel} of table {self.table} is expired: nobody can read it any more."}
        behind = found.behind_seconds
        if behind is not None and behind <= self.max_lag_seconds:
            return {"done": {"behind_seconds": behind}}
        self.log.info("Not caught up: %s.", "not known" if behind is None else f"{behind:.1f} s behind")
        return None
