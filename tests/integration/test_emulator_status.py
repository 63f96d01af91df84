"""`GET /_emulator/status` and `emulator status` tell everything that is held, whichever service holds it."""

from __future__ import annotations

from collections.abc import Iterator

import oss2
import pytest
import requests
import tablestore as sdk

from airflow_tablestore import __version__
from airflow_tablestore.cli import main as cli
from airflow_tablestore.emulator import Emulator
from airflow_tablestore.emulator.__main__ import main

pytestmark = pytest.mark.slow

ALWAYS = sdk.Condition(sdk.RowExistenceExpectation.IGNORE)
PART = 100 * 1024


@pytest.fixture
def cloud(tmp_path, monkeypatch) -> Iterator[Emulator]:
    with Emulator(tmp_path / "data") as emulator:
        for name, value in emulator.environment().items():
            monkeypatch.setenv(name, value)
        yield emulator


def table_of(emulator: Emulator, name: str = "rides") -> sdk.OTSClient:
    at = emulator.tablestore
    client = sdk.OTSClient(at.endpoint, at.access_key_id, at.access_key_secret, at.instance)
    meta, throughput = sdk.TableMeta(name, [("id", "INTEGER")]), sdk.ReservedThroughput(sdk.CapacityUnit(0, 0))
    client.create_table(meta, sdk.TableOptions(), throughput)
    return client


def bucket_of(emulator: Emulator) -> oss2.Bucket:
    at = emulator.oss
    return oss2.Bucket(oss2.Auth(at.access_key_id, at.access_key_secret), at.endpoint, at.bucket)


def status_of(emulator: Emulator) -> dict:
    return requests.get(f"{emulator.oss.endpoint}/_emulator/status", timeout=60).json()


def test_streams_are_told_with_their_shards_and_records(cloud, capsys):
    client = table_of(cloud)
    table_of(cloud, "unstreamed")
    assert cli(["stream", "enable", "rides", "--hours", "48"]) == 0
    for id_ in (1, 9):
        client.put_row("rides", sdk.Row([("id", id_)], []), ALWAYS)
    cloud.tablestore_service().streams.split_shard("demo", "rides", None, (("id", 5),))

    told = status_of(cloud)["tablestore"]
    capsys.readouterr()
    main(["status", "--url", cloud.tablestore.endpoint])

    stream = told["streams"]["demo"].pop("rides")
    assert told["streams"] == {"demo": {}}
    assert {name: stream[name] for name in ("hours", "shards", "open_shards", "records")} == {
        "hours": 48,
        "shards": 3,
        "open_shards": 2,
        "records": 2,
    }
    assert "2 rows; stream of 48 h with 2 records, 2 of 3 shards open" in capsys.readouterr().out


def test_unfinished_uploads_are_told_until_they_end(cloud, capsys):
    bucket = bucket_of(cloud)
    upload, empty = (bucket.init_multipart_upload(key).upload_id for key in ("a", "b"))
    for number in (1, 2):
        bucket.upload_part("a", upload, number, b"p" * PART)

    before = status_of(cloud)["oss"]
    main(["status", "--url", cloud.oss.endpoint])
    bucket.abort_multipart_upload("a", upload)
    bucket.abort_multipart_upload("b", empty)

    assert before["uploads"] == {"backup": {"uploads": 2, "parts": 2, "bytes": 2 * PART}}
    assert before["buckets"] == {"backup": {"objects": 0, "bytes": 0}}
    assert "2 unfinished uploads" in capsys.readouterr().out
    assert status_of(cloud)["oss"]["uploads"] == {}


def test_room_on_the_disk_is_told(cloud):
    before = status_of(cloud)["oss"]["disk_bytes"]
    bucket_of(cloud).put_object("large", b"b" * 1_000_000)

    assert status_of(cloud)["oss"]["disk_bytes"] >= before + 1_000_000


def test_the_version_is_told_and_no_secret(cloud):
    told = status_of(cloud)

    assert told["version"] == __version__
    assert cloud.tablestore.access_key_secret not in str(told)


def test_a_table_that_goes_meanwhile_is_left_out(cloud):
    table_of(cloud)
    service = cloud.tablestore_service()
    listed = service.store.tables()
    service.store.drop("demo", "rides")
    service.store.tables = lambda: listed

    assert status_of(cloud)["tablestore"]["rows"] == {}
