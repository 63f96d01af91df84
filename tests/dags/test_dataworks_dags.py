"""A job of DataWorks as a DAG: the converted spec and the job itself make the same one, while files are parsed."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_tablestore.factory import dag_from_spec, import_spec
from airflow_tablestore.spec.dataworks import convert, scheduling_of, spec_text
from airflow_tablestore.timetables.windows import LaggedWindowTimetable

VECTORS = Path(__file__).parents[1] / "vectors/dataworks"
KEYS = (
    "start: 2026-11-20T00:00:00+08:00\nself_dependent: true\nretry: {times: 3, delay: 2m}\ncycle: 5 minutes\n"
    "source: {table: gps}\nsink: {bucket: backup, prefix: 'gps/{window_start:%Y%m%d%H%M}/'}\n"
)


@pytest.fixture
def inline(tmp_path):
    (tmp_path / "job.json").write_text((VECTORS / "incremental_oss.json").read_text())
    path = tmp_path / "gps.yaml"
    path.write_text(f"pipeline: gps\nkind: dataworks\njob: job.json\n{KEYS}")
    return path


def tasks_of(dag):
    return {
        task.task_id: (task.retries, task.retry_delay, task.depends_on_past, sorted(task.downstream_task_ids))
        for task in dag.tasks
    }


def test_a_job_becomes_the_dag_of_its_kind(inline):
    (dag,), errors = import_spec(inline)

    assert errors == []
    assert dag.dag_id == "gps"
    assert isinstance(dag.timetable, LaggedWindowTimetable)
    assert {"incremental", "tablestore"} <= set(dag.tags)
    assert any(task.depends_on_past for task in dag.tasks)


def test_both_forms_make_the_same_dag(inline, tmp_path):
    schedule = (
        "cycle: 5 minutes, self_dependent: true, rerun: {times: 3, interval: 2m}, start: 2026-11-20T00:00:00+08:00"
    )
    keys = {
        "pipeline": "gps",
        "source": {"table": "gps"},
        "sink": {"bucket": "backup", "prefix": "gps/{window_start:%Y%m%d%H%M}/"},
    }
    converted = tmp_path / "converted.yaml"
    converted.write_text(spec_text(convert(inline.parent / "job.json", scheduling_of(schedule), keys)))

    one, other = import_spec(inline)[0][0], import_spec(converted)[0][0]

    assert tasks_of(one) == tasks_of(other)
    assert (one.timetable.serialize(), one.start_date, one.catchup) == (
        other.timetable.serialize(),
        other.start_date,
        other.catchup,
    )


def test_the_dag_file_that_convert_writes_is_one(inline, tmp_path):
    dag = dag_from_spec(inline.with_suffix(".py"))

    assert dag.dag_id == "gps"


def test_a_job_with_access_keys_becomes_no_dag(inline):
    job = inline.parent / "job.json"
    job.write_text(job.read_text().replace('"dataTable"', '"accessKey": "s3cret", "dataTable"'))

    dags, errors = import_spec(inline)

    assert dags == []
    assert "a credential does not belong into a job" in errors[0]
    assert "s3cret" not in "".join(errors)


def test_keys_never_reach_the_dag_of_a_converted_job(inline, tmp_path):
    job = inline.parent / "job.json"
    job.write_text(job.read_text().replace('"dataTable"', '"accessKey": "s3cret", "dataTable"'))
    keys = {"source": {"table": "gps"}, "sink": {"bucket": "backup", "prefix": "gps/{window_start:%Y%m%d%H%M}/"}}
    path = tmp_path / "converted.yaml"
    path.write_text(spec_text(convert(job, scheduling_of("start: 2026-11-20T00:00:00+08:00"), keys)))

    (dag,), _ = import_spec(path)

    assert "s3cret" not in str(dag.doc_md) + repr([vars(task) for task in dag.tasks])
