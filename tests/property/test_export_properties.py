"""Random rows and random histories: what is published is what was written."""

from __future__ import annotations

import json
import math
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings

from airflow_tablestore.errors import StartOver, Superseded
from airflow_tablestore.pipeline.contract import Limits
from airflow_tablestore.pipeline.formats.parquet import Parquet
from airflow_tablestore.pipeline.full_export.export import (
    FullExport,
    ObjectTarget,
    Services,
    TableSelection,
    WriteMode,
    run,
)
from airflow_tablestore.pipeline.manifest import is_complete, read_manifest
from airflow_tablestore.pipeline.publish import STEPS, publish_objects
from airflow_tablestore.pipeline.sources.conversion import others_as_json
from airflow_tablestore.wire.row import Cell, Row
from tests.conformance.exports import PIPELINE, PREFIX, again, assert_published, prepared
from tests.conformance.folder_store import FolderStore
from tests.conformance.format_pack import same
from tests.conformance.memory_table import MemoryTable

MODEST = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

VALUES = st.integers(-(2**63), 2**63 - 1) | st.floats() | st.booleans() | st.text(max_size=8) | st.binary(max_size=8)
CELLS = st.dictionaries(st.sampled_from("abcdef"), VALUES, max_size=6)


@MODEST
@given(st.lists(CELLS, max_size=12), st.integers(1, 5), st.integers(0, 3), st.integers(1, 4))
def test_every_row_is_exported_once_or_told_as_dirty(rows, page_rows, cells_in_page, threads):
    stored = [Row((("id", n),), tuple(Cell(k, cells[k], 1) for k in sorted(cells))) for n, cells in enumerate(rows)]
    table = MemoryTable(stored, page_rows=page_rows, cells_in_page=cells_in_page, points=[(("id", 4),), (("id", 8),)])
    with tempfile.TemporaryDirectory() as folder:
        store = FolderStore(Path(folder))
        export = FullExport(
            PIPELINE,
            TableSelection("t", tasks=3),
            ObjectTarget("fake", PREFIX, Parquet(row_group_rows=2)),
            Limits(errors=len(rows), threads=threads),
        )

        report = run(export, Services(table, store), run="r")

        found = [row for o in store.list(PREFIX) if o.key.endswith(".parquet") for row in _read(store, o.key)]
    assert report.rows == len(found)
    assert report.rows + report.dirty == len(rows)
    assert [row["id"] for row in found] == sorted({row["id"] for row in found})
    for row in found:
        assert _same_cells(row, rows[row["id"]])


def _read(store: FolderStore, key: str) -> list[dict[str, Any]]:
    return pq.read_table(pa.BufferReader(store.get(key))).to_pylist()


def _same_cells(row: dict[str, Any], written: dict[str, Any]) -> bool:
    others = json.loads(row.pop("_other", None) or "{}")
    found = {k: v for k, v in row.items() if k != "id" and v is not None}
    expected = {k: v for k, v in written.items() if k not in others}
    as_json = json.loads(others_as_json({k: written[k] for k in others}))
    return found.keys() == expected.keys() and all(same(found[k], expected[k]) for k in found) and others == as_json


@MODEST
@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=5))
def test_unknown_cells_are_json_whatever_they_hold(cells):
    text = others_as_json(cells)

    document = json.loads(text, parse_constant=lambda word: 1 / 0)
    assert list(document) == sorted(cells)
    for name, value in cells.items():
        if isinstance(value, float) and not math.isfinite(value):
            assert same(float(document[name]["double"]), value)
        elif not isinstance(value, bytes):
            assert same(document[name], value)


class Crash(Exception):
    """The end of a process."""


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["r1", "r2", "r3"]),
        st.sampled_from([None, *(name for name, _ in STEPS)]),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


@MODEST
@given(EVENTS)
def test_any_history_of_truncating_runs_ends_with_the_last_alone(events):
    with tempfile.TemporaryDirectory() as folder:
        store = FolderStore(Path(folder))
        for number, (name, crash, is_retried) in enumerate(events):
            _attempt(store, prepared(store, name, f"{name} {number}".encode()), crash, is_retried)
            _check(store)

        publish_objects(store, prepared(store, "r9", b"last"))

        assert_published(store, "r9", b"last")
        assert store.pending_uploads() == []


@MODEST
@given(EVENTS)
def test_any_history_of_appending_runs_can_be_made_whole_by_running_them_again(events):
    with tempfile.TemporaryDirectory() as folder:
        store = FolderStore(Path(folder))
        for number, (name, crash, is_retried) in enumerate(events):
            publication = prepared(store, name, f"{name} {number}".encode(), mode=WriteMode.APPEND)
            _attempt(store, publication, crash, is_retried)
            _check(store)

        left = ["r1", "r2", "r3"]
        for _ in range(2):  # one run may have to be finished before another may publish
            left = [name for name in left if not _published_again(store, name)]

        assert left == []
        assert_published(store, _check(store).run, b"r1 again", b"r2 again", b"r3 again")
        assert store.pending_uploads() == []


def _published_again(store: FolderStore, name: str) -> bool:
    publication = prepared(store, name, f"{name} again".encode(), mode=WriteMode.APPEND)
    try:
        publish_objects(store, publication)
    except StartOver:
        return False
    return True


def _attempt(store: FolderStore, publication: Any, crash: str | None, is_retried: bool) -> None:
    def before(step: str) -> None:
        if step == crash:
            raise Crash

    with suppress(Crash, StartOver, Superseded):
        publish_objects(store, publication, before)
        return
    if is_retried:
        with suppress(StartOver, Superseded):
            publish_objects(store, again(publication))


def _check(store: FolderStore) -> Any:
    """Wherever a manifest stands, it tells the truth."""
    manifest = read_manifest(store, PREFIX)
    assert manifest is None or is_complete(store, manifest)
    return manifest
