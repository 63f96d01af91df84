"""Jobs under random input: never a crash, no parameter without a word, no credential in what is written."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_tablestore.errors import SpecError
from airflow_tablestore.spec.dataworks.convert import converted
from airflow_tablestore.spec.dataworks.schedule import Scheduling
from airflow_tablestore.spec.dataworks.text import JobText, read_job
from airflow_tablestore.spec.dataworks.trail import Fate, leaves
from airflow_tablestore.spec.dataworks.write import report, spec_text
from airflow_tablestore.spec.document import read_text
from airflow_tablestore.spec.problems import path_of

NOW = datetime(2026, 11, 21, tzinfo=UTC)
SECRET = "k3y0fN0b0dyElse"
NAMES = [
    *(
        "table",
        "dataTable",
        "datasource",
        "endpoint",
        "instanceName",
        "column",
        "range",
        "mode",
        "newVersion",
        "metaMode",
    ),
    *("startTimeString", "endTimeString", "startTimestampMillis", "endTimestampMillis", "date", "statusTable"),
    *("isExportSequenceInfo", "maxRetries", "threadNum", "timeRange", "maxVersion", "bucket", "object", "writeMode"),
    *("fileFormat", "fieldDelimiter", "nullFormat", "dateFormat", "encoding", "header", "maxFileSize", "compress"),
    *("suffix", "csvWriterConfig", "lineDelimiter", "project", "partition", "truncate", "preSql", "emptyAsNull"),
    *("overLengthRule", "primaryKey", "batchWriteCount", "skipHeader", "surprise", "column2"),
]
words = st.sampled_from(
    [
        *(
            "t",
            "",
            "csv",
            "text",
            "parquet",
            "truncate",
            "append",
            "true",
            "false",
            "0",
            "7",
            "gps/",
            "pt=1",
            "gzip",
            ",",
        ),
        *("${a}", "$[yyyymmddhh24miss-10/24/60]", "$[yyyymmddhh24miss-5/24/60]", "${bdp.system.bizdate}", "20171019"),
        *("single_version_and_update_only", "UTF-8", "UpdateRow", "*", "INF_MIN"),
    ]
)
scalars = words | st.booleans() | st.integers(-5, 500) | st.none() | st.text(max_size=4)
entries = st.fixed_dictionaries(
    {},
    optional={
        "name": words,
        "type": st.sampled_from(["string", "int", "INF_MIN", "INF_MAX", "x"]),
        "value": scalars,
        "index": st.integers(0, 2),
        "odd": scalars,
    },
)
values = (
    scalars
    | st.lists(scalars | entries, max_size=3)
    | st.dictionaries(
        st.sampled_from(["begin", "end", "split", "forceQualifier", "odd"]),
        scalars | st.lists(entries, max_size=3),
        max_size=3,
    )
)
parameters = st.dictionaries(st.sampled_from(NAMES), values, max_size=8)
sides = {
    "reader": {"ots": {"table": "t"}, "otsstream": {"dataTable": "t"}, "oss": {"bucket": "bkt", "object": ["x"]}},
    "writer": {
        "oss": {"bucket": "bkt", "object": "gps/", "fileFormat": "csv"},
        "odps": {"table": "t", "truncate": False},
        "ots": {"table": "t", "primaryKey": ["id"]},
    },
}
plans = st.sampled_from([("ots", "oss"), ("ots", "odps"), ("otsstream", "oss"), ("otsstream", "odps"), ("oss", "ots")])
speeds = st.dictionaries(
    st.sampled_from(["mbps", "concurrent", "throttle", "channel", "byte", "record", "odd"]), scalars
)
limits = st.dictionaries(st.sampled_from(["record", "percentage", "odd"]), scalars)
settings_ = st.fixed_dictionaries({}, optional={"speed": speeds, "errorLimit": limits, "jvmOption": scalars})


def job_of(
    plan: tuple[str, str], reader: dict[str, Any], writer: dict[str, Any], setting: dict[str, Any], top: Any
) -> dict[str, Any]:
    """A job whose sound parameters are overlaid with random ones."""
    parts = {
        side: {"plugin": plugin, "parameter": sides[side][plugin] | given_}
        for side, plugin, given_ in (("reader", plan[0], reader), ("writer", plan[1], writer))
    }
    return {"type": "job", "configuration": {**parts, "setting": setting}, **top}


jobs = st.builds(
    job_of, plans, parameters, parameters, settings_, st.dictionaries(st.sampled_from(["extend", "name"]), scalars)
)
sound_jobs = st.builds(
    job_of,
    plans,
    st.dictionaries(
        st.sampled_from(["datasource", "endpoint", "surprise", "maxRetries", "newVersion", "date"]),
        words.filter(lambda w: w.isdigit() or w == "t").map(lambda w: "7" if w == "t" else w),
    ),
    st.dictionaries(
        st.sampled_from(["suffix", "nullFormat", "encrypt", "datasource", "odd"]), st.sampled_from(["", "x", "true"])
    ),
    st.just({}),
    st.just({}),
)


@given(jobs | sound_jobs)
@settings(max_examples=60, deadline=None)
def test_each_parameter_is_in_the_report_and_what_was_taken_is_in_the_spec(data):
    try:
        conversion = converted(JobText(data, "", ()), "job.json", Scheduling(), {}, NOW)
    except SpecError:
        return

    told, steps = report(conversion), {step.loc: step for step in conversion.trail.steps}
    for loc, value in leaves(data):
        (known,) = {loc[:length] for length in range(1, len(loc) + 1) if loc[:length] in steps} or {None}
        assert known is not None, f"{path_of(loc)} was lost"
        assert f"`{path_of(known)}`" in told
        step = steps[known]
        if step.fate is Fate.TAKEN and value not in MEANS_THE_DEFAULT:
            key = step.told.split(":")[0]
            assert is_there(conversion.mapping, key) or any(
                key.startswith(path_of(at)) or path_of(at).startswith(key) for at in conversion.trail.choices
            ), f"{path_of(loc)} was to be at {key}"
    assert read_text(spec_text(conversion)).data == conversion.mapping


MEANS_THE_DEFAULT = (False, "false", "*", [], "none", "INF_MIN", "INF_MAX", 0, "", None)


def is_there(mapping: Any, key: str) -> bool:
    for step in key.split("."):
        if not isinstance(mapping, dict) or step not in mapping:
            return False
        mapping = mapping[step]
    return True


@given(sound_jobs, st.sampled_from(["accessKey", "accessKeySecret", "securityToken", "password", "sk"]), st.booleans())
@settings(max_examples=30, deadline=None)
def test_a_credential_is_nowhere(data, name, is_deep):
    parameter = data["configuration"]["reader"]["parameter"]
    parameter.update({"more": [{name: SECRET}]} if is_deep else {name: SECRET})

    try:
        conversion = converted(JobText(data, "", ()), "job.json", Scheduling(), {}, NOW)
    except SpecError as error:
        written = str(error)
    else:
        written = spec_text(conversion) + report(conversion) + repr(conversion.mapping)

    assert SECRET not in written
    assert "Credentials in plain text" in written or "# " not in written


comments = st.sampled_from(["# note", "// note: it's {odd", "/* a\n b */", ""])


@given(jobs, st.lists(comments, min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_comments_and_trailing_commas_change_nothing(data, notes):
    lines = json.dumps(data, indent=1).split("\n")
    dressed = []
    for number, (line, following) in enumerate(zip(lines, [*lines[1:], ""], strict=True)):
        is_last = line[-1:] not in "{[," and following.lstrip()[:1] in ("}", "]")
        dressed.append(f"{line}{',' * is_last} {notes[number % len(notes)]}")

    assert read_job("\n".join(dressed)).data == data


@given(st.text(max_size=60) | st.text(alphabet='{}[]",:#/*$ \n1at', max_size=60))
@settings(max_examples=60, deadline=None)
def test_no_text_crashes_the_reader(text):
    places = [(1, 1)]
    try:
        read_job(text, "job.json")
    except SpecError as error:
        places = [(problem.line, problem.column) for problem in error.problems]

    assert all(line >= 1 and column >= 1 for line, column in places)
