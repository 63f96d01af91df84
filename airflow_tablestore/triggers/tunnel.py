"""The question how far a tunnel is behind; how it is asked is in `question`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_tablestore.triggers.question import Answer, QuestionTrigger

if TYPE_CHECKING:
    from airflow_tablestore.client import Client


class TunnelCaughtUpTrigger(QuestionTrigger):
    """Fires when everything that a tunnel carries was consumed up to a short while ago, or never will be.

    The answer is `{"done": {"behind_seconds": …}}`, or `{"error": sentence}`.

    :param connection: the name of a `tablestore` connection.
    :param max_lag_seconds: how short.
    """

    ARGUMENTS = ("table", "tunnel", "max_lag_seconds")

    def __init__(self, connection: str, table: str, tunnel: str, max_lag_seconds: float, poll_seconds: float) -> None:
        super().__init__(connection, poll_seconds)
        self.table, self.tunnel, self.max_lag_seconds = table, tunnel, max_lag_seconds

    def ask(self, client: Client) -> Answer | None:
        from airflow_tablestore.pipeline.tunnel.tunnels import look

        found = look(client, self.table, self.tunnel)
        if found.tunnel.is_expired:
            return {"error": f"Tunnel {self.tunnel} of table {self.table} is expired: nobody can read it any more."}
        behind = found.behind_seconds
        if behind is not None and behind <= self.max_lag_seconds:
            return {"done": {"behind_seconds": behind}}
        self.log.info("Not caught up: %s.", "not known" if behind is None else f"{behind:.1f} s behind")
        return None
