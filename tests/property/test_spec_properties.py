"""Specs under random input: never a crash, and what is written back reads as it was."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta
from itertools import islice

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_tablestore.errors import SpecError
from airflow_tablestore.spec import from_mapping, parse
from airflow_tablestore.spec.build import incremental
from airflow_tablestore.spec.kinds import KINDS, model_of
from airflow_tablestore.spec.problems import keys_at
from airflow_tablestore.spec.show import show

PLACES = ((), ("source",), ("sink",), ("sink", "csv"), ("limits",), ("window",), ("status_table",))
WORDS = sorted({key for kind in KINDS for loc in PLACES for key in keys_at(model_of(kind), loc)})

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(WORDS)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3),
    max_leaves=8,
)
documents = st.builds(
    lambda kind, data: {"kind": kind} | data,
    st.sampled_from(KINDS),
    st.dictionaries(st.sampled_from(WORDS), values, max_size=6),
)


def has_no_jinja(text):
    return not any(mark in text for mark in ("{{", "{%", "{#"))


points = (
    st.integers(-(2**63), 2**63 - 1)
    | st.text(max_size=5).filter(has_no_jinja)
    | st.binary(max_size=5).map(lambda raw: {"binary": base64.b64encode(raw).decode()})
)
names = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=6).filter(has_no_jinja)
columns = st.lists(
    names
    | st.builds(lambda name, to: {"name": name, "as": to}, names, names)
    | st.builds(
        lambda value, to: {"value": value, "as": to},
        st.integers(-(2**63), 2**63 - 1) | st.text(max_size=4).filter(has_no_jinja),
        names,
    ),
    max_size=4,
    unique_by=lambda c: c if isinstance(c, str) else c["as"],
)


@given(st.text(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_text_is_a_spec_or_is_refused_with_problems(text):
    document = parse(text, "x.yaml")

    assert document.spec is None
    assert document.errors


@given(st.text("abk:[]{}-?&*!|>'\"%@`#,\n\t 0.~<", max_size=60))
@settings(max_examples=100, deadline=None)
def test_any_soup_of_yaml_marks_is_refused_with_problems(text):
    assert parse(text).errors


@given(documents)
@settings(max_examples=100, deadline=None)
def test_any_mapping_is_a_spec_or_is_refused_with_problems(data):
    text = yaml.safe_dump(data, allow_unicode=True)

    document = parse(text, "x.yaml")

    assert (document.spec is None) == bool(document.errors)
    assert all(problem.line for problem in document.problems)
    assert show(document.problems, {"x.yaml": text}) or not document.problems


@given(documents)
@settings(max_examples=50, deadline=None)
def test_python_and_files_agree_on_what_is_wrong(data):
    try:
        from_mapping(data)
        found = set()
    except SpecError as error:
        found = {problem.path for problem in error.problems}

    document = parse(json.dumps(data))

    if document.data == data:  # JSON writes some numbers in a way that YAML takes for text
        assert {problem.path for problem in document.errors} == found


@given(
    columns=columns,
    begin=st.lists(points, min_size=1, max_size=3),
    split=st.just("auto") | st.integers(1, 100),
    delay=st.integers(1, 10**6),
    delimiter=st.sampled_from(",;|\t"),
)
@settings(max_examples=100, deadline=None)
def test_a_spec_written_back_is_the_same_spec(columns, begin, split, delay, delimiter):
    spec = from_mapping(
        {
            "pipeline": "p",
            "kind": "full_export",
            "retry": {"delay": f"{delay}s"},
            "source": {
                "table": "t",
                "columns": columns,
                "range": {"begin": begin},
                "split": split,
                "unknown_columns": "drop",
            },
            "sink": {
                "type": "oss",
                "bucket": "backup",
                "prefix": "a/",
                "format": "csv",
                "csv": {"delimiter": delimiter},
            },
        }
    )

    again = from_mapping(json.loads(json.dumps(spec.to_mapping())))

    assert again == spec


@given(
    every=st.integers(1, 24 * 60).map(lambda minutes: f"{minutes}m") | st.sampled_from(["hour", "day"]),
    zone=st.sampled_from(["UTC", "Asia/Shanghai", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe"]),
    start=st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2030, 1, 1)),
    parts=st.sampled_from(["%Y%m%d%H%M", "%Y%m%d%H%M%z", "%Y%m%d%H", "%Y%m%d", "%m%d%H%M", "%Y%j", "%H%M"]),
)
@example(every="1431m", zone="UTC", start=datetime(2020, 7, 1, 0, 0, 1), parts="%Y%m%d")
@settings(max_examples=60, deadline=None)
def test_windows_of_an_accepted_spec_have_prefixes_of_their_own(every, zone, start, parts):
    document = parse(
        json.dumps(
            {
                "pipeline": "p",
                "kind": "incremental",
                "timezone": zone,
                "start": start.replace(microsecond=0).isoformat(),
                "window": {"every": every},
                "source": {"table": "t", "mode": "multi_version"},
                "sink": {"type": "oss", "bucket": "backup", "prefix": f"a/{{window_start:{parts}}}/"},
            }
        )
    )
    if document.spec is None:
        assert [problem.path for problem in document.errors] == ["sink.prefix"]
        return

    export, spec = incremental(document.spec, instance="i"), document.spec
    windows = [*islice(spec.grid.between(spec.starts, spec.starts + timedelta(days=400)), 400)]

    assert len({export.target(window).prefix for window in windows}) == len(windows)
    assert windows == [spec.grid.at(window.start) for window in windows]
