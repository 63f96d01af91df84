"""What lint refuses, each with a sentence that says what to do."""

from __future__ import annotations

import pytest

from airflow_tablestore.spec import lint, parse

SHORTEST = """\
pipeline: gps_full
kind: full_export
source: {table: ots_gps_data}
sink: {type: oss, bucket: backup, prefix: gps/full/}
"""


def spec_with(line="", *, source="", sink="", prefix="gps/full/"):
    return (
        f"pipeline: gps_full\nkind: full_export\n{line}\nsource:\n  table: t\n  {source}\n"
        f"sink:\n  type: oss\n  bucket: backup\n  prefix: {prefix!r}\n  {sink}\n"
    )


def found(text):
    return [f"{p.path}: {p.message} ({p.hint})" for p in parse(text).problems]


@pytest.mark.parametrize(
    "text",
    [
        spec_with("schedule: none"),
        spec_with("schedule: null"),
        spec_with("schedule: 0 3 * * *"),
        spec_with("schedule: '*/5 1-4,6 1 jan-mar MON'"),
        spec_with("schedule: '@daily'\nstart: 2026-11-20T00:00:00+08:00\ncatchup: true"),
        spec_with("schedule: 0 0 L * *"),
        spec_with("timezone: Asia/Shanghai\ntags: [a, b]\nowner: me\ndescription: words"),
        spec_with("retry: {times: 0, delay: 1h30m}\nlimits: {errors: '5', mbps: 1.5, workers: 2, threads: 1}"),
        spec_with("airflow: {pool: p, execution_timeout: 2h, on_failure: a.b.C, executor_config: {x: 1}}"),
        spec_with(source="columns: []"),
        spec_with(
            source="columns: [a, {name: b, as: c, type: int}, {value: 1, as: d}, {value: null, type: string, as: e}]"
        ),
        spec_with(source="columns: [{value: '7', type: integer, as: a}, {value: aGk=, type: binary, as: b}]"),
        spec_with(source="range: {begin: [user_1, 0], end: [INF_MAX]}"),
        spec_with(source="range: {begin: [INF_MAX], end: [INF_MIN]}\n  split: [c, b, a]"),
        spec_with(source="range: {begin: [5], end: [5]}"),
        spec_with(source="range: {begin: [{binary: aGk=}], end: [INF_MAX]}"),
        spec_with(source="range: {begin: [{string: INF_MAX}], end: [INF_MAX]}"),
        spec_with(source="split: 16"),
        spec_with(source="split: [1, 2, 3]"),
        spec_with(sink="write_mode: nonConflict"),
        spec_with(sink="write_mode: Truncate"),
        spec_with(sink="format: TXT\n  text: {delimiter: '||', null: 'null', header: true}"),
        spec_with(sink=r"format: csv" + "\n" + r"  csv: {delimiter: '\t', encoding: gbk, date_format: yyyy-MM-dd}"),
        spec_with(sink="parquet: {compression: snappy, row_group_rows: 5000}"),
        spec_with(prefix="a/{pipeline}/{table}/{run_date:%Y/%m/%d}/{run_date}/"),
    ],
)
def test_what_is_allowed_has_no_problem(text):
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (spec_with("pipeline: a b").replace("pipeline: gps_full\n", ""), "pipeline: 'a b' is not allowed here"),
        (spec_with("timezone: Mars/Base"), "'Mars/Base' is no known timezone"),
        (spec_with("timezone: Asia/Shanghay"), "did you mean 'Asia/Shanghai'?"),
        (spec_with("timezone: ../etc/passwd"), "is no known timezone"),
        (spec_with("schedule: 60 * * * *"), "'60' is out of bounds for the minute"),
        (spec_with("schedule: 0 3 * *"), "it has five fields"),
        (spec_with("schedule: '* * * * * *'"), "it has five fields"),
        (spec_with("schedule: 0 0 30 2 x"), "'x' is no weekday"),
        (spec_with("schedule: '@dayly'"), "did you mean '@daily'?"),
        (spec_with("schedule: '*/0 * * * *'"), "out of bounds"),
        (spec_with("schedule: 5"), "must be a cron expression or none"),
        (spec_with("catchup: true"), "catchup: needs 'start'"),
        (spec_with("start: soon"), "start: must be a time, not 'soon'"),
        (spec_with("retry: {delay: 5}"), "write 5s, 5m or 5h"),
        (spec_with("retry: {delay: 0s}"), "must be longer than nothing"),
        (spec_with("retry: {delay: 5 minutes}"), "must be a duration, not '5 minutes'"),
        (spec_with("retry: {times: true}"), "must be a number, not true"),
        (spec_with("limits: {mbps: 0}"), "limits.mbps: must be more than 0"),
        (spec_with("limits: {mbps: .inf}"), "finite"),
        (spec_with("limits: {errors: 1.5}"), "must be a whole number, not 1.5"),
        (spec_with("limits: {workers: 2000}"), "must be at most 1024"),
        (spec_with("airflow: {on_failure: 'os system'}"), "airflow.on_failure.notifier: 'os system' is no import path"),
        (spec_with("limits: 5"), "limits: must be a mapping of keys to values, not 5"),
        (spec_with(source="connection: ''"), "the name of an Airflow connection"),
        (spec_with(source="columns: a"), "source.columns: must be a list"),
        (spec_with(source="columns: [a, a]"), "a column named 'a' is already there"),
        (spec_with(source="columns: [{name: b, as: a}, {value: 1, as: a}]"), "a column named 'a' is already there"),
        (spec_with(source="columns: [{name: a, as: _other}]"), "'_other' is the column for unknown ones"),
        (spec_with(source="columns: [{name: a, type: text}]"), "source.columns[0].type: must be one of integer"),
        (spec_with(source="columns: [{value: x, type: integer, as: a}]"), "'x' is no integer"),
        (spec_with(source="columns: [{value: 9223372036854775808, as: a}]"), "is no integer"),
        (spec_with(source="columns: [{value: true, type: double, as: a}]"), "true is no double"),
        (spec_with(source="columns: [{value: 5, type: string, as: a}]"), "put it in quotes"),
        (spec_with(source="columns: [{value: '***', type: binary, as: a}]"), "write base64 text"),
        (spec_with(source="columns: [{value: [1], as: a}]"), "a list is no value of a column"),
        (spec_with(source="columns: [{value: null, as: a}]"), "nothing is no value of a column"),
        (spec_with(source="columns: [{value: 1}]"), "source.columns[0].as: is missing"),
        (spec_with(source="columns: [{nme: a}]"), "did you mean 'name'?"),
        (spec_with(source="range: {begin: [1.5]}"), "1.5 is no part of a primary key"),
        (spec_with(source="range: {begin: [true]}"), "true is no part of a primary key"),
        (spec_with(source="range: {begin: [{type: INF_MIN}]}"), "a mapping is no part of a primary key"),
        (spec_with(source="range: {begin: [{binary: '?'}]}"), "must be base64 text"),
        (spec_with(source="range: {begin: [9223372036854775808]}"), "does not fit into 64 bits"),
        (spec_with(source="range: {begin: [1], end: [a]}"), "'a' is of another type than 1"),
        (spec_with(source="range: {begin: []}"), "source.range.begin: must not be empty"),
        (spec_with(source="range: {begin: [INF_MIN], end: [INF_MIN]}"), "the range is empty"),
        (spec_with(source="split: half"), "must be auto, a number of tasks or a list of points"),
        (spec_with(source="split: 0"), "must be from 1 to"),
        (spec_with(source="split: [b, a]"), "source.split[1]: 'a' is out of order"),
        (spec_with(source="split: [a, a]"), "'a' is out of order"),
        (spec_with(source="split: [a, 1]"), "1 is of another type than 'a'"),
        (spec_with(source="split: [INF_MIN]"), "INF_MIN is no split point"),
        (spec_with(source="range: {begin: [b], end: [d]}\n  split: [a]"), "'a' is out of order"),
        (spec_with(source="range: {begin: [d], end: [b]}\n  split: [c, bb, a]"), "'a' is out of order"),
        (spec_with(source="range: {begin: [1], end: [9]}\n  split: [a]"), "'a' is of another type than the range"),
        (spec_with(sink="bucket2: x"), "did you mean 'bucket'?"),
        (spec_with(sink="format: csv\n  csv: {delimiter: ''}"), "must be one character"),
        (spec_with(sink="format: csv\n  csv: {null: 'a,b'}"), "must not hold the delimiter or a quote"),
        (spec_with(sink="format: csv\n  csv: {encoding: latin77}"), "'latin77' is no known encoding"),
        (spec_with(sink="format: csv\n  csv: {encoding: UTF-7}"), "switches between character sets"),
        (spec_with(sink="format: csv\n  csv: {encoding: base64}"), "is no encoding of text"),
        (spec_with(sink="format: csv\n  csv: {date_format: yyyyQQ}"), "is no format of a time"),
        (spec_with(sink="compress: gzip"), "write parquet: {compression: gzip}"),
        (spec_with(sink="parquet: {row_group_rows: 1}"), "must be at least 1000"),
        (spec_with(sink="max_file_mb: 0"), "must be at least 1"),
        (spec_with(prefix=""), "sink.prefix: must not be empty"),
        (spec_with(prefix="/"), "must not begin with a slash"),
        (spec_with(prefix="a"), "must end at a slash (write 'a/'"),
        (spec_with(prefix="a//b/"), "empty part"),
        (spec_with(prefix="a/_b/"), "has the part '_b', and readers such as Spark and Hive skip"),
        (spec_with(prefix=".a/"), "(write 'a/'"),
        (spec_with(prefix="../a/"), "empty part, '.' or '..'"),
        (spec_with(prefix="oss://backup/a/"), "no address"),
        (spec_with(prefix="{rundate}/"), "the placeholder {rundate} is not known here (did you mean '{run_date}'?)"),
        (spec_with(prefix="{window_start:%Y}/"), "the placeholder {window_start} is not known here"),
        (spec_with(prefix="{split}/"), "the placeholder {split} is not known here"),
        (spec_with(prefix="{table:%Y}/"), "{table} is a word and takes no format"),
        (spec_with(prefix="{run_date:%Q}/"), "'%Q' in {run_date:…} is no known part of a time"),
        (spec_with(prefix="{run_date/"), "a brace without its partner"),
        (spec_with(prefix="${date}/"), "write {run_date:%Y%m%d}"),
        (spec_with(prefix="$[yyyymmdd]/"), "write {run_date:%Y%m%d}"),
        (spec_with(prefix="{{ ds_nodash }}/"), "Jinja is not rendered in a spec (write {run_date:%Y%m%d})"),
        (spec_with("description: '{% if x %}'"), "Jinja is not rendered in a spec"),
        (spec_with(source="connection: LTAI5tQnKxAbCdEfGh"), "a credential does not belong into a spec"),
        (spec_with("password: x"), "a credential does not belong into a spec"),
        (spec_with("airflow: {executor_config: {access_key_secret: x}}"), "a credential does not belong into a spec"),
        (SHORTEST.replace("type: oss", "type: kafka"), "'kafka' is no sink of a full export in this version"),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(text, said):
    assert any(said in one for one in found(text)), found(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (spec_with(sink="csv: {header: no}"), "has no effect with format parquet"),
        (spec_with(sink="write_mode: append\n  truncate_foreign: true"), "has no effect with write_mode append"),
        (spec_with("schedule: '@daily'", sink="write_mode: non_conflict"), "the second scheduled run will fail"),
        (spec_with("start: 2026-11-20"), "has no effect without a schedule"),
    ],
)
def test_what_is_odd_is_a_warning(text, said):
    document = parse(text)

    assert document.spec is not None
    assert [said in p.message for p in document.problems if p.is_warning] == [True]


