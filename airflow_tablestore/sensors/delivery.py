"""Waits for a delivery task: for a phase, for everything up to a time, for a lag, for a complete partition.

By default it waits in the triggerer. A task in error ends the wait at once, with the service's own sentence. What is
asked is in `triggers.delivery`, so that a worker and the triggerer ask the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseHook

from airflow_tablestore.assets import DEFAULT_CONNECTION, delivered_asset
from airflow_tablestore.operators.delivery import moment_of, partition_of, partition_told
from airflow_tablestore.sensors.question import QuestionSensor
from airflow_tablestore.triggers.delivery import DeliveryTaskTrigger
from airflow_tablestore.triggers.question import Answer

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Asset, Context

    from airflow_tablestore.pipeline.delivery.progress import Wanted


class DeliveryTaskSensor(QuestionSensor):
    """Waits until a delivery task is as far as is wanted; everything that is named must hold.

    Returns where the task is: phase, `reached`, lag. Fails at once when the task is in error, is gone, or has not
    begun after `stuck_after`.

    With `bucket` and `prefix` it has the asset of the delivered files as its outlet, and with `partition` it waits
    until the hour, day or other folder of that moment is complete; the event then says which folder it is.

    :param table: the table that is delivered.
    :param task_name: the task's name.
    :param phase: "full" or "incremental": this one or a later one. A BaseTask is always awaited until it is done.
    :param reached: everything written before this was delivered; a template with a zone, such as
        "{{ data_interval_end }}".
    :param max_lag: longest time that delivery may be behind.
    :param partition: a moment, as a template; waits until the folder that it falls into is complete.
    :param bucket: where the task delivers, for the asset.
    :param prefix: the task's prefix, with its time variables.
    :param zone: the zone in which the service fills these in.
    :param stuck_after: how long the task may be in its first phase.
    :param tablestore_conn_id: the connection of the table.
    :param deferrable: wait without a worker, in the triggerer; False keeps to `mode`.
    """

    template_fields: Sequence[str] = (
        "table",
        "task_name",
        "reached",
        "partition",
        "bucket",
        "prefix",
        "tablestore_conn_id",
    )
    ui_color = "#e4e9f3"

    def __init__(
        self,
        *,
        table: str,
        task_name: str,
        phase: str | None = None,
        reached: str | None = None,
        max_lag: timedelta | None = None,
        partition: str | None = None,
        bucket: str | None = None,
        prefix: str | None = None,
        zone: str = "UTC",
        stuck_after: timedelta = timedelta(minutes=15),
        tablestore_conn_id: str = DEFAULT_CONNECTION,
        deferrable: bool = True,
        outlets: Sequence[Asset] | None = None,
        **kwargs: Any,
    ) -> None:
        self.published = [delivered_asset(bucket, prefix)] if bucket and prefix is not None else []
        super().__init__(**kwargs, outlets=[*self.published, *(outlets or ())])
        self.table = table
        self.task_name = task_name
        self.phase = phase
        self.reached = reached
        self.max_lag = max_lag
        self.partition = partition
        self.bucket = bucket
        self.prefix = prefix
        self.zone = zone
        self.stuck_after = stuck_after
        self.tablestore_conn_id = tablestore_conn_id
        self.deferrable = deferrable

    def wanted(self) -> Wanted:
        """What is waited for, from the arguments as they are now.

        :raises SpecError: they name no phase, no moment, or no folder that is ever complete.
        """
        from airflow_tablestore.errors import SpecError
        from airflow_tablestore.pipeline.delivery.progress import Wanted
        from airflow_tablestore.wire.delivery import Phase

        if self.phase is not None and self.phase not in (Phase.FULL, Phase.INCREMENTAL):
            raise SpecError(f"phase is {self.phase!r}: write full or incremental.")
        ends = [moment_of("reached", self.reached)] if self.reached else []
        if self.partition:
            end = partition_of(self.prefix, self.partition, self.zone).end
            if end is None:
                raise SpecError(f"The prefix {self.prefix!r} has no time variable, so it has no partitions.")
            ends.append(end)
        return Wanted(Phase(self.phase) if self.phase else None, max(ends, default=None), self.max_lag)

    def question(self, context: Context) -> DeliveryTaskTrigger:
        if self.deferrable:
            since = datetime.now(UTC)
        else:
            ti = context["ti"]
            first = ti.get_first_reschedule_date(context) if self.reschedule else ti.start_date
            since = first or datetime.now(UTC)
        return DeliveryTaskTrigger(
            self.tablestore_conn_id,
            self.table,
            self.task_name,
            self.wanted().to_json(),
            since.isoformat(),
            self.stuck_after.total_seconds(),
            self.poke_interval,
        )

    def ask(self, question: DeliveryTaskTrigger) -> Answer | None:
        return question.answer(BaseHook.get_connection(self.tablestore_conn_id))

    def told(self, context: Context, found: Mapping[str, Any]) -> Any:
        """Tell Airflow what is there now."""
        told = dict(found)
        if self.partition:
            told["partition"] = partition_told(partition_of(self.prefix, self.partition, self.zone))
        for asset in self.published:
            context["outlet_events"][asset].extra = told
        self.log.info("%s", told)
        return told
