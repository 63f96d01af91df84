"""The question how far a delivery task is, asked again and again without a worker until there is an answer.

A trigger knows the name of a connection, never what is in it. Since when it asks is an argument, so a triggerer that is
started anew does not wait longer for a task that is stuck.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseHook
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_tablestore.errors import RetryLater, TablestoreError
from airflow_tablestore.hooks.fields import fields_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

Answer = dict[str, Any]
"""`{"done": standing}`, or `{"error": sentence}`."""


class DeliveryTaskTrigger(BaseTrigger):
    """Fires when a delivery task is as far as is wanted, or never will be.

    :param connection: the name of a `tablestore` connection.
    :param wanted: what is waited for, as `Wanted.to_json` makes it.
    :param since: when it was first asked, in ISO 8601 with its offset.
    :param stuck_after_seconds: how long after that the task may be in its first phase.
    """

    def __init__(
        self,
        connection: str,
        table: str,
        task_name: str,
        wanted: Mapping[str, Any],
        since: str,
        stuck_after_seconds: float,
        poll_seconds: float,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.connection, self.table, self.task_name, self.wanted = connection, table, task_name, dict(wanted)
        self.since, self.stuck_after_seconds, self.poll_seconds = since, stuck_after_seconds, poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        names = ("connection", "table", "task_name", "wanted", "since", "stuck_after_seconds", "poll_seconds")
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
        from airflow_tablestore.pipeline.delivery.progress import Wanted, check_not_stuck, is_met, look

        try:
            with Client(tablestore_endpoint(fields_of(connection))) as client:
                at = look(client, self.table, self.task_name)
            if is_met(Wanted.from_json(self.wanted), at):
                return {"done": at.to_json()}
            check_not_stuck(at, datetime.fromisoformat(self.since), timedelta(seconds=self.stuck_after_seconds))
        except RetryLater:
            raise
        except TablestoreError as error:
            return {"error": str(error)}
        self.log.info("Not yet: %s.", at)
        return None
