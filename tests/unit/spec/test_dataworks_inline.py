"""`kind: dataworks`: a job as it is, read with the spec."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_tablestore.errors import SpecError
from airflow_tablestore.spec import FullExportSpec, IncrementalSpec, from_mapping, load, read
from airflow_tablestore.spec.dataworks import convert, scheduling_of, spec_text

VECTORS = Path(__file__).parents[2] / "vectors/dataworks"
MINUTES = "startTime=$[yyyymmddhh24miss-10/24/60] endTime=$[yyyymmddhh24miss-5/24/60]"
START = "2026-11-20T00:00:00+08:00"


@pytest.fixture
def spec(tmp_path):
    """Writes a spec and the job that it names."""

    def write(lines: str, job: str = "person_changes") -> Path:
        (tmp_path / "jobs").mkdir(exist_ok=True)
        (tmp_path / "jobs/job.json").write_text((VECTORS / f"{job}.json").read_text())
        path = tmp_path / "spec.yaml"
        path.write_text(f"pipeline: mine\nkind: dataworks\njob: jobs/job.json\n{lines}\n")
        return path

    return write


def test_the_job_is_the_pipeline(spec):
    found = load(spec(f"start: {START}\nparameters: {MINUTES}"))

    assert isinstance(found, IncrementalSpec)
    assert (found.pipeline, found.source.table, found.sink.table) == ("mine", "person", "person")


def test_keys_beside_the_job_count_more(spec):
    lines = "source: {table: gps}\nsink: {bucket: backup, prefix: gps/, format: parquet}\nlimits: {workers: 3}"

    found = load(spec(lines, "full_export_oss"))

    assert isinstance(found, FullExportSpec)
    assert (found.source.table, found.sink.bucket, found.sink.format, found.limits.workers) == (
        "gps",
        "backup",
        "parquet",
        3,
    )
    assert [column.output for column in found.source.columns] == ["column1", "column2"]


def test_it_means_what_the_converted_spec_means(spec, tmp_path):
    inline = read(spec(f"start: {START}\nparameters: {MINUTES}"))
    scheduling = scheduling_of(f"start: {START}, parameters: '{MINUTES}'")
    conversion = convert(tmp_path / "jobs/job.json", scheduling, {"pipeline": "mine"})
    converted = tmp_path / "converted.yaml"
    converted.write_text(spec_text(conversion))

    assert inline.spec == load(converted)


def test_it_does_not_depend_on_the_time_of_reading(spec):
    (problem,) = read(spec(f"parameters: {MINUTES}")).errors

    assert "start: is not in the job: since when windows are exported" in str(problem)
    assert (problem.line, problem.hint) == (3, "write it into this spec")


def test_python_makes_the_same(spec, tmp_path, monkeypatch):
    path = spec("")
    monkeypatch.chdir(tmp_path)

    found = from_mapping({"pipeline": "mine", "kind": "dataworks", "job": "jobs/job.json", "start": START})

    assert found == load(path.write_text(path.read_text() + f"start: {START}\n") and path)


def test_a_job_with_access_keys_is_refused_at_its_line(spec, tmp_path):
    path = spec(f"start: {START}")
    job = tmp_path / "jobs/job.json"
    job.write_text(job.read_text().replace('"dataTable"', '"accessKey": "s3cret", "dataTable"'))

    (problem,) = read(path).errors

    assert problem.file == str(job)
    assert (problem.line, problem.column) == (9, 14)
    assert "a credential does not belong into a job" in problem.message
    assert "s3cret" not in str(problem)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("job: other.json", "the key 'job' stands here a second time"),
        (f"start: {START}\nsink: {{tabel: x}}", "sink.tabel: unknown key"),
        (f"start: {START}\ncycle: now and then", "cycle: 'now and then' is no cycle"),
        (f"start: {START}\ntempo: fast", "tempo: unknown key"),
        (f"start: {START}\nlimits: {{workers: many}}", "limits.workers: must be a whole number"),
    ],
)
def test_what_is_wrong_is_told_at_the_authors_own_key(spec, lines, told):
    assert told in "\n".join(map(str, read(spec(lines)).errors))


def test_a_job_that_is_missing_or_broken_is_told(spec, tmp_path):
    path = spec(f"start: {START}")
    job = tmp_path / "jobs/job.json"
    job.write_text('{"configuration": [\n}')
    (broken,) = read(path).errors
    job.unlink()
    (missing,) = read(path).errors

    assert (broken.file, broken.line, broken.column) == (str(job), 2, 1)
    assert "No such file" in missing.message


def test_a_job_that_becomes_no_pipeline_is_told(tmp_path):
    (tmp_path / "job.json").write_text(json.dumps({"reader": {"plugin": "mysql", "parameter": {}}, "writer": None}))

    with pytest.raises(SpecError, match="'mysql' is no reader"):
        from_mapping({"pipeline": "p", "kind": "dataworks", "job": str(tmp_path / "job.json")})


def test_reading_a_job_imports_nothing_heavy(spec):
    path = spec(f"start: {START}")
    code = (
        f"import sys; from airflow_tablestore.spec import load; load({str(path)!r}); "
        "print([name for name in ('pyarrow', 'oss2', 'odps', 'tablestore', 'airflow', 'numpy') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
