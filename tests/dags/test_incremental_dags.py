"""Incremental specs and task groups as DAGs, before anything runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG

from airflow_tablestore.errors import SpecError, WindowLost
from airflow_tablestore.factory import import_spec
from airflow_tablestore.operators.incremental import incremental
from airflow_tablestore.operators.retries import retried_only_where_it_helps
from airflow_tablestore.timetables.windows import CalendarWindowTimetable, LaggedWindowTimetable

FIVE = timedelta(minutes=5)
SPEC = """\
pipeline: orders_changes
kind: incremental
source: {table: orders, mode: multi_version}
start: 2026-11-20T00:00:00+08:00
sink: {type: oss, bucket: backup, prefix: "orders/{window_start:%Y%m%d%H%M%z}/"}
"""
SOURCE = {"table": "orders", "mode": "multi_version"}
SINK = {"type": "oss", "bucket": "backup", "prefix": "orders/{window_start:%Y%m%d%H%M}/"}


@pytest.fixture
def dag_of(tmp_path):
    def make(more=""):
        (tmp_path / "orders.yaml").write_text(SPEC + more)
        (dag,), errors = import_spec(tmp_path / "orders.yaml")
        assert errors == []
        return dag

    return make


def test_a_window_is_one_task(dag_of):
    assert [task.task_id for task in dag_of().tasks] == ["export"]


def test_workers_make_it_three(dag_of):
    dag = dag_of("limits: {workers: 4}\n")

    assert [task.task_id for task in dag.topological_sort()] == ["plan", "export", "publish"]
    assert dag.task_dict["export"].is_mapped
    assert dag.task_dict["publish"].trigger_rule == "none_failed"


def test_runs_come_one_at_a_time_and_missed_ones_are_made_up_for(dag_of):
    dag = dag_of()

    assert dag.max_active_runs == 1
    assert dag.catchup
    assert dag.start_date == datetime(2026, 11, 19, 16, tzinfo=UTC)


@pytest.mark.parametrize(
    ("more", "timetable"),
    [
        ("", LaggedWindowTimetable(FIVE, FIVE)),
        ("window: {every: 1h, lag: 10m}\n", LaggedWindowTimetable(12 * FIVE, 2 * FIVE)),
        ("window: {every: day}\ntimezone: Asia/Shanghai\n", CalendarWindowTimetable("day", "Asia/Shanghai", FIVE)),
    ],
)
def test_the_schedule_is_that_of_the_windows(dag_of, more, timetable):
    assert dag_of(more).timetable == timetable


def test_catching_up_can_be_switched_off(dag_of):
    assert not dag_of("catchup: false\n").catchup


@pytest.mark.parametrize("more", ["", "limits: {workers: 4}\n"])
def test_no_task_waits_for_earlier_runs_unless_the_spec_says_so(dag_of, more):
    for task in dag_of(more).tasks:
        settings = task.partial_kwargs if task.is_mapped else vars(task)
        assert not settings.get("depends_on_past")
        assert not settings.get("wait_for_downstream")


def test_a_self_dependent_window_waits_for_the_one_before(dag_of):
    assert dag_of("self_dependent: true\n").task_dict["export"].depends_on_past
    assert dag_of("self_dependent: true\nlimits: {workers: 2}\n").task_dict["plan"].wait_for_downstream


def test_the_form_asks_for_windows(dag_of):
    params = dag_of().params

    assert list(params) == ["window_start", "window_end", "force", "repin"]
    for name in ("window_start", "window_end"):
        schema = params.get_param(name).schema
        assert params[name] is None
        assert (schema["type"], schema["format"]) == (["null", "string"], "date-time")


def test_no_template_engine_reads_a_spec(dag_of):
    from airflow.sdk.definitions._internal.templater import LiteralValue

    export = dag_of("window: {every: 10m}\nstatus_table: my_ledger\n").task_dict["export"]

    for name in ("source", "sink", "window", "status_table"):
        assert isinstance(getattr(export, name), LiteralValue)


def test_publication_updates_the_asset_of_its_objects(dag_of, inlets):
    for more, task in (("", "export"), ("limits: {workers: 2}\n", "publish")):
        tasks = dag_of(more).task_dict

        assert [asset.uri for asset in tasks[task].outlets] == ["oss://backup/orders"]
        assert [asset.uri for asset in tasks[task].inlets] == inlets("tablestore://tablestore_default/orders")
        assert sum(len(one.outlets) for one in tasks.values() if not one.is_mapped) == 1


def test_two_parses_serialise_equally(dag_of, serialised):
    assert serialised(dag_of()) == serialised(dag_of())
    assert serialised(dag_of("limits: {workers: 2}\n")) == serialised(dag_of("limits: {workers: 2}\n"))


def test_a_wrong_argument_is_found_while_the_dag_is_parsed():
    with DAG("orders", schedule=None), pytest.raises(SpecError, match="did you mean 'table'"):
        incremental(pipeline="orders", source={"tabel": "orders"}, sink=SINK)


def test_arguments_with_templates_are_judged_when_they_are_rendered():
    with DAG("orders", schedule=None) as dag:
        incremental(pipeline="orders", source={"table": "{{ params.table }}"}, sink=SINK)

    assert [task.task_id for task in dag.tasks] == ["incremental.export"]
    assert dag.task_dict["incremental.export"].inlets == []


def test_a_group_is_mapped_when_workers_are_given():
    with DAG("orders", schedule=None) as dag:
        incremental(pipeline="orders", source=SOURCE, sink=SINK, limits={"workers": 2}, pool="exports", retries=7)

    assert [task.task_id for task in dag.topological_sort()] == [
        f"incremental.{n}" for n in ("plan", "export", "publish")
    ]
    for task in dag.tasks:
        settings = task.partial_kwargs if task.is_mapped else vars(task)
        assert (settings["retries"], settings["pool"]) == (7, "exports")


def test_parts_of_a_spec_made_in_python_are_arguments_too(inlets):
    from airflow_tablestore.spec.common import Limits
    from airflow_tablestore.spec.stream_source import StreamSource

    with DAG("orders", schedule=None) as dag:
        incremental(pipeline="orders", source=StreamSource(**SOURCE), sink=SINK, limits=Limits(workers=2))

    plan = dag.task_dict["incremental.plan"]
    assert [asset.uri for asset in plan.inlets] == inlets("tablestore://tablestore_default/orders")
    assert plan.spec().source.table == "orders"


def test_a_lost_window_is_not_tried_again():
    lost = WindowLost("gone", start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2026, 1, 2, tzinfo=UTC), reason="r")

    with pytest.raises(AirflowFailException, match="gone"), retried_only_where_it_helps():
        raise lost


def test_windows_that_share_a_prefix_when_the_clock_is_moved_back_are_found_in_a_dag_file_too():
    sink = SINK | {"prefix": "orders/{window_start:%Y%m%d%H}/"}

    with DAG("orders", schedule=None), pytest.raises(SpecError, match="share the prefix"):
        incremental(pipeline="orders", source=SOURCE, sink=sink, window={"every": "hour"}, timezone="Europe/Berlin")
