"""`kind: restore`: what lint says, what explain tells, and what it becomes."""

from datetime import UTC, datetime

import pytest

from airflow_tablestore.pipeline.contract import Column, Constant
from airflow_tablestore.pipeline.fold.moment import PointInTime
from airflow_tablestore.pipeline.formats.read_format import ReadFormat
from airflow_tablestore.pipeline.restore.job import (
    BATCH_BYTES,
    Nulls,
    PlainSource,
    PublishedSource,
    RowMode,
    RowTarget,
    Written,
)
from airflow_tablestore.spec import parse
from airflow_tablestore.spec.build_restore import restore
from airflow_tablestore.spec.explain import story
from airflow_tablestore.spec.kinds.restore import MOST_BYTES
from airflow_tablestore.wire.row import ColumnType

DOCUMENTED = """\
pipeline: gps_restore
kind: restore
source: {type: oss, bucket: backup, prefix: gps/full/}
sink: {type: tablestore, table: ots_gps_data_copy, write: put, create_table: true}
"""
PLAIN = """\
pipeline: raw_restore
kind: restore
source:
  type: oss
  bucket: backup
  objects: ["raw/*.csv"]
  format: csv
  csv: {null: '\\N', header: false}
  columns: [{name: uid, type: string}, {name: n, type: long}]
sink: {type: tablestore, table: raw, write: UpdateRow, batch_rows: 50}
limits: {errors: 2, rows_per_second: 100}
"""
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def built(text):
    document = parse(text)
    assert document.problems == ()
    return restore(document.spec, run_date=NOW)


def test_the_documented_example_reads_a_published_export():
    wanted = built(DOCUMENTED)

    assert wanted.source == PublishedSource("gps/full/")
    assert wanted.target == RowTarget("ots_gps_data_copy", RowMode.PUT, creates=True)


def test_the_prefix_is_rendered():
    wanted = built(DOCUMENTED.replace("gps/full/", "'gps/{run_date:%Y%m%d}/'"))

    assert wanted.source == PublishedSource("gps/20261121/")


def test_plain_objects_say_their_format_and_columns():
    wanted = built(PLAIN)

    columns = (Column("uid", ColumnType.STRING), Column("n", ColumnType.INTEGER))
    assert wanted.source == PlainSource(("raw/*.csv",), ReadFormat("csv", null=r"\N"), columns)
    assert wanted.target == RowTarget("raw", RowMode.UPDATE, batch_rows=50)
    assert (wanted.limits.errors, wanted.limits.rows_per_second) == (2, 100)


def test_everything_that_otswriter_can_be_told_has_a_key():
    told = (
        "primary_key: [uid], columns: [{name: uid, as: user}, n, {value: cn, as: region}], nulls: delete, "
        "batch_rows: 100, batch_bytes: 1048576, requests_per_second: 50, max_retries: 18"
    )

    wanted = built(PLAIN.replace("batch_rows: 50", told))

    assert wanted.target == RowTarget(
        "raw",
        RowMode.UPDATE,
        batch_rows=100,
        columns=(Written("uid", "user"), Written("n", "n"), Constant("cn", ColumnType.STRING, "region")),
        primary_key=("uid",),
        nulls=Nulls.DELETE,
        batch_bytes=1048576,
        requests_per_second=50,
        max_retries=18,
    )
    assert "a null deletes its column" in " ".join(story(parse(PLAIN.replace("batch_rows: 50", told)).spec))
    assert BATCH_BYTES == MOST_BYTES


@pytest.mark.parametrize(
    ("text", "path", "told"),
    [
        (DOCUMENTED.replace(", prefix: gps/full/", ""), "source.prefix", "exactly one of"),
        (DOCUMENTED.replace("gps/full/", "gps/full/, objects: [a]"), "source.prefix", "exactly one of"),
        (DOCUMENTED.replace("gps/full/", "gps/full/, format: csv"), "source.format", "manifest"),
        (DOCUMENTED.replace("gps/full/", "'gps/{window_start}/'"), "source.prefix", "window_start"),
        (DOCUMENTED.replace("write: put", "write: delete"), "sink.write", "delete"),
        (DOCUMENTED.replace("write: put", "batch_rows: 201"), "sink.batch_rows", "200"),
        (DOCUMENTED.replace("type: tablestore", "type: oss"), "sink.type", "tablestore"),
        (PLAIN.replace("  format: csv\n", ""), "source.format", "missing"),
        (PLAIN.replace("n, type: long", "uid, type: long"), "source.columns", "twice"),
        (PLAIN.replace("write: UpdateRow", "create_table: true"), "sink.create_table", "manifest"),
        (PLAIN.replace("write: UpdateRow", "nulls: delete"), "sink.nulls", "write put"),
        (PLAIN.replace("batch_rows: 50", "batch_bytes: 4194304"), "sink.batch_bytes", "3670016"),
        (PLAIN.replace("batch_rows: 50", "requests_per_second: 0"), "sink.requests_per_second", "more than 0"),
        (PLAIN.replace("batch_rows: 50", "max_retries: -1"), "sink.max_retries", "0"),
        (PLAIN.replace("batch_rows: 50", "primary_key: [uid, uid]"), "sink.primary_key", "twice"),
        (PLAIN.replace("batch_rows: 50", "columns: [uid, {name: n, as: uid}]"), "sink.columns[1]", "already there"),
        (PLAIN.replace("batch_rows: 50", "columns: []"), "sink.columns", "names no column"),
        (PLAIN.replace("batch_rows: 50", "columns: [{name: uid, type: text}]"), "sink.columns[0].type", "text"),
        (PLAIN.replace("  format: csv", "  run: r1\n  format: csv"), "source.run", "published"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_its_key(text, path, told):
    problems = [p for p in parse(text).problems if not p.is_warning]

    assert [p.path for p in problems] == [path]
    assert told in str(problems[0])


AT = DOCUMENTED.replace("gps/full/}", "gps/full/, changes: gps/changes/}") + "to: 2026-11-20T12:00:00+08:00\n"


def test_a_moment_is_restored_from_an_export_and_windows():
    wanted = built(AT)

    assert wanted.source == PointInTime("gps/full/", "gps/changes/", datetime(2026, 11, 20, 4, tzinfo=UTC))
    assert "that had ended by 2026-11-20T12:00:00+08:00" in " ".join(story(parse(AT).spec))


@pytest.mark.parametrize(
    ("text", "path", "told"),
    [
        (AT.replace(", changes: gps/changes/", ""), "to", "needs a full export and the changes"),
        (AT.replace("to: 2026", "# 2026"), "source.changes", "for a restore to a moment"),
        (AT.replace("write: put", "write: update"), "sink.write", "not of that moment"),
        (AT.replace("write: put", "columns: [uid]"), "sink.columns", "as they were"),
        (AT.replace("gps/changes/", "'{run_date}/'"), "source.changes", "run_date"),
        (AT.replace("2026-11-20T12:00:00+08:00", "yesterday"), "to", "yesterday"),
    ],
)
def test_what_a_moment_does_not_go_with_is_refused_at_its_key(text, path, told):
    problems = [p for p in parse(text).problems if not p.is_warning]

    assert [p.path for p in problems] == [path]
    assert told in str(problems[0])


def test_the_story_tells_what_becomes_of_rows():
    told = " ".join(story(parse(DOCUMENTED).spec))

    assert "oss://backup/gps/full/, found by its manifest" in told
    assert "replaces the row of its key; a null is no cell" in told
    assert "rows that were written before stay" in told
