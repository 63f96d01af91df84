"""Window exports over the real protocols: the official SDK writes, our client reads the stream, OSS holds the objects.

The oracle is what the test wrote, with the times of the emulator's data clock.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow.parquet as pq
import pytest

from airflow_tablestore.client import Client, Endpoint
from airflow_tablestore.client.client import Surroundings
from airflow_tablestore.emulator import Emulator
from airflow_tablestore.emulator.faults import Fault, Kind
from airflow_tablestore.errors import NotDue, SpecError, WindowLost
from airflow_tablestore.pipeline.contract import Limits, Picked
from airflow_tablestore.pipeline.formats.csv import Csv
from airflow_tablestore.pipeline.formats.parquet import Parquet
from airflow_tablestore.pipeline.incremental.export import (
    Incremental,
    WindowReport,
    WindowServices,
    accept_loss,
    export_range,
    export_window,
    ledger_of,
)
from airflow_tablestore.pipeline.manifest import Manifest, is_complete, read_manifest
from airflow_tablestore.pipeline.selection import ChangeMode, ChangeSelection
from airflow_tablestore.pipeline.sinks.oss import ObjectStore, OssEndpoint
from airflow_tablestore.pipeline.target import ObjectTarget
from airflow_tablestore.pipeline.window import Window
from airflow_tablestore.wire.row import ColumnType
from tests.conformance.windows import EVERY, GRID, LAG, prefix_of
from tests.integration.streaming import StreamTable

pytestmark = pytest.mark.slow


class Case:
    """A streamed table whose data clock begins `ago`, on the grid; window 0 begins there."""

    def __init__(self, emulator: Emulator, ago: timedelta = timedelta(hours=1), hours: int = 24):
        emulator.reset()
        self.emulator, oss = emulator, emulator.oss
        self.start = GRID.ceil(datetime.now(UTC) - ago)
        self.table = StreamTable(emulator, at=self.start - timedelta(seconds=1), hours=hours)
        self.store = ObjectStore(OssEndpoint(oss.endpoint, oss.access_key_id, oss.access_key_secret), oss.bucket)
        self.services = WindowServices(self.table.client, self.table.client, self.store)
        self.export = self.incremental(ChangeSelection("t", ChangeMode.MULTI_VERSION), Csv(header=False))

    def incremental(self, source: ChangeSelection, format: Any, pipeline: str = "changes") -> Incremental:
        def target(window: Window) -> ObjectTarget:
            return ObjectTarget("backup", f"{pipeline}/{prefix_of(window)}", format)

        return Incremental(pipeline, "demo", source, GRID, LAG, target, Limits(threads=2))

    def at(self, minutes: float) -> StreamTable:
        return self.table.at(self.start + timedelta(minutes=minutes))

    def window(self, number: int) -> Window:
        return Window(self.start + number * EVERY, self.start + (number + 1) * EVERY)

    def run(self, number: int, **how: Any) -> WindowReport:
        return export_window(self.export, self.services, self.window(number), **how)

    def manifest(self, number: int, exported: Incremental | None = None) -> Manifest:
        manifest = read_manifest(self.store, (exported or self.export).target(self.window(number)).prefix)
        assert manifest is not None
        assert is_complete(self.store, manifest)
        return manifest

    def ids(self, number: int) -> list[int]:
        texts = [(self.store.get(o.key) or b"").decode() for o in self.manifest(number).objects]
        return sorted(int(row[0]) for text in texts for row in csv.reader(io.StringIO(text)))

    def written(self, number: int) -> list[int]:
        return sorted(id_ for id_, moment in self.table.written if self.window(number).holds(moment))

    def close(self) -> None:
        self.table.client.close()
        self.store.close()


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def case(running: Emulator) -> Iterator[Case]:
    made = Case(running)
    yield made
    made.close()


def write_much(case: Case) -> None:
    """Four windows of changes, with splits and a merge in the middle of them."""
    for minute in range(20):
        case.at(minute + 0.5).put(*range(minute * 10, minute * 10 + 4))
        if minute == 3:
            left, right = case.table.split(20)
        if minute == 8:
            case.table.merge(left, right)
        if minute == 12:
            case.table.split(100)
    case.at(21)


def test_windows_hold_what_was_written_in_their_time_across_splits_and_merges(case):
    write_much(case)

    reports = [case.run(number) for number in range(4)]

    assert [case.ids(number) for number in range(4)] == [case.written(number) for number in range(4)]
    assert [report.rows for report in reports] == [20] * 4
    assert [report.late for report in reports] == [0] * 4
    assert len(case.manifest(1).objects) > 1


def test_windows_in_reverse_and_as_a_range_hold_the_same(case):
    write_much(case)

    case.run(3)
    case.run(1)
    reports = list(export_range(case.export, case.services, case.start, case.start + 4 * EVERY))

    assert [case.ids(number) for number in range(4)] == [case.written(number) for number in range(4)]
    assert [report.was_published for report in reports] == [False, True, False, True]


def test_chosen_columns_become_typed_rows(case):
    case.at(1).put(1, n=5, name="one")
    case.table.put(2, n=6)
    case.at(6).put(3, n=7, name="three")
    case.at(12)
    source = ChangeSelection("t", ChangeMode.SINGLE_VERSION, tuple(Picked(name, name) for name in ("id", "n", "name")))
    exported = case.incremental(source, Parquet(), "columns")

    report = export_window(exported, case.services, case.window(0))

    tables = [pq.read_table(io.BytesIO(case.store.get(o.key) or b"")) for o in case.manifest(0, exported).objects]
    assert [row for table in tables for row in table.to_pylist()] == [
        {"id": 1, "n": 5, "name": "one"},
        {"id": 2, "n": 6, "name": None},
    ]
    assert report.partial_rows == 1
    pinned = ledger_of(exported, case.services).schema()
    assert pinned is not None
    assert {c.name: c.type for c in pinned.columns}["n"] is ColumnType.INTEGER
    assert [c.name for c in case.manifest(0, exported).columns] == ["id", "n", "name"]


def test_records_that_show_late_are_in_the_later_window(case):
    case.at(1).put(1)
    case.table.hold()
    case.table.put(2)
    case.at(12)
    case.run(0)
    case.table.release()
    case.at(12).put(3)

    report = case.run(1)
    case.run(2)

    assert ([case.ids(n) for n in range(3)], report.late) == ([[1], [2], [3]], 1)


def test_a_clock_that_was_set_back_loses_and_doubles_nothing(case):
    case.at(6).put(1)
    case.at(2).put(2)
    case.at(4).put(3)
    case.at(11).put(4)
    case.at(16)

    for number in (0, 1, 2):
        case.run(number)

    assert [case.ids(n) for n in range(3)] == [[], [1, 2, 3], [4]]


@pytest.mark.parametrize("kind", [Kind.LOST_ANSWER, Kind.ERROR, Kind.RESET, Kind.CUT_BODY])
def test_faults_of_the_service_change_nothing(case, kind):
    write_much(case)
    code = "OTSServerBusy" if kind is Kind.ERROR else ""
    for operation in ("GetStreamRecord", "PutRow", "GetShardIterator", "DescribeStream", "GetRow"):
        case.emulator.faults.add(Fault(kind, operation=operation, code=code, probability=0.2, count=3, seed=7))

    for number in range(4):
        case.run(number)

    assert [case.ids(number) for number in range(4)] == [case.written(number) for number in range(4)]


def test_a_clock_of_this_machine_that_is_fast_makes_no_window_due(case):
    access = case.emulator.tablestore
    endpoint = Endpoint(access.endpoint, access.instance, access.access_key_id, access.access_key_secret)
    fast = Surroundings(now=lambda: datetime.now(UTC) + timedelta(minutes=12))
    now = datetime.now(UTC)
    soon = Window(GRID.floor(now), GRID.floor(now) + EVERY)

    with Client(endpoint, surroundings=fast) as client, pytest.raises(NotDue):
        export_window(case.export, WindowServices(client, client, case.store), soon)


def test_an_expired_window_is_lost_until_somebody_accepts_that(case):
    case.at(1).put(1)
    case.at(12)
    case.run(0)
    case.at(6).put(2)
    case.at(11).put(3)
    case.table.expire()
    case.at(17).put(4)

    with pytest.raises(WindowLost):
        case.run(1)
    accept_loss(case.export, case.services, case.window(1), "expired by hand")

    assert (case.run(1).loss, case.run(2).rows, case.run(3).rows) == ("expired by hand", 0, 1)


def test_a_stream_that_was_switched_off_and_on_has_lost_its_windows(case):
    case.at(1).put(1)
    case.at(12)
    case.run(0)
    case.at(6).put(2)
    case.at(12).renew()
    case.table.put(3)
    case.at(22)

    for number in (1, 2):
        with pytest.raises(WindowLost, match="created"):
            case.run(number)

    assert case.run(3).rows == 0


def test_after_three_days_with_one_day_of_retention_only_what_expired_is_lost(running):
    case = Case(running, ago=timedelta(days=3))
    case.at(1).put(1)
    case.at(6).put(2)
    here = (datetime.now(UTC) - case.start - timedelta(minutes=40)) // EVERY
    case.at(here * 5 + 1).put(3)
    case.at(here * 5 + 30)

    for number in (0, 1, here - 24 * 12):
        with pytest.raises(WindowLost, match="keeps 24 hours"):
            case.run(number)
    reports = list(export_range(case.export, case.services, case.window(here - 2).start, case.window(here + 2).start))

    assert sum(report.rows for report in reports) == 1
    assert case.ids(here) == [3]
    case.close()


def test_a_table_without_a_stream_is_refused_with_the_command(case):
    exported = case.incremental(ChangeSelection("t", ChangeMode.MULTI_VERSION), Csv())
    case.table.disable()

    with pytest.raises(SpecError, match="stream enable t"):
        export_window(exported, case.services, case.window(0))


def test_the_requests_for_the_start_do_not_grow_with_the_backlog(running):
    counts = []
    for hours in (1, 24):
        case = Case(running, ago=timedelta(hours=hours, minutes=30), hours=48)
        for minute in range(0, hours * 60, 5):
            case.at(minute + 1).put(minute, minute + 1)
        case.emulator.traffic.clear()
        case.run(hours * 12 - 2)
        asked = [one.operation for one in case.emulator.requests()]
        counts.append({name: asked.count(name) for name in ("GetShardIterator", "GetStreamRecord", "DescribeStream")})
        assert case.ids(hours * 12 - 2) == case.written(hours * 12 - 2)
        case.close()

    assert counts[0] == counts[1]
    assert sum(counts[0].values()) < 8
