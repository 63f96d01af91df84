"""`convert` from the shell: files, what is told beside them, exit codes."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from airflow_tablestore.cli import main
from airflow_tablestore.cli.session import MUST_CHANGE, OK, Session
from airflow_tablestore.spec import lint, load

VECTORS = Path(__file__).parents[2] / "vectors/dataworks"
JOB = str(VECTORS / "person_changes.json")
TEMPLATE = str(VECTORS / "full_export_oss.json")
FILLED = [f"--set={told}" for told in ("source.table=gps", "sink.bucket=backup", "sink.prefix=gps/full/")]


def call(*words: str) -> tuple[int, str, str]:
    session = Session(io.StringIO(), io.StringIO())
    return main(["convert", *words], session), session.out.getvalue(), session.err.getvalue()


def test_a_job_becomes_a_spec_a_dag_file_and_a_report(tmp_path):
    code, out, _ = call(JOB, "-o", str(tmp_path))

    assert code == OK
    names = ["person_changes.py", "person_changes.report.md", "person_changes.yaml"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert all(f"wrote {tmp_path / name}" in out for name in names)
    assert load(tmp_path / "person_changes.yaml").source.table == "person"
    assert [problem for problem in lint(tmp_path) if not problem.is_warning] == []


def test_without_a_folder_the_spec_is_printed_and_the_report_beside_it():
    code, out, told = call(JOB)

    assert code == OK
    assert out.startswith("# Made from person_changes.json")
    assert told.startswith("# person_changes: from person_changes.json")


def test_a_template_says_what_is_to_be_filled_in_and_makes_no_dag(tmp_path):
    code, _, told = call(TEMPLATE, "-o", str(tmp_path))

    assert code == MUST_CHANGE
    assert "to do: sink.bucket: the data source's bucket" in told
    assert not list(tmp_path.glob("*.py"))


def test_keys_may_be_set(tmp_path):
    code, _, _ = call(TEMPLATE, *FILLED, "--set", "pipeline=gps_full", "-o", str(tmp_path))

    assert code == OK
    assert load(tmp_path / "gps_full.yaml").sink.prefix == "gps/full/"


def test_files_that_are_there_are_kept_unless_forced(tmp_path):
    call(JOB, "-o", str(tmp_path))
    (tmp_path / "person_changes.yaml").write_text("mine")

    code, _, told = call(JOB, "-o", str(tmp_path))
    assert (code, "is there already" in told) == (MUST_CHANGE, True)
    assert (tmp_path / "person_changes.yaml").read_text() == "mine"

    assert call(JOB, "-o", str(tmp_path), "--force")[0] == OK


def test_a_schedule_becomes_window_retry_and_dependency():
    schedule = (
        "cycle: 5 minutes, rerun: {times: 5, interval: 1m}, self_dependent: true, start: 2026-11-20T00:00:00+08:00, "
        "parameters: 'startTime=$[yyyymmddhh24miss-10/24/60] endTime=$[yyyymmddhh24miss-5/24/60]'"
    )

    spec = json.loads(call(JOB, "--schedule", schedule, "--json")[1])["spec"]

    assert spec["window"] == {"every": "5m", "lag": "5m"}
    assert spec["retry"] == {"times": 5, "delay": "1m"}
    assert spec["self_dependent"] is True
    assert spec["start"] == "2026-11-20T00:00:00+08:00"


def test_programs_get_every_parameter():
    told = json.loads(call(JOB, "--json")[1])

    assert told["is_complete"] is True
    assert told["connections"][0] == {"id": "otsstream", "type": "tablestore", "for": "source"}
    paths = {one["path"]: one["became"] for one in told["parameters"]}
    assert paths["configuration.reader.parameter.maxRetries"] == "taken"


def test_keys_in_plain_text_are_told_and_go_nowhere(tmp_path):
    job = tmp_path / "job.json"
    job.write_text(
        Path(JOB)
        .read_text()
        .replace('"dataTable"', '"accessId": "LTAI5tExample00", "accessKey": "s3cret", "dataTable"')
    )

    code, out, told = call(str(job), "-o", str(tmp_path / "specs"))

    written = out + told + "".join(path.read_text() for path in (tmp_path / "specs").iterdir())
    assert code == OK
    assert "the job holds 2 credentials in plain text" in told
    assert "s3cret" not in written
    assert "LTAI5tExample00" not in written


def test_a_file_that_is_no_json_is_told_with_line_and_a_caret(tmp_path):
    job = tmp_path / "job.json"
    job.write_text('{"reader": {\n  "plugin" "ots"}}')

    code, _, told = call(str(job))

    assert code == MUST_CHANGE
    assert f"{job}:2:12: error: is not JSON: expecting ':' delimiter" in told
    assert '      "plugin" "ots"}}\n               ^' in told


@pytest.mark.parametrize(
    "words",
    [
        ["--set", "bucket"],
        ["--set", ".x=1"],
        ["--set", "sink=1", "--set", "sink.bucket=b"],
        ["--schedule", "tempo: 5m"],
    ],
)
def test_what_cannot_be_understood_is_told(words):
    assert call(JOB, *words)[0] == MUST_CHANGE
