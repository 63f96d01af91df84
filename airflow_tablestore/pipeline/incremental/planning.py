"""The plan of a window: its columns, and its shards in parts."""

from __future__ import annotations

import logging
from dataclasses import replace

from airflow_tablestore.consumer.shards import describe
from airflow_tablestore.errors import PositionLost, SpecError
from airflow_tablestore.pipeline.contract import Schema
from airflow_tablestore.pipeline.incremental.bounds import Lost, Scout, divided, shard_tasks
from airflow_tablestore.pipeline.incremental.job import Incremental, WindowServices, ledger_of, lost, service_time
from airflow_tablestore.pipeline.incremental.ledger import Ledger, WindowEntry, WindowState
from airflow_tablestore.pipeline.incremental.plan import WindowHead, WindowPlan
from airflow_tablestore.pipeline.incremental.standing import told_boundaries
from airflow_tablestore.pipeline.incremental.takeover import Meeting, takeover_at
from airflow_tablestore.pipeline.manifest import Manifest
from airflow_tablestore.pipeline.selection import ChangeMode
from airflow_tablestore.pipeline.sources.stream import pin_changes
from airflow_tablestore.pipeline.window import Window
from airflow_tablestore.wire.table import TableDescription

log = logging.getLogger(__name__)


def pinned(
    export: Incremental, services: WindowServices, ledger: Ledger, description: TableDescription, repin: bool
) -> Schema:
    """The columns of this window, which later ones keep."""
    if export.source.mode is ChangeMode.MULTI_VERSION:
        return pin_changes(services.client, export.source, description).schema
    earlier = ledger.schema()
    schema = pin_changes(services.client, export.source, description, None if repin else earlier).schema
    return schema if schema == earlier else ledger.pin_schema(schema, earlier=earlier)


def window_before(export: Incremental, ledger: Ledger, window: Window) -> WindowEntry | None:
    """The ledger's entry of the window that ends where this one starts, if that is published."""
    entry = ledger.window(export.grid.before(window).start)
    if entry is None or entry.state is not WindowState.PUBLISHED or entry.window.end != window.start:
        return None
    return entry


def divided_window(
    export: Incremental,
    services: WindowServices,
    window: Window,
    description: TableDescription,
    standing: Manifest | None,
    head: WindowHead,
    before: WindowEntry | None,
    most_parts: int,
) -> WindowPlan:
    """The window's shards in parts, once it is known where it begins.

    :param before: see `window_before`.
    :raises WindowLost: the stream does not keep all of it.
    """
    if description.stream is None:
        raise SpecError(
            f"table {export.source.table} has no stream; switch it on: airflow-tablestore stream enable "
            f"{export.source.table} --hours 24"
        )
    ledger = ledger_of(export, services)
    shape = describe(services.client, description.stream.stream_id)
    scout = Scout(
        services.client,
        export.source.table,
        shape,
        ledger,
        service_time(export, services),
        lambda: told_boundaries(export, services, window, standing),
        export.limits.threads,
        lambda start: takeover_at(ledger, shape.id, export.source.table, start, export.grid),
    )
    try:
        bounds = scout.bounds(window, before.stream_id if before else None)
        tasks = shard_tasks(services.client, shape, bounds)
    except (Lost, PositionLost) as error:
        raise lost(export, services, window, shape.id, str(error)) from error
    if bounds.takeover is not None:
        log.log(logging.INFO if bounds.takeover.meeting is Meeting.MEETS else logging.WARNING, bounds.takeover.told)
    parts = divided(tasks, min(most_parts, max(1, export.limits.workers)))
    listed = {shard.id for shard in shape.shards}
    head = replace(
        head,
        stream_id=shape.id,
        parts=len(parts),
        is_fixed=bounds.end is not None,
        beside=bounds.beside,
        ended=tuple(shard for shard in bounds.begin.ended if shard in listed),
        takeover=bounds.takeover.told if bounds.takeover else "",
    )
    return WindowPlan(head, parts)
