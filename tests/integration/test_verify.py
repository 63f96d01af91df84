"""`airflow-tablestore verify` through the emulator: exports in every format, rows that change behind them, damage."""

from __future__ import annotations

import io
import json
from pathlib import Path

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


# ---- what was loaded into MaxCompute


@pytest.fixture
def loaded(cloud, tmp_path):
    """Loads the table into a partition of a table of MaxCompute; the spec's file, and the table's name."""
    name = "rides_verified"
    cloud.sql(f"drop table if exists {name}")

    def load(sink: str = "create_table: true", source: str = "") -> tuple[str, str]:
        file = tmp_path / "load.yaml"
        file.write_text(
            f"pipeline: loaded\nkind: full_export\nsource: {{table: rides{source}}}\n"
            f"sink: {{type: maxcompute, table: {name}, partition: pt=1, truncate: true, {sink}}}\n"
        )
        code, _, errors = shell("run", str(file))
        assert code == OK, errors
        return str(file), name

    return load


def test_a_load_of_maxcompute_is_laid_beside_its_table(cloud, loaded):
    spec, name = loaded()
    found = told(spec)
    assert (found["is_same"], found["rows"], found["published"]) == (True, len(ROWS), len(ROWS))
    assert found["place"].endswith(f"/{name}/pt=1")

    cloud.put_rows("rides", [{**ROWS[5], "score": 0.5}, {"uid": "new", "n": 7}])
    delete_row(cloud, "rides", uid="only a key", n=1)
    found = told(spec)

    assert sorted((one["kind"], one["key"], one["columns"]) for one in found["named"]) == [
        ("changed", "uid=user_5, n=5", ["score"]),
        ("extra", "uid=only a key, n=1", []),
        ("missing", "uid=new, n=7", []),
    ]
    code, out, _ = shell("verify", spec)
    assert (code, "uid=user_5, n=5 (score)" in out) == (FAILED, True)


def test_a_load_is_compared_as_its_columns_hold_it(cloud, loaded):
    cloud.sql(
        "create table rides_verified (who varchar(20), number string, made datetime, text string, "
        "share decimal(20,3), left_out string) partitioned by (pt string)"
    )
    spec, _ = loaded(
        "columns: [who, number, made, text, share]",
        source=", columns: [uid, n, {name: n, as: made}, text, {name: n, as: share}]",
    )

    assert told(spec)["is_same"]
    cloud.put_rows("rides", [{**ROWS[5], "text": "other"}])
    assert [(one["key"], one["columns"]) for one in told(spec)["named"]] == [("uid=user_5, n=5", ["text"])]


def test_rows_that_are_loaded_twice_or_by_somebody_else_are_named(cloud, loaded):
    spec, name = loaded(source=", columns: [uid, n, text]")
    cloud.sql(f"insert into {name} partition (pt='1') select uid, n, text from {name} where n = 3")
    cloud.sql(f"insert into {name} partition (pt='1') values ('nobody', 5, 'x')")

    found = told(spec)

    assert sorted((one["kind"], one["key"]) for one in found["named"]) == [
        ("doubled", "uid=user_3, n=3"),
        ("extra", "uid=nobody, n=5"),
    ]


def test_a_dry_run_of_a_load_tells_rows_requests_and_read_units(cloud, loaded):
    spec, _ = loaded()
    before = len(cloud.requests("GetRange"))

    found = told(spec, "--dry-run")

    assert (found["published"], found["objects"]) == (len(ROWS), 0)
    assert found["read_units"] > 0
    assert len(cloud.requests("GetRange")) <= before + 2
    assert "Loaded at maxcompute://" in shell("verify", spec, "--dry-run")[1]


@pytest.mark.parametrize(
    ("change", "source", "words"),
    [
        (("partition: pt=1", "partition: pt=2"), "", "no export is loaded there"),
        (("rides_verified", "other_table"), "", "no export is loaded there"),
        (("columns: [n, text]", "columns: [n, text]"), ", columns: [n, text]", "key column 'uid' is not loaded"),
    ],
    ids=["partition", "table", "key"],
)
def test_a_load_that_cannot_be_compared_is_told(cloud, loaded, change, source, words):
    spec, _ = loaded(source=source)
    file = Path(spec)
    file.write_text(file.read_text().replace(*change))

    code, _, errors = shell("verify", spec)

    assert (code, words in errors) == (MUST_CHANGE, True), errors


def test_a_damaged_answer_is_asked_for_again(cloud, loaded):
    spec, _ = loaded()
    rule = cloud.faults.add("reset", service="maxcompute", operation="DownloadRows", count=1)

    assert told(spec)["is_same"]
    assert cloud.faults.struck(rule) == 1
