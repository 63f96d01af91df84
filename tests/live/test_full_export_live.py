"""The full export against a real account: `make test-live`.

Needs the two connections and a bucket in the environment; makes one table and one prefix with names of their own, and
removes both. Costs some thousand requests. The same file runs against the emulator: export what `emulator up` prints.
"""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import oss2
import pytest

from airflow_tablestore.pipeline import connections
from tests.system import compare, sample
from tests.system.services import COMMAND

NEEDED = {
    "AIRFLOW_CONN_TABLESTORE_DEFAULT": "the Tablestore connection, as docs/howto/connections.md shows",
    "AIRFLOW_CONN_OSS_DEFAULT": "the OSS connection",
    "TEST_LIVE_BUCKET": "a bucket in which the prefix airflow-tablestore-test/ may be used",
}
ROWS = 3_000
KEY_NAMES = tuple(name for name, _ in sample.KEYS)
FORMATS = {
    "parquet": (compare.read_parquet, compare.as_is),
    "csv": (compare.read_csv, compare.as_text),
    "jsonl": (compare.read_jsonl, compare.as_json),
}

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def account() -> dict[str, str]:
    missing = [f"{name}: {what}" for name, what in NEEDED.items() if not os.environ.get(name)]
    if missing:
        pytest.fail("these environment variables are not set:\n  " + "\n  ".join(missing), pytrace=False)
    return {name: os.environ[name] for name in NEEDED}


@pytest.fixture(scope="module")
def client(account: dict[str, str]) -> Any:
    endpoint = connections.tablestore_endpoint(connections.from_environment("tablestore_default", os.environ))
    return sample.sdk_client(
        {
            "endpoint": endpoint.url,
            "access_key_id": endpoint.access_key_id,
            "access_key_secret": endpoint.access_key_secret,
            "instance": endpoint.instance,
        }
    )


@pytest.fixture(scope="module")
def bucket(account: dict[str, str]) -> oss2.Bucket:
    endpoint = connections.oss_endpoint(connections.from_environment("oss_default", os.environ))
    auth = oss2.Auth(endpoint.access_key_id, endpoint.access_key_secret)
    is_local = "127.0.0.1" in endpoint.url
    return oss2.Bucket(auth, endpoint.url, account["TEST_LIVE_BUCKET"], is_path_style=is_local)


@pytest.fixture(scope="module")
def table(client: Any) -> Iterator[str]:
    name = f"airflow_tablestore_test_{uuid.uuid4().hex[:8]}"
    sample.create_table(client, name)
    try:
        sample.wait_until_writable(client, name)
        sample.load(client, ROWS, table=name)
        yield name
    finally:
        client.delete_table(name)


@pytest.fixture(scope="module")
def prefix(bucket: oss2.Bucket) -> Iterator[str]:
    root = f"airflow-tablestore-test/{uuid.uuid4().hex[:8]}/"
    yield root
    for standing in oss2.ObjectIteratorV2(bucket, root):
        bucket.delete_object(standing.key)


def spec(folder: Path, table: str, bucket: str, prefix: str, file_format: str) -> Path:
    file = folder / f"{file_format}.yaml"
    sink = {"type": "oss", "bucket": bucket, "prefix": f"{prefix}{file_format}/", "format": file_format}
    # A test without other options, because a user's shortest spec has none.
    text = {"pipeline": f"live_{file_format}", "kind": "full_export", "source": {"table": table}, "sink": sink}
    file.write_text(json.dumps(text))
    return file


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=600)


@pytest.mark.parametrize("file_format", FORMATS)
def test_an_export_of_a_real_table_holds_every_row(file_format, account, client, bucket, table, prefix, tmp_path):
    file = spec(tmp_path, table, account["TEST_LIVE_BUCKET"], prefix, file_format)

    ran = command("run", str(file), "--json")

    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["rows"] == ROWS
    published = compare.download(bucket, f"{prefix}{file_format}/", tmp_path / "objects")
    read, normal = FORMATS[file_format]
    expected = compare.table_rows(client, table, KEY_NAMES)
    assert compare.difference(expected, read(published.files, KEY_NAMES), normal) == ""


def test_doctor_finds_a_healthy_account(account, table, prefix, tmp_path):
    file = spec(tmp_path, table, account["TEST_LIVE_BUCKET"], prefix, "parquet")

    ran = command("doctor", str(file), "--write-probe")

    assert ran.returncode == 0, ran.stdout + ran.stderr
