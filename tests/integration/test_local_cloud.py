"""`LocalCloud` and the fixtures, as tests of users meet them; also in a project that is not this one."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import oss2
import pytest
import tablestore as sdk
from odps import ODPS

from airflow_tablestore.emulator import LocalCloud
from airflow_tablestore.errors import SpecError

pytestmark = pytest.mark.slow


def client_of(cloud: LocalCloud) -> sdk.OTSClient:
    at = cloud.tablestore
    return sdk.OTSClient(at.endpoint, at.access_key_id, at.access_key_secret, at.instance)


def test_it_starts_and_ends_by_itself():
    with LocalCloud() as cloud:
        cloud.make_table("rides", key={"id": int}, rows=[{"id": 2, "city": "Oslo"}, {"id": 1, "fare": 1.5}])
        seen = client_of(cloud).get_row("rides", [("id", 2)], max_version=1)[1]

        assert [(name, value) for name, value, _ in seen.attribute_columns] == [("city", "Oslo")]
        assert cloud.rows("rides") == [{"id": 1, "fare": 1.5}, {"id": 2, "city": "Oslo"}]

    with pytest.raises(Exception, match="with statement"):
        _ = cloud.tablestore


def test_the_sample_table_is_the_same_for_the_same_seed(tablestore_cloud):
    first = tablestore_cloud.make_sample_table("a", rows=450, seed=3)
    again = tablestore_cloud.make_sample_table("b", rows=450, seed=3)

    assert first == again == tablestore_cloud.rows("a")
    assert {type(value) for row in first for value in row.values()} == {str, int, float, bool, bytes}


def test_objects_are_put_and_read_without_a_client(tablestore_cloud):
    cloud = tablestore_cloud
    at = cloud.oss
    bucket = oss2.Bucket(oss2.Auth(at.access_key_id, at.access_key_secret), at.endpoint, at.bucket)
    cloud.put_object(cloud.prefix + "small", b"body")
    cloud.put_object("elsewhere", b"b" * 200_000)
    bucket.put_object(cloud.prefix + "theirs", b"their body")

    assert cloud.objects() == {cloud.prefix + "small": b"body", cloud.prefix + "theirs": b"their body"}
    assert list(cloud.objects("")) == ["elsewhere", cloud.prefix + "small", cloud.prefix + "theirs"]
    assert bucket.get_object("elsewhere").read() == b"b" * 200_000


def test_the_environment_leads_to_the_tests_own_instance(tablestore_cloud, monkeypatch):
    import os

    told = json.loads(os.environ["AIRFLOW_CONN_TABLESTORE_DEFAULT"])

    assert told["extra"]["instance"] == tablestore_cloud.instance
    assert told["host"] == tablestore_cloud.tablestore.endpoint


def test_another_instance_than_the_tests_own_is_refused(tablestore_cloud):
    at = tablestore_cloud.tablestore
    stranger = sdk.OTSClient(at.endpoint, at.access_key_id, at.access_key_secret, "somebody-elses")

    with pytest.raises(sdk.OTSServiceError, match="The instance is not found"):
        stranger.list_table()
    assert client_of(tablestore_cloud).list_table() == ()


def test_a_name_that_no_instance_can_have_is_refused_in_words(emulator):
    with pytest.raises(SpecError, match="'no_such' cannot be the name of an instance"), LocalCloud(instance="no_such"):
        pass
    with pytest.raises(SpecError, match="'9' cannot be"):
        LocalCloud(emulator=emulator, instance="9").__enter__()
    assert emulator.status()["tablestore"]["endpoint"]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"city": "Oslo"}], "needs its key: id"),
        ([{"id": "text"}], "OTSInvalidPK"),
    ],
)
def test_a_row_that_cannot_be_is_refused_in_words(tablestore_cloud, rows, words):
    with pytest.raises(SpecError, match=words):
        tablestore_cloud.make_table("rides", key={"id": int}, rows=rows)


@pytest.mark.parametrize(("name", "key"), [("rides", {"id": float}), ("rides", {}), ("no name", {"id": int})])
def test_a_table_that_cannot_be_is_refused_in_words(tablestore_cloud, name, key):
    with pytest.raises(SpecError):
        tablestore_cloud.make_table(name, key=key)


def test_clouds_over_one_emulator_do_not_see_each_other(emulator):
    with LocalCloud(emulator=emulator) as one, LocalCloud(emulator=emulator) as other:
        one.make_table("rides", key={"id": int})
        one.put_object(one.prefix + "a", b"1")

        assert client_of(other).list_table() == ()
        assert other.objects() == {}

    assert emulator.tablestore.endpoint


def test_faults_strike_clients_but_not_what_the_test_sets_up(tablestore_cloud):
    tablestore_cloud.faults.add("reset")

    tablestore_cloud.make_sample_table(rows=10)

    assert len(tablestore_cloud.rows("rides")) == 10
    assert tablestore_cloud.requests() == []


PROJECT = """
import pytest

