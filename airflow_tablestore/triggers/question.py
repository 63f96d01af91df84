"""A question to one Tablestore instance that is asked again and again without a worker, until there is an answer.

A trigger knows the name of a connection, never what is in it, and keeps nothing between two questions: a triggerer that
is started anew goes on asking. What may pass is asked again at the next turn; what will not is the answer.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import BaseHook
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_tablestore.errors import RetryLater, TablestoreError
from airflow_tablestore.hooks.fields import fields_of

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

    from airflow_tablestore.client import Client
    from airflow_tablestore.pipeline.connections import Fields

Answer = dict[str, Any]
"""`{"done": …}` with what was found out, or `{"error": sentence}`."""


class QuestionTrigger(BaseTrigger):
    """What the questions share: over which connection they are asked, and how often. Not used by itself.

    :param connection: the name of a `tablestore` connection.
    :param poll_seconds: from an answer to the next question.
    """

    ARGUMENTS: ClassVar[tuple[str, ...]] = ()
    """The arguments that are this question's own; each is kept under its name."""

    def __init__(self, connection: str, poll_seconds: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.connection, self.poll_seconds = connection, poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        names = ("connection", *self.ARGUMENTS, "poll_seconds")
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    @abstractmethod
    def ask(self, client: Client) -> Answer | None:
        """The answer; None: not yet."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        while (answer := await self._answer()) is None:
            await asyncio.sleep(self.poll_seconds)
        yield TriggerEvent(answer)  # type: ignore[no-untyped-call]

    async def _answer(self) -> Answer | None:
        connection = await BaseHook.aget_connection(self.connection)
        fields = fields_of(connection)  # not in the thread: see there
        try:
            return await asyncio.to_thread(self.answer, fields)
        except RetryLater as error:
            self.log.warning("Asking again in %s s: %s", self.poll_seconds, error)
            return None

    def answer(self, connection: Connection | Fields) -> Answer | None:
        """Ask once, over this connection. Blocks.

        :raises RetryLater: nobody answers now; this may pass.
        """
        from airflow_tablestore.client import Client
        from airflow_tablestore.pipeline.connections import tablestore_endpoint

        try:
            with Client(tablestore_endpoint(fields_of(connection))) as client:
                return self.ask(client)
        except RetryLater:
            raise
        except TablestoreError as error:
            return {"error": str(error)}
