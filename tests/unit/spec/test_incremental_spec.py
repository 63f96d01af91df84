"""`kind: incremental`: what lint says, what explain tells, and what it becomes."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime, timedelta

import pytest

from airflow_tablestore.pipeline.contract import Constant, Limits, Picked
from airflow_tablestore.pipeline.selection import ChangeMode, ChangeSelection
from airflow_tablestore.pipeline.window import CalendarGrid, FixedGrid, Unit, Window
from airflow_tablestore.spec import from_mapping, lint, parse
from airflow_tablestore.spec.build import incremental
from airflow_tablestore.spec.explain import settings, story
from airflow_tablestore.wire.row import ColumnType

START = "2026-11-20T00:00:00+08:00"
PREFIX = "gps/{window_start:%Y%m%d%H%M}/"


def text(*, line="", source="columns: [uid, name]", window="", start=START, prefix=PREFIX, sink=""):
    begin = f"start: {start}\n" if start else ""
    return (
        f"pipeline: gps\nkind: incremental\n{begin}{line}\nwindow: {{{window}}}\nsource:\n  table: t\n  {source}\n"
        f"sink:\n  type: oss\n  bucket: backup\n  prefix: {prefix!r}\n  {sink}\n"
    )


def found(written):
    return [f"{p.path}: {p.message} ({p.hint})" for p in parse(written).problems]


def spec(**parts):
    document = parse(text(**parts))
    assert document.spec is not None, document.problems
    return document.spec


# ---- the shortest


def test_defaults_are_five_minutes_five_minutes_behind_and_made_up_for():
    shortest = spec()

    assert (shortest.grid, shortest.window.lag) == (FixedGrid(timedelta(minutes=5)), timedelta(minutes=5))
    assert (shortest.catchup, shortest.self_dependent) == (True, False)
    assert (shortest.source.mode, shortest.source.export_sequence_info) == ("single_version_and_update_only", False)
    assert shortest.status_table.table == "TableStoreStreamReaderStatusTable"
    assert shortest.connections() == {
        "source": "tablestore_default",
        "status_table": "tablestore_default",
        "sink": "oss_default",
    }


def test_the_status_table_may_be_in_another_instance():
    elsewhere = spec(line="status_table: {connection: ledger, table: done}")

    assert elsewhere.connections()["status_table"] == "ledger"
    assert elsewhere.status_table.table == "done"


@pytest.mark.parametrize(
    "written",
    [
        text(),
        text(start="2026-11-20T00:00:00"),
        text(start="2026-11-20"),
        text(window="every: 1m, lag: 5m"),
        text(window="every: 1h, lag: 1h30m", prefix="gps/{window_start:%Y/%m/%d/%H}/"),
        text(window="every: hour", line="timezone: Asia/Shanghai", prefix="gps/{window_start:%Y%m%d%H}/"),
        text(window="every: HOUR", line="timezone: Europe/Berlin", prefix="gps/{window_start:%Y%m%d%H%z}/"),
        text(line="timezone: Europe/Berlin", prefix="gps/{window_start:%Y%m%d/%H%M%z}/"),
        text(source="mode: multi_version"),
        text(source="mode: multiVersion\n  export_sequence_info: true\n  max_retries: 30"),
        text(source="mode: Single_Version_And_Update_Only\n  columns: [a, {name: b, as: c}, {value: 1, as: d}]"),
        text(line="status_table: done"),
        text(line="self_dependent: true\nlimits: {workers: 4}"),
        text(prefix="gps/all/", sink="write_mode: append"),
        text(prefix="{table}/{pipeline}/{window_end:%Y%m%d%H%M}/"),
        text(sink="write_mode: non_conflict"),
    ],
)
def test_what_is_allowed_has_no_problem(written):
    assert found(written) == []


# ---- what is refused


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (text(start=""), "start: is missing"),
        (text(start="soon"), "start: must be a time"),
        (text(window="lag: 4m"), "window.lag: must be at least 5m, not 4m"),
        (text(window="lag: 299s"), "must be at least 5m, not 4m59s"),
        (text(window="lag: 0s"), "window.lag: must be longer than nothing"),
        (text(window="every: week"), "window.every: a window cannot be a week"),
        (text(window="every: weekly"), "a window cannot be a week"),
        (text(window="every: month"), "a window cannot be a month"),
        (text(window="every: 7d"), "a window cannot last 7d: a day is the longest"),
        (text(window="every: 25h"), "a window cannot last 1d1h"),
        (text(window="every: 720h"), "a window cannot last 30d"),
        (text(window="every: daily"), "write every: hour, or every: day"),
        (text(window="every: fortnight"), "must be a duration, not 'fortnight'"),
        (text(window="every: 300"), "write 300s, 300m or 300h"),
        (text(window="evry: 5m"), "did you mean 'every'?"),
        (text(line="schedule: '*/5 * * * *'"), "schedule: unknown key (here it is window: {every: 5m, lag: 5m})"),
        (text(source="mode: single_version_and_update_only"), "source.columns: is missing: single_version_and"),
        (text(source="columns: []"), "source.columns: is missing"),
        (text(source="columns: [{value: 1, as: a}]"), "source.columns: has constants only"),
        (text(source="columns: [a, a]"), "a column named 'a' is already there"),
        (text(source="mode: multi_version\n  columns: [a]"), "source.columns: multi_version has columns of its own"),
        (text(source="columns: [a]\n  export_sequence_info: true"), "export_sequence_info: goes with mode: multi_ver"),
        (text(source="mode: multiversion2"), "source.mode: must be one of single_version_and_update_only, multi_vers"),
        (text(source="columns: [a]\n  max_retries: -1"), "source.max_retries: must be at least 0"),
        (text(source="columns: [a]\n  range: {begin: [a]}"), "source.range: unknown key"),
        (text(source="dataTable: t"), "source.dataTable: unknown key (here it is source.table)"),
        (text(source="isExportSequenceInfo: true"), "here it is source.export_sequence_info"),
        (text(source="maxRetries: 30"), "here it is source.max_retries"),
        (text(line="statusTable: s"), "here it is status_table"),
        (text(source="startTimeString: '20261120000000'"), "here it is no key: each run has its own window"),
        (text(line="status_table: 'a b'"), "status_table.table: 'a b' is not allowed here"),
        (text(line="status_table: {tabel: x}"), "did you mean 'table'?"),
        (text(prefix="gps/{run_date:%Y}/"), "the placeholder {run_date} is not known here"),
        (text(prefix="gps/{window_strat:%Y}/"), "did you mean '{window_start}'?"),
        (text(prefix="gps/${date}/"), "write {window_start:%Y%m%d}"),
        (text(prefix="gps/{{ ds_nodash }}/"), "write {window_start:%Y%m%d}"),
        (text(prefix="gps/{{ data_interval_end }}/"), "write {window_end:%Y%m%d}"),
        (text(sink="").replace("type: oss", "type: kafka"), "'kafka' is no sink of an incremental export"),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(written, said):
    assert any(said in one for one in found(written)), found(written)


@pytest.mark.parametrize(
    ("parts", "first", "second"),
    [
        ({"prefix": "gps/"}, "T16:00:00Z, ", "T16:05:00Z, "),
        ({"prefix": "gps/{window_start:%Y%m%d}/"}, "2026-11-19T16:00:00Z", "2026-11-19T16:05:00Z"),
        ({"prefix": "gps/{window_start:%Y%m%d%H}/", "window": "every: 59m"}, "", ""),
        ({"prefix": "gps/{window_start:%H%M}/"}, "2026-11-19T16:00:00Z", "2026-11-20T16:00:00Z"),
        ({"prefix": "gps/{window_start:%d%H%M}/"}, "2026-11-19T16:00:00Z", "2026-12-19T16:00:00Z"),
        ({"prefix": "gps/{window_start:%m%d%H%M}/"}, "2026-11-19T16:00:00Z", "2027-11-19T16:00:00Z"),
        ({"prefix": "gps/{window_start:%u/%H%M}/"}, "2026-11-19T16:00:00Z", "2026-11-26T16:00:00Z"),
        ({"prefix": "gps/{window_start:%M}/"}, "2026-11-19T16:00:00Z", "2026-11-19T17:00:00Z"),
        ({"prefix": "gps/{window_start:%d}/", "window": "every: day", "start": "2026-01-31"}, "02-04T", "03-04T"),
    ],
)
@pytest.mark.parametrize("mode", ["truncate", "non_conflict"])
def test_windows_that_share_a_prefix_are_refused(parts, first, second, mode):
    problems = [p for p in parse(text(**parts, sink=f"write_mode: {mode}")).problems if not p.is_warning]

    (problem,) = problems
    one, other = problem.message.split(" and ")[:2]
    assert (problem.path, problem.line > 0) == ("sink.prefix", True)
    assert "share the prefix" in problem.message
    assert (first in one, second in other) == (True, True)
    assert problem.hint == "put {window_start:%Y%m%d%H%M} into it"


@pytest.mark.parametrize("window", ["every: hour", "every: 5m", "every: 30m", "every: 1h"])
def test_an_hour_that_comes_twice_needs_its_offset(window):
    local = text(line="timezone: Europe/Berlin", window=window, prefix="gps/{window_start:%Y%m%d%H%M}/")

    (problem,) = parse(local).problems

    assert "2027-10-31T00:" in problem.message
    assert "{window_start:%z}" in problem.hint
    assert found(local.replace("%H%M", "%H%M%z")) == []
    assert found(local.replace("Europe/Berlin", "UTC")) == []


def test_a_day_does_not_come_twice():
    problems = parse(
        text(line="timezone: Europe/Berlin", window="every: day", start="2026-11-20", prefix="a/{window_start:%Y%m%d}/")
    ).problems

    assert [p.is_warning for p in problems] == [True]


def test_windows_may_share_a_prefix_that_is_appended_to():
    assert found(text(prefix="gps/{window_start:%Y%m%d}/", sink="write_mode: append")) == []


def test_one_wrong_key_hides_none_of_the_others():
    told = found(text(start="", window="lag: 1m", source="mode: multi_version\n  columns: [a]", prefix="{run_date}/"))

    assert [one.split(":")[0] for one in told] == ["start", "window.lag", "source.columns", "sink.prefix"]


# ---- what is odd


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (text(window="every: day", start="2026-11-20", prefix="a/{window_start:%Y%m%d}/"), "a day of changes is incom"),
        (text(window="every: 24h", start="2026-11-20", prefix="a/{window_start:%Y%m%d}/"), "a day of changes is incom"),
        (text(window="every: 10s", prefix="a/{window_start:%Y%m%d%H%M%S}/"), "more than Airflow keeps up with"),
        (text(start="2026-11-20T00:01:00Z"), "the first one begins at 2026-11-20 00:05:00+00:00"),
        (text(line="catchup: false"), "will never be exported"),
        (text(sink="csv: {header: false}"), "has no effect with format parquet"),
    ],
)
def test_what_is_odd_is_a_warning(written, said):
    document = parse(written)

    assert document.spec is not None
    assert [said in p.message for p in document.problems if p.is_warning] == [True]


# ---- beside each other


@pytest.mark.parametrize(
    ("first", "second", "meets"),
    [
        ("x/{window_start:%Y%m%d%H%M}/", "x/{window_start:%Y%m%d%H%M}/", True),
        ("x/{window_start:%Y/%m/%d/%H%M}/", "x/2027/", True),
        ("x/{window_start:%Y%m%d%H%M%z}/", "x/202711200000+0800/a/", True),
        ("x/{window_start:%Y%m%d%H%M}/", "x/", True),
        ("x/{window_start:%Y%m%d%H%M}/", "x/full/", False),
        ("x/{pipeline}/{window_start:%Y%m%d%H%M}/", "x/{pipeline}/", False),
    ],
)
def test_prefixes_of_two_kinds_are_compared(tmp_path, first, second, meets):
    (tmp_path / "a.yaml").write_text(text(prefix=first))
    (tmp_path / "b.yaml").write_text(
        f"pipeline: full\nkind: full_export\nsource: {{table: t}}\n"
        f"sink: {{type: oss, bucket: backup, prefix: {second if '{w' not in second else 'y/'!r}}}\n"
        if "{window" not in second
        else text(prefix=second).replace("pipeline: gps", "pipeline: gps2")
    )

    assert [p.path for p in lint(tmp_path)] == (["sink.prefix"] if meets else [])


# ---- what it becomes


def test_a_spec_becomes_an_export():
    built = incremental(
        spec(
            source="columns: [uid, {name: ts, as: time, type: integer}, {value: cn, as: region}]",
            line="limits: {errors: 2, workers: 3}\nstatus_table: done\ntimezone: Asia/Shanghai",
            sink="format: csv",
        ),
        instance="prod",
    )

    assert (built.pipeline, built.instance, built.status_table) == ("gps", "prod", "done")
    assert built.source == ChangeSelection(
        "t",
        ChangeMode.SINGLE_VERSION,
        (Picked("uid", "uid"), Picked("ts", "time"), Constant("cn", ColumnType.STRING, "region")),
        {"ts": ColumnType.INTEGER},
    )
    assert (built.grid, built.lag) == (FixedGrid(timedelta(minutes=5)), timedelta(minutes=5))
    assert built.limits == Limits(errors=2, workers=3)


def test_a_target_is_rendered_for_its_window_in_the_specs_timezone():
    built = incremental(
        spec(line="timezone: Asia/Shanghai", prefix="{table}/{window_start:%Y%m%d%H%M}-{window_end:%H%M%z}/"),
        instance="prod",
    )
    begin = datetime(2026, 11, 20, 15, 55, tzinfo=UTC)

    target = built.target(Window(begin, begin + timedelta(minutes=5)))

    assert (target.bucket, target.prefix) == ("backup", "t/202611202355-0000+0800/")


def test_cells_keep_their_sequence():
    built = incremental(spec(source="mode: multi_version\n  export_sequence_info: true"), instance="prod")

    assert built.source == ChangeSelection("t", ChangeMode.MULTI_VERSION, with_sequence=True)


def test_calendar_windows_are_those_of_the_timezone():
    hours = spec(window="every: hour", line="timezone: Asia/Kolkata", start="2026-11-20")

    assert hours.grid == CalendarGrid(Unit.HOUR, "Asia/Kolkata")
    assert hours.starts.isoformat() == "2026-11-20T00:00:00+05:30"


def test_a_spec_reads_back_from_plain_data_and_can_be_pickled():
    given = spec(window="every: hour, lag: 10m", line="status_table: done\ntimezone: Asia/Shanghai", start=START)

    plain = json.loads(json.dumps(given.to_mapping()))

    assert from_mapping(plain) == given
    assert plain["window"] == {"every": "hour", "lag": "10m"}
    assert pickle.loads(pickle.dumps(incremental(given, instance="i"))).pipeline == "gps"


# ---- what explain tells


def test_every_key_is_told():
    told = {one.path: (one.value, one.origin) for one in settings(parse(text(window="every: hour")))}

    assert told["window.every"] == ("hour", "line 5")
    assert told["window.lag"] == ("5m", "default")
    assert told["source.mode"][0] == "single_version_and_update_only"
    assert told["status_table.table"][0] == "TableStoreStreamReaderStatusTable"
    assert "schedule" not in told


def test_the_story_tells_windows_changes_and_place():
    told = " ".join(story(spec(line="timezone: Asia/Shanghai", window="every: hour", start=START)))

    assert "every hour of Asia/Shanghai from 2026-11-20T00:00:00+08:00 on, 5m after the window has closed" in told
    assert "a row with 2 columns" in told
    assert "oss://backup/gps/{window_start:%Y%m%d%H%M}/" in told
    assert "in one task" in told


def test_the_story_of_cells_names_their_columns():
    told = " ".join(
        story(spec(source="mode: multi_version\n  export_sequence_info: true", line="self_dependent: true"))
    )

    assert "optype (U, DO, DA, DR), sequenceinfo" in told
    assert "each after the one before it has succeeded" in told
