"""Tables restored through the emulator: round trips by the command line, faults, and a kill in the middle."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from airflow_tablestore.cli import main
from airflow_tablestore.cli.session import MUST_CHANGE, OK, Session

ROWS = [
    {
        "uid": f"user_{n % 7}",
        "n": n,
        "text": ["", "null", 'a "b",\r\n c', None][n % 4],
        "score": n / 3,
        "ok": n % 2 == 0,
    }
    | {"big": 2**63 - 1 - n, "data": bytes([n % 256, 0, 255])}
    for n in range(450)
] + [{"uid": "only a key", "n": 1}]


def shell(*words: str) -> tuple[int, str, str]:
    session = Session(out=io.StringIO(), err=io.StringIO())
    code = main(list(words), session)
    return code, session.out.getvalue(), session.err.getvalue()


@pytest.fixture
def specs(tablestore_cloud, tmp_path):
    """The export of a table has run; where the spec of its restore is, as a function of what goes into it."""
    cloud = tablestore_cloud
    cloud.make_table("rides", key={"uid": str, "n": int}, rows=ROWS)

    def write(sink: str = "", limits: str = "", **export: str) -> str:
        settings = ", ".join(f"{name}: {value}" for name, value in {"max_file_mb": "1", **export}.items())
        prefix = f"{cloud.prefix}{export.get('format', 'parquet')}/"
        exported = tmp_path / "export.yaml"
        exported.write_text(
            "pipeline: out\nkind: full_export\nsource: {table: rides}\n"
            f"sink: {{type: oss, bucket: {cloud.bucket}, prefix: {prefix}, {settings}}}\n"
        )
        assert shell("run", str(exported))[0] == OK
        restored = tmp_path / "restore.yaml"
        restored.write_text(
            f"pipeline: back\nkind: restore\nsource: {{type: oss, bucket: {cloud.bucket}, prefix: {prefix}}}\n"
            f"sink: {{type: tablestore, table: copy, create_table: true{sink}}}\nlimits: {{threads: 3{limits}}}\n"
        )
        return str(restored)

    return write


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [{}, {"format": "csv", "compress": "gzip"}, {"format": "jsonl", "compress": "zstd"}],
    ids=["parquet", "csv", "jsonl"],
)
def test_a_table_comes_back_as_it_was(tablestore_cloud, specs, settings):
    spec = specs(**settings)

    code, out, errors = shell("run", "--json", spec)

    assert code == OK, errors
    report = json.loads(out)
    assert (report["rows"], report["written"], report["dirty"]) == (len(ROWS), len(ROWS), 0)
    assert tablestore_cloud.rows("copy") == tablestore_cloud.rows("rides")
    assert len(tablestore_cloud.rows("copy")) == len(ROWS)


@pytest.mark.slow
def test_a_plan_writes_nothing(tablestore_cloud, specs):
    spec = specs()

    code, out, _ = shell("plan", "--json", spec)

    planned = json.loads(out)
    assert code == OK
    assert (planned["rows"], planned["makes_table"], planned["key"][0]["name"]) == (len(ROWS), True, "uid")
    assert tablestore_cloud.requests("CreateTable") == []
    assert tablestore_cloud.requests("BatchWriteRow") == []
    assert "Nothing was written." in shell("plan", spec)[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("row_error", {"code": "OTSRowOperationConflict", "count": 30, "skip": 7}),
        ("row_error", {"code": "OTSNotEnoughCapacityUnit", "count": 20}),
        ("error", {"code": "OTSServerBusy", "count": 3}),
        ("lost_answer", {"count": 2}),
        ("reset", {"count": 2}),
        ("wrong_md5", {"count": 2}),
    ],
)
def test_faults_that_pass_lose_and_double_no_row(tablestore_cloud, specs, kind, settings):
    spec = specs(sink=", batch_rows: 40")
    rule = tablestore_cloud.faults.add(kind, operation="BatchWriteRow", **settings)

    code, _, errors = shell("run", spec)

    assert code == OK, errors
    assert tablestore_cloud.faults.struck(rule) == settings["count"]
    assert tablestore_cloud.rows("copy") == tablestore_cloud.rows("rides")


@pytest.mark.slow
def test_a_row_that_is_refused_for_good_is_named(tablestore_cloud, specs):
    spec = specs(limits=", errors: 1")
    tablestore_cloud.faults.add(
        "row_error", code="OTSOutOfRowSizeLimit", operation="BatchWriteRow", skip=len(ROWS) - 1, count=1
    )

    code, out, errors = shell("run", "--json", spec)

    assert code == OK, errors
    assert json.loads(out)["dirty"] == 1
    assert "dirty record uid=" in errors
    assert len(tablestore_cloud.rows("copy")) == len(ROWS) - 1


@pytest.mark.slow
def test_a_table_that_is_missing_or_of_another_key_is_refused(tablestore_cloud, specs):
    spec = specs()
    wrong = Path(spec).with_name("wrong.yaml")
    tablestore_cloud.make_table("other", key={"uid": str}, rows=[])
    wrong.write_text(Path(spec).read_text().replace("table: copy", "table: other"))

    code, _, errors = shell("run", str(wrong))

    assert code == MUST_CHANGE
    assert "has the key uid (string), and the rows have uid (string), n (integer)" in errors


@pytest.mark.slow
def test_a_row_for_which_a_whole_batch_is_refused_is_the_only_dirty_one(tablestore_cloud, tmp_path):
    cloud = tablestore_cloud
    cloud.make_table("copy", key={"id": int}, rows=[])
    body = b"".join(b"%d,%s\n" % (n, b"x" * (2_200_000 if n == 3 else 5)) for n in range(9))
    cloud.put_object(f"{cloud.prefix}raw.csv", body)
    spec = tmp_path / "restore.yaml"
    spec.write_text(
        f"pipeline: back\nkind: restore\nsource:\n  type: oss\n  bucket: {cloud.bucket}\n"
        f"  objects: {cloud.prefix}*.csv\n  format: csv\n  csv: {{header: false}}\n"
        "  columns: [{name: id, type: integer}, {name: text, type: string}]\n"
        "sink: {type: tablestore, table: copy}\nlimits: {errors: 1}\n"
    )

    code, out, errors = shell("run", "--json", str(spec))

    assert code == OK, errors
    assert (json.loads(out)["written"], json.loads(out)["dirty"]) == (8, 1)
    assert "dirty record id=3: " in errors
    assert [row["id"] for row in cloud.rows("copy")] == [0, 1, 2, 4, 5, 6, 7, 8]


@pytest.mark.slow
def test_other_columns_another_key_and_nulls_that_delete(tablestore_cloud, tmp_path):
    cloud = tablestore_cloud
    cloud.make_table("copy", key={"n": int, "who": str}, rows=[{"n": 1, "who": "a", "text": "old", "kept": 1}])
    cloud.put_object(f"{cloud.prefix}raw.csv", b"a,1,\nb,2,x\nc,3,\n")
    spec = tmp_path / "restore.yaml"
    spec.write_text(
        f"pipeline: back\nkind: restore\nsource:\n  type: oss\n  bucket: {cloud.bucket}\n"
        f"  objects: {cloud.prefix}*.csv\n  format: csv\n  csv: {{header: false}}\n"
        "  columns: [{name: uid, type: string}, {name: n, type: string}, {name: text, type: string}]\n"
        "sink:\n  type: tablestore\n  table: copy\n  write: update\n  nulls: delete\n  primary_key: [n, who]\n"
        "  columns: [{name: uid, as: who}, {name: n, type: integer}, text]\n"
        "  batch_bytes: 1024\n  requests_per_second: 200\n  max_retries: 3\n"
    )

    code, out, errors = shell("run", "--json", str(spec))

    assert code == OK, errors
    assert (json.loads(out)["rows"], json.loads(out)["written"]) == (3, 3)
    assert cloud.rows("copy") == [
        {"n": 1, "who": "a", "kept": 1},
        {"n": 2, "who": "b", "text": "x"},
        {"n": 3, "who": "c"},
    ]


@pytest.mark.slow
def test_two_restores_at_once_leave_the_rows_of_one(tablestore_cloud, specs):
    spec = specs(sink=", batch_rows: 20")

    # Processes, as a command arranges the logging of its own.
    command = [sys.executable, "-c", "from airflow_tablestore.cli import main; exit(main())", "run", "--json", spec]
    env = {**os.environ, **tablestore_cloud.environment()}
    both = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    told = [process.communicate(timeout=120) for process in both]

    assert [process.returncode for process in both] == [OK, OK], told
    assert [json.loads(out)["written"] for out, _ in told] == [len(ROWS)] * 2
    assert tablestore_cloud.rows("copy") == tablestore_cloud.rows("rides")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda body: body[:-9], "bytes instead of"),
        (lambda body: body[:50] + bytes([body[50] ^ 1]) + body[51:], "the CRC64"),
        (None, "is missing"),
    ],
    ids=["cut", "damaged", "missing"],
)
def test_a_damaged_export_leaves_what_the_table_had(tablestore_cloud, specs, damage, told):
    spec, cloud = specs(), tablestore_cloud
    assert shell("run", spec)[0] == OK
    (key,) = [key for key in cloud.objects() if key.startswith(cloud.prefix) and key.endswith(".parquet")]
    body = cloud.objects()[key]
    if damage is None:
        cloud.emulator.objects_store().delete(cloud.bucket, [key])
    else:
        cloud.put_object(key, damage(body))
    requests = len(cloud.requests("BatchWriteRow"))

    code, _, errors = shell("run", spec)

    assert code != OK
    assert f"{key} " in errors
    assert told in errors
    assert len(cloud.requests("BatchWriteRow")) == requests
    assert cloud.rows("copy") == cloud.rows("rides")


def test_a_command_for_exports_names_the_one_for_restores(tmp_path):
    spec = tmp_path / "restore.yaml"
    spec.write_text(
        "pipeline: back\nkind: restore\nsource: {type: oss, bucket: backup, prefix: p/}\n"
        "sink: {type: tablestore, table: copy}\n"
    )

    code, _, errors = shell("schema-of", str(spec))

    assert code == MUST_CHANGE
    assert f"airflow-tablestore plan {spec}" in errors


def count(cloud) -> int:
    try:
        return len(cloud.rows("copy"))
    except Exception:  # noqa: BLE001 - the table is not there yet
        return 0


@pytest.mark.slow
def test_a_restore_killed_in_the_middle_is_made_good_by_the_next(tablestore_cloud, specs):
    spec = specs(sink=", batch_rows: 10", limits=", rows_per_second: 20")
    command = [sys.executable, "-c", f"from airflow_tablestore.cli import main; main(['run', {spec!r}])"]
    process = subprocess.Popen(
        command, env={**os.environ, **tablestore_cloud.environment()}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    deadline = time.monotonic() + 120
    while count(tablestore_cloud) < 20 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)

    os.kill(process.pid, signal.SIGKILL)
    output = process.communicate(timeout=120)[0]
    half = count(tablestore_cloud)
    Path(spec).write_text(Path(spec).read_text().replace(", rows_per_second: 20", ""))
    code, _, errors = shell("run", spec)

    assert process.returncode == -signal.SIGKILL, output.decode()
    assert 0 < half < len(ROWS)
    assert code == OK, errors
    assert tablestore_cloud.rows("copy") == tablestore_cloud.rows("rides")
