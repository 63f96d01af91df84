"""plan, run, schema-of and doctor against the emulator, as a shell calls them."""

from __future__ import annotations

import contextlib
import io
import json
from datetime import UTC, datetime

import pytest

from airflow_tablestore.cli import main
from airflow_tablestore.cli.session import FAILED, MUST_CHANGE, OK, Session
from airflow_tablestore.pipeline.connections import from_environment

NOW = datetime(2026, 11, 21, 4, 22, 12, tzinfo=UTC)
TABLE = "cli_rows"


@pytest.fixture(scope="module")
def filled(emulator):
    """The emulator with a table of 300 rows; its environment comes back."""
    with contextlib.redirect_stdout(io.StringIO()):  # the SDK prints which codec it found
        from tablestore import CapacityUnit, OTSClient, ReservedThroughput, Row, TableMeta, TableOptions

    at = emulator.tablestore
    client = OTSClient(at.endpoint, at.access_key_id, at.access_key_secret, at.instance)
    client.create_table(
        TableMeta(TABLE, [("uid", "STRING"), ("n", "INTEGER")]), TableOptions(), ReservedThroughput(CapacityUnit(0, 0))
    )
    for n in range(300):
        client.put_row(TABLE, Row([("uid", f"user_{n % 10}"), ("n", n)], [("name", f"name {n}"), ("score", n * 1.5)]))
    return emulator.environment()


@pytest.fixture
def shell(filled, tmp_path):
    """Calls a command with a spec; exit code, stdout and stderr come back."""

    def call(command, *words, prefix, source="", pipeline="cli", bucket="backup", **environment):
        spec = tmp_path / "spec.yaml"
        spec.write_text(
            f"pipeline: {pipeline}\nkind: full_export\nsource:\n  table: {TABLE}\n  {source}\n"
            f"sink: {{type: oss, bucket: {bucket}, prefix: {prefix}/}}\n"
        )
        environ = {**filled, **environment}
        session = Session(
            out=io.StringIO(),
            err=io.StringIO(),
            connection=lambda conn_id: from_environment(conn_id, environ),
            now=lambda: NOW,
        )
        code = main([command, str(spec), *words], session)
        return code, session.out.getvalue(), session.err.getvalue()

    return call


def broken(filled, name, **changes):
    """A connection of the emulator's with some fields changed."""
    return {name: json.dumps(json.loads(filled[name]) | changes)}


def test_run_prints_its_report_as_json(shell):
    code, out, _ = shell("run", "--json", "--run-id", "a", prefix="cli/json")

    report = json.loads(out)
    assert code == OK
    assert (report["rows"], report["dirty"]) == (300, 0)
    assert report["run"].startswith("20261121T042212Z-")
    assert report["manifest"] == "oss://backup/cli/json/_manifest.json"
    assert set(report) >= {"rows", "bytes", "objects", "seconds", "rows_per_second", "dirty", "manifest"}


def test_run_prints_its_report_as_a_table(shell):
    code, out, _ = shell("run", prefix="cli/table")

    assert code == OK
    assert ["rows", "300"] in [line.split() for line in out.splitlines()]


def test_one_time_and_id_give_one_run(shell):
    first, second = (json.loads(shell("run", "--json", "--run-id", "a", prefix="cli/same")[1]) for _ in range(2))

    assert first["run"] == second["run"]
    assert first["bytes"] == second["bytes"]


def test_plan_tells_what_a_run_would_do_and_writes_nothing(shell):
    code, out, _ = shell("plan", "--json", prefix="cli/plan")
    told = json.loads(out)

    assert code == OK
    assert (told["rows"], told["is_counted"], told["standing"]) == (300, True, None)
    assert [column["name"] for column in told["columns"]] == ["uid", "n", "name", "score", "_other"]
    _, doctor, _ = shell("doctor", prefix="cli/plan")
    assert "nothing under cli/plan/" in doctor


def test_plan_knows_the_export_that_stands_there(shell):
    shell("run", "--run-id", "a", prefix="cli/standing")

    _, out, _ = shell("plan", prefix="cli/standing")

    assert "with 300 rows in 1 object" in out
    assert "Nothing was written." in out


def test_schema_of_shows_what_is_pinned(shell):
    shell("run", prefix="cli/pinned")

    code, out, err = shell("schema-of", "--repin", prefix="cli/pinned")

    assert code == OK
    assert [line.split()[:2] for line in out.splitlines()][:4] == [
        ["uid", "string"],
        ["n", "integer"],
        ["name", "string"],
        ["score", "double"],
    ]
    assert "Nothing was changed" in err


