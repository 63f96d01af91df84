"""Restores as Airflow runs them: a spec's mapped tasks, a group by hand, one task, and what a cleared task does."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG

from airflow_tablestore.cli import main
from airflow_tablestore.cli.session import OK, Session
from airflow_tablestore.errors import SpecError
from airflow_tablestore.factory import import_spec
from airflow_tablestore.operators.restore import RestoreOperator, restore
from airflow_tablestore.operators.snapshot import SnapshotOperator
from airflow_tablestore.spec.kinds.snapshot import SnapshotSpec
from tests.integration.snapshotting import put_small_history

ROWS = [{"uid": f"user_{n % 7}", "n": n, "text": [None, "", "ü"][n % 3], "score": n / 3} for n in range(60)]
KEY_ONLY = {"uid": "only a key", "n": 1}
SOURCE = {"type": "oss", "bucket": "backup", "prefix": "gps/full/"}
SINK = {"type": "tablestore", "table": "copy", "create_table": True}


@pytest.fixture
def exported(tablestore_cloud, tmp_path):
    """A cloud in which the table `rides` was exported into two objects."""
    cloud = tablestore_cloud
    cloud.make_table("rides", key={"uid": str, "n": int}, rows=[*ROWS, KEY_ONLY])
    spec = tmp_path / "export.yaml"
    spec.write_text(
        "pipeline: out\nkind: full_export\nsource: {table: rides, split: [user_3]}\n"
        f"sink: {{type: oss, bucket: {cloud.bucket}, prefix: {cloud.prefix}}}\n"
    )
    assert main(["run", str(spec)], Session(out=io.StringIO(), err=io.StringIO())) == OK
    return cloud


def source(cloud):
    return {"type": "oss", "bucket": cloud.bucket, "prefix": cloud.prefix}


def xcom(run, task, key="return_value"):
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = session.scalars(select(XComModel).where(XComModel.run_id == run.run_id, XComModel.dag_id == run.dag_id))
        return next(XComModel.deserialize_value(x) for x in found if (x.task_id, x.key) == (task, key))


def asset_events(run):
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        query = select(AssetModel.uri, AssetEvent.extra).join(AssetModel, AssetModel.id == AssetEvent.asset_id)
        return dict(session.execute(query.where(AssetEvent.source_run_id == run.run_id)).all())


@pytest.mark.slow
def test_a_spec_restores_a_table_in_mapped_tasks(exported, tmp_path, monkeypatch, run_dag):
    monkeypatch.setattr("airflow_tablestore.pipeline.restore.restore.PART_BYTES", 1)
    spec = tmp_path / "back.yaml"
    spec.write_text(json.dumps({"pipeline": "back", "kind": "restore", "source": source(exported), "sink": SINK}))
    (dag,), errors = import_spec(spec)

    run = run_dag(dag)
    report, tasks = xcom(run, "finish"), run.get_task_instances()

    assert errors == []
    assert run.state == "success"
    assert exported.rows("copy") == exported.rows("rides")
    assert {k: report[k] for k in ("rows", "written", "dirty", "objects")} == {
        "rows": len(ROWS) + 1,
        "written": len(ROWS) + 1,
        "dirty": 0,
        "objects": 2,
    }
    assert sorted(t.map_index for t in tasks if t.task_id == "write") == [0, 1]
    assert all("out-" in t.rendered_map_index for t in tasks if t.task_id == "write")
    assert asset_events(run)["tablestore://tablestore_default/copy"]["written"] == len(ROWS) + 1
    assert "prefix=" in xcom(run, "plan", "_link_PublishedObjectsLink")


@pytest.mark.slow
def test_a_group_by_hand_renders_templates_and_runs_again(exported, run_dag):
    with DAG("back_by_hand", schedule=None, params={"table": "copy"}) as dag:
        restore(pipeline="back", source=source(exported), sink={**SINK, "table": "{{ params.table }}"})

    first = run_dag(dag)
    again = run_dag(dag)

    assert (first.state, again.state) == ("success", "success")
    assert exported.rows("copy") == exported.rows("rides")


@pytest.mark.slow
def test_one_task_restores_a_table_and_refuses_a_damaged_export(exported, run_dag, capsys):
    with DAG("back_in_one", schedule=None) as dag:
        RestoreOperator(task_id="restore", pipeline="back", source=source(exported), sink=SINK, retries=0)

    whole = run_dag(dag)
    key = next(key for key in exported.objects() if key.endswith(".parquet"))
    exported.put_object(key, b"cut")
    damaged = run_dag(dag)

    assert whole.state == "success"
    assert exported.rows("copy") == exported.rows("rides")
    assert damaged.state == "failed"
    assert f"{key} has 3 bytes instead of" in capsys.readouterr().out


def test_a_wrong_argument_is_found_while_the_dag_is_parsed():
    with DAG("back", schedule=None), pytest.raises(SpecError, match="did you mean 'table'"):
        restore(pipeline="back", source=SOURCE, sink={"type": "tablestore", "tabel": "copy"})


def test_the_table_is_the_asset_of_the_last_task_alone(inlets):
    with DAG("back", schedule=None) as dag:
        restore(pipeline="back", source=SOURCE, sink=SINK, pool="restores")

    tasks = {task.task_id: task for task in dag.tasks}
    assert list(tasks) == ["restore.plan", "restore.write", "restore.finish"]
    assert tasks["restore.write"].is_mapped
    assert [asset.uri for asset in tasks["restore.finish"].outlets] == ["tablestore://tablestore_default/copy"]
    assert [asset.uri for asset in tasks["restore.plan"].inlets] == inlets("oss://backup/gps/full")
    assert tasks["restore.plan"].outlets == []
    assert {task.pool for task in tasks.values()} == {"restores"}


def test_a_restore_to_a_moment_is_one_task(tmp_path):
    spec = tmp_path / "then.yaml"
    source = {**SOURCE, "changes": "gps/changes/"}
    spec.write_text(
        json.dumps({"pipeline": "then", "kind": "restore", "source": source, "sink": SINK})[:-1]
        + ', "to": 2026-11-20T12:00:00, "timezone": Asia/Shanghai}'
    )

    (dag,), errors = import_spec(spec)

    assert errors == []
    assert [task.task_id for task in dag.tasks] == ["restore"]
    task = dag.task_dict["restore"]
    assert task.to == "2026-11-20T12:00:00+08:00"
    assert [asset.uri for asset in task.outlets] == ["tablestore://tablestore_default/copy"]


class Events(defaultdict):
    """Asset events as a task's context has them; an asset of Airflow 3.1 is no key of a dictionary."""

    def __getitem__(self, asset):
        return super().__getitem__(asset.uri)


