"""What is said of a window that stands: in the ledger, in the report, and by its manifest to those around."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, cast

from airflow_tablestore.pipeline.boundaries import Boundary
from airflow_tablestore.pipeline.incremental.job import (
    Incremental,
    WindowReport,
    WindowServices,
    ledger_of,
    service_time,
)
from airflow_tablestore.pipeline.incremental.ledger import WindowEntry, WindowState
from airflow_tablestore.pipeline.incremental.objects import WindowObjects
from airflow_tablestore.pipeline.incremental.sink import WindowSink
from airflow_tablestore.pipeline.manifest import Manifest, PublishedWindow
from airflow_tablestore.pipeline.target import ObjectTarget
from airflow_tablestore.pipeline.window import Window

if TYPE_CHECKING:
    from airflow_tablestore.pipeline.store import Store
    from airflow_tablestore.pipeline.warehouse import Warehouse


def sink_of(export: Incremental, services: WindowServices, window: Window) -> WindowSink:
    """Where a window goes."""
    target = export.target(window)
    if isinstance(target, ObjectTarget):
        return WindowObjects(cast("Store", services.store), target, export.pipeline, window)
    from airflow_tablestore.pipeline.incremental.table import WindowTable

    warehouse, ledger = cast("Warehouse", services.store), ledger_of(export, services)
    return WindowTable(warehouse, target, export.pipeline, window, ledger, export.source)


def record(export: Incremental, services: WindowServices, manifest: Manifest, window: PublishedWindow) -> None:
    """Have the ledger say what was published."""
    objects = manifest.of_run(window.run)
    ledger_of(export, services).record(
        WindowEntry(
            window.window,
            WindowState.ACCEPTED if window.loss else WindowState.PUBLISHED,
            window.run,
            window.stream_id,
            sum(o.rows for o in objects),
            len(objects),
            sink_of(export, services, window.window).manifest,
            window.predecessor,
            window.loss or "",
            service_time(export, services),
        )
    )


def report_of(
    export: Incremental,
    services: WindowServices,
    manifest: Manifest,
    window: PublishedWindow,
    was_published: bool = False,
) -> WindowReport:
    """What a caller hears of a window that stands."""
    objects = manifest.of_run(window.run)
    return WindowReport(
        pipeline=export.pipeline,
        window=window.window,
        run=window.run,
        rows=sum(o.rows for o in objects),
        bytes=sum(o.bytes for o in objects),
        objects=len(objects),
        seconds=0.0,
        dirty=window.dirty,
        samples=window.samples,
        late=window.late,
        partial_rows=window.partial_rows,
        manifest=sink_of(export, services, window.window).manifest,
        was_published=was_published,
        loss=window.loss,
    )


def told_boundaries(
    export: Incremental, services: WindowServices, window: Window, standing: Manifest | None
) -> Iterator[Boundary]:
    """The boundaries that this window's manifest and its neighbours' tell."""
    yield from _boundaries(standing.windows if standing else ())
    for neighbour in (export.grid.before(window), export.grid.after(window)):
        yield from _boundaries(sink_of(export, services, neighbour).told())


def _boundaries(windows: Iterable[PublishedWindow]) -> Iterator[Boundary]:
    for one in windows:
        yield from (boundary for boundary in (one.begin, one.end) if boundary is not None)
