"""Random histories of a table in the emulator, which judges: snapshots hold the rows that it had at their moments.

Rows are put, updated and deleted, cells and versions too; shards split and merge, time runs backwards; a full export is
made amid all that. Then the windows are exported and folded into snapshots, one of them from another one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.tablestore.service import Service
from airflow_tablestore.pipeline.boundaries import micros_of, moment_of
from airflow_tablestore.pipeline.contract import Limits
from airflow_tablestore.pipeline.fold.moment import PointInTime
from airflow_tablestore.pipeline.formats.parquet import Parquet
from airflow_tablestore.pipeline.full_export import export as full
from airflow_tablestore.pipeline.incremental.export import Incremental, WindowServices, export_window
from airflow_tablestore.pipeline.restore.job import PublishedSource
from airflow_tablestore.pipeline.selection import ChangeMode, ChangeSelection, TableSelection
from airflow_tablestore.pipeline.snapshot.snapshot import Snapshot, SnapshotServices, run
from airflow_tablestore.pipeline.sources.object_rows import ObjectRows
from airflow_tablestore.pipeline.sources.objects import find
from airflow_tablestore.pipeline.target import ObjectTarget
from airflow_tablestore.pipeline.window import FixedGrid, Window
from airflow_tablestore.wire.row import Cell, CellOp
from tests.conformance.emulated import EmulatedTable
from tests.conformance.memory_store import MemoryStore

pytestmark = pytest.mark.slow

GRID, LAG = FixedGrid(timedelta(minutes=5)), timedelta(minutes=5)
BEGIN = datetime.fromisoformat("2026-11-20T08:00:00+00:00")
INSTANCES = (f"inst-{number}" for number in itertools.count())
KEEPER = 99
"""A row that nobody touches: it shows every column to the export."""

VALUES = {"a": st.integers(0, 9), "b": st.sampled_from(["", "x", "null"]), "c": st.just(b"\0")}
IDS = st.integers(0, 4)
cells = st.fixed_dictionaries({}, optional=VALUES).filter(bool)
actions = st.one_of(
    st.tuples(st.just("put"), IDS, cells),
    st.tuples(st.just("update"), IDS, cells),
    st.tuples(st.just("delete"), IDS),
    st.tuples(st.just("delete_cell"), IDS, st.sampled_from("abc")),
    st.tuples(st.just("delete_version"), IDS, st.sampled_from("abc"), st.integers(0, 2)),
    st.tuples(st.just("put_version"), IDS, st.integers(0, 9), st.sampled_from([-600, -90, 1])),
    st.tuples(st.just("split"), IDS),
    st.tuples(st.just("merge"), IDS),
    st.tuples(st.just("advance"), st.sampled_from([1, 40, 170, 290, 300])),
    st.tuples(st.just("back"), st.sampled_from([2, 4])),
)


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    service = Service(None, Clock(lambda: micros_of(BEGIN) * 1000))
    yield service
    service.close()


class History:
    """What was done to a table, its exports, its rows at moments.

    `unsure`: ids whose versions were chosen or deleted.
    """

    def __init__(self, service: Service, max_versions: int):
        self.clock = service.streams._clock
        self.clock.reset()
        self.table = EmulatedTable(service, next(INSTANCES), self.clock, max_versions=max_versions)
        self.store, self.unsure = MemoryStore(), set[int]()
        self.states: dict[datetime, Any] = {}
        self.divided, self.went_back = 0, False
        self.clock.advance(60)
        self.table.put(KEEPER, Cell("a", 1), Cell("b", "b"), Cell("c", b"c"))

    def now(self) -> datetime:
        return moment_of(self.clock.micros())

    def do(self, kind: str, *what: Any) -> None:
        getattr(self, kind)(*what)

    def put(self, id_: int, values: dict[str, Any]) -> None:
        self.table.put(id_, *(Cell(name, value) for name, value in values.items()))

    def update(self, id_: int, values: dict[str, Any]) -> None:
        self.table.update(id_, *(Cell(name, value) for name, value in values.items()))

    def delete(self, id_: int) -> None:
        self.table.delete(id_)

    def delete_cell(self, id_: int, name: str) -> None:
        self.table.update(id_, Cell(name, None, None, CellOp.DELETE_ALL_VERSIONS))

    def delete_version(self, id_: int, name: str, which: int) -> None:
        standing = [*self.table.versions(id_, name), 1]
        self.table.update(id_, Cell(name, None, standing[which % len(standing)], CellOp.DELETE_ONE_VERSION))
        self.unsure.add(id_)

    def put_version(self, id_: int, value: int, seconds: int) -> None:
        """A cell with a version that its writer has chosen."""
        self.table.update(id_, Cell("a", value, self.clock.millis() + seconds * 1000))
        self.unsure.add(id_)

    def split(self, at: int) -> None:
        if self.may_divide():
            self.table.split(at)

    def merge(self, which: int) -> None:
        if self.may_divide():
            self.table.merge(which)

    def may_divide(self) -> bool:
        """Not twice where time ran backwards: which of two shards that ended in a window was first, only time tells."""
        self.divided += 1
        return not (self.went_back and self.divided > 1)

    def advance(self, seconds: int) -> None:
        self.table.advance(seconds)
        self.states[self.now()] = self.table.rows()

    def back(self, seconds: int) -> None:
        if self.divided <= 1:
            self.went_back = True
            self.table.advance(-seconds)

    # ---- exports

    def export(self) -> None:
        target = ObjectTarget("fake", "base/full/", Parquet())
        full.run(full.FullExport("full", TableSelection("t"), target), full.Services(self.table, self.store), run="f")

    def export_windows(self) -> datetime:
        """Every window of the history; the end of the last one."""
        last = GRID.holding(self.now())
        self.clock.advance(1200)
        self.states[last.end] = self.table.rows()
        source = ChangeSelection("t", ChangeMode.MULTI_VERSION, with_sequence=True)
        exported = Incremental("changes", "demo", source, GRID, LAG, _window_target, Limits(threads=1))
        for one in GRID.between(BEGIN, last.end):
            export_window(exported, WindowServices(self.table, self.table, self.store), one)
        return last.end

    def snapshot(self, name: str, to: datetime) -> dict[int, dict[str, Any]]:
        """What a snapshot holds once it is published."""
        prefix = f"base/{name}/"
        source = PointInTime("base/", "changes/", to, prefix)
        wanted = Snapshot(name, source, ObjectTarget("fake", prefix, Parquet()), Limits(errors=100))
        report = run(wanted, SnapshotServices(self.store, self.store), run=name)
        found = find(self.store, PublishedSource(prefix))
        rows = [row for one in found.objects for row in ObjectRows(self.store, found, one, found.keys, _never, FOLDER)]
        assert report.rows == len(rows)
        assert report.dirty <= len(self.unsure)
        return {row.key[0][1]: {cell.name: cell.value for cell in row.cells} for row in rows}


def _window_target(window: Window) -> ObjectTarget:
    return ObjectTarget("fake", f"changes/{window.start:%Y%m%dT%H%M}/", Parquet())


def _never(key: str, reason: str) -> None:
    raise AssertionError(f"{key}: {reason}")


FOLDER = Path()


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory) -> None:
    global FOLDER
    FOLDER = tmp_path_factory.mktemp("objects")


@settings(max_examples=40, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow])
@given(
    before=st.lists(actions, max_size=8),
    after=st.lists(actions, max_size=16),
    max_versions=st.sampled_from([1, 1, 2]),
    data=st.data(),
)
def test_a_snapshot_holds_what_the_table_held(service, before, after, max_versions, data):
    history = History(service, max_versions)
    for action in before:
        history.do(*action)
    history.export()
    exported_at = history.now()
    for action in after:
        history.do(*action)
    end = history.export_windows()
    moments = [end] if history.went_back else sorted(at for at in history.states if at > exported_at)

    first = data.draw(st.sampled_from(moments), label="first snapshot")
    for name, to in (("first", first), ("second", end)):
        rows = history.snapshot(name, to)

        expected = history.states[to]
        sure = (rows.keys() | expected.keys()) - history.unsure
        assert {id_: rows.get(id_) for id_ in sure} == {id_: expected.get(id_) for id_ in sure}
        for id_ in history.unsure & rows.keys():  # what is told of the others is not guessed
            assert rows[id_] == expected.get(id_)