class CloudStore:
    """The one verb that histories are written with."""

    def __init__(self, cloud):
        self.cloud = cloud

    def put(self, key, data):
        self.cloud.put_object(key, data)


@pytest.mark.slow
def test_a_snapshot_is_published_and_made_again(tablestore_cloud, run_dag):
    cloud = tablestore_cloud
    put_small_history(CloudStore(cloud))
    source = {"type": "oss", "bucket": cloud.bucket, "base": "base/", "changes": "changes/"}
    sink = {"type": "oss", "bucket": cloud.bucket, "prefix": "base/then/", "format": "csv"}
    with DAG("then", schedule=None) as dag:
        SnapshotOperator(
            task_id="snapshot", pipeline="then", source=source, sink=sink, to="2026-11-20T08:10:00+00:00", retries=0
        )

    first, again = run_dag(dag), run_dag(dag)

    assert (first.state, again.state) == ("success", "success")
    assert asset_events(again)[f"oss://{cloud.bucket}/base/then"]["rows"] == 10
    (rows,) = [body for key, body in cloud.objects("base/then/").items() if key.endswith(".csv")]
    assert sorted(rows.splitlines())[:3] == [b"0,w0", b"1,w1", b"2,base"]


@pytest.mark.slow
def test_lineage_of_a_snapshot_holds_what_was_folded_and_what_was_published(tablestore_cloud):
    """The task by hand, since Airflow runs a copy of it."""
    cloud = tablestore_cloud
    put_small_history(CloudStore(cloud))
    source = {"type": "oss", "bucket": cloud.bucket, "base": "base/", "changes": "changes/"}
    sink = {"type": "oss", "bucket": cloud.bucket, "prefix": "then/{run_date:%Y}/"}
    task = SnapshotOperator(
        task_id="snapshot", pipeline="then", source=source, sink=sink, to="2026-11-20T08:10:00+00:00"
    )
    instance = SimpleNamespace(try_number=1, xcom_push=lambda key, value: None)
    run = SimpleNamespace(run_after=datetime(2026, 11, 20, 9, tzinfo=UTC), logical_date=None)
    context = {"ti": instance, "run_id": "r", "dag_run": run, "outlet_events": Events(SimpleNamespace)}

    before = task.get_openlineage_facets_on_complete(instance)
    report = task.execute(context)
    facets = task.get_openlineage_facets_on_complete(instance)

    (published,) = facets.outputs
    counted = published.outputFacets["outputStatistics"]
    assert before is None
    assert [(one.namespace, one.name) for one in facets.inputs] == [
        (f"oss://{cloud.bucket}", "base/full"),
        (f"oss://{cloud.bucket}", "changes/0"),
        (f"oss://{cloud.bucket}", "changes/1"),
    ]
    assert (published.namespace, published.name) == (f"oss://{cloud.bucket}", "then/2026")
    assert (counted.rowCount, counted.size) == (10, report["bytes"])


