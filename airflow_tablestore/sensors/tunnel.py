"""Wait until a tunnel's readers have caught up, or until it has something to read. By default in the triggerer.

What is asked is in `triggers.tunnel` and `triggers.unread`, so that a worker and the triggerer ask the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseHook, BaseSensorOperator, PokeReturnValue

from airflow_tablestore.assets import DEFAULT_CONNECTION
from airflow_tablestore.operators.retries import retried_only_where_it_helps
from airflow_tablestore.sensors.question import QuestionSensor, found_in
from airflow_tablestore.triggers.tunnel import TunnelCaughtUpTrigger
from airflow_tablestore.triggers.unread import POLL_SECONDS, Answer, TunnelDataTrigger

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class TunnelCaughtUpSensor(QuestionSensor):
    """Waits until everything that a tunnel carries was consumed up to a short while ago (its RPO), or it is over.

    A tunnel that nobody reads does not catch up. One that is gone or expired fails at once. Returns how far it is
    behind, in seconds.

    :param table: the table's name.
    :param tunnel: the tunnel's name.
    :param max_lag: how long ago at most.
    :param tablestore_conn_id: the connection of the table.
    :param deferrable: wait without a worker, in the triggerer; False keeps to `mode`.
    """

    template_fields: Sequence[str] = ("table", "tunnel", "tablestore_conn_id")
    ui_color = "#dff0ee"

    def __init__(
        self,
        *,
        table: str,
        tunnel: str,
        max_lag: timedelta = timedelta(minutes=1),
        tablestore_conn_id: str = DEFAULT_CONNECTION,
        deferrable: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.tunnel = tunnel
        self.max_lag = max_lag
        self.tablestore_conn_id = tablestore_conn_id
        self.deferrable = deferrable

    def question(self, context: Context) -> TunnelCaughtUpTrigger:
        lag = self.max_lag.total_seconds()
        return TunnelCaughtUpTrigger(self.tablestore_conn_id, self.table, self.tunnel, lag, self.poke_interval)

    def ask(self, question: TunnelCaughtUpTrigger) -> Answer | None:
        return question.answer(BaseHook.get_connection(self.tablestore_conn_id))


class TunnelDataSensor(BaseSensorOperator):
    """Waits until a tunnel has data that nobody has read, for `at_most`; then it succeeds in either case.

    For a DAG that runs on and on: a quiet tunnel makes one run in `at_most`, and so does one whose runs fail: after a
    failed run nobody looks before `at_most` has passed. Only what would fail the run (no tunnel, an expired one) fails
    the sensor too, at the end of the waiting. Returns what was found.

    :param table: the table's name.
    :param tunnel: the tunnel's name.
    :param at_most: how long it waits.
    :param creates: the run makes the tunnel when it is absent.
    :param tablestore_conn_id: the connection of the table.
    :param deferrable: wait without a worker, in the triggerer; False keeps to `mode`.
    """

    template_fields: Sequence[str] = ("table", "tunnel", "tablestore_conn_id")
    ui_color = "#dff0ee"

    def __init__(
        self,
        *,
        table: str,
        tunnel: str,
        at_most: timedelta = timedelta(minutes=10),
        creates: bool = False,
        tablestore_conn_id: str = DEFAULT_CONNECTION,
        deferrable: bool = True,
        poke_interval: float = POLL_SECONDS,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, **kwargs)
        self.table = table
        self.tunnel = tunnel
        self.at_most = at_most
        self.creates = creates
        self.tablestore_conn_id = tablestore_conn_id
        self.deferrable = deferrable
        self._trigger: TunnelDataTrigger | None = None

    def execute(self, context: Context) -> Any:
        self._trigger = self.trigger(_is_after_failure(context))
        if not self.deferrable:
            return super().execute(context)
        answer = None if self._trigger.since else self._ask()
        if answer is None:
            self.defer(trigger=self._trigger, method_name="execute_complete")
        return found_in(answer)

    def execute_complete(self, context: Context, event: Answer) -> Any:
        """What the triggerer wakes up with its answer."""
        return found_in(event)

    def poke(self, context: Context) -> PokeReturnValue:
        trigger = self._trigger or self.trigger(False)
        if trigger.is_early:
            return PokeReturnValue(False)
        answer = self._ask()
        return PokeReturnValue(answer is not None, None if answer is None else found_in(answer))

    def trigger(self, is_after_failure: bool) -> TunnelDataTrigger:
        """The question, from the arguments as they are now."""
        until = (datetime.now(UTC) + self.at_most).isoformat()
        return TunnelDataTrigger(
            connection=self.tablestore_conn_id,
            table=self.table,
            tunnel=self.tunnel,
            until=until,
            creates=self.creates,
            since=until if is_after_failure else "",
            poll_seconds=self.poke_interval,
        )

    def _ask(self) -> Answer | None:
        trigger = self._trigger or self.trigger(False)
        with retried_only_where_it_helps():
            return trigger.answer(BaseHook.get_connection(self.tablestore_conn_id))


def _is_after_failure(context: Context) -> bool:
    """Whether the run before this one has failed; False for a run by hand, which is for no moment of the schedule."""
    instance = context.get("ti")
    if instance is None:
        return False
    before, failed = instance.get_previous_dagrun(), instance.get_previous_dagrun("failed")
    return before is not None and failed is not None and before.run_id == failed.run_id
