"""Which export and which windows a moment needs, and everything that is refused before a byte of data is read."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_tablestore.errors import SpecError, WindowMissing
from airflow_tablestore.pipeline.contract import Schema
from airflow_tablestore.pipeline.fold.chain import chain
from airflow_tablestore.pipeline.fold.moment import PointInTime
from airflow_tablestore.pipeline.sources.changes import CELL_COLUMNS
from tests.conformance.memory_store import MemoryStore
from tests.integration.snapshotting import ATTRIBUTE, KEY, moment, put_base, put_window


def store(*windows: dict[str, Any], base: dict[str, Any] | None = None) -> MemoryStore:
    """A base that was read in the first minute, and these windows after each other."""
    made = MemoryStore()
    put_base(made, [b"1,x\n"], **(base or {}))
    for number, other in enumerate(windows):
        if other is not None:
            put_window(made, number, [], **other)
    return made


def found(where: MemoryStore, minutes: float = 15, **other: Any) -> Any:
    return chain(where, PointInTime("base/", "changes/", moment(minutes), **other))


def refusal(where: MemoryStore, minutes: float = 15) -> str:
    with pytest.raises(SpecError) as refused:
        found(where, minutes)
    return str(refused.value)


def test_the_newest_export_before_the_moment_and_the_windows_up_to_it_are_taken():
    where = store({}, {}, {})
    put_base(where, [b"1,y\n"], prefix="base/second/", at=7)
    put_base(where, [b"1,z\n"], prefix="base/late/", at=14)

    taken = found(where, 12)

    assert taken.base.prefix == "base/second/"
    assert [link.window.run for link in taken.links] == ["w1", "w2"]


def test_an_export_that_had_not_ended_by_the_moment_is_not_taken():
    assert "no export below oss://fake/base/ had ended by" in refusal(store({}), 0.5)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"schema": Schema((KEY, ATTRIBUTE), is_picked=True)}, "holds chosen columns"),
        ({"begin": (1,)}, "holds a range of keys"),
        ({"dirty": 2}, "lacks 2 dirty record"),
        ({"read": None}, "do not tell when they were read"),
    ],
)
def test_an_export_that_is_not_the_whole_table_is_no_base(other, told):
    assert told in refusal(store({}, {}, {}, base=other))


def test_an_older_whole_export_is_taken_instead_of_a_newer_one_with_gaps():
    where = store({}, {}, {})
    put_base(where, [b"1,y\n"], prefix="base/second/", at=7, dirty=1)

    assert found(where).base.prefix == "base/full/"


def test_what_the_run_itself_publishes_is_no_base():
    where = store({}, {}, {})
    put_base(where, [b"1,y\n"], prefix="base/own/", at=7)

    assert found(where, target="base/own/").base.prefix == "base/full/"


def test_exports_of_several_tables_are_refused():
    where = store({}, {}, {})
    put_base(where, [b"1,y\n"], prefix="base/other/", at=2, table="u")

    assert "exports of several tables stand at or below oss://fake/base/: t, u" in refusal(where)


def test_a_window_that_is_missing_is_named():
    where = store({}, {}, {})
    where.delete(["changes/1/_SUCCESS"])

    told = refusal(where)

    assert f"no window below oss://fake/changes/ holds the changes from {moment(5).isoformat()}" in told
    assert f"to {moment(10).isoformat()}" in told


def test_a_moment_behind_the_last_window_is_refused():
    assert f"holds the changes from {moment(15).isoformat()} to {moment(16).isoformat()}" in refusal(
        store({}, {}, {}), 16
    )


@pytest.mark.parametrize(
    ("window", "told"),
    [
        ({"loss": "expired", "begin": None, "end": None}, "was lost (expired)"),
        ({"dirty": 3}, "lacks 3 dirty record"),
        ({"stream_id": "another"}, "do not join"),
        ({"pipeline": "second"}, "windows of several pipelines stand below oss://fake/changes/: changes, second"),
    ],
)
def test_a_window_with_a_gap_or_of_another_stream_is_refused(window, told):
    assert told in refusal(store({}, window, {}))


def test_windows_of_another_table_are_refused():
    assert (
        "no window of changes of table 't' is published below oss://fake/changes/; there are windows of u"
        in refusal(store({"table": "u"}))
    )


def test_windows_without_deletes_are_refused():
    names = ("text",)

    assert "holds puts and updates of chosen columns; deletes are not in it" in refusal(store({"names": names}))


def test_windows_that_do_not_tell_the_order_are_refused():
    assert "does not tell in which order changes came" in refusal(store({"names": CELL_COLUMNS}))


def test_windows_that_are_not_needed_may_hold_less():
    where = store({"names": CELL_COLUMNS}, {"names": ("text",)}, {}, {})
    put_base(where, [b"1,y\n"], prefix="base/second/", at=12)

    assert [link.window.run for link in found(where, 20).links] == ["w2", "w3"]


def test_a_later_window_that_does_not_tell_the_order_is_named():
    told = refusal(store({}, {"names": CELL_COLUMNS}, {}))

    assert "window [2026-11-20T08:05:00Z, 2026-11-20T08:10:00Z) below oss://fake/changes/" in told
    assert "does not tell in which order changes came" in told


def test_a_window_that_is_missing_is_told_from_one_that_is_lost():
    with pytest.raises(WindowMissing):
        found(store({}, {}), 15)
    with pytest.raises(SpecError) as lost:
        found(store({}, {"loss": "expired", "begin": None, "end": None}))
    assert not isinstance(lost.value, WindowMissing)
