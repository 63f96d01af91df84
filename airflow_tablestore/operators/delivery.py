"""Delivery tasks of the service, owned by a DAG: make, change, describe, list, delete, and audit what was delivered.

Thin: each operator builds the task from its arguments, calls one function of `pipeline.delivery` and returns what it
found. Doing any of them again changes nothing, so Airflow's retries are safe. Waiting is in `sensors.delivery`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator

from airflow_tablestore.assets import DEFAULT_CONNECTION, as_inlets, assets_of_source
from airflow_tablestore.errors import SpecError
from airflow_tablestore.hooks.oss import ObjectStoreHook
from airflow_tablestore.hooks.tablestore import TablestoreHook
from airflow_tablestore.operators.links import PublishedObjectsLink
from airflow_tablestore.operators.retries import retried_only_where_it_helps

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Asset, Context

    from airflow_tablestore.client import Client
    from airflow_tablestore.pipeline.delivery.prefix import Partition
    from airflow_tablestore.pipeline.delivery.task import Outcome, Wish
    from airflow_tablestore.spec.kinds.delivery import DeliverySpec
    from airflow_tablestore.wire.delivery import DeliveryTask

COLOR = "#e4e9f3"


class DeliveryOperator(BaseOperator):
    """What the operators share that name a task. Not used by itself.

    :param table: the table that is delivered.
    :param task_name: the task's name.
    :param tablestore_conn_id: the connection of the table.
    """

    template_fields: Sequence[str] = ("table", "task_name", "tablestore_conn_id")
    ui_color = COLOR

    def __init__(
        self, *, table: str, task_name: str, tablestore_conn_id: str = DEFAULT_CONNECTION, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.task_name = task_name
        self.tablestore_conn_id = tablestore_conn_id

    @contextmanager
    def client(self) -> Iterator[Client]:
        """A client; errors that no retry can help end the task for good."""
        with retried_only_where_it_helps(), TablestoreHook(self.tablestore_conn_id).get_conn() as client:
            yield client


class DefinedDeliveryOperator(BaseOperator):
    """What the operators share that have a task's whole definition. Not used by itself.

    :param source: what a spec has under `source`: table, connection.
    :param delivery: what a spec has under `delivery`: task, type, bucket, endpoint, prefix, role, schema.
    :param timezone: the zone in which the service fills in time variables, unless `delivery` has its own.
    """

    template_fields: Sequence[str] = ("source", "delivery")
    ui_color = COLOR

    def __init__(
        self,
        *,
        source: Mapping[str, Any],
        delivery: Mapping[str, Any],
        timezone: str = "UTC",
        inlets: Sequence[Asset] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs, inlets=as_inlets(assets_of_source(source), inlets))
        self.source = source
        self.delivery = delivery
        self.timezone = timezone

    def spec(self) -> DeliverySpec:
        """The arguments, now without templates, as a spec.

        :raises SpecError: they do not make one; holds every problem.
        """
        from airflow_tablestore.spec.kinds.delivery import DeliverySpec

        parts: dict[str, Any] = {"source": self.source, "delivery": self.delivery}
        return DeliverySpec(pipeline="delivery", timezone=self.timezone, **parts)

    @contextmanager
    def open(self) -> Iterator[tuple[Client, Wish]]:
        """A client and the task that is wanted; errors that no retry can help end the task for good."""
        from airflow_tablestore.spec.build_delivery import delivery_wish

        with retried_only_where_it_helps():
            spec = self.spec()
            with TablestoreHook(spec.source.connection).get_conn() as client:
                yield client, delivery_wish(spec)


class CreateDeliveryTaskOperator(DefinedDeliveryOperator):
    """Makes a delivery task, unless it stands; doing it again changes nothing.

    Everything is checked before anything is sent: name, prefix, role, endpoint, columns, and types against the table.
    A task that stands with another definition fails the operator with the differences, or is updated or made anew, as
    `on_drift` in `delivery` says. Returns what was done: created, unchanged, updated or recreated.
    """

    def execute(self, context: Context) -> dict[str, Any]:
        from airflow_tablestore.pipeline.delivery.task import ensure

        with self.open() as (client, wish):
            return _told(self, wish.task, ensure(client, wish))


class UpdateDeliveryTaskOperator(DefinedDeliveryOperator):
    """Gives a task that stands another destination. Fails when there is no such task; no update changes its type."""

    def execute(self, context: Context) -> dict[str, Any]:
        from airflow_tablestore.pipeline.delivery.task import update

        with self.open() as (client, wish):
            return _told(self, wish.task, update(client, wish))


class DeleteDeliveryTaskOperator(DeliveryOperator):
    """Deletes a delivery task; what it has delivered stays. One that is gone already is no failure.

    Returns whether it was there.
    """

    def execute(self, context: Context) -> bool:
        from airflow_tablestore.pipeline.delivery.task import delete

        with self.client() as client:
            was_there = delete(client, self.table, self.task_name)
        gone = "deleted" if was_there else "not there"
        self.log.info("The delivery task '%s' of table '%s' is %s.", self.task_name, self.table, gone)
        return was_there


class DescribeDeliveryTaskOperator(DeliveryOperator):
    """Tells how far a delivery task is: phase, `reached`, lag, and what has stopped it, which is not raised."""

    def execute(self, context: Context) -> dict[str, Any]:
        from airflow_tablestore.pipeline.delivery.progress import look

        with self.client() as client:
            at = look(client, self.table, self.task_name)
        self.log.info("%s", at)
        return at.to_json()


class ListDeliveryTasksOperator(BaseOperator):
    """Lists the delivery tasks of a table: a list of `{table, task, type}`.

    :param table: the table that is delivered.
    :param tablestore_conn_id: the connection of the table.
    """

    template_fields: Sequence[str] = ("table", "tablestore_conn_id")
    ui_color = COLOR

    def __init__(self, *, table: str, tablestore_conn_id: str = DEFAULT_CONNECTION, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.tablestore_conn_id = tablestore_conn_id

    def execute(self, context: Context) -> list[dict[str, str]]:
        from airflow_tablestore.wire.delivery import list_delivery_tasks

        with retried_only_where_it_helps(), TablestoreHook(self.tablestore_conn_id).get_conn() as client:
            found = client.send(list_delivery_tasks(self.table))
        return [{"table": one.table, "task": one.name, "type": one.type.value} for one in found]


class AuditDeliveryOperator(DefinedDeliveryOperator):
    """Reads the delivered Parquet of a partition back and lays it beside the table.

    Tells rows that are missing, and values that were dropped with the reason. Reads the whole table. Returns the
    report; fails when something is missing, unless `fails` is False.

    :param partition: a moment of the folder that is audited; a template. By default the run's own.
    :param oss_conn_id: the connection with which the files are read.
    :param fails: whether a loss fails the task.
    """

    template_fields = (*DefinedDeliveryOperator.template_fields, "partition", "oss_conn_id")
    operator_extra_links = (PublishedObjectsLink(),)

    def __init__(
        self,
        *,
        partition: str = "{{ data_interval_start or dag_run.run_after }}",
        oss_conn_id: str = "oss_default",
        fails: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.partition = partition
        self.oss_conn_id = oss_conn_id
        self.fails = fails

    def execute(self, context: Context) -> dict[str, Any]:
        from airflow_tablestore.pipeline.delivery.audit import audit

        with self.open() as (client, wish):
            oss, to = ObjectStoreHook(self.oss_conn_id), wish.task.destination
            place = partition_of(to.prefix, self.partition, self.spec().folder_zone)
            with closing(oss.store(to.bucket)) as store:
                found = audit(client, store, wish.task, place, wish.optional)
            PublishedObjectsLink.remember(context, oss.objects_url(to.bucket, place.prefix))
        for line in found.lines():
            self.log.info("%s", line)
        report = found.to_json()
        if self.fails and not found.is_whole:
            context["ti"].xcom_push(key="audit", value=report)
            raise AirflowFailException("The delivery is not what the table holds.\n" + "\n".join(found.lines()))
        return report


def _told(operator: BaseOperator, task: DeliveryTask, outcome: Outcome) -> dict[str, Any]:
    for warning in outcome.warnings:
        operator.log.warning("%s", warning)
    for one in outcome.differences:
        operator.log.info("It was otherwise: %s.", one)
    operator.log.info("%s is %s.", task.subject, outcome.action.value)
    return {"table": task.table, "task": task.name, **outcome.to_json()}


def moment_of(name: str, text: object) -> datetime:
    """A moment that a template has made; without a zone it is in UTC.

    :raises SpecError: it is none.
    """
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        raise SpecError(f"{name} is no date and time: {text!r}; write for example 2026-11-20T04:00:00+08:00.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def partition_of(prefix: str | None, moment: object, zone: str) -> Partition:
    """The folder that a moment falls into.

    :raises SpecError: there is no prefix, no moment, or no folder that is ever complete.
    """
    from airflow_tablestore.pipeline.delivery.prefix import partition

    if prefix is None:
        raise SpecError("A partition is told by the task's prefix: give the operator `bucket` and `prefix`.")
    return partition(prefix, moment_of("partition", moment), zone)


def partition_told(place: Partition) -> dict[str, Any]:
    """A folder as asset events and XCom have it."""
    return {
        "prefix": place.prefix,
        "start": place.start and place.start.isoformat(),
        "end": place.end and place.end.isoformat(),
    }
