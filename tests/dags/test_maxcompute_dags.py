"""Exports into MaxCompute as Airflow runs them: a DAG of the factory, against the emulator's services."""

from __future__ import annotations

import json

import pytest

from airflow_tablestore.emulator.maxcompute.beside import rows_of
from airflow_tablestore.factory import import_spec
from tests.system import compare, sample

pytestmark = pytest.mark.slow

ROWS = 300
SPEC = """\
pipeline: to_maxcompute
kind: full_export
source: {table: ots_gps_data, split: [user_0001], columns: [uid, ts, {value: 7, as: batch}]}
sink: {type: maxcompute, table: gps, partition: "pt={run_date:%Y}", truncate: true, create_table: true}
retry: {times: 1, delay: 1s}
"""


@pytest.fixture
def services(emulator, monkeypatch):
    """The emulator with the sample table in it, reachable for Airflow's tasks."""
    told = json.loads(emulator.to_json())
    client = sample.sdk_client(told["tablestore"])
    if sample.TABLE not in client.list_table():
        sample.create_table(client)
        sample.load(client, ROWS)
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
    expected = compare.table_rows(sample.sdk_client(services["tablestore"]), sample.TABLE, ("uid", "ts"))
    loaded = rows_of(emulator.maxcompute_store(), emulator.maxcompute.project, "gps", None)
    assert sorted((row["uid"], row["ts"]) for row in loaded) == sorted(expected)
    assert {row["batch"] for row in loaded} == {7}
    assets = assets_of(runs[1])
    assert assets["maxcompute://maxcompute_default/gps"]["rows"] == len(expected)
    texts = xcoms(runs[1])
    assert texts
    assert all(services["maxcompute"]["access_key_secret"] not in text for text in texts)
