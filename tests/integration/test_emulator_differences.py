"""What the emulator does differently on purpose, as docs/reference/emulator-fidelity.md says."""

from __future__ import annotations

import re
import socket
from urllib.parse import urlsplit

import oss2
import pytest
import requests
import tablestore as sdk

from airflow_tablestore.emulator import Emulator

pytestmark = pytest.mark.slow

ALWAYS = sdk.Condition(sdk.RowExistenceExpectation.IGNORE)
KEY = [("id", 1)]


@pytest.fixture
def bucket(emulator: Emulator) -> oss2.Bucket:
    return bucket_named(emulator, emulator.oss.bucket)


@pytest.fixture
def client(emulator: Emulator) -> sdk.OTSClient:
    """A client of an instance of its own, which has no tables yet."""
    emulator.make_instance("differences")
    at = emulator.tablestore
    client = sdk.OTSClient(at.endpoint, at.access_key_id, at.access_key_secret, "differences")
    for name in client.list_table():
        client.delete_table(name)
    return client


def bucket_named(emulator: Emulator, name: str) -> oss2.Bucket:
    at = emulator.oss
    return oss2.Bucket(oss2.Auth(at.access_key_id, at.access_key_secret), at.endpoint, name)


def make_table(client: sdk.OTSClient, name: str, **options) -> None:
    meta, throughput = sdk.TableMeta(name, [("id", "INTEGER")]), sdk.ReservedThroughput(sdk.CapacityUnit(0, 0))
    client.create_table(meta, sdk.TableOptions(**options), throughput)


# ---- both services


def test_only_this_machine_is_served(emulator):
    for endpoint in (emulator.tablestore.endpoint, emulator.oss.endpoint):
        parts = urlsplit(endpoint)
        assert (parts.scheme, parts.hostname) == ("http", "127.0.0.1")
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.2", parts.port), timeout=2).close()


# ---- Tablestore


def test_a_deleted_version_hides_no_older_one_that_is_written_later(client):
    make_table(client, "t", max_version=5)
    client.put_row("t", sdk.Row(KEY, [("c", "new")]), ALWAYS)
    version = client.get_row("t", KEY, max_version=1)[1].attribute_columns[0][2]

    client.update_row("t", sdk.Row(KEY, {"DELETE_ALL": ["c"]}), ALWAYS)
    client.update_row("t", sdk.Row(KEY, {"PUT": [("c", "old", version - 1000)]}), ALWAYS)

    assert client.get_row("t", KEY, max_version=1)[1].attribute_columns == [("c", "old", version - 1000)]


def test_tables_are_made_and_changed_without_a_quota_or_a_pause(client):
    for number in range(65):
        make_table(client, f"t{number}")
    for versions in (2, 3):
        client.update_table("t0", sdk.TableOptions(max_version=versions))

    assert len(client.list_table()) == 65


# ---- OSS


def test_a_public_object_is_refused_to_strangers_all_the_same(bucket):
    bucket.put_object("public", b"body")
    bucket.put_object_acl("public", oss2.OBJECT_ACL_PUBLIC_READ)

    answer = requests.get(f"{bucket.endpoint}/{bucket.bucket_name}/public", timeout=60)

    assert bucket.get_object_acl("public").acl == "public-read"
    assert (answer.status_code, b"<Code>AccessDenied</Code>" in answer.content) == (403, True)


def test_an_archived_object_is_read_at_once(bucket):
    bucket.put_object("archived", b"body", headers={"x-oss-storage-class": "Archive"})

    assert bucket.head_object("archived").headers["x-oss-storage-class"] == "Archive"
    assert bucket.get_object("archived").read() == b"body"


def test_encryption_by_the_services_own_keys_is_told(bucket):
    bucket.put_object("hidden", b"body", headers={"x-oss-server-side-encryption": "AES256"})

    found = bucket.get_object("hidden")

    assert found.headers["x-oss-server-side-encryption"] == "AES256"
    assert found.read() == b"body"


def test_a_name_that_others_may_have_taken_is_free_here(emulator):
    bucket_named(emulator, "test").create_bucket()

    assert bucket_named(emulator, "test").get_bucket_info().name == "test"


def test_an_appended_object_has_an_etag_of_hex_digits(bucket):
    bucket.delete_object("grown")
    bucket.append_object("grown", 0, b"one")
    bucket.append_object("grown", 3, b"two")

    assert re.fullmatch(r"[0-9A-F]{32}(-\d+)?", bucket.head_object("grown").etag)


@pytest.mark.parametrize("headers", [{"x-oss-traffic-limit": "819200"}, {"x-oss-request-payer": "requester"}])
def test_limits_of_speed_and_payers_have_no_effect(bucket, headers):
    bucket.put_object("taken", b"body", headers=headers)

    assert bucket.get_object("taken", headers=headers).read() == b"body"
