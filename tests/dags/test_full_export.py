"""Full exports as Airflow runs them: DAGs of the factory and a task group, against the emulator's services."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from airflow_tablestore.factory import import_spec
from tests.system import compare, sample

pytestmark = pytest.mark.slow

ROWS = 1_200
KEY_NAMES = ("uid", "ts")
SPEC = """\
pipeline: {name}
kind: full_export
source: {{table: ots_gps_data, split: [user_0001]}}
sink: {{type: oss, bucket: backup, prefix: {name}/}}
retry: {{times: 2, delay: 1s}}
"""


@pytest.fixture(scope="session")
def services(emulator):
    """The emulator with the sample table in it, as its command line describes itself."""
    told = json.loads(emulator.to_json())
    client = sample.sdk_client(told["tablestore"])
    sample.create_table(client)
    sample.load(client, ROWS)
    return told


@pytest.fixture
def place(services, monkeypatch, tmp_path, run_dag):
    """The services, reachable for Airflow's tasks."""
    for name, value in services["env"].items():
        monkeypatch.setenv(name, value)
    return Place(services, tmp_path, run_dag)


class Place:
    def __init__(self, services, folder, run_dag):
        self.services, self.folder, self._run_dag = services, folder, run_dag

    def dag(self, name, text=SPEC):
        file = self.folder / f"{name}.yaml"
        file.write_text(text.format(name=name))
        (dag,), errors = import_spec(file)
        assert errors == []
        return dag

    def run(self, dag, **arguments):
        return self._run_dag(dag, **arguments)

    @property
    def bucket(self):
        return compare.bucket(self.services["oss"])

    def published(self, prefix):
        return compare.download(self.bucket, prefix, self.folder / "published" / prefix)

    def differences(self, prefix):
        expected = compare.table_rows(sample.sdk_client(self.services["tablestore"]), sample.TABLE, KEY_NAMES)
        assert len(expected) == ROWS
        rows = compare.read_parquet(self.published(prefix).files, KEY_NAMES)
        return compare.difference(expected, rows, compare.as_is)


