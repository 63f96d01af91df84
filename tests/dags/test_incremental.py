"""Incremental exports as Airflow runs them: DAGs of the factory and a task group, against the emulator's services.

A fleet has written into three windows, half an hour ago by the emulator's data clock; its journal is the oracle. Each
test has a pipeline of its own over the same stream.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG

from airflow_tablestore.emulator import Emulator
from airflow_tablestore.factory import import_spec
from airflow_tablestore.operators.incremental import (
    ExportWindowOperator,
    PlanWindowOperator,
    incremental,
    window_params,
)
from airflow_tablestore.pipeline.window import FixedGrid
from airflow_tablestore.timetables.windows import LaggedWindowTimetable
from tests.system import compare, sample, writer

pytestmark = pytest.mark.slow

FIVE = timedelta(minutes=5)
GRID = FixedGrid(FIVE)
CHANGES = 60
SPEC = """\
pipeline: {name}
kind: incremental
source: {{table: ots_gps_live, columns: [uid, ts, name, speed, change]}}
start: {start}
sink: {{type: oss, bucket: backup, prefix: "{name}/{{window_start:%Y%m%d%H%M}}/", format: csv}}
retry: {{times: 2, delay: 1s}}
"""
CELLS = """\
pipeline: {name}
kind: incremental
source: {{table: ots_gps_live, mode: multi_version, export_sequence_info: true}}
start: {start}
sink: {{type: oss, bucket: backup, prefix: "{name}/{{window_start:%Y%m%d%H%M}}/"}}
limits: {{workers: 2}}
retry: {{times: 2, delay: 1s}}
"""


@pytest.fixture(scope="module")
def fleet():
    """The emulator, the three windows and what was written in each; its clock is right again then."""
    first = GRID.holding(datetime.now(UTC) - timedelta(minutes=40))
    windows = [first, GRID.after(first), GRID.after(GRID.after(first))]
    with Emulator() as emulator:
        services = json.loads(emulator.to_json())
        client = sample.sdk_client(services["tablestore"])
        emulator.clock.move_to(micros(first.start) - 60_000_000)
        writer.create_table(services)
        written = []
        for number, window in enumerate(windows):
            emulator.clock.move_to(micros(window.start) + 1_000_000)
            changes = [writer.change(n) for n in range(number * CHANGES, (number + 1) * CHANGES)]
            for change in changes:
                writer.write(client, change)
            written.append(changes)
        emulator.clock.reset()
        yield Fleet(services, windows, written)


class Fleet:
    def __init__(self, services, windows, written):
        self.services, self.windows, self.written = services, windows, written


@pytest.fixture
def place(fleet, monkeypatch, tmp_path, run_dag):
    for name, value in fleet.services["env"].items():
        monkeypatch.setenv(name, value)
    return Place(fleet, tmp_path, run_dag)


class Place:
    """The fleet's services, reachable for Airflow's tasks."""

    def __init__(self, fleet, folder, run_dag):
        self.fleet, self.folder, self._run_dag = fleet, folder, run_dag
        self.windows, self.written = fleet.windows, fleet.written

    def dag(self, name, text=SPEC):
        """Its windows begin long before the stream: Airflow leaves out the tasks of runs before a DAG's start."""
        file = self.folder / f"{name}.yaml"
        file.write_text(text.format(name=name, start=(self.windows[0].start - timedelta(days=9)).isoformat()))
        (dag,), errors = import_spec(file)
        assert errors == []
        return dag

    def run(self, dag, window=None, **arguments):
        """A run on the date of a window; without one, a run without a logical date."""
        return self._run_dag(dag, logical_date=window.start if window else None, **arguments)

    def prefix(self, name, window):
        return f"{name}/{window.start:%Y%m%d%H%M}/"

    def published(self, name, window):
        prefix = self.prefix(name, window)
        store = compare.bucket(self.fleet.services["oss"])
        return compare.download(store, prefix, self.folder / "published" / prefix)

    def is_published(self, name, window):
        try:
            return bool(self.published(name, window))
        except compare.Different:
            return False

    def rows(self, name, *windows):
        """All rows of these windows, each with how often it is there."""
        return Counter(row for window in windows for file in self.published(name, window).files for row in read(file))


