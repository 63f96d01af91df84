"""The text of jobs: the liberties that people take with JSON, and errors at the author's own line and column."""

from __future__ import annotations

import contextlib
import time

import pytest

from airflow_tablestore.errors import SpecError
from airflow_tablestore.spec.dataworks.text import read_job


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ('{"a": 1} # note', {"a": 1}),
        ('{"a": 1, // note\n"b": 2}', {"a": 1, "b": 2}),
        ('{"a": 1,/* note\n over lines */ "b": 2}', {"a": 1, "b": 2}),
        ('# first\n{"a": [1, 2,],\n}', {"a": [1, 2]}),
        ('{"a": [1, # one\n 2, # two\n ] // all\n , }', {"a": [1, 2]}),
        ('{"a": "http://x#y, /* z */"}', {"a": "http://x#y, /* z */"}),
        ('{"a": "say \\"#\\" // here"}', {"a": 'say "#" // here'}),
        (
            '{"a": ${x}, "b": $[yyyymmdd-1], "c": #{y}, "d": #[hh24]}',
            {"a": "${x}", "b": "$[yyyymmdd-1]", "c": "#{y}", "d": "#[hh24]"},
        ),
        ('{"a": [${x}, ${y}]}', {"a": ["${x}", "${y}"]}),
        ('\ufeff{"a":\t1}\r\n', {"a": 1}),
        ('{"a": "", "b": null, "c": "1"}', {"a": "", "b": None, "c": "1"}),
    ],
)
def test_liberties_are_understood(text, data):
    assert read_job(text).data == data


def test_a_comment_broken_over_lines_is_one_comment_and_is_told():
    text = '{\n"a": 1, # the first of all\n  numbers, to be {cut} by\n. a page\n\n"b": 2\n}'

    job = read_job(text)

    assert job.data == {"a": 1, "b": 2}
    assert job.prose == ((3, "numbers, to be {cut} by"), (4, ". a page"))


def test_a_key_that_lost_its_quote_is_no_rest_of_a_comment():
    with pytest.raises(SpecError, match=r"job.json:3:1: is not JSON: expecting property name"):
        read_job('{\n"a": 1, # note\n>nullFormat": "null"\n}', "job.json")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a": 1\n "b": 2}', "job.json:2:2: is not JSON: expecting ',' delimiter"),
        ('{"a": 1, # c\n "b": tru}', "job.json:2:7: is not JSON: expecting value"),
        ('{"a": "x}', "job.json:1:7: is not JSON"),
        ('{"a": 1}}', "job.json:1:9: is not JSON: extra data"),
        ("hello", "job.json:1:1: is not JSON"),
        ("", "job.json:1:1: is empty"),
        ("[1]", "job.json:1:1: is no job"),
        ('{"a": 1,\n "a": 2}', "job.json:2:2: the key 'a' stands here a second time"),
        ('{"a": NaN}', "job.json:1:7: NaN is no number"),
        ("[" * 50_000, "job.json:1:1: is nested too deep"),
        ('{"a": #}', "job.json:1"),
    ],
)
def test_what_is_no_json_is_told_at_its_place(text, told):
    with pytest.raises(SpecError) as error:
        read_job(text, "job.json")

    assert str(error.value).startswith(told)


def test_the_strict_text_keeps_every_place():
    text = '{"a": ${x},\t# note\n"b": [1,],\n}'

    plain = read_job(text).plain

    assert [len(line) for line in plain.split("\n")] == [len(line) for line in text.split("\n")]
    assert plain.index('"b"') == text.index('"b"')


@pytest.mark.parametrize(
    "line", ["1" * 20_000 + "x", '"' + '\\"' * 100_000, "[" + "1," * 200_000, "${" * 100_000, "#{" * 100_000]
)
def test_hostile_lines_are_read_in_time(line):
    """What takes more than linear time would not end here for minutes."""
    began = time.process_time()

    with contextlib.suppress(SpecError):
        read_job(f'{{"a": 1, # note\n{line}\n}}')

    assert time.process_time() - began < 20


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{\u201ca\u201d: 1}", '\u201c is a mark of Chinese text or of a word processor; write "'),
        ('{"a"\uff1a 1}', "\uff1a is a mark of Chinese text or of a word processor; write :"),
        ('{"a": 1\uff0c "b": 2}', "\uff0c is a mark of Chinese text or of a word processor; write ,"),
        ("{'a': 1}", "texts stand in double quotes"),
        ('{"a": ' + "1" * 5000 + "}", "thousands of digits"),
        ('{"a": ' * 100 + "1" + "}" * 100, "nested too deep"),
        ("[" * 100_000, "nested too deep"),
        ('{"a": "' + "{" * 100 + '", "b": }', "is not JSON"),
    ],
    ids=["quotes", "colon", "comma", "apostrophe", "digits", "deep", "deeper", "braces in text"],
)
def test_what_a_job_cannot_hold_is_told_with_what_to_write(text, told):
    with pytest.raises(SpecError) as caught:
        read_job(text, "job.json")

    assert told in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [lambda text: "\ufeff" + text, lambda text: text.replace("\n", "\r\n"), lambda text: text.replace(" ", "\u3000")],
    ids=["bom", "crlf", "wide blanks"],
)
def test_marks_that_editors_leave_change_nothing(change):
    assert read_job(change('{\n "a": 1, # told\n}\n')).data == {"a": 1}
