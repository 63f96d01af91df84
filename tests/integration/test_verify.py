"""`airflow-tablestore verify` through the emulator: exports in every format, rows that change behind them, damage."""

from __future__ import annotations

import io
import json

import pytest
from tablestore import Condition, OTSClient, Row, RowExistenceExpectation

from airflow_tablestore.cli import main
from airflow_tablestore.cli.session import FAILED, MUST_CHANGE, OK, Session

pytestmark = pytest.mark.slow

ROWS = [
    {
        "uid": f"user_{n % 7}",
        "n": n,
        "text": ["", "null", 'a "b",\r\n c', None][n % 4],
        "score": n / 3,
        "ok": n % 2 == 0,
    }
    | {"big": 2**63 - 1 - n, "data": bytes([n % 256, 0, 255])}
    for n in range(300)
] + [{"uid": "only a key", "n": 1}]


def shell(*words: str) -> tuple[int, str, str]:
    session = Session(out=io.StringIO(), err=io.StringIO())
    code = main(list(words), session)
    return code, session.out.getvalue(), session.err.getvalue()


def told(*words: str) -> dict:
    code, out, errors = shell("verify", "--json", *words)
    assert code in (OK, FAILED), errors
    found = json.loads(out)
    assert (code == OK) == found.get("is_same", True)
    return found


def delete_row(cloud, table, **key) -> None:
    at = cloud.tablestore
    client = OTSClient(at.endpoint, at.access_key_id, at.access_key_secret, at.instance)
    client.delete_row(table, Row(list(key.items())), Condition(RowExistenceExpectation.EXPECT_EXIST))


@pytest.fixture
def cloud(tablestore_cloud):
    tablestore_cloud.make_table("rides", key={"uid": str, "n": int}, rows=ROWS)
    return tablestore_cloud


@pytest.fixture
def exported(cloud, tmp_path):
    """Exports the table; the spec's file."""

    def export(**settings: str) -> str:
        words = ", ".join(f"{name}: {value}" for name, value in settings.items())
        file = tmp_path / "export.yaml"
        file.write_text(
            "pipeline: out\nkind: full_export\nsource: {table: rides}\n"
            f"sink: {{type: oss, bucket: {cloud.bucket}, prefix: {cloud.prefix}, {words}}}\n"
        )
        code, _, errors = shell("run", str(file))
        assert code == OK, errors
        return str(file)

    return export


@pytest.mark.parametrize(
    "settings",
    [{"format": "parquet"}, {"format": "csv", "compress": "gzip"}, {"format": "jsonl", "compress": "zstd"}],
    ids=["parquet", "csv", "jsonl"],
)
def test_what_has_changed_since_the_export_is_named(cloud, exported, settings):
    spec = exported(**settings)
    assert told(spec) | {"seconds": 0, "read_units": 0, "bytes_read": 0} == {
        "table": "rides",
        "place": f"oss://{cloud.bucket}/{cloud.prefix}",
        "run": told(spec)["run"],
        "is_same": True,
        "rows": len(ROWS),
        "published": len(ROWS),
        "dirty": 0,
        "ranges": 1,
        "differing_ranges": 0,
        "missing": 0,
        "extra": 0,
        "changed": 0,
        "doubled": 0,
        "named": [],
        "read_units": 0,
        "bytes_read": 0,
        "seconds": 0,
    }

    cloud.put_rows("rides", [{**ROWS[5], "score": 0.5}, {"uid": "new", "n": 7}])
    delete_row(cloud, "rides", uid="only a key", n=1)
    found = told(spec)

    assert (found["missing"], found["extra"], found["changed"]) == (1, 1, 1)
    assert sorted((one["kind"], one["key"], one["columns"]) for one in found["named"]) == [
        ("changed", "uid=user_5, n=5", ["score"]),
        ("extra", "uid=only a key, n=1", []),
        ("missing", "uid=new, n=7", []),
    ]
    code, out, _ = shell("verify", spec)
    assert (code, "uid=user_5, n=5 (score)" in out) == (FAILED, True)


def test_a_restored_table_is_laid_beside_its_export(cloud, exported, tmp_path):
    exported(format="parquet")
    spec = tmp_path / "restore.yaml"
    spec.write_text(
        f"pipeline: back\nkind: restore\nsource: {{type: oss, bucket: {cloud.bucket}, prefix: {cloud.prefix}}}\n"
        "sink: {type: tablestore, table: copy, create_table: true}\n"
    )
    assert shell("run", str(spec))[0] == OK

    assert told(str(spec))["is_same"]
    delete_row(cloud, "copy", uid="only a key", n=1)
    assert [one["key"] for one in told(str(spec))["named"]] == ["uid=only a key, n=1"]


def test_a_damaged_object_is_a_clear_error(cloud, exported):
    spec = exported(format="csv")
    ((key, found),) = [(key, body) for key, body in cloud.objects().items() if key.endswith(".csv")]
    body = bytearray(found)
    body[100] ^= 1
    cloud.put_object(key, bytes(body))

    code, out, errors = shell("verify", spec)

    assert (code, out) == (FAILED, "")
    assert f"{key} has the CRC64" in errors
    cloud.emulator.objects_store().delete(cloud.bucket, [key])
    assert f"{key} is missing" in shell("verify", spec)[2]


def test_a_dry_run_estimates_and_reads_one_page(cloud, exported):
    spec = exported(format="csv")
    before = len(cloud.requests("GetRange"))

    found = told(spec, "--dry-run")

    assert len(cloud.requests("GetRange")) == before + 1
    assert (found["published"], found["objects"]) == (len(ROWS), 1)
    assert 0.5 < found["rows"] / len(ROWS) < 2
    assert found["read_units"] > 0
    assert "read capacity units" in shell("verify", spec, "--dry-run")[1]


def test_what_cannot_be_verified_is_told(cloud, tmp_path):
    file = tmp_path / "spec.yaml"
    file.write_text(
        f"pipeline: out\nkind: full_export\nsource: {{table: rides}}\nsink: {{bucket: {cloud.bucket}, "
        f"prefix: {cloud.prefix}, type: oss}}\n"
    )
    code, _, errors = shell("verify", str(file))
    assert (code, "no export is published there" in errors) == (MUST_CHANGE, True)
    assert shell("verify", str(file), "--most", "few")[0] == MUST_CHANGE
    file.write_text("pipeline: out\nkind: full_export\nsource: {table: rides}\nsink: {type: maxcompute, table: gps}\n")
    code, _, errors = shell("verify", str(file))
    assert (code, "a MaxCompute table cannot be read back" in errors) == (MUST_CHANGE, True)
