"""Sensors of incremental exports: a span of time is published; the oldest window is about to be lost.

Both ask the ledger, which every run writes, and the table's stream; no object is read. By default they wait in the
triggerer. What they ask is in `triggers.ledger`, so that a worker and the triggerer ask the same.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from airflow.providers.common.compat.sdk import BaseHook

from airflow_tablestore.assets import DEFAULT_CONNECTION
from airflow_tablestore.errors import SpecError
from airflow_tablestore.pipeline.window import CalendarGrid, FixedGrid, Grid, Unit
from airflow_tablestore.sensors.question import QuestionSensor
from airflow_tablestore.triggers.ledger import (
    Answer,
    LedgerTrigger,
    StreamExpiryRiskTrigger,
    Watched,
    WindowPublishedTrigger,
    grid_to_json,
)

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

STATUS_TABLE = "TableStoreStreamReaderStatusTable"


class LedgerSensor(QuestionSensor):
    """What both sensors share. Not used by itself.

    :param pipeline: the incremental pipeline that is watched.
    :param table: the table whose changes it exports.
    :param tablestore_conn_id: the connection of the table.
    :param status_table: where the pipeline keeps its ledger.
    :param status_conn_id: the connection of the status table, when it is in another instance.
    :param deferrable: wait without a worker, in the triggerer; False keeps to `mode`.
    """

    template_fields: Sequence[str] = (
        "pipeline",
        "table",
        "tablestore_conn_id",
        "status_table",
        "status_conn_id",
    )
    ui_color = "#e4f3e4"

    def __init__(
        self,
        *,
        pipeline: str,
        table: str,
        tablestore_conn_id: str = DEFAULT_CONNECTION,
        status_table: str = STATUS_TABLE,
        status_conn_id: str | None = None,
        deferrable: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.table = table
        self.tablestore_conn_id = tablestore_conn_id
        self.status_table = status_table
        self.status_conn_id = status_conn_id
        self.deferrable = deferrable

    @abstractmethod
    def trigger(self) -> LedgerTrigger:
        """The question, from the arguments as they are now."""

    def watched(self) -> dict[str, str]:
        at = self.tablestore_conn_id
        return asdict(Watched(self.pipeline, self.table, at, self.status_table, self.status_conn_id or at))

    def question(self, context: Context) -> LedgerTrigger:
        return self.trigger()

    def ask(self, question: LedgerTrigger) -> Answer | None:
        names = (question.watched.connection, question.watched.status_connection)
        return question.answer({name: BaseHook.get_connection(name) for name in names})


class WindowPublishedSensor(LedgerSensor):
    """Waits until all windows of a span of time are published, or accepted as lost; fails when one is lost.

    By default the span is the run's own data interval: a DAG of hours waits for twelve windows of five minutes.

    :param window_start: where the span begins, as text with its zone.
    :param window_end: where it ends.
    """

    template_fields = (*LedgerSensor.template_fields, "window_start", "window_end")

    def __init__(
        self,
        *,
        window_start: str = "{{ data_interval_start }}",
        window_end: str = "{{ data_interval_end }}",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.window_start = window_start
        self.window_end = window_end

    def trigger(self) -> WindowPublishedTrigger:
        """:raises SpecError: the span is none."""
        moments = (_moment("window_start", self.window_start), _moment("window_end", self.window_end))
        return WindowPublishedTrigger(self.watched(), self.poke_interval, *(one.isoformat() for one in moments))


class StreamExpiryRiskSensor(LedgerSensor):
    """Succeeds when the oldest window that is not exported will soon be lost; until then it waits.

    Put an alert behind it. Returns the window, until when it can be read, and the seconds left, which are negative
    when it is too late.

    :param within: how close the loss must be.
    :param every: the pipeline's windows: their length, or "hour" or "day".
    :param timezone: that of calendar windows.
    :param start: where the pipeline's windows begin; None: at its oldest entry in the ledger.
    """

    def __init__(
        self,
        *,
        within: timedelta = timedelta(hours=6),
        every: timedelta | str = timedelta(minutes=5),
        timezone: str = "UTC",
        start: datetime | None = None,
        poke_interval: timedelta | float = 300,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, **kwargs)
        self.within = within
        self.every = every
        self.timezone = timezone
        self.start = start

    def trigger(self) -> StreamExpiryRiskTrigger:
        """:raises SpecError: `every` is no window's length."""
        start = "" if self.start is None else _zoned(self.start, self.timezone).isoformat()
        grid = grid_to_json(self._grid())
        return StreamExpiryRiskTrigger(self.watched(), self.poke_interval, grid, self.within.total_seconds(), start)

    def _grid(self) -> Grid:
        if isinstance(self.every, str):
            return CalendarGrid(Unit.of(self.every), self.timezone)
        return FixedGrid(self.every)


def _moment(name: str, text: str) -> datetime:
    try:
        return _zoned(datetime.fromisoformat(str(text)), "UTC")
    except ValueError:
        raise SpecError(f"{name} is no date and time: {text!r}; write for example 2026-11-20T04:00:00+08:00.") from None


def _zoned(moment: datetime, timezone: str) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(timezone))
