"""Window exports over a stream in memory and a store in memory, for tests of the engine."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_tablestore.pipeline.contract import Limits
from airflow_tablestore.pipeline.formats.csv import Csv
from airflow_tablestore.pipeline.incremental.export import Incremental, WindowServices, export_window
from airflow_tablestore.pipeline.layout import SUCCESS
from airflow_tablestore.pipeline.manifest import is_complete, read_manifest
from airflow_tablestore.pipeline.selection import ChangeMode, ChangeSelection
from airflow_tablestore.pipeline.store import Store
from airflow_tablestore.pipeline.target import ObjectTarget, WriteMode
from airflow_tablestore.pipeline.window import FixedGrid, Window
from tests.conformance.memory_store import MemoryStore
from tests.conformance.memory_stream import MemoryStream

START = datetime(2026, 11, 20, 8, tzinfo=UTC)
EVERY, LAG = timedelta(minutes=5), timedelta(minutes=5)
GRID = FixedGrid(EVERY)


def prefix_of(window: Window) -> str:
    return f"changes/{window.start:%Y%m%dT%H%M%S}/"


def export(*, pipeline: str = "changes", threads: int = 2, mode: str = "truncate", **how: Any) -> Incremental:
    """Every changed cell as a line of CSV that begins with the row's id."""

    def target(window: Window) -> ObjectTarget:
        prefix = "changes/all/" if mode == "append" else prefix_of(window)
        return ObjectTarget("fake", f"{pipeline}/{prefix}", Csv(header=False), WriteMode(mode))

    source = ChangeSelection("t", ChangeMode.MULTI_VERSION)
    workers = how.pop("workers", 0)
    return Incremental(pipeline, "demo", source, GRID, LAG, target, Limits(threads=threads, workers=workers), **how)


def services(stream: MemoryStream) -> WindowServices:
    return WindowServices(stream, stream, MemoryStore())


def window(number: int, start: datetime = START) -> Window:
    """The window that begins so many windows after the start."""
    return Window(start + number * EVERY, start + (number + 1) * EVERY)


def run_due(stream: MemoryStream, exported: Incremental, to: WindowServices, begin: datetime = START) -> list[Any]:
    """Exports every window that is due, as a scheduler does; the reports."""
    last = exported.grid.last_due(stream.now, exported.lag)
    return [export_window(exported, to, one) for one in exported.grid.between(begin, last.end)]


def published_ids(store: Store, exported: Incremental, one: Window) -> list[int] | None:
    """The ids in a window's objects, as a reader of the manifest finds them; None when it is not published."""
    target = exported.target(one)
    manifest = read_manifest(store, target.prefix)
    if manifest is None or store.get(target.prefix + SUCCESS) is None:
        return None
    entry = next((w for w in manifest.windows if w.window == one), None)
    if entry is None:
        return None
    assert is_complete(store, manifest)
    lines = [line for o in manifest.of_run(entry.run) for line in (store.get(o.key) or b"").splitlines()]
    return [int(line.split(b",")[0]) for line in lines]


def published(store: Store, exported: Incremental, windows: Sequence[Window]) -> list[int]:
    """The ids of several published windows, in order."""
    return sorted(id_ for one in windows for id_ in published_ids(store, exported, one) or [])