def test_a_snapshot_lags_as_a_spec_does_when_nothing_else_is_said():
    source = {"type": "oss", "bucket": "backup", "base": "gps/full/", "changes": "gps/changes/"}
    sink = {"type": "oss", "bucket": "backup", "prefix": "gps/daily/"}
    given = {"task_id": "snapshot", "pipeline": "then", "source": source, "sink": sink}

    lags = [SnapshotOperator(**given, **lag).spec().lag for lag in ({}, {"lag": timedelta(hours=1)})]

    assert lags == [SnapshotSpec.model_fields["lag"].default, timedelta(hours=1)]


def test_a_snapshot_is_one_task(tmp_path):
    spec = tmp_path / "daily.yaml"
    spec.write_text(
        "pipeline: daily\nkind: snapshot\nschedule: '0 3 * * *'\nstart: 2026-11-20\n"
        "source: {type: oss, bucket: backup, base: gps/full/, changes: gps/changes/}\n"
        "sink: {type: oss, bucket: backup, prefix: gps/daily/}\n"
    )

    (dag,), errors = import_spec(spec)

    assert errors == []
    assert [task.task_id for task in dag.tasks] == ["snapshot"]
    assert (dag.task_dict["snapshot"].to, dag.task_dict["snapshot"].lag) == (None, timedelta(minutes=15))
    assert [asset.uri for asset in dag.task_dict["snapshot"].outlets] == ["oss://backup/gps/daily"]


def test_lineage_holds_objects_columns_and_rows():
    from airflow_tablestore.operators.lineage import RestoreLineage
    from airflow_tablestore.operators.places import Dataset
    from airflow_tablestore.pipeline.formats.reading import FieldType
    from airflow_tablestore.pipeline.sources.objects import ReadColumn
    from airflow_tablestore.wire.row import ColumnType

    columns = [
        ReadColumn(FieldType("UID", ColumnType.STRING), "uid"),
        ReadColumn(FieldType("x", ColumnType.STRING), ""),
    ]

    facets = RestoreLineage("demo", "copy", Dataset("oss://backup", "gps/full"), columns, 7).facets()

    (objects,), (table,) = facets.inputs, facets.outputs
    assert (objects.namespace, objects.name) == ("oss://backup", "gps/full")
    assert (table.namespace, table.name) == ("tablestore://demo", "copy")
    assert [(f.name, f.type) for f in table.facets["schema"].fields] == [("uid", "string")]
    assert table.outputFacets["outputStatistics"].rowCount == 7
