"""`kind: snapshot`: what lint says, what explain tells, and what it becomes."""

from datetime import UTC, datetime, timedelta

import pytest

from airflow_tablestore.errors import SpecError
from airflow_tablestore.pipeline.fold.moment import PointInTime
from airflow_tablestore.spec import parse
from airflow_tablestore.spec.build_snapshot import snapshot
from airflow_tablestore.spec.build_verify import verification
from airflow_tablestore.spec.explain import story

DOCUMENTED = """\
pipeline: daily
kind: snapshot
source: {type: oss, bucket: backup, base: gps/full/, changes: gps/changes/}
sink: {type: oss, bucket: backup, prefix: "gps/daily/{run_date:%Y%m%d}/"}
"""
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def test_without_a_moment_it_lies_the_lag_before_the_run():
    document = parse(DOCUMENTED + "lag: 1h\n")

    wanted = snapshot(document.spec, run_date=NOW)

    assert document.problems == ()
    assert wanted.source == PointInTime(
        "gps/full/", "gps/changes/", NOW - timedelta(hours=1), target="gps/daily/20261121/"
    )
    assert wanted.target.prefix == "gps/daily/20261121/"
    assert "The table is not read." in " ".join(story(document.spec))


def test_a_moment_without_a_zone_is_in_that_of_the_spec():
    spec = parse(DOCUMENTED + "to: 2026-11-20T12:00:00\ntimezone: Asia/Shanghai\n").spec

    assert snapshot(spec, run_date=NOW).source.to == datetime(2026, 11, 20, 4, tzinfo=UTC)
    assert "had ended by 2026-11-20T12:00:00+08:00" in " ".join(story(spec))


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (DOCUMENTED.replace("base: gps/full/, ", ""), "source.base"),
        (DOCUMENTED.replace("gps/changes/", "'{run_date}/'"), "source.changes"),
        (DOCUMENTED.replace("{run_date:%Y%m%d}", "{window_start:%Y}"), "sink.prefix"),
        (DOCUMENTED.replace("sink: {type: oss", "sink: {type: tablestore"), "sink.type"),
        (DOCUMENTED.replace("sink: {type: oss", "sink: {write_mode: append, type: oss"), "sink.write_mode"),
        (DOCUMENTED.partition("sink:")[0] + "sink: {type: maxcompute, table: t}", "sink.truncate"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_its_key(text, path):
    assert [p.path for p in parse(text).problems if not p.is_warning] == [path]


def test_what_a_snapshot_is_compared_with_is_asked_for():
    with pytest.raises(SpecError, match=r"does not name the table .*name a full export"):
        verification(parse(DOCUMENTED).spec, run_date=NOW)
