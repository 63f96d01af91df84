"""Jobs as specs: what each parameter becomes, and what is told about it."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_tablestore.cli import main
from airflow_tablestore.cli.session import Session
from airflow_tablestore.errors import SpecError
from airflow_tablestore.spec import from_mapping
from airflow_tablestore.spec.dataworks import Conversion, convert, report, scheduling_of, spec_text
from airflow_tablestore.spec.dataworks.trail import Fate
from airflow_tablestore.spec.document import read_text

VECTORS = Path(__file__).parents[2] / "vectors/dataworks"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MINUTES = "start_time=$[yyyymmddhh24miss-10/24/60] end_time=$[yyyymmddhh24miss-5/24/60]"


@pytest.fixture
def job(tmp_path):
    """Writes a job and converts it."""

    def write(reader: Any, writer: Any, setting: Any = None, *, schedule: str = "", **given: Any) -> Conversion:
        data = {"configuration": {"reader": reader, "writer": writer, "setting": setting or {}}}
        path = tmp_path / "job.json"
        path.write_text(json.dumps(data))
        return convert(path, scheduling_of(schedule), given, NOW)

    return write


def ots(**parameter: Any) -> dict[str, Any]:
    return {"plugin": "ots", "parameter": {"table": "t", **parameter}}


def stream(**parameter: Any) -> dict[str, Any]:
    times = {"startTimeString": "${start_time}", "endTimeString": "${end_time}"}
    return {"plugin": "otsstream", "parameter": {"dataTable": "t", **times, **parameter}}


def oss(**parameter: Any) -> dict[str, Any]:
    told = {"bucket": "backup", "object": "gps/", "fileFormat": "csv", "writeMode": "truncate"}
    return {"plugin": "oss", "parameter": {**told, **parameter}}


def odps(**parameter: Any) -> dict[str, Any]:
    return {"plugin": "odps", "parameter": {"table": "t", "truncate": True, **parameter}}


def fates(conversion: Conversion) -> dict[str, Fate]:
    """What became of each parameter, by its name alone."""
    return {str(step.loc[-1]): step.fate for step in conversion.trail.steps}


# ---- the jobs of the documents


def test_the_job_of_the_first_document_converts_as_it_stands():
    conversion = convert(VECTORS / "person_changes.json", scheduling_of(f"cycle: 5m, parameters: '{MINUTES}'"), {}, NOW)

    assert conversion.is_complete
    assert conversion.kind == "incremental"
    mapping = conversion.mapping
    assert mapping["source"] == {
        "table": "person",
        "mode": "multi_version",
        "max_retries": 30,
        "connection": "otsstream",
    }
    assert mapping["sink"]["columns"] == ["id", "colname", "version", "colvalue", "optype"]
    assert (mapping["limits"]["mbps"], mapping["limits"]["workers"]) == (7, 7)


@pytest.mark.parametrize(
    ("name", "kind", "keys"),
    [
        (
            "full_export_oss",
            "full_export",
            {"source": {"table": "gps"}, "sink": {"bucket": "backup", "prefix": "gps/"}},
        ),
        (
            "incremental_oss",
            "incremental",
            {"source": {"table": "gps"}, "sink": {"bucket": "backup", "prefix": "gps/{window_start:%Y%m%d%H%M}/"}},
        ),
        ("full_export_maxcompute", "full_export", {"source": {"table": "gps"}, "sink": {"table": "gps"}}),
    ],
)
def test_the_templates_convert_once_their_empty_fields_are_filled(name, kind, keys):
    template = convert(VECTORS / f"{name}.json", now=NOW)
    filled = convert(VECTORS / f"{name}.json", given=keys, now=NOW)

    assert {".".join(map(str, loc)) for loc in template.trail.unfilled} == {
        f"{side}.{key}" for side, told in keys.items() for key in told
    }
    assert not template.is_complete
    assert (filled.kind, filled.is_complete, filled.trail.unfilled) == (kind, True, {})


def test_the_tutorial_of_the_second_document_is_five_minute_windows_with_five_minutes_lag():
    schedule = "cycle: 5 minutes, self_dependent: true, rerun: {times: 3, interval: 2m}"

    mapping = convert(VECTORS / "incremental_oss.json", scheduling_of(schedule), {}, NOW).mapping

    assert mapping["window"] == {"every": "5m", "lag": "5m"}
    assert mapping["self_dependent"] is True
    assert mapping["retry"] == {"times": 3, "delay": "2m"}
    assert mapping["source"]["columns"] == ["uid", "name"]


def test_infinite_bounds_in_split_are_left_out():
    conversion = convert(VECTORS / "full_export_maxcompute.json", now=NOW)

    assert conversion.mapping["source"]["split"] == ["splitPoint1", "splitPoint2", "splitPoint3"]
    assert conversion.mapping["source"]["range"]["begin"] == ["INF_MIN", "INF_MIN", "begin1", 0]


def test_lines_that_were_taken_for_comments_are_in_the_report():
    told = report(convert(VECTORS / "incremental_oss.json", now=NOW))

    assert "rameter if it is not in the configuration template." in told


# ---- the written spec


@pytest.mark.parametrize("path", sorted(VECTORS.glob("*.json")), ids=lambda path: path.stem)
def test_the_spec_that_is_written_reads_as_what_was_decided(path):
    conversion = convert(path, now=NOW)

    assert read_text(spec_text(conversion)).data == conversion.mapping


def test_each_choice_is_a_comment_above_its_key():
    lines = spec_text(convert(VECTORS / "person_changes.json", now=NOW)).splitlines()

    at = lines.index("  truncate: false")
    assert lines[at - 2].startswith("  # Windows of one day share the job's place")


# ---- the forms of jobs


def test_the_job_files_of_datax_are_read(tmp_path):
    reader = {"name": "otsreader", "parameter": {"table": "t"}}
    writer = {"name": "osswriter", "parameter": oss()["parameter"]}
    path = tmp_path / "job.json"
    path.write_text(
        json.dumps({"job": {"content": [{"reader": reader, "writer": writer}], "setting": {"speed": {"channel": 2}}}})
    )

    conversion = convert(path, now=NOW)

    assert conversion.is_complete
    assert conversion.mapping["limits"]["workers"] == 2


def test_version_two_of_script_mode_is_read(tmp_path):
    path = tmp_path / "job.json"
    steps = [
        {"stepType": "ots", "name": "Reader", "category": "reader", "parameter": {"table": "t"}},
        {"stepType": "oss", "name": "Writer", "category": "writer", "parameter": oss()["parameter"]},
    ]
    order = {"hops": [{"from": "Reader", "to": "Writer"}]}
    path.write_text(json.dumps({"type": "job", "version": "2.0", "steps": steps, "order": order, "setting": {}}))

    conversion = convert(path, now=NOW)

    assert conversion.is_complete
    assert not [step for step in conversion.trail.steps if step.fate is Fate.OTHER]


def test_a_job_as_the_wizard_writes_it_loses_nothing(tmp_path):
    setting = {"executeMode": None, "errorLimit": {"record": ""}, "speed": {"concurrent": 2, "throttle": False}}
    reader = {
        "envType": 1,
        "datasource": "prod",
        "newVersion": "true",
        "mode": "normal",
        "table": "t",
        "column": ["id"],
    }
    steps = [
        {"stepType": "ots", "name": "Reader", "category": "reader", "parameter": reader},
        {"stepType": "oss", "name": "Writer", "category": "writer", "parameter": {"envType": 1, **oss()["parameter"]}},
    ]
    order = {"hops": [{"from": "Reader", "to": "Writer"}]}
    path = tmp_path / "job.json"
    path.write_text(json.dumps({"type": "job", "version": "2.0", "steps": steps, "order": order, "setting": setting}))

    conversion = convert(path, now=NOW)

    assert conversion.is_complete
    assert conversion.mapping["limits"] == {"errors": 0, "workers": 2}
    assert {step.fate for step in conversion.trail.steps} <= {Fate.TAKEN, Fate.ALWAYS, Fate.EMPTY}


# ---- readers


def test_columns_constants_and_the_header_of_the_writer(job):
    columns = [{"name": "id"}, {"name": "n", "type": "long"}, {"type": "string", "value": "cn"}]

    mapping = job(ots(column=columns), oss(header=["id", "count", "region"])).mapping

    assert mapping["source"]["columns"] == [
        "id",
        {"name": "n", "as": "count", "type": "integer"},
        {"value": "cn", "as": "region", "type": "string"},
    ]
    assert mapping["sink"]["csv"]["header"] is True


def test_keys_of_a_range_keep_their_types(job):
    bounds = [
        {"type": "STRING", "value": "INF_MAX"},
        {"type": "int", "value": "7"},
        {"type": "binary", "value": "AQ=="},
    ]

    conversion = job(ots(range={"begin": bounds, "end": [{"type": "INF_MAX"}]}), oss())

    assert conversion.mapping["source"]["range"] == {
        "begin": [{"string": "INF_MAX"}, 7, {"binary": "AQ=="}],
        "end": ["INF_MAX"],
    }
    assert from_mapping(conversion.mapping).source.range.begin == ("INF_MAX", 7, b"\x01")


@pytest.mark.parametrize(
    ("times", "schedule", "window"),
    [
        (("$[yyyymmddhh24miss-10/24/60]", "$[yyyymmddhh24miss-5/24/60]"), "", ("5m", "5m")),
        (("$[yyyymmddhh24miss-70/24/60]", "$[yyyymmddhh24miss-10/24/60]"), "", ("1h", "10m")),
        (("${start_time}", "${end_time}"), MINUTES, ("5m", "5m")),
        (("${start_time}", "${end_time}"), "", ("5m", "5m")),
        (("${start_time}", "${end_time}"), "0 * * * *", ("1h", "5m")),
        (("$[yyyymmdd-1]", "$[yyyymmdd]"), "", ("day", "5m")),
        (("20171019161000", "20171019162600"), "", ("5m", "5m")),
        (("1508400600000", "1508401560000"), "", ("5m", "5m")),
    ],
)
def test_times_become_windows_and_lag(job, times, schedule, window):
    mapping = job(
        stream(startTimeString=times[0], endTimeString=times[1]), oss(writeMode="append"), schedule=schedule
    ).mapping

    assert (mapping["window"]["every"], mapping["window"]["lag"]) == window


def test_a_cycle_that_the_windows_do_not_fit_is_told(job):
    conversion = job(stream(), oss(), schedule=f"cycle: 10m, parameters: '{MINUTES}'")

    assert conversion.mapping["window"]["every"] == "10m"
    assert "the job leaves out what is between its windows" in spec_text(conversion).replace("\n# ", " ")


def test_a_fixed_time_becomes_the_start(job):
    times = {"startTimeString": "20171019161000", "endTimeString": "20171019162600"}

    assert job(stream(**times), oss()).mapping["start"] == "2017-10-19T16:10:00+08:00"


def test_a_date_beside_times_is_understood(job):
    conversion = job(stream(date="${bdp.system.bizdate}"), oss(), schedule=MINUTES)

    assert conversion.mapping["window"]["every"] == "5m"
    assert fates(conversion)["date"] is Fate.ALWAYS


def test_a_date_alone_is_a_day(job):
    reader = {"plugin": "otsstream", "parameter": {"dataTable": "t", "date": "${bdp.system.bizdate}"}}

    conversion = job(reader, oss(object="gps/${bdp.system.bizdate}"))

    assert conversion.mapping["window"]["every"] == "day"
    assert conversion.mapping["sink"]["prefix"] == "gps/{window_start:%Y%m%d}/"


# ---- writers


def test_objects_of_a_daily_export_are_under_the_day(job):
    conversion = job(
        ots(), oss(object="gps/${date}"), schedule="cycle: 1 day, parameters: 'date=${bdp.system.bizdate}'"
    )

    assert conversion.mapping["sink"]["prefix"] == "gps/{run_date:%Y%m%d}/"
    assert conversion.mapping["schedule"] == "0 0 * * *"
    assert "{run_date} is the run's own" in spec_text(conversion)


def test_the_ends_of_a_window_are_named_as_such(job):
    writer = oss(object="gps/$[yyyymmddhh24mi-10/24/60]_$[hh24mi-5/24/60]/")

    assert job(stream(), writer, schedule=MINUTES).mapping["sink"]["prefix"] == (
        "gps/{window_start:%Y%m%d%H%M}_{window_end:%H%M}/"
    )


def test_windows_that_would_replace_each_other_get_places_of_their_own(job):
    objects = job(stream(), oss(object="gps/${bdp.system.bizdate}"), schedule=MINUTES)
    table = job(stream(), odps(partition="pt=${bdp.system.bizdate}"), schedule=MINUTES)

    assert objects.mapping["sink"]["prefix"] == "gps/{window_start:%Y%m%d}/{window_start:%Y%m%d%H%M}/"
    assert table.mapping["sink"]["truncate"] is False
    assert objects.is_complete
    assert table.is_complete


def test_the_look_of_csv_is_kept(job):
    writer = oss(fieldDelimiter="\t", nullFormat="", encoding="GBK", csvWriterConfig={"forceQualifier": True})

    assert job(ots(), writer).mapping["sink"]["csv"] == {
        "delimiter": "\t",
        "null": "",
        "header": False,
        "encoding": "GBK",
        "quote": "all",
    }


def test_a_restore_takes_the_readers_order_and_the_writers_names(job):
    reader = {
        "plugin": "oss",
        "parameter": {
            "bucket": "backup",
            "object": ["raw/*.csv"],
            "column": [
                {"index": 1, "type": "string"},
                {"index": "0", "type": "long"},
                {"type": "string", "value": "cn"},
            ],
            "fieldDelimiter": ",",
            "nullFormat": "null",
            "compress": "gzip",
        },
    }
    writer = {
        "plugin": "ots",
        "parameter": {
            "table": "copy",
            "primaryKey": [{"name": "uid", "type": "string"}],
            "column": [{"name": "n", "type": "INT"}, {"name": "region"}],
            "writeMode": "UpdateRow",
            "batchWriteCount": "100",
            "requestTotalSizeLimitation": 1048576,
            "requestQPS": "50",
            "maxRetryTime": 18,
            "retrySleepInMillisecond": 100,
            "concurrencyWrite": 5,
        },
    }

    conversion = job(reader, writer)

    assert conversion.kind == "restore"
    assert conversion.mapping["source"] == {
        "type": "oss",
        "bucket": "backup",
        "objects": ["raw/*.csv"],
        "format": "csv",
        "compress": "gzip",
        "columns": [{"name": "n", "type": "integer"}, {"name": "uid", "type": "string"}],
        "csv": {"delimiter": ",", "null": "null", "header": False},
    }
    assert conversion.mapping["sink"] == {
        "type": "tablestore",
        "table": "copy",
        "write": "update",
        "nulls": "delete",
        "primary_key": ["uid"],
        "batch_rows": 100,
        "batch_bytes": 1048576,
        "requests_per_second": 50,
        "max_retries": 18,
        "columns": ["n", "uid", {"value": "cn", "as": "region", "type": "string"}],
    }
    assert not [step for step in conversion.trail.steps if step.fate is Fate.OTHER]
    assert conversion.mapping["limits"]["threads"] == 5
    assert conversion.is_complete


# ---- settings


def test_limits_and_numbers_in_quotes(job):
    setting = {"errorLimit": {"record": "5"}, "speed": {"mbps": "1.5", "concurrent": "3", "throttle": "true"}}

    assert job(ots(), oss(), setting).mapping["limits"] == {"errors": 5, "mbps": 1.5, "workers": 3}


def test_without_throttle_there_is_no_limit(job):
    limits = job(ots(), oss(), {"speed": {"mbps": 1, "throttle": False}}).mapping["limits"]

    assert "mbps" not in limits


def test_no_error_limit_is_a_choice(job):
    assert "The job sets no errorLimit.record" in spec_text(job(ots(), oss()))


def test_the_authors_own_keys_count_more(job):
    conversion = job(ots(), oss(), sink={"bucket": "other", "csv": {"header": True}}, pipeline="mine")

    assert conversion.pipeline == "mine"
    assert conversion.mapping["sink"]["bucket"] == "other"
    assert conversion.mapping["sink"]["csv"]["header"] is True


# ---- credentials


SECRETS = {"accessId": "LTAI5tExampleExample", "accessKey": "s3cretKeyThatNobodySees"}


def test_credentials_reach_nothing_that_is_written(job):
    conversion = job(
        ots(endpoint="https://i.cn.ots.aliyuncs.com", **SECRETS), oss(note="LTAI5tExampleExample", **SECRETS)
    )

    written = spec_text(conversion) + report(conversion) + repr(conversion.mapping)
    assert not any(secret in written for secret in SECRETS.values())
    assert len(conversion.trail.secrets) == 5
    assert "Credentials in plain text" in written
    assert "https://i.cn.ots.aliyuncs.com" in report(conversion)


def test_a_key_in_the_rest_of_a_comment_is_masked(tmp_path):
    path = tmp_path / "job.json"
    data = json.dumps({"reader": ots(), "writer": oss()})
    path.write_text(f"{{ # the key is\nLTAI5tExampleExample of course\n{data[1:]}")

    assert "LTAI5t" not in report(convert(path, now=NOW))


KEY = "aB3dE5gH7jK9mN1pQ3rS5tU7vW9xY1"


@pytest.mark.parametrize(
    "reader",
    [
        ots(accessKeySecret=KEY),
        ots(surprise=KEY),
        ots(surprise=[{"deep": KEY}]),
        ots(surprise={"securityToken": KEY}),
        ots(endpoint=f"https://me:{KEY}@i.ots.aliyuncs.com"),
        ots(datasource=f"accessKey={KEY}"),
        ots(column=[{"name": "a", "accessKey": KEY}]),
    ],
    ids=["parameter", "unknown", "nested", "object", "login", "datasource", "column"],
)
def test_a_key_is_in_nothing_that_is_made_wherever_it_stands(tmp_path, reader):
    path, folder = tmp_path / "job.json", tmp_path / "made"
    data = json.dumps({"reader": reader, "writer": odps(preSql=[f"set accessKey={KEY};"]), "setting": {}}, indent=1)
    path.write_text(f"// accessKey: {KEY}\n# broken comment\nwith {KEY} in it\n/* {KEY} */\n{data}\n# {KEY}")
    out, errors = io.StringIO(), io.StringIO()

    for words in ((), ("--json",)):
        main(["convert", str(path), "-o", str(folder), "--force", *words], Session(out=out, err=errors))

    made = "".join(file.read_text() for file in folder.iterdir()) if folder.exists() else ""
    assert KEY not in made + out.getvalue() + errors.getvalue()
    assert made


@pytest.mark.parametrize("key", ["reader", "readers"])
def test_a_reader_in_a_list_of_one_is_understood_and_a_second_one_refused(tmp_path, key):
    path = tmp_path / "job.json"
    path.write_text(json.dumps({"configuration": {key: [ots()], key.replace("read", "writ"): [oss()]}}))

    assert convert(path, now=NOW).kind == "full_export"

    path.write_text(json.dumps({"configuration": {key: [ots(), ots()], "writer": oss()}}))
    with pytest.raises(SpecError, match="is a second reader"):
        convert(path, now=NOW)


def test_a_text_without_an_end_is_read_in_time(job):
    for text in ("t" * 200_000, "token" * 40_000, "accessKey" + " " * 200_000, "://" * 60_000):
        conversion = job(ots(table=text), oss(surprise=text))

        assert not conversion.is_complete


# ---- bad input


@pytest.mark.parametrize(
    ("reader", "writer", "told"),
    [
        ({"plugin": "mysql", "parameter": {}}, oss(), "configuration.reader.plugin: 'mysql' is no reader"),
        (ots(), {"plugin": "hdfs", "parameter": {}}, "configuration.writer.plugin: 'hdfs' is no writer"),
        ({"plugin": "otss", "parameter": {}}, oss(), "did you mean 'ots'?"),
        ({"parameter": {}}, oss(), "configuration.reader: names no plugin"),
        ({"plugin": "ots"}, oss(), "configuration.reader.parameter: is missing"),
        (None, oss(), "configuration.reader: has no reader"),
        (ots(), {"plugin": "ots", "parameter": {}}, "no pipeline goes from ots to ots"),
        (stream(startTimestampMillis="${a}"), oss(), "contradict each other"),
        (stream(endTimeString=""), oss(), "endTimeString: is missing"),
        (stream(startTimeString="yesterday"), oss(), "'yesterday' is no time"),
        (stream(mode="multi"), oss(), "'multi' is no mode"),
        (stream(mode="single_version_and_update_only"), oss(), "column: is missing"),
        (
            stream(mode="single_version_and_update_only", column=["a"], isExportSequenceInfo=True),
            oss(),
            "isExportSequenceInfo: does not go with mode",
        ),
        (ots(column=[{"type": "string"}]), oss(), "column[0]: has neither a name nor a value"),
        (ots(column=["a", "b"]), odps(column=["a"]), "names 1 columns, and the reader gives 2"),
        (ots(range={"begin": [{"type": "int", "value": "x"}]}), oss(), "range.begin[0].value: 'x' is no whole number"),
        (ots(range=[]), oss(), "range: must be an object, not a list"),
        (ots(isTimeseriesTable="true"), oss(), "timeseries tables are not read"),
        (ots(metaMode="true"), oss(), "the job reads descriptions of tables"),
        (ots(), oss(writeMode="replace"), "'replace' is no writeMode"),
        (ots(), oss(maxFileSize="big"), "maxFileSize: must be a number, not 'big'"),
        (ots(), odps(preSql=[{"a": 1}]), "preSql[0]: must be text, not a mapping"),
        (ots(), odps(truncate="maybe"), "truncate: must be true or false, not 'maybe'"),
    ],
)
def test_what_cannot_become_a_pipeline_is_told_at_its_place(job, reader, writer, told):
    with pytest.raises(SpecError) as error:
        job(reader, writer, schedule="cycle: 5m")

    assert told in str(error.value)
    assert "job.json" in str(error.value)


def test_every_problem_is_told_with_its_line(tmp_path):
    path = tmp_path / "job.json"
    path.write_text(
        '{"reader": {"plugin": "ots", "parameter": {\n  "table": "t", # one\n  "isTimeseriesTable": "true"}},\n'
        ' "writer": {"plugin": "oss", "parameter": {"bucket": "b", "object": "x/",\n   "writeMode": "other"}}}'
    )

    with pytest.raises(SpecError) as error:
        convert(path, now=NOW)

    assert [(problem.line, problem.column) for problem in error.value.problems] == [(3, 24), (5, 17)]


def test_parameters_without_an_equivalent_are_told(job):
    conversion = job(ots(mode="multiVersion", surprise={"deep": 1}), oss(suffix=".csv", compress="bzip2"))

    others = {step.path for step in conversion.trail.steps if step.fate is Fate.OTHER}
    base = "configuration.{}.parameter.{}".format
    assert others >= {base("reader", "mode"), base("reader", "surprise.deep"), base("writer", "suffix")}
    assert base("writer", "compress") in others
    assert all(f"`{path}`" in report(conversion) for path in others)


@pytest.mark.parametrize(
    "told",
    ["every now and then", "cycle: blue", "tempo: 5m", "rerun: often", "parameters: nothing", "start: soon, cycle: 5m"],
)
def test_a_schedule_that_cannot_be_understood_is_told(told, job):
    with pytest.raises(SpecError, match="--schedule"):
        job(stream(), oss(), schedule=told)


def test_a_schedule_may_be_a_file(tmp_path, job):
    path = tmp_path / "schedule.yaml"
    path.write_text(
        f"cycle: 5 minutes\nparameters: {MINUTES}\nself_dependent: true\nstart: 2026-11-20T00:00:00+08:00\n"
    )

    mapping = job(stream(), oss(writeMode="append"), schedule=str(path)).mapping

    assert (mapping["start"], mapping["self_dependent"]) == ("2026-11-20T00:00:00+08:00", True)


def test_a_variable_that_the_schedule_assigns_a_text_to_is_that_text(job):
    writer = oss(object="gps/${region}/")

    conversion = job(ots(table="${table}"), writer, schedule="cycle: 1d, parameters: {table: gps, region: cn}")

    assert conversion.mapping["source"]["table"] == "gps"
    assert conversion.mapping["sink"]["prefix"] == "gps/cn/"


def test_a_credential_inside_of_a_text_is_left_out(job):
    statement = "set x.accessKey=s3cretKeyThatNobodySees"

    conversion = job(ots(column=["LTAI5tExampleExample"]), odps(preSql=[statement]))

    written = spec_text(conversion) + report(conversion) + repr(conversion.mapping)
    assert "s3cretKey" not in written
    assert "LTAI5t" not in written
    assert "A credential stood here in plain text" in written


# ---- no parameter is read without effect


VALUES = {
    ("ots", "oss"): {
        "reader": {
            "table": ["a", "b"],
            "datasource": ["one", "two"],
            "endpoint": ["https://a", "https://b"],
            "instanceName": ["a", "b"],
            "column": [["a"], [{"name": "a", "type": "int"}], [{"value": "1", "type": "int"}]],
            "range": [{"begin": [{"type": "int", "value": 1}]}, {"split": [{"type": "int", "value": "5"}]}],
            "ioThreadCount": [2, 3],
        },
        "writer": {
            "bucket": ["one", "two"],
            "object": ["a/", "b/"],
            "writeMode": ["truncate", "append", "nonConflict"],
            "fileFormat": ["csv", "text", "parquet"],
            "fieldDelimiter": [",", ";"],
            "nullFormat": ["", "null"],
            "dateFormat": ["yyyy-MM-dd", "yyyyMMdd"],
            "encoding": ["UTF-8", "GBK"],
            "header": [["a"], []],
            "maxFileSize": ["1", 2],
            "compress": ["gzip", "zstd", "none"],
            "csvWriterConfig": [{"forceQualifier": True}, {"useTextQualifier": False}],
        },
    },
    ("otsstream", "odps"): {
        "reader": {
            "dataTable": ["a", "b"],
            "statusTable": ["a", "b"],
            "startTimeString": ["$[yyyymmddhh24miss-15/24/60]", "$[yyyymmddhh24miss-10/24/60]"],
            "isExportSequenceInfo": [True, "false"],
            "maxRetries": [3, "4"],
            "threadNum": [3, 4],
        },
        "writer": {
            "project": ["aaa", "bbb"],
            "table": ["a", "b"],
            "partition": ["pt=1", "pt=2"],
            "truncate": [True, "false"],
            "column": [["a", "b"], ["a"]],
            "overLengthRule": ["keepOn", "truncate", "setNull"],
            "preSql": [["a"], ["b"]],
            "postSql": [["a"], "b"],
        },
    },
}
ONE_BY_ONE = [
    (*plan, side, name, values)
    for plan, both in VALUES.items()
    for side, named in both.items()
    for name, values in named.items()
]


@pytest.mark.parametrize(("reads", "writes", "side", "name", "values"), ONE_BY_ONE, ids=lambda value: str(value)[:30])
def test_what_a_parameter_says_decides_what_comes_out(job, reads, writes, side, name, values):
    times = {"startTimeString": "$[yyyymmddhh24miss-10/24/60]", "endTimeString": "$[yyyymmddhh24miss-5/24/60]"}
    base = {
        "ots": {"table": "t"},
        "otsstream": {"dataTable": "t", **times},
        "oss": oss()["parameter"],
        "odps": {"table": "t", "truncate": False, "partition": "pt=$[yyyymmddhh24mi-10/24/60]"},
    }

    results = []
    for value in values:
        reader, writer = ({"plugin": plugin, "parameter": dict(base[plugin])} for plugin in (reads, writes))
        {"reader": reader, "writer": writer}[side]["parameter"][name] = value
        results.append(spec_text(made := job(reader, writer)) + report(made))

    assert len(set(results)) == len(values)