@pytest.fixture
def folder(tmp_path):
    def write(**texts):
        for name, text in texts.items():
            (tmp_path / f"{name}.yaml").write_text(text)
        return [(p.file.rsplit("/", 1)[1], p.path, p.is_warning) for p in lint(tmp_path)]

    return write


def one(name, prefix, sink=""):
    return SHORTEST.replace("gps_full", name).replace("gps/full/", f"{prefix!r}{sink}")


def test_two_pipelines_with_one_name_are_refused(folder):
    assert folder(a=one("same", "a/"), b=one("same", "b/")) == [("b.yaml", "pipeline", False)]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("x/", "x/"),
        ("x/", "x/y/"),
        ("x/y/", "x/"),
        ("x/{run_date:%Y%m%d}/", "x/{run_date:%Y%m%d}/"),
        ("x/{run_date:%Y}/", "x/2031/"),
        ("x/{run_date:%Y/%m}/", "x/2031/01/02/"),
        ("x/", "x/{run_date:%Y}/"),
        ("x/{pipeline}/", "x/a/"),
        ("{table}/", "ots_gps_data/b/"),
    ],
)
def test_prefixes_that_can_meet_are_refused(folder, first, second):
    assert folder(a=one("a", first), b=one("b", second)) == [("b.yaml", "sink.prefix", False)]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("x/a/", "x/b/"),
        ("x/", "xy/"),
        ("x/{run_date:%Y}/", "x/full/"),
        ("x/{run_date:%Y%m%d}/", "x/{run_date:%Y}/"),
        ("x/{pipeline}/", "x/{pipeline}/"),
    ],
)
def test_prefixes_that_never_meet_are_allowed(folder, first, second):
    assert folder(a=one("a", first), b=one("b", second)) == []


def test_one_prefix_in_two_buckets_is_allowed(folder):
    assert folder(a=one("a", "x/"), b=one("b", "x/").replace("backup", "backup2")) == []


def test_one_bucket_over_two_connections_is_a_warning(folder):
    assert folder(a=one("a", "x/"), b=one("b", "x/", ", connection: other")) == [("b.yaml", "sink.prefix", True)]


def test_a_bad_spec_does_not_hide_problems_of_its_neighbours(folder):
    found = folder(a="nonsense", b=one("same", "b/"), c=one("same", "c/"))

    assert found == [("a.yaml", "", False), ("c.yaml", "pipeline", False)]