def xcoms(run):
    """Everything that a run's tasks have told each other, by task, map index and key."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = session.scalars(select(XComModel).where(XComModel.run_id == run.run_id, XComModel.dag_id == run.dag_id))
        return {(x.task_id, x.map_index, x.key): XComModel.deserialize_value(x) for x in found}


def states(run):
    return {(t.task_id, t.map_index): t.state for t in run.get_task_instances()}


def test_a_run_publishes_every_row_of_the_table(place):
    run = place.run(place.dag("every_row"))

    assert run.state == "success"
    assert place.differences("every_row/") == ""


def test_each_mapped_task_is_labelled_with_its_key_range(place):
    run = place.run(place.dag("labelled"))

    labels = [t.rendered_map_index for t in run.get_task_instances() if t.task_id == "export"]
    assert len(labels) == 2
    assert any("user_0001" in label for label in labels)


def test_the_publish_task_returns_the_report(place):
    run = place.run(place.dag("report"))

    report = xcoms(run)["publish", -1, "return_value"]

    assert report["rows"] == ROWS
    assert report["pipeline"] == "report"
    assert report["manifest"].endswith("report/_manifest.json")
    assert report["bytes"] == place.published("report/").bytes


def test_no_secret_and_no_large_value_travels_between_tasks(place):
    run = place.run(place.dag("small"))

    for (task, _, key), value in xcoms(run).items():
        text = json.dumps(value)
        assert place.services["oss"]["access_key_secret"] not in text
        assert place.services["tablestore"]["access_key_secret"] not in text
        assert len(text) < 4_000, f"{task}.{key}"


def test_a_publication_updates_its_asset_with_numbers(place):
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    run = place.run(place.dag("asset"))

    with create_session() as session:
        query = select(AssetModel.uri, AssetEvent.extra).join(AssetModel, AssetModel.id == AssetEvent.asset_id)
        events = session.execute(query.where(AssetEvent.source_run_id == run.run_id)).all()
    (extra,) = [extra for uri, extra in events if uri == "oss://backup/asset"]
    assert extra["rows"] == ROWS
    assert set(extra) == {"rows", "bytes", "objects", "manifest"}


def test_the_publish_task_links_to_its_objects(place):
    run = place.run(place.dag("linked"))

    url = xcoms(run)["publish", -1, "_link_PublishedObjectsLink"]

    assert url == f"{place.services['oss']['endpoint']}/backup/?prefix=linked%2F"


def test_a_second_run_replaces_the_first(place):
    dag = place.dag("replaced")

    place.run(dag, logical_date=datetime(2026, 11, 20, tzinfo=UTC))
    first = {f.name for f in place.published("replaced/").files}
    place.run(dag, logical_date=datetime(2026, 11, 21, tzinfo=UTC))

    assert first.isdisjoint({f.name for f in place.published("replaced/").files})
    assert place.differences("replaced/") == ""


def test_a_prefix_with_the_runs_date_is_rendered(place):
    text = SPEC.replace("prefix: {name}/", "prefix: '{name}/{{run_date:%Y%m%d}}/'") + "timezone: Asia/Shanghai\n"

    run = place.run(place.dag("dated", text), logical_date=datetime(2026, 11, 20, 18, tzinfo=UTC))

    assert run.state == "success"
    assert place.published("dated/20261121/").manifest["rows"] == ROWS


def test_the_command_line_publishes_the_same_objects(place):
    from airflow_tablestore.hooks.oss import ObjectStoreHook
    from airflow_tablestore.hooks.tablestore import TablestoreHook
    from airflow_tablestore.pipeline.contract import Quiet
    from airflow_tablestore.pipeline.full_export.export import Services, run
    from airflow_tablestore.spec.build import full_export
    from airflow_tablestore.spec.load import load

    dag = place.dag("same")
    place.run(dag)
    by_airflow = place.published("same/").manifest
    export = full_export(load(place.folder / "same.yaml"), run_date=datetime.now(UTC))
    export = replace(export, target=replace(export.target, prefix="same-by-command/"))
    with TablestoreHook().get_conn() as client:
        services = Services(client, ObjectStoreHook().store("backup"))
        run(export, services, run=by_airflow["run"], progress=Quiet())
    by_engine = place.published("same-by-command/").manifest

    for told in by_engine["objects"]:
        told["key"] = told["key"].replace("same-by-command/", "same/")
    assert by_engine["objects"] == by_airflow["objects"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("table: ots_gps_data", "table: no_such_table"), "no_such_table"),
        (("bucket: backup", "bucket: no-such-bucket"), "no-such-bucket"),
        (("split: [user_0001]", "columns: [{{name: speed, type: boolean}}]"), "speed"),
        (("split: [user_0001]", "split: [1]"), "uid"),
    ],
    ids=["missing-table", "missing-bucket", "type-conflict", "wrong-type-of-key"],
)
def test_what_no_retry_can_help_fails_at_once(place, change, message, capsys):
    dag = place.dag(f"refused_{message.replace('-', '_')}", SPEC.replace(*change))

    run = place.run(dag)

    failed = [t for t in run.get_task_instances() if t.state == "failed"]
    assert run.state == "failed"
    assert [t.try_number for t in failed] == [1] * len(failed)
    assert failed[0].task_id in ("plan", "export")
    assert states(run)["publish", -1] == "upstream_failed"
    assert message in capsys.readouterr().out


def test_a_wrong_key_fails_at_once_and_is_not_shown(place, connection, capsys):
    wrong = json.loads(place.services["env"]["AIRFLOW_CONN_TABLESTORE_DEFAULT"]) | {"password": "not-the-secret"}
    connection("tablestore_default", json.dumps(wrong))

    run = place.run(place.dag("wrong_key"))

    told = capsys.readouterr().out
    assert [t.try_number for t in run.get_task_instances() if t.task_id == "plan"] == [1]
    assert "OTSAuthFailed" in told
    assert "not-the-secret" not in told


def test_what_may_pass_is_tried_again_as_often_as_the_spec_says(place, connection):
    nowhere = json.loads(place.services["env"]["AIRFLOW_CONN_TABLESTORE_DEFAULT"]) | {"host": "http://127.0.0.1:9"}
    connection("tablestore_default", json.dumps(nowhere))

    run = place.run(place.dag("unreachable"))

    (plan,) = [t for t in run.get_task_instances() if t.task_id == "plan"]
    assert (plan.state, plan.try_number) == ("failed", 3)


def test_columns_are_learnt_anew_when_the_run_asks_for_it(place):
    from tablestore import (
        CapacityUnit,
        Condition,
        ReservedThroughput,
        Row,
        RowExistenceExpectation,
        TableMeta,
        TableOptions,
    )

    client = sample.sdk_client(place.services["tablestore"])
    put = Condition(RowExistenceExpectation.IGNORE)
    client.create_table(TableMeta("grows", [("id", "INTEGER")]), TableOptions(), ReservedThroughput(CapacityUnit(0, 0)))
    client.put_row("grows", Row([("id", 1)], [("old", 1)]), put)
    dag = place.dag("grows", SPEC.replace("table: ots_gps_data, split: [user_0001]", "table: grows"))

    def columns_after(day, **arguments):
        place.run(dag, logical_date=datetime(2026, 11, day, tzinfo=UTC), **arguments)
        return [c["name"] for c in place.published("grows/").manifest["schema"]["columns"]]

    first = columns_after(1)
    client.put_row("grows", Row([("id", 2)], [("new", 2)]), put)

    assert first == ["id", "old"]
    assert columns_after(2) == ["id", "old"]
    assert columns_after(3, run_conf={"repin": True}) == ["id", "new", "old"]


def test_a_group_in_a_dag_of_ones_own_renders_templates(place):
    from airflow.sdk import DAG

    from airflow_tablestore.operators.full_export import full_export

    with DAG("by_hand", schedule=None, params={"table": "ots_gps_data", "point": "user_0001"}) as dag:
        full_export(
            pipeline="by_hand",
            source={"table": "{{ params.table }}", "split": ["{{ params.point }}"]},
            sink={"type": "oss", "bucket": "backup", "prefix": "by_hand/{{ dag.dag_id }}/"},
        )

    run = place.run(dag)

    assert run.state == "success"
    assert set(states(run)) >= {("full_export.plan", -1), ("full_export.export", 1), ("full_export.publish", -1)}
    assert place.differences("by_hand/by_hand/") == ""


def test_the_hook_tests_its_connection(place):
    from airflow_tablestore.hooks.tablestore import TablestoreHook

    works, message = TablestoreHook().test_connection()

    assert works, message
    assert "demo" in message


def test_a_wrong_secret_is_told_with_what_to_do(place, connection):
    from airflow_tablestore.hooks.tablestore import TablestoreHook

    wrong = json.loads(place.services["env"]["AIRFLOW_CONN_TABLESTORE_DEFAULT"]) | {"password": "not-the-secret"}
    connection("tablestore_wrong", json.dumps(wrong))

    works, message = TablestoreHook("tablestore_wrong").test_connection()

    assert not works
    assert "access key secret (password)" in message
    assert "not-the-secret" not in message


def test_the_official_client_of_the_hook_sees_the_table(place):
    from airflow_tablestore.hooks.tablestore import TablestoreHook

    assert sample.TABLE in TablestoreHook().sdk_client().list_table()


def test_lineage_holds_schema_rows_and_bytes():
    from airflow_tablestore.operators.lineage import ExportLineage
    from airflow_tablestore.operators.places import Dataset
    from airflow_tablestore.pipeline.contract import Column, Report, Schema
    from airflow_tablestore.wire.row import ColumnType

    report = Report("p", "r", rows=7, bytes=99, objects=1, seconds=1.0, dirty=0, others=0, manifest="m")
    schema = Schema((Column("uid", ColumnType.STRING, is_key=True), Column("speed", ColumnType.DOUBLE)))

    facets = ExportLineage("demo", "orders", Dataset("oss://backup", "orders"), schema, report).facets()

    (table,), (objects,) = facets.inputs, facets.outputs
    assert (table.namespace, table.name) == ("tablestore://demo", "orders")
    assert [(f.name, f.type) for f in table.facets["schema"].fields] == [("uid", "string"), ("speed", "double")]
    assert (objects.namespace, objects.name) == ("oss://backup", "orders")
    counted = objects.outputFacets["outputStatistics"]
    assert (counted.rowCount, counted.size) == (7, 99)
