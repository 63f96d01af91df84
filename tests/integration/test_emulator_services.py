"""Both services together: the fixture for users' tests, and what the environment says."""

from __future__ import annotations

import json

import alibabacloud_oss_v2 as oss_v2
import pytest
import tablestore

pytestmark = pytest.mark.slow


def test_the_fixture_serves_tablestore(emulator):
    access = emulator.tablestore
    emulator.make_instance("fixture-instance")
    emulator.make_instance("another-instance")
    client = tablestore.OTSClient(access.endpoint, access.access_key_id, access.access_key_secret, "fixture-instance")

    client.create_table(
        tablestore.TableMeta("rides", [("id", "INTEGER")]),
        tablestore.TableOptions(),
        tablestore.ReservedThroughput(tablestore.CapacityUnit(0, 0)),
    )

    assert "rides" in client.list_table()
    other = tablestore.OTSClient(access.endpoint, access.access_key_id, access.access_key_secret, "another-instance")
    assert "rides" not in other.list_table()


def test_the_environment_connects_airflows_own_oss_client(emulator):
    extra = json.loads(emulator.environment()["AIRFLOW_CONN_OSS_DEFAULT"])["extra"]
    config = oss_v2.config.load_default()
    config.credentials_provider = oss_v2.credentials.StaticCredentialsProvider(
        extra["access_key_id"], extra["access_key_secret"]
    )
    config.region, config.endpoint = extra["region"], extra["endpoint"]

    client = oss_v2.Client(config)

    assert client.is_bucket_exist("backup")


def test_everything_is_told_on_one_line(emulator):
    told = emulator.to_json()

    assert "\n" not in told
    assert json.loads(told)["oss"]["bucket"] == "backup"
