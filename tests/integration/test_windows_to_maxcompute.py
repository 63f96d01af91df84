"""Windows into MaxCompute over the real protocols: written by the official SDK, read back beside the network.

The oracle is what the test wrote, never what the engine reports.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_tablestore.emulator import LocalCloud
from airflow_tablestore.errors import RetryLater, SpecError, StartOver, Superseded
from airflow_tablestore.pipeline.contract import Constant, Picked
from airflow_tablestore.pipeline.incremental.export import (
    WindowServices,
    export_part,
    export_range,
    export_window,
    ledger_of,
    plan_window,
    publish_window,
)
from airflow_tablestore.pipeline.incremental.ledger import WindowState
from airflow_tablestore.pipeline.selection import ChangeMode, ChangeSelection
from airflow_tablestore.pipeline.target import TableTarget
from airflow_tablestore.pipeline.window import Window
from airflow_tablestore.wire.row import ColumnType
from tests.conformance.windows import EVERY, GRID
from tests.integration.exporting_window import Steps, client_of
from tests.integration.loading import warehouse
from tests.integration.loading_window import export_of, stepped
from tests.integration.streaming import StreamTable

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
WRITTEN = {0: [1, 2, 7], 1: [3, 8], 2: []}


class World:
    """A stream with changes in two windows, in shards that were split in between."""

    def __init__(self, cloud):
        self.cloud, self.url = cloud, cloud.emulator.tablestore.endpoint
        self.start = GRID.floor(datetime.now(UTC) - timedelta(minutes=40))
        self.table = StreamTable(cloud.emulator, at=self.start - timedelta(seconds=30))
        self.table.at(self.start + timedelta(seconds=10)).put(1, 7)
        self.table.split(5)
        self.table.at(self.start + timedelta(seconds=20)).put(2)
        self.table.at(self.start + EVERY + timedelta(seconds=20)).put(3, 8)
        self.table.at(self.start + 4 * EVERY)
        at = cloud.maxcompute
        self.warehouse = warehouse(at.endpoint, at.project)
        self.services = WindowServices(self.table.client, self.table.client, self.warehouse)

    def window(self, number):
        return Window(self.start + number * EVERY, self.start + (number + 1) * EVERY)

    def rows(self, export, number):
        target = export.target(self.window(number))
        partition = ",".join(f"{name}={value}" for name, value in target.partition)
        return self.cloud.maxcompute_rows(target.table, partition)

    def ids(self, export, number):
        return sorted(row["id"] for row in self.rows(export, number))


@pytest.fixture(scope="module")
def world():
    with LocalCloud() as cloud:
        cloud.emulator.reset()
        made = World(cloud)
        yield made
        made.table.client.close()


@pytest.fixture(params=["truncate", "append"])
def mode(request):
    return request.param


def test_each_window_has_its_changes_with_six_columns(world, mode):
    export = export_of(f"six_{mode}", mode)

    reports = list(export_range(export, world.services, world.start, world.start + 3 * EVERY))

    assert [world.ids(export, number) for number in WRITTEN] == list(WRITTEN.values())
    assert [report.rows for report in reports] == [3, 2, 0]
    row = world.rows(export, 0)[0]
    assert list(row)[:6] == ["id", "colname", "version", "colvalue", "optype", "sequenceinfo"]
    assert row["optype"] == "U"
    assert row["sequenceinfo"]


def test_a_row_of_each_change_has_the_columns_chosen(world, mode):
    """`single_version_and_update_only`: one row for one change, with the cells that it has written."""
    columns = (Picked("id", "id"), Picked("n", "count"), Constant("eu", ColumnType.STRING, "region"))
    types = {"n": ColumnType.INTEGER}

    def target(window):
        partition = (("pt", f"{window.start:%Y%m%d%H%M}"),)
        return TableTarget(f"single_{mode}", partition, truncates=mode == "truncate", creates=True)

    source = ChangeSelection("t", ChangeMode.SINGLE_VERSION, columns, types)
    export = replace(export_of(f"single_{mode}", mode), source=source, target=target)

    reports = list(export_range(export, world.services, world.start, world.start + 3 * EVERY))
    again = list(export_range(export, world.services, world.start, world.start + 3 * EVERY))

    assert [report.rows for report in reports] == [3, 2, 0]
    assert all(report.was_published for report in again)
    for number, ids in WRITTEN.items():
        rows = sorted(world.rows(export, number), key=lambda row: row["id"])
        assert [(row["id"], row["count"], row["region"]) for row in rows] == [(one, one, "eu") for one in ids]


def test_a_window_that_was_published_is_not_loaded_twice(world, mode):
    export = export_of(f"twice_{mode}", mode)
    export_window(export, world.services, world.window(0))

    again = export_window(export, world.services, world.window(0))

    assert (again.was_published, again.rows) == (True, 3)
    assert world.ids(export, 0) == WRITTEN[0]
    entry = ledger_of(export, world.services).window(world.start)
    assert (entry.state, entry.rows) == (WindowState.PUBLISHED, 3)


def test_force_replaces_a_window(world):
    export = export_of("forced", "truncate")
    export_window(export, world.services, world.window(0))

    again = export_window(export, world.services, world.window(0), force=True)

    assert (again.was_published, again.rows) == (False, 3)
    assert world.ids(export, 0) == WRITTEN[0]


def test_force_does_not_add_a_window_twice(world):
    export = export_of("forced_append", "append")
    export_window(export, world.services, world.window(0))

    with pytest.raises(SpecError, match="added once more"):
        export_window(export, world.services, world.window(0), force=True)

    assert world.ids(export, 0) == WRITTEN[0]


def test_mapped_parts_load_what_one_process_does(world):
    export = export_of("mapped", "truncate")
    plan = plan_window(export, world.services, world.window(0))
    head = type(plan.head).from_json(plan.head.to_json())
    export_part(export, world.services, head, plan.parts[0], attempt=1)
    reports = [export_part(export, world.services, head, part, attempt=2) for part in plan.parts]

    publish_window(export, world.services, head, reports, attempt=1)
    publish_window(export, world.services, head, reports, attempt=2)

    assert world.ids(export, 0) == WRITTEN[0]


def test_a_run_that_was_overtaken_adds_nothing(world):
    export = export_of("overtaken", "append")
    plan = plan_window(export, world.services, world.window(0))
    reports = [export_part(export, world.services, plan.head, part, attempt=1) for part in plan.parts]
    export_window(export, world.services, world.window(0))

    with suppress(Superseded):  # or it tells of the other run's, whichever claim is higher
        publish_window(export, world.services, plan.head, reports, attempt=1)

    assert world.ids(export, 0) == WRITTEN[0]


def test_a_lost_answer_to_the_commit_loads_once(world, mode):
    export = export_of(f"lost_{mode}", mode)

    class Unanswered(type(world.warehouse)):
        def commit(self, *args):
            super().commit(*args)
            raise RetryLater("lost", operation="CommitUpload")

    lossy = WindowServices(world.table.client, world.table.client, Unanswered(world.warehouse.endpoint))
    export_window(export, lossy, world.window(0))
    again = export_window(export, world.services, world.window(0))

    assert again.was_published
    assert world.ids(export, 0) == WRITTEN[0]


def test_a_window_whose_session_expired_before_the_answer_is_loaded_anew_or_asked_about(world, mode):
    export, at = export_of(f"expired_{mode}", mode), world.cloud.maxcompute
    patient = warehouse(at.endpoint, at.project, sleep=lambda seconds: None)
    services = WindowServices(world.table.client, world.table.client, patient)
    world.cloud.faults.add("error", service="maxcompute", operation="CommitUpload", code="ServiceUnavailable", count=20)
    with pytest.raises(RetryLater):
        export_window(export, services, world.window(0))
    world.cloud.faults.clear()
    world.cloud.faults.add("error", service="maxcompute", operation="GetUpload", code="NoSuchUpload", count=1)

    if mode == "append":
        with pytest.raises(SpecError, match="nobody knows"):
            export_window(export, services, world.window(0))
    else:
        export_window(export, services, world.window(0))

    assert world.ids(export, 0) == ([] if mode == "append" else WRITTEN[0])


def test_a_table_that_changes_while_a_window_is_read_keeps_its_rows(world):
    export = export_of("changed", "truncate")
    export_window(export, world.services, world.window(0))
    plan = plan_window(export, world.services, world.window(0), force=True)
    reports = [export_part(export, world.services, plan.head, part, attempt=1) for part in plan.parts]
    world.cloud.sql("alter table loaded_changed add columns (more string)")

    with pytest.raises(StartOver, match="changed since the run was planned") as raised:
        publish_window(export, world.services, plan.head, reports, attempt=1)

    assert raised.value.task == "plan"
    assert world.ids(export, 0) == WRITTEN[0]


def test_a_window_killed_before_any_change_is_made_good_by_the_next_run(world, mode):
    steps = Steps()
    with client_of(world.url) as client:
        export_window(export_of(f"counted_{mode}", mode), stepped(client, world.warehouse, steps), world.window(0))
    at, count = world.cloud.maxcompute, steps.changes
    assert {"begin", "put_block", "commit", "PutRow"} <= set(steps.seen)
    command = [sys.executable, "-m", "tests.integration.loading_window", world.url, at.endpoint, at.project]
    command += [world.start.isoformat(), str(count), mode]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=240, check=True)
    assert done.stdout.split() == [b"True"] * count, done.stderr.decode()[-2000:]

    for nth in range(1, count + 1):
        export = export_of(f"{mode}_{nth}", mode)
        if world.warehouse.shape(export.target(world.window(0)).table):
            assert world.ids(export, 0) in ([], WRITTEN[0]), nth
        for number in (0, 1):
            export_window(export, world.services, world.window(number))
        assert [world.ids(export, 0), world.ids(export, 1)] == [WRITTEN[0], WRITTEN[1]], nth
