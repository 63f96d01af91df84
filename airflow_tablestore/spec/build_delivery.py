"""What a spec of a delivery becomes: the task that shall stand. No service is asked here."""

from __future__ import annotations

from airflow_tablestore.pipeline.delivery.task import OnDrift, Wish
from airflow_tablestore.spec.kinds.delivery import DeliverySpec
from airflow_tablestore.wire.delivery import DeliveredColumn, DeliveryTask, Destination, EventTime


def delivery_wish(spec: DeliverySpec) -> Wish:
    """The task that shall stand."""
    its = spec.delivery
    columns = tuple(
        DeliveredColumn(one.column, one.output, one.type, one.encoding, one.extension) for one in its.fields
    )
    event = None if its.event_time is None else EventTime(its.event_time.column, its.event_time.format)
    to = Destination(its.prefix, its.bucket, its.endpoint, its.role, columns, event)
    optional = frozenset(one.column for one in its.fields if one.optional)
    return Wish(DeliveryTask(spec.source.table, its.task, to, its.type), OnDrift(its.on_drift), optional)