def test_a_problem_that_the_table_shows_points_into_the_spec(shell):
    code, out, err = shell("plan", prefix="cli/range", source="range: {begin: [5]}")

    assert (code, out) == (MUST_CHANGE, "")
    assert "spec.yaml:5:18: error: source.range.begin: the key column 'uid'" in err
    assert "Traceback" not in err


def test_an_unknown_column_is_named_with_the_nearest(shell):
    code, _, err = shell("run", prefix="cli/column", source="columns: [uid, nmae]")

    assert code == MUST_CHANGE
    assert "nmae" in err
    assert "name" in err


def test_missing_connections_are_told_together(shell):
    environment = {"AIRFLOW_CONN_TABLESTORE_DEFAULT": "", "AIRFLOW_CONN_OSS_DEFAULT": ""}

    code, _, err = shell("run", prefix="cli/none", **environment)

    assert code == MUST_CHANGE
    assert "AIRFLOW_CONN_TABLESTORE_DEFAULT" in err
    assert "AIRFLOW_CONN_OSS_DEFAULT" in err


def test_a_wrong_key_ends_a_run_with_one_sentence(shell, filled):
    wrong = broken(filled, "AIRFLOW_CONN_TABLESTORE_DEFAULT", password="not-the-secret")

    code, _, err = shell("run", prefix="cli/wrong", **wrong)

    assert code == FAILED
    assert "OTSAuthFailed" in err
    assert "not-the-secret" not in err


def test_doctor_finds_a_healthy_pipeline_healthy(shell):
    code, out, _ = shell("doctor", "--json", "--write-probe", prefix="cli/doctor")
    told = json.loads(out)

    assert (code, told["ok"]) == (OK, True)
    assert {c["check"] for c in told["checks"]} >= {
        "decoder",
        "table",
        "clock",
        "reading rows",
        "split points",
        "bucket",
        "writing",
    }
    assert {c["status"] for c in told["checks"] if c["check"] != "decoder"} == {"ok"}


@pytest.mark.parametrize(("named", "status"), [("plain", "warn"), ("numpy", "warn"), ("abacus", "fail")])
def test_doctor_tells_the_decoder(shell, monkeypatch, named, status):
    monkeypatch.setenv("AIRFLOW_TABLESTORE_DECODER", named)

    last = json.loads(shell("doctor", "--json", prefix="cli/decoder")[1])["checks"][-1]

    assert (last["check"], last["status"]) == ("decoder", status)
    assert named in last["told"]
    assert last["advice"]


def test_the_write_probe_leaves_nothing(shell):
    shell("doctor", "--write-probe", prefix="cli/probe")

    assert "nothing under cli/probe/" in shell("doctor", prefix="cli/probe")[1]


def test_doctor_goes_on_after_a_failure(shell, filled):
    wrong = broken(filled, "AIRFLOW_CONN_TABLESTORE_DEFAULT", password="not-the-secret")

    code, out, _ = shell("doctor", "--json", prefix="cli/sick", **wrong)

    failed = {c["check"]: c["status"] for c in json.loads(out)["checks"]}
    assert code == FAILED
    assert failed["table"] == "fail"
    assert failed["bucket"] == "ok"
    assert "not-the-secret" not in out


def test_doctor_names_a_missing_connection(shell):
    code, out, _ = shell("doctor", prefix="cli/x", source="connection: elsewhere")

    assert code == FAILED
    assert "set AIRFLOW_CONN_ELSEWHERE" in out


def test_doctor_names_a_missing_bucket(shell):
    code, out, _ = shell("doctor", prefix="cli/x", bucket="no-such-bucket")

    assert code == FAILED
    assert "NoSuchBucket" in out


def test_doctor_refuses_the_prefix_of_another_pipeline(shell):
    shell("run", prefix="cli/mine")

    code, out, _ = shell("doctor", prefix="cli/mine", pipeline="other")

    assert code == FAILED
    assert "'cli'" in out


def test_doctor_finds_an_endpoint_with_the_bucket_in_it(shell, filled):
    extra = json.loads(filled["AIRFLOW_CONN_OSS_DEFAULT"])["extra"] | {
        "endpoint": "https://backup.oss-cn-x.aliyuncs.com"
    }

    code, out, _ = shell("doctor", prefix="cli/x", **broken(filled, "AIRFLOW_CONN_OSS_DEFAULT", extra=extra))

    assert code == FAILED
    assert "write oss-cn-x.aliyuncs.com as the endpoint" in out