def read(file):
    if file.suffix == ".csv":
        as_text = pacsv.ConvertOptions(
            column_types=dict.fromkeys(("uid", "ts", *writer.CHOSEN), "string"),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
        )
        table = pacsv.read_csv(file, convert_options=as_text)
    else:
        table = pq.read_table(file).select(["uid", "ts", "colname", "colvalue", "optype"])
    return [tuple(record.values()) for record in table.to_pylist()]


def micros(moment):
    return int(moment.timestamp() * 1_000_000)


def iso(moment):
    return moment.isoformat().replace("+00:00", "Z")


def xcoms(run):
    """Everything that a run's tasks have told each other, by task, map index and key."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = session.scalars(select(XComModel).where(XComModel.run_id == run.run_id, XComModel.dag_id == run.dag_id))
        return {(x.task_id, x.map_index, x.key): XComModel.deserialize_value(x) for x in found}


def told(run, task="export"):
    return xcoms(run)[task, -1, "return_value"]


def states(run):
    return {(t.task_id, t.map_index): t.state for t in run.get_task_instances()}


def test_windows_side_by_side_hold_every_change_once(place):
    dag = place.dag("by_rows")

    runs = [place.run(dag, window) for window in place.windows]

    assert [run.state for run in runs] == ["success"] * 3
    for window, changes in zip(place.windows, place.written, strict=True):
        assert place.rows("by_rows", window) == writer.rows_of_changes(changes)


def test_mapped_windows_hold_every_change_of_every_cell_once(place):
    dag = place.dag("by_cells", CELLS)

    run = place.run(dag, place.windows[1])

    assert run.state == "success"
    assert {task for task, _ in states(run)} == {"plan", "export", "publish"}
    assert place.rows("by_cells", place.windows[1]) == writer.cells_of_changes(place.written[1])


def test_each_mapped_task_is_labelled(place):
    run = place.run(place.dag("labelled", CELLS), place.windows[0])

    labels = [t.rendered_map_index for t in run.get_task_instances() if t.task_id == "export"]
    assert labels
    assert all(labels)


def test_a_run_returns_what_its_window_holds(place):
    run = place.run(place.dag("returned"), place.windows[2])

    summary = told(run)

    assert summary["rows"] == sum(writer.rows_of_changes(place.written[2]).values())
    assert (summary["window_start"], summary["window_end"]) == (
        iso(place.windows[2].start),
        iso(place.windows[2].end),
    )
    assert summary["partial_rows"] == sum(change.kind == "update" for change in place.written[2])
    assert summary["bytes"] == place.published("returned", place.windows[2]).bytes
    assert summary["manifest"].endswith(place.prefix("returned", place.windows[2]) + "_manifest.json")


@pytest.mark.parametrize("text", [SPEC, CELLS], ids=["one-task", "mapped"])
def test_a_window_that_stands_already_is_not_read_again(place, text):
    name = f"twice_{text is CELLS}".lower()
    dag = place.dag(name, text)
    place.run(dag, place.windows[0])
    before = place.published(name, place.windows[0]).manifest

    again = place.run(dag, place.windows[0])

    assert again.state == "success"
    assert told(again, "publish" if text is CELLS else "export")["windows_found_published"] == 1
    assert place.published(name, place.windows[0]).manifest == before


def test_a_window_is_exported_again_when_the_run_asks_for_it(place):
    dag = place.dag("forced")
    place.run(dag, place.windows[0])

    again = place.run(dag, place.windows[0], run_conf={"force": True})

    assert told(again)["windows_found_published"] == 0
    assert place.rows("forced", place.windows[0]) == writer.rows_of_changes(place.written[0])


@pytest.mark.parametrize("text", [SPEC, CELLS], ids=["one-task", "mapped"])
def test_a_run_for_a_range_publishes_each_window_by_itself(place, text):
    name = f"range_{text is CELLS}".lower()
    dag = place.dag(name, text)
    place.run(dag, place.windows[1])
    asked = {"window_start": iso(place.windows[0].start), "window_end": iso(place.windows[2].end)}

    run = place.run(dag, run_conf=asked)

    assert run.state == "success"
    summary = told(run, "publish" if text is CELLS else "export")
    assert (summary["windows"], summary["windows_found_published"]) == (3, 1)
    expected = writer.cells_of_changes if text is CELLS else writer.rows_of_changes
    for window, changes in zip(place.windows, place.written, strict=True):
        assert place.rows(name, window) == expected(changes)


def test_a_publication_updates_its_asset_with_the_window(place):
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    run = place.run(place.dag("asset_of_windows"), place.windows[0])

    with create_session() as session:
        query = select(AssetModel.uri, AssetEvent.extra).join(AssetModel, AssetModel.id == AssetEvent.asset_id)
        events = session.execute(query.where(AssetEvent.source_run_id == run.run_id)).all()
    (extra,) = [extra for uri, extra in events if uri == "oss://backup/asset_of_windows"]
    assert extra["window_start"] == iso(place.windows[0].start)
    assert extra["window_end"] == iso(place.windows[0].end)
    assert extra["rows"] == told(run)["rows"]
    assert {"bytes", "manifest"} <= set(extra)


def test_the_task_links_to_the_windows_objects(place):
    run = place.run(place.dag("linked_window"), place.windows[0])

    url = xcoms(run)["export", -1, "_link_PublishedObjectsLink"]

    prefix = place.prefix("linked_window", place.windows[0]).replace("/", "%2F")
    assert url == f"{place.fleet.services['oss']['endpoint']}/backup/?prefix={prefix}"


def test_no_secret_and_no_large_value_travels_between_tasks(place):
    run = place.run(place.dag("small_cells", CELLS), place.windows[0])

    for (task, _, key), value in xcoms(run).items():
        text = json.dumps(value)
        assert place.fleet.services["oss"]["access_key_secret"] not in text
        assert place.fleet.services["tablestore"]["access_key_secret"] not in text
        assert len(text) < 4_000, f"{task}.{key}"


def test_a_window_that_is_due_soon_is_waited_for_in_the_triggerer(place, monkeypatch, capsys):
    monkeypatch.setattr("airflow_tablestore.operators.windows.WAITED_FOR_HERE_SECONDS", 0.0)
    second = timedelta(seconds=1)
    with DAG("soon", schedule=LaggedWindowTimetable(second, FIVE), start_date=place.windows[0].start) as dag:
        by_hand("soon", window={"every": "1s", "lag": "5m"})

    for ahead in (2, 10, 60):  # on a busy machine a task may begin when a window that was due soon is due already
        due_soon = FixedGrid(second).holding(datetime.now(UTC) - FIVE + ahead * second)
        run = place.run(dag, due_soon)
        if "Woken up: the window was due at" in capsys.readouterr().out:
            break
    else:
        pytest.fail("no run was woken up")

    assert run.state == "success"
    assert told(run, "incremental.export")["rows"] == 0
    assert told(run, "incremental.export")["manifest"].endswith(f"/{due_soon.start:%S}/_manifest.json")


def by_hand(name, **arguments):
    source = {"table": writer.TABLE, "columns": ["uid", "ts", *writer.CHOSEN]}
    sink = {"type": "oss", "bucket": "backup", "prefix": name + "/{window_start:%Y%m%d%H%M}/", "format": "csv"}
    if "1s" in str(arguments.get("window")):
        sink["prefix"] = name + "/{window_start:%Y%m%d%H%M}/{window_start:%S}/"
    return incremental(pipeline=name, source=source, sink=sink, **arguments)


REFUSED = {
    "no_window": (None, {}, "fill in window_start and window_end"),
    "far": (lambda place: GRID.holding(datetime.now(UTC) + 5 * FIVE), {}, "is due at 20.*A task waits at most 0:10:00"),
    "two_things": (lambda place: place.windows[0], {"window_start": "2026-11-20T02:00:00Z"}, "its params name"),
    "off_grid": (None, {"window_start": "2026-11-20T02:01:00Z"}, "is no boundary between two windows"),
    "long_gone": (lambda place: GRID.holding(datetime.now(UTC) - timedelta(days=3)), {}, "accept-loss"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_no_retry_can_help_fails_at_once_with_a_sentence(place, case, capfd):
    window, conf, sentence = REFUSED[case]

    run = place.run(place.dag(f"refused_{case}"), window and window(place), run_conf=conf)

    assert states(run) == {("export", -1): "failed"}
    assert [t.try_number for t in run.get_task_instances()] == [1]
    assert re.search(sentence, capfd.readouterr().out)


@pytest.mark.parametrize(
    ("schedule", "sentence"),
    [
        (LaggedWindowTimetable(2 * FIVE, FIVE), "but it was given the data interval"),
        ("*/5 * * * *", "bare cron expression"),
    ],
    ids=["other-windows", "cron"],
)
def test_an_interval_that_is_not_the_window_of_its_date_is_refused(place, schedule, sentence, capfd):
    with DAG("other_interval", schedule=schedule, start_date=place.windows[0].start) as dag:
        by_hand("other_interval", retries=2)
    ten = FixedGrid(2 * FIVE).holding(place.windows[1].start)

    run = place.run(dag, ten)

    assert run.state == "failed"
    assert sentence in capfd.readouterr().out
    assert not place.is_published("other_interval", place.windows[0])
    assert not place.is_published("other_interval", place.windows[1])


def test_a_group_in_a_dag_of_ones_own_renders_templates_and_params(place):
    params = {**window_params(), "table": writer.TABLE}
    with DAG("windows_by_hand", schedule=LaggedWindowTimetable(FIVE, FIVE), params=params) as dag:
        incremental(
            pipeline="windows_by_hand",
            source={"table": "{{ params.table }}", "mode": "multi_version"},
            sink={"type": "oss", "bucket": "backup", "prefix": "windows_by_hand/{window_start:%Y%m%d%H%M}/"},
        )

    run = place.run(dag, run_conf={"window_start": iso(place.windows[2].start)})

    assert run.state == "success"
    assert place.rows("windows_by_hand", place.windows[2]) == writer.cells_of_changes(place.written[2])


def test_airflow_gives_a_manual_run_before_the_start_no_tasks(place):
    """Told on the page about windows in Airflow; if Airflow changes it, so must the page."""
    with DAG("before_start", schedule=LaggedWindowTimetable(FIVE, FIVE), start_date=place.windows[1].start) as dag:
        by_hand("before_start")

    run = place.run(dag, place.windows[0])

    assert (run.state, states(run)) == ("success", {})


def test_more_attempts_than_a_table_has_blocks_for_are_refused_by_the_plan(place):
    window = place.windows[0]
    run = SimpleNamespace(
        run_type="manual", logical_date=window.start, data_interval_start=window.start, data_interval_end=window.end
    )
    plan = PlanWindowOperator(
        task_id="plan",
        pipeline="tried",
        source={"table": "ots_gps_live", "mode": "multi_version"},
        sink={"type": "maxcompute", "table": "tried", "create_table": True},
        limits={"workers": 2},
        retries=20_000,
        window_start="",
        window_end="",
        force=False,
        repin=False,
    )

    with pytest.raises(AirflowFailException, match=r"each tried up to 20001 times[\s\S]*retry.times"):
        plan.execute({"dag_run": run, "ti": SimpleNamespace(try_number=1)})


def test_lineage_of_a_window_in_a_table_names_the_project_and_its_rows(place):
    """The task by hand, since Airflow runs a copy of it; the real names, and not those of connections."""
    window, told = place.windows[0], place.fleet.services
    run = SimpleNamespace(
        run_type="manual", logical_date=window.start, data_interval_start=window.start, data_interval_end=window.end
    )
    task = ExportWindowOperator(
        task_id="export",
        pipeline="lined",
        source={"table": "ots_gps_live", "mode": "multi_version", "export_sequence_info": True},
        sink={
            "type": "maxcompute",
            "table": "lined",
            "partition": "pt={window_start:%Y%m%d%H%M}",
            "create_table": True,
        },
        window_start="",
        window_end="",
        force=False,
        repin=False,
    )
    events = Events(SimpleNamespace)
    instance = SimpleNamespace(try_number=1, xcom_push=lambda key, value: None)

    summary = task.execute({"dag_run": run, "ti": instance, "outlet_events": events})
    facets = task.get_openlineage_facets_on_complete(instance)

    (table,), (loaded,) = facets.inputs, facets.outputs
    assert (table.namespace, table.name) == (f"tablestore://{told['tablestore']['instance']}", "ots_gps_live")
    assert (loaded.namespace, loaded.name) == (f"maxcompute://{told['maxcompute']['project']}", "lined")
    assert loaded.outputFacets["outputStatistics"].rowCount == summary["rows"] > CHANGES
    assert [asset.uri for asset in task.published] == ["maxcompute://maxcompute_default/lined"]
    (event,) = events.values()
    assert event.extra["rows"] == summary["rows"]


class Events(defaultdict):
    """Asset events as a task's context has them; an asset of Airflow 3.1 is no key of a dictionary."""

    def __getitem__(self, asset):
        return super().__getitem__(asset.uri)
