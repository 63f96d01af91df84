"""What `stream describe` tells, and the line that `stream tail` makes of a change."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from airflow_tablestore.cli.change_line import line, time_text
from airflow_tablestore.cli.stream_text import NOT_TOLD, Described, span_text, tree
from airflow_tablestore.consumer.follow import Change
from airflow_tablestore.consumer.shards import StreamShape
from airflow_tablestore.wire.plainbuffer import encode_rows
from airflow_tablestore.wire.row import Cell, CellOp, Row, SequenceInfo
from airflow_tablestore.wire.stream import Action, Shard, StreamRecord

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


def micros_ago(**length: float) -> int:
    return round((NOW - timedelta(**length)).timestamp() * 1_000_000)


def shards(**parents: str) -> tuple[Shard, ...]:
    return tuple(Shard(name, tuple(told)) for name, told in parents.items())


def described(*found: Shard, hours: int = 24, is_active: bool = True, **oldest: int | None) -> Described:
    ages = {shard.id: oldest.get(shard.id) for shard in found}
    return Described("rides", StreamShape("id1", micros_ago(days=3), hours, found), ages, NOW, is_active=is_active)


# ---- the tree


def drawn(*found: Shard) -> list[str]:
    return [lead + shard.id for lead, shard in tree(found)]


def test_children_stand_under_their_parents():
    assert drawn(*shards(a="", b="a", c="a", d="b", e="b", f="c")) == [
        "a",
        "├─ b",
        "│  ├─ d",
        "│  └─ e",
        "└─ c",
        "   └─ f",
    ]


def test_a_merged_shard_stands_once_under_the_last_of_its_parents():
    assert drawn(*shards(a="", b="a", c="a", d="bc")) == ["a", "├─ b", "└─ c", "   └─ d"]


def test_a_shard_whose_parents_are_gone_is_a_root():
    assert drawn(*shards(b="a", c="a", d="")) == ["b", "c", "d"]


# ---- the description


def test_the_backlog_says_how_old_and_what_is_not_known():
    text = "\n".join(
        described(*shards(a="", b="a", c="a"), a=micros_ago(hours=2, minutes=3), c=micros_ago(minutes=1)).text()
    )

    assert "the oldest record is 2 h 03 min old and expires in 21 h 57 min" in text
    assert NOT_TOLD in text
    assert "3, 2 of them open" in text


def test_each_shard_tells_whether_it_ended_and_its_oldest_record():
    rows = list(described(*shards(a="", b="a", c="a", d="bc"), a=micros_ago(hours=1)).text())[-4:]

    assert "ended" in rows[0]
    assert "oldest 2026-11-21T07:00:00.000000Z, 1 h 00 min ago" in rows[0]
    assert "open" in rows[3]
    assert "no records; merged of b and c" in rows[3]


def test_a_record_past_its_time_may_expire_at_any_moment():
    assert "may expire at any moment" in "\n".join(described(*shards(a=""), a=micros_ago(hours=25)).text())


def test_a_stream_without_records_says_so():
    assert "no records are kept now" in "\n".join(described(*shards(a="")).text())


def test_a_stream_in_the_making_says_so():
    assert "being made" in "\n".join(described(is_active=False).text())


def test_programs_are_told_everything():
    told = described(*shards(a="", b="a"), a=micros_ago(seconds=90.5)).to_json()

    assert json.loads(json.dumps(told)) == {
        "table": "rides",
        "stream": "id1",
        "is_active": True,
        "created": "2026-11-18T08:00:00.000000Z",
        "retention_hours": 24,
        "columns_before": [],
        "service_time": "2026-11-21T08:00:00+00:00",
        "oldest_record": "2026-11-21T07:58:29.500000Z",
        "oldest_age_seconds": 90.5,
        "shards": [
            {"id": "a", "parents": [], "has_ended": True, "oldest_record": "2026-11-21T07:58:29.500000Z"},
            {"id": "b", "parents": ["a"], "has_ended": False, "oldest_record": None},
        ],
    }


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min 00 s"), (3599, "59 min 59 s"), (3600, "1 h 00 min"), (90_000, "1 d 01 h")],
)
def test_a_span_is_told_in_two_units(seconds, text):
    assert span_text(timedelta(seconds=seconds)) == text


# ---- a change


def told(action: Action, row: Row, origin: bytes | None = None) -> dict:
    return json.loads(line(Change("s1", StreamRecord(action, encode_rows([row]), origin))))


def test_a_put_tells_key_columns_and_place():
    row = Row(
        (("id", 2**62), ("who", "文 'x'")),
        (Cell("n", -(2**63), 7), Cell("r", b"\x00\xff", 8), Cell("d", 1.5, 9), Cell("b", True, 10)),
        sequence=SequenceInfo(1, 1_700_000_000_123_456, 3),
    )

    assert told(Action.PUT, row) == {
        "time": "2023-11-14T22:13:20.123456Z",
        "action": "put",
        "key": {"id": 2**62, "who": "文 'x'"},
        "columns": [
            {"name": "n", "op": "put", "value": -(2**63), "version": 7},
            {"name": "r", "op": "put", "value": {"base64": "AP8="}, "version": 8},
            {"name": "d", "op": "put", "value": 1.5, "version": 9},
            {"name": "b", "op": "put", "value": True, "version": 10},
        ],
        "sequence": "0000000001_00001700000000123456_0000000003",
        "shard": "s1",
    }


def test_an_update_tells_what_was_deleted():
    row = Row(
        (("id", 1),),
        (Cell("a", None, 5, CellOp.DELETE_ONE_VERSION), Cell("b", None, None, CellOp.DELETE_ALL_VERSIONS)),
        sequence=SequenceInfo(0, 1, 0),
    )

    assert told(Action.UPDATE, row)["columns"] == [
        {"name": "a", "op": "delete_one_version", "version": 5},
        {"name": "b", "op": "delete_all_versions"},
    ]


def test_a_delete_has_a_key_and_no_columns():
    found = told(Action.DELETE, Row((("id", b"\x01"),), is_delete=True, sequence=SequenceInfo(0, 1, 0)))

    assert (found["action"], found["key"], found["columns"]) == ("delete", {"id": {"base64": "AQ=="}}, [])


def test_the_row_before_is_told_where_the_stream_keeps_it():
    before = encode_rows([Row((("id", 1),), (Cell("n", 4, 6),))])
    row = Row((("id", 1),), (Cell("n", 5, 7),), sequence=SequenceInfo(0, 1, 0))

    assert told(Action.UPDATE, row, before)["before"] == [{"name": "n", "op": "put", "value": 4, "version": 6}]


@pytest.mark.parametrize(("value", "text"), [(float("nan"), "nan"), (float("-inf"), "-inf")])
def test_a_double_that_json_does_not_have_is_named(value, text):
    row = Row((("id", 1),), (Cell("d", value, 1),), sequence=SequenceInfo(0, 1, 0))

    assert told(Action.PUT, row)["columns"][0]["value"] == {"double": text}


def test_a_change_is_one_line():
    row = Row((("id", "a\nb\u2028c"),), (), sequence=SequenceInfo(0, 1, 0))

    assert "\n" not in line(Change("s", StreamRecord(Action.PUT, encode_rows([row]))))


def test_a_time_keeps_its_microseconds():
    assert time_text(1_700_000_000_000_001) == "2023-11-14T22:13:20.000001Z"