def test_first(tablestore_cloud):
    tablestore_cloud.make_sample_table(rows=3)
    tablestore_cloud.put_object("left-behind", b"x")
    tablestore_cloud.faults.add("latency", seconds=1)
    tablestore_cloud.advance(99)

def test_every_test_begins_with_an_empty_cloud(tablestore_cloud):
    assert tablestore_cloud.objects("") == {}
    assert tablestore_cloud.faults.list() == []
    assert tablestore_cloud.emulator.clock.ahead_seconds == 0
    with pytest.raises(Exception):
        tablestore_cloud.rows("rides")
"""
LIGHT = """
import sys

def test_nothing_heavy_is_loaded_before_a_fixture_is_used():
    assert "airflow_tablestore.emulator.pytest_plugin" in sys.modules
    heavy = {"airflow", "uvicorn", "google.protobuf", "pyarrow", "oss2", "tablestore", "sqlite3", "asyncio.base_events"}
    assert not heavy & set(sys.modules) - ALREADY
"""


@pytest.mark.parametrize("text", [PROJECT, LIGHT], ids=["isolation", "import"])
def test_another_projects_tests_have_the_fixtures(tmp_path, text):
    text = text.replace("ALREADY", "{'asyncio.base_events'}")
    (tmp_path / "test_theirs.py").write_text(textwrap.dedent(text))

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "test_theirs.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stdout


def test_maxcompute_has_a_project_of_its_own(emulator):
    with LocalCloud(emulator=emulator) as first, LocalCloud(emulator=emulator) as second:
        for cloud in (first, second):
            cloud.sql("create table t (id bigint, v string) partitioned by (pt string)")
        first.put_maxcompute_rows("t", [{"id": 1, "v": "a"}, {"id": 2}], "pt=1")

        assert first.maxcompute_rows("t") == [{"id": 1, "v": "a", "pt": "1"}, {"id": 2, "v": None, "pt": "1"}]
        assert first.maxcompute_rows("t", "pt=2") == second.maxcompute_rows("t") == []
        assert first.sql("select count(*) as n from t where pt = '1'") == [{"n": 2}]


def test_maxcompute_is_reached_through_the_environment(emulator):
    with LocalCloud(emulator=emulator) as cloud:
        cloud.sql("create table t (id bigint)")
        extra = json.loads(cloud.environment()["AIRFLOW_CONN_MAXCOMPUTE_DEFAULT"])["extra"]
        keys = extra["access_key_id"], extra["access_key_secret"]

        odps = ODPS(*keys, project=extra["project"], endpoint=extra["endpoint"])

        assert odps.exist_table("t")
        assert extra["project"] == cloud.maxcompute.project == cloud.project


@pytest.mark.parametrize(
    "do",
    [
        lambda cloud: cloud.sql("selec 1"),
        lambda cloud: cloud.maxcompute_rows("absent"),
        lambda cloud: cloud.put_maxcompute_rows("t", [{"id": "no number"}]),
    ],
)
def test_what_maxcompute_does_not_take_is_told(emulator, do):
    with LocalCloud(emulator=emulator) as cloud:
        cloud.sql("create table t (id bigint)")

        with pytest.raises(SpecError):
            do(cloud)
