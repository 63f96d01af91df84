"""Questions to the ledger that are asked again and again, without a worker, until there is an answer.

A trigger knows the names of connections, never what is in them. It keeps nothing between two questions, so a triggerer
that is started anew goes on asking. What may pass is asked again at the next turn; what will not is the answer.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseHook
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_tablestore.errors import RetryLater, TablestoreError
from airflow_tablestore.hooks.fields import fields_of
from airflow_tablestore.pipeline.window import EPOCH, SECOND, CalendarGrid, FixedGrid, Grid, Unit, Window

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

    from airflow_tablestore.client import Client
    from airflow_tablestore.pipeline.connections import Fields
    from airflow_tablestore.pipeline.incremental.ledger import Ledger

Answer = dict[str, Any]
"""`{"done": …}` with what was found out, or `{"error": sentence}`."""


@dataclass(frozen=True, slots=True)
class Watched:
    """Whose windows are watched, by names alone: the pipeline, its table, and the connections of table and ledger."""

    pipeline: str
    table: str
    connection: str
    status_table: str
    status_connection: str


class LedgerTrigger(BaseTrigger):
    """What the questions share: whose ledger is asked, and how often. Not used by itself.

    :param watched: a `Watched` as a mapping.
    :param poll_seconds: from an answer to the next question.
    """

    def __init__(self, watched: Mapping[str, str], poll_seconds: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.watched = Watched(**watched)
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        given = {"watched": asdict(self.watched), "poll_seconds": self.poll_seconds, **self.question()}
        return f"{type(self).__module__}.{type(self).__qualname__}", given

    @abstractmethod
    def question(self) -> dict[str, Any]:
        """The arguments that are this question's own."""

    @abstractmethod
    def ask(self, client: Client, ledger: Ledger) -> Answer | None:
        """The answer; None: not yet."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        while (answer := await self._answer()) is None:
            await asyncio.sleep(self.poll_seconds)
        yield TriggerEvent(answer)  # type: ignore[no-untyped-call]

    async def _answer(self) -> Answer | None:
        names = (self.watched.connection, self.watched.status_connection)
        # Not in the thread: see `fields_of`.
        connections = {name: fields_of(await BaseHook.aget_connection(name)) for name in dict.fromkeys(names)}
        try:
            return await asyncio.to_thread(self.answer, connections)
        except RetryLater as error:
            self.log.warning("Asking again in %s s: %s", self.poll_seconds, error)
            return None

    def answer(self, connections: Mapping[str, Connection | Fields]) -> Answer | None:
        """Ask once, over these connections. Blocks.

        :raises RetryLater: nobody answers now; this may pass.
        """
        from airflow_tablestore.client import Client
        from airflow_tablestore.pipeline.connections import tablestore_endpoint
        from airflow_tablestore.pipeline.incremental.ledger import Ledger

        watched = self.watched
        try:
            with ExitStack() as opened:
                ends = {name: tablestore_endpoint(fields_of(one)) for name, one in connections.items()}
                clients = {name: opened.enter_context(Client(end)) for name, end in ends.items()}
                kept = clients[watched.status_connection]
                instance = ends[watched.connection].instance
                ledger = Ledger(kept, watched.status_table, instance, watched.table, watched.pipeline)
                return self.ask(clients[watched.connection], ledger)
        except RetryLater:
            raise
        except TablestoreError as error:
            return {"error": str(error)}


class WindowPublishedTrigger(LedgerTrigger):
    """Fires when a span of time is published, or when part of it is lost.

    :param begin: ISO 8601 with its offset.
    :param end: in the same way.
    """

    def __init__(self, watched: Mapping[str, str], poll_seconds: float, begin: str, end: str) -> None:
        super().__init__(watched, poll_seconds)
        self.span = Window(datetime.fromisoformat(begin), datetime.fromisoformat(end))

    def question(self) -> dict[str, Any]:
        return {"begin": self.span.start.isoformat(), "end": self.span.end.isoformat()}

    def ask(self, client: Client, ledger: Ledger) -> Answer | None:
        from airflow_tablestore.pipeline.incremental.coverage import coverage

        found = coverage(ledger, self.span)
        if found.is_complete:
            return {"done": self.question()}
        if found.lost is None:
            self.log.info("Not published yet: from %s on.", found.missing_from)
            return None
        return {
            "error": f"The window {found.lost.window} of '{self.watched.pipeline}' is lost: {found.lost.reason} "
            "It will be published without rows once somebody accepts that: airflow-tablestore ledger accept-loss."
        }


class StreamExpiryRiskTrigger(LedgerTrigger):
    """Fires when the oldest window that is not exported can be read for a short time only.

    :param grid: the pipeline's windows, as `grid_to_json` makes it.
    :param within_seconds: how short.
    :param start: where the pipeline's windows begin, in ISO 8601; "" leaves it to the ledger.
    """

    def __init__(
        self,
        watched: Mapping[str, str],
        poll_seconds: float,
        grid: Mapping[str, Any],
        within_seconds: float,
        start: str = "",
    ) -> None:
        super().__init__(watched, poll_seconds)
        self.grid, self.within, self.start = grid_from_json(grid), timedelta(seconds=within_seconds), start

    def question(self) -> dict[str, Any]:
        return {"grid": grid_to_json(self.grid), "within_seconds": self.within.total_seconds(), "start": self.start}

    def ask(self, client: Client, ledger: Ledger) -> Answer | None:
        from airflow_tablestore.pipeline.incremental.coverage import expiry_risk

        start = datetime.fromisoformat(self.start) if self.start else None
        risk = expiry_risk(client, ledger, self.watched.table, self.grid, start)
        if risk is None:
            self.log.info("Every window of '%s' that has closed is exported.", self.watched.pipeline)
            return None
        told = "The oldest window that is not exported, %s, can be read until %s."
        self.log.info(told, risk.window, risk.readable_until.isoformat())
        return {"done": risk.to_json()} if risk.left <= self.within else None


def grid_to_json(grid: Grid) -> dict[str, Any]:
    """A grid as a trigger's argument.

    :raises TypeError: it is of a kind that is not known here.
    """
    if isinstance(grid, FixedGrid):
        return {"every": grid.every // SECOND, "anchor": (grid.anchor - EPOCH) // SECOND}
    if isinstance(grid, CalendarGrid):
        return {"unit": grid.unit.value, "zone": grid.zone}
    raise TypeError(f"{grid!r} has no form in JSON")


def grid_from_json(data: Mapping[str, Any]) -> Grid:
    if "unit" in data:
        return CalendarGrid(Unit(data["unit"]), data["zone"])
    return FixedGrid(data["every"] * SECOND, EPOCH + data["anchor"] * SECOND)
