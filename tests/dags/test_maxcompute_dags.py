"""Exports into MaxCompute as Airflow runs them: a DAG of the factory, against the emulator's services."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from tablestore import INF_MAX, INF_MIN

from airflow_tablestore.emulator.maxcompute.beside import rows_of
from airflow_tablestore.factory import import_spec
from tests.system import compare, sample

pytestmark = pytest.mark.slow

TABLE = "ots_gps_loads"  # its own: other files of this folder may share the emulator
ROWS = 300
KEYS = ("StreamId", "StatusType", "StatusValue")
SPEC = """\
pipeline: to_maxcompute
kind: full_export
source: {table: ots_gps_loads, split: [user_0001], columns: [uid, ts, {value: 7, as: batch}]}
sink: {type: maxcompute, table: gps, partition: "pt={run_date:%Y}", truncate: true, create_table: true}
retry: {times: 1, delay: 1s}
"""


RECORDED = """\
pipeline: recorded
kind: full_export
source: {table: ots_gps_loads, columns: [uid, ts]}
sink: {type: maxcompute, table: recorded, truncate: true, create_table: true, compress: lz4}
status_table: {table: records}
"""


class Events(defaultdict):
    """Asset events as a task's context has them; an asset of Airflow 3.1 is no key of a dictionary."""

    def __getitem__(self, asset):
        return super().__getitem__(asset.uri)


@pytest.fixture
def services(emulator, monkeypatch):
    """The emulator with the sample table in it, reachable for Airflow's tasks."""
    told = json.loads(emulator.to_json())
    client = sample.sdk_client(told["tablestore"])
    if TABLE not in client.list_table():
        sample.create_table(client, TABLE)
        sample.load(client, ROWS, table=TABLE)
    for name, value in told["env"].items():
        monkeypatch.setenv(name, value)
    return told


def xcoms(run):
    """Everything that a run's tasks have told each other, as text."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = session.scalars(select(XComModel).where(XComModel.run_id == run.run_id, XComModel.dag_id == run.dag_id))
        return [json.dumps(XComModel.deserialize_value(x)) for x in found]


def assets_of(run):
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        query = select(AssetModel.uri, AssetEvent.extra).join(AssetModel, AssetModel.id == AssetEvent.asset_id)
        return dict(session.execute(query.where(AssetEvent.source_run_id == run.run_id)).all())


def test_a_dag_loads_every_row_once_and_tells_of_its_table(services, emulator, tmp_path, run_dag):
    file = tmp_path / "to_maxcompute.yaml"
    file.write_text(SPEC)
    (dag,), errors = import_spec(file)
    assert errors == []

    runs = [run_dag(dag), run_dag(dag)]

    assert [run.state for run in runs] == ["success", "success"]
    expected = compare.table_rows(sample.sdk_client(services["tablestore"]), TABLE, ("uid", "ts"))
    loaded = rows_of(emulator.maxcompute_store(), emulator.maxcompute.project, "gps", None)
    assert sorted((row["uid"], row["ts"]) for row in loaded) == sorted(expected)
    assert {row["batch"] for row in loaded} == {7}
    assets = assets_of(runs[1])
    assert assets["maxcompute://maxcompute_default/gps"]["rows"] == len(expected)
    texts = xcoms(runs[1])
    assert texts
    assert all(services["maxcompute"]["access_key_secret"] not in text for text in texts)


def test_a_dag_keeps_its_records_where_the_spec_says(services, tmp_path, run_dag):
    file = tmp_path / "recorded.yaml"
    file.write_text(RECORDED)
    (dag,), errors = import_spec(file)
    assert errors == []

    run = run_dag(dag)

    assert run.state == "success"
    client = sample.sdk_client(services["tablestore"])
    _, _, rows, _ = client.get_range("records", "FORWARD", [(k, INF_MIN) for k in KEYS], [(k, INF_MAX) for k in KEYS])
    kinds = {row.primary_key[1][1] for row in rows if row.primary_key[0][1].endswith("/recorded")}
    assert kinds == {"AirflowSchema", "AirflowLoad"}


def test_lineage_names_the_project_the_table_and_its_rows(services):
    """The three tasks by hand, since Airflow runs copies of them; the real names, and not those of connections."""
    from airflow_tablestore.operators import full_export as tasks

    settings = {
        "pipeline": "lineage",
        "source": {"table": TABLE, "columns": ["uid", "ts"]},
        "sink": {"type": "maxcompute", "table": "lineage", "truncate": True, "create_table": True},
    }
    shared, moment = {}, datetime(2026, 11, 21, tzinfo=UTC)
    instance = SimpleNamespace(try_number=1, xcom_push=lambda key, value: shared.__setitem__(key, value))
    run = SimpleNamespace(run_after=moment, logical_date=moment)
    context = {"ti": instance, "run_id": "r", "dag_run": run, "outlet_events": Events(SimpleNamespace)}

    splits = tasks.PlanFullExportOperator(task_id="plan", **settings).execute(context)
    export = [tasks.ExportSplitOperator(task_id="export", head=shared["head"], split=s, **settings) for s in splits]
    reports = [task.execute(context) for task in export]
    publish = tasks.PublishExportOperator(task_id="publish", head=shared["head"], reports=reports, **settings)
    told = publish.execute(context)
    facets = publish.get_openlineage_facets_on_complete(instance)

    (table,), (loaded,) = facets.inputs, facets.outputs
    assert (table.namespace, table.name) == (f"tablestore://{services['tablestore']['instance']}", TABLE)
    assert [(f.name, f.type) for f in table.facets["schema"].fields] == [("uid", "string"), ("ts", "integer")]
    assert (loaded.namespace, loaded.name) == (f"maxcompute://{services['maxcompute']['project']}", "lineage")
    counted = loaded.outputFacets["outputStatistics"]
    assert (counted.rowCount, counted.size) == (ROWS, told["bytes"])
    assert [asset.uri for asset in publish.published] == ["maxcompute://maxcompute_default/lineage"]
    (event,) = context["outlet_events"].values()
    assert (event.extra["rows"], event.extra["manifest"].endswith("/lineage")) == (ROWS, True)


def test_more_attempts_than_a_table_has_blocks_for_are_refused_by_the_plan(services):
    from airflow_tablestore.operators.full_export import PlanFullExportOperator

    moment = datetime(2026, 11, 21, tzinfo=UTC)
    source = {"table": TABLE, "columns": ["uid", "ts"]}
    sink = {"type": "maxcompute", "table": "tried", "create_table": True}
    plan = PlanFullExportOperator(task_id="plan", pipeline="tried", source=source, sink=sink, retries=20_000)

    with pytest.raises(AirflowFailException, match="each tried up to 20001 times"):
        plan.execute({"run_id": "r", "dag_run": SimpleNamespace(run_after=moment, logical_date=moment)})
