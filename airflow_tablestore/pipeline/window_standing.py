"""What stands at a window's prefix, and what is said of it: the manifest, the ledger's entry and the report."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_tablestore.errors import SpecError
from airflow_tablestore.pipeline.boundaries import Boundary
from airflow_tablestore.pipeline.layout import MANIFEST, PREVIOUS, SUCCESS
from airflow_tablestore.pipeline.ledger import WindowEntry, WindowState
from airflow_tablestore.pipeline.manifest import Manifest, PublishedWindow, read_manifest
from airflow_tablestore.pipeline.publish import refuse_foreign_pipeline
from airflow_tablestore.pipeline.target import ObjectTarget, WriteMode
from airflow_tablestore.pipeline.window import Window
from airflow_tablestore.pipeline.window_job import Incremental, WindowReport, WindowServices, ledger_of, service_time
from airflow_tablestore.pipeline.window_plan import window_key


def standing_manifest(
    export: Incremental, services: WindowServices, window: Window, target: ObjectTarget
) -> Manifest | None:
    """The manifest at the window's prefix.

    :raises SpecError: it is another pipeline's, or another window's that would be replaced.
    """
    place = services.store.uri(target.prefix)
    standing = read_manifest(services.store, target.prefix) or read_manifest(services.store, target.prefix, PREVIOUS)
    refuse_foreign_pipeline(standing, export.pipeline, place)
    if standing and target.write_mode is WriteMode.TRUNCATE and standing.window_of(window_key(window)) is None:
        held = f"window {standing.windows[0].window}" if standing.windows else "a full export"
        raise SpecError(
            f"{place} holds {held} of '{export.pipeline}', which window {window} would replace. Write the window's "
            "time into the prefix, or append."
        )
    return standing


def published_window(
    services: WindowServices, target: ObjectTarget, standing: Manifest | None, run: str
) -> tuple[Manifest, PublishedWindow] | None:
    """The manifest and the window in it, when a reader may rely on them."""
    window = standing.window_of(run) if standing else None
    if standing is None or window is None:
        return None
    if services.store.head(target.prefix + SUCCESS) is None or services.store.head(target.prefix + MANIFEST) is None:
        return None
    return standing, window


def record(export: Incremental, services: WindowServices, manifest: Manifest, window: PublishedWindow) -> None:
    objects = manifest.of_run(window.run)
    ledger_of(export, services).record(
        WindowEntry(
            window.window,
            WindowState.ACCEPTED if window.loss else WindowState.PUBLISHED,
            window.run,
            window.stream_id,
            sum(o.rows for o in objects),
            len(objects),
            services.store.uri(export.target(window.window).prefix + MANIFEST),
            window.predecessor,
            window.loss or "",
            service_time(export, services),
        )
    )


def report_of(
    export: Incremental,
    services: WindowServices,
    target: ObjectTarget,
    manifest: Manifest,
    window: PublishedWindow,
    was_published: bool = False,
) -> WindowReport:
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
        late=window.late,
        partial_rows=window.partial_rows,
        manifest=services.store.uri(target.prefix + MANIFEST),
        was_published=was_published,
        loss=window.loss,
    )


def told_boundaries(
    export: Incremental, services: WindowServices, window: Window, standing: Manifest | None
) -> Iterator[Boundary]:
    """The boundaries that this window's manifest and its neighbours' tell."""

    def told(manifest: Manifest | None) -> Iterator[Boundary]:
        for one in manifest.windows if manifest and manifest.pipeline == export.pipeline else ():
            yield from (boundary for boundary in (one.begin, one.end) if boundary is not None)

    yield from told(standing)
    own = export.target(window).prefix
    for neighbour in (export.grid.before(window), export.grid.after(window)):
        prefix = export.target(neighbour).prefix
        if prefix != own:
            yield from told(read_manifest(services.store, prefix))
