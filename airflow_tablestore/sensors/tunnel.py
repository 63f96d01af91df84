"""Waits until a tunnel's readers have caught up. By default it waits in the triggerer.

What is asked is in `triggers.tunnel`, so that a worker and the triggerer ask the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseHook, BaseSensorOperator, PokeReturnValue

from airflow_tablestore.assets import DEFAULT_CONNECTION
from airflow_tablestore.errors import RetryLater
from airflow_tablestore.operators.retries import retried_only_where_it_helps
from airflow_tablestore.triggers.tunnel import Answer, TunnelCaughtUpTrigger

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class TunnelCaughtUpSensor(BaseSensorOperator):
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

    def execute(self, context: Context) -> Any:
        if not self.deferrable:
            return super().execute(context)
        answer = self._ask()
        if answer is None:
            patience = timedelta(seconds=self.timeout)
            self.defer(trigger=self.trigger(), method_name="execute_complete", timeout=patience)
        return _found(answer)

    def execute_complete(self, context: Context, event: Answer) -> Any:
        """What the triggerer wakes up with its answer."""
        return _found(event)

    def poke(self, context: Context) -> PokeReturnValue:
        answer = self._ask()
        return PokeReturnValue(answer is not None, None if answer is None else _found(answer))

    def trigger(self) -> TunnelCaughtUpTrigger:
        """The question, from the arguments as they are now."""
        lag = self.max_lag.total_seconds()
        return TunnelCaughtUpTrigger(self.tablestore_conn_id, self.table, self.tunnel, lag, self.poke_interval)

    def _ask(self) -> Answer | None:
        with retried_only_where_it_helps():
            try:
                return self.trigger().answer(BaseHook.get_connection(self.tablestore_conn_id))
            except RetryLater as error:
                self.log.warning("Asking again later: %s", error)
                return None


def _found(answer: Mapping[str, Any]) -> Any:
    """What was found out.

    :raises AirflowFailException: that there will be no better answer.
    """
    if "error" in answer:
        raise AirflowFailException(answer["error"])
    return answer["done"]
