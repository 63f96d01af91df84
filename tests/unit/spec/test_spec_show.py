"""Problems as people see them, and a spec told back to them."""

from __future__ import annotations

import pytest

from airflow_tablestore.errors import Problem
from airflow_tablestore.spec import parse
from airflow_tablestore.spec.document import located
from airflow_tablestore.spec.explain import settings, story
from airflow_tablestore.spec.problems import masked
from airflow_tablestore.spec.show import MAX_WIDTH, show

SPEC = """\
pipeline: p
kind: full_export
source:
  table: t
  range: {begin: [user_1], end: [user_9]}
sink: {type: oss, bucket: backup, prefix: a/}
"""


def told(changes="", **replaced):
    text = SPEC + changes
    for old, new in replaced.items():
        text = text.replace(f"{old}:", new)
    document = parse(text)
    assert document.spec, document.problems
    return " ".join(story(document.spec))


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("accessKeySecret: abc def", "accessKeySecret: ***"),
        ("{access_key_id: abc, table: t}", "{access_key_id: ***, table: t}"),
        ('"sts_token": "abc"', '"sts_token": ***'),
        ("x: LTAI5tQnKxAbCdEfGh", "x: ***"),
        ("url: https://me:abc@host/x", "url: https://***@host/x"),
        ("table: ots_gps_data", "table: ots_gps_data"),
    ],
)
def test_credentials_are_masked_in_lines(line, shown):
    assert masked(line) == shown


def test_a_long_line_is_cut_around_the_caret():
    text = "x" * 500 + "HERE" + "y" * 500

    block = show([Problem("wrong", file="f", line=1, column=501)], {"f": text})
    _, line, caret = block.splitlines()

    assert len(line) <= MAX_WIDTH + 4
    assert line[caret.index("^") :].startswith("HERE")


def test_a_problem_without_a_place_is_one_line():
    assert show([Problem("is wrong", path="x")], {}) == "error: x: is wrong"


@pytest.mark.parametrize(
    ("path", "place"),
    [("range.begin", (5, 18)), ("source.range", (5, 10)), ("prefix", (6, 43)), ("nowhere", (0, 0)), ("", (0, 0))],
)
def test_what_the_engine_finds_is_placed_in_the_spec(path, place):
    found = located(Problem("wrong", path=path), SPEC, "f.yaml")

    assert (found.line, found.column) == place


def test_every_setting_tells_its_line():
    found = {s.path: s.origin for s in settings(parse(SPEC))}

    assert found["source.table"] == "line 4"
    assert found["sink.format"] == "default"
    assert found["source.range"] == "line 5"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ("", "It runs when it is asked to"),
        ("", "the rows from [user_1] up to [user_9] of table 't'"),
        ("", "Rows whose key begins with [user_9] and has further columns are included."),
        ("", "in tasks of about 1 GiB"),
        ("schedule: 0 3 * * *\n", "It runs at '0 3 * * *' (UTC)"),
        ("schedule: '@daily'\nstart: 2026-01-01\ncatchup: true\n", "from 2026-01-01T00:00:00+00:00 on, missed runs"),
        ("limits: {mbps: 8, errors: 3}\n", "More than 3 dirty records fail the run"),
        ("limits: {mbps: 8}\n", "it reads at most 8 megabits per second"),
        ("limits: {workers: 5}\n", "at most 5 of them"),
    ],
)
def test_the_story_tells_what_a_run_does(changes, said):
    assert said in told(changes)
