"""The question how far a delivery task is; how it is asked is in `question`.

Since when it is asked is an argument, so a triggerer that is started anew waits no longer for a task that is stuck.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_tablestore.triggers.question import Answer, QuestionTrigger

if TYPE_CHECKING:
    from airflow_tablestore.client import Client


class DeliveryTaskTrigger(QuestionTrigger):
    """Fires when a delivery task is as far as is wanted, or never will be.

    The answer is `{"done": standing}`, or `{"error": sentence}`.

    :param connection: the name of a `tablestore` connection.
    :param wanted: what is waited for, as `Wanted.to_json` makes it.
    :param since: when it was first asked, in ISO 8601 with its offset.
    :param stuck_after_seconds: how long after that the task may be in its first phase.
    """

    ARGUMENTS = ("table", "task_name", "wanted", "since", "stuck_after_seconds")

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
        super().__init__(connection, poll_seconds)
        self.table, self.task_name, self.wanted = table, task_name, dict(wanted)
        self.since, self.stuck_after_seconds = since, stuck_after_seconds

    def ask(self, client: Client) -> Answer | None:
        from airflow_tablestore.pipeline.delivery.progress import Wanted, check_not_stuck, is_met, look

        at = look(client, self.table, self.task_name)
        if is_met(Wanted.from_json(self.wanted), at):
            return {"done": at.to_json()}
        check_not_stuck(at, datetime.fromisoformat(self.since), timedelta(seconds=self.stuck_after_seconds))
        self.log.info("Not yet: %s.", at)
        return None
