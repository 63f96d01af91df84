"""What a slice of a table becomes, whatever its rows hold."""

from __future__ import annotations

import json
import math

import pytest

from airflow_tablestore.consumer.table import full_range
from airflow_tablestore.errors import DirtyLimitExceeded, RecordError
from airflow_tablestore.pipeline.contract import Column, Schema
from airflow_tablestore.pipeline.dirty import DirtyRecords
from airflow_tablestore.pipeline.full_export.plan import Slice
from airflow_tablestore.pipeline.selection import TableSelection, Unknown
from airflow_tablestore.pipeline.sources.table import TableSlice, columns_to_ask_for
from airflow_tablestore.wire.row import ColumnType
from tests.conformance.memory_table import MemoryTable, numbered, row

ID = Column("id", ColumnType.INTEGER, is_key=True)


def key(number: int):
    return (("id", number),)


def read(table, *columns, others=False, picked=False, unknown=Unknown.OTHER, allowed=0, begin=(), end=()):
    selection = TableSelection("t", unknown=unknown)
    schema = Schema((ID, *columns), keeps_others=others, is_picked=picked)
    span = full_range(table.description, begin, end)
    source = TableSlice(table, selection, schema, Slice(span), DirtyRecords(allowed).add)
    batches = list(source.batches())
    assert all(batch.records.schema.equals(source.schema()) for batch in batches)
    return source, [r for batch in batches for r in batch.records.to_pylist()]


def test_every_row_comes_once_over_all_pages():
    _, rows = read(MemoryTable(numbered(10)), Column("n", ColumnType.INTEGER))

    assert rows == [{"id": n, "n": n} for n in range(10)]


def test_a_range_is_read_backwards():
    _, rows = read(MemoryTable(numbered(10)), begin=(7,), end=(3,))

    assert [r["id"] for r in rows] == [7, 6, 5, 4]


def test_an_empty_slice_gives_no_rows():
    _, rows = read(MemoryTable([]), Column("n", ColumnType.INTEGER), others=True)

    assert rows == []


def test_a_row_without_the_picked_attributes_is_not_lost():
    table = MemoryTable([row(key(1), a=1), row(key(2)), row(key(3), b=2)])

    _, rows = read(table, Column("a", ColumnType.INTEGER), picked=True)

    assert rows == [{"id": 1, "a": 1}, {"id": 2, "a": None}, {"id": 3, "a": None}]


def test_more_columns_than_a_request_may_name_are_all_asked_for():
    few = Schema((ID, *(Column(f"c{n}", ColumnType.STRING) for n in range(127))), is_picked=True)
    many = Schema((ID, *(Column(f"c{n}", ColumnType.STRING) for n in range(128))), is_picked=True)

    assert len(columns_to_ask_for(few)) == 128
    assert columns_to_ask_for(few)[0] == "id"
    assert columns_to_ask_for(many) == ()
    assert columns_to_ask_for(Schema((ID,), is_picked=True)) == ("id",)
    assert columns_to_ask_for(Schema((ID,))) == ()


def test_unknown_columns_go_to_other_and_are_counted():
    table = MemoryTable([row(key(1), a=1, z=2**63 - 1, b=b"\x00\xff", d=1.0, e=math.nan, s="ü"), row(key(2), a=2)])

    source, rows = read(table, Column("a", ColumnType.INTEGER), others=True)

    assert json.loads(rows[0]["_other"]) == {
        "b": {"binary": "AP8="},
        "d": 1.0,
        "e": {"double": "NaN"},
        "s": "ü",
        "z": 2**63 - 1,
    }
    assert '"d":1.0' in rows[0]["_other"]
    assert rows[1] == {"id": 2, "a": 2, "_other": None}
    assert source.others == 5


def test_unknown_columns_are_dropped_on_request_and_counted():
    source, rows = read(MemoryTable([row(key(1), a=1, z=2)]), Column("a", ColumnType.INTEGER), unknown=Unknown.DROP)

    assert rows == [{"id": 1, "a": 1}]
    assert source.others == 1


def test_an_unknown_column_ends_the_run_on_request():
    with pytest.raises(RecordError, match="id=1 has the column 'z'"):
        read(MemoryTable([row(key(1), z=2)]), unknown=Unknown.FAIL)


def test_a_conflict_is_a_dirty_record_with_key_and_reason():
    table = MemoryTable([row(key(1), a=1), row(key(2), a="two"), row(key(3), a=3)])

    source, rows = read(table, Column("a", ColumnType.INTEGER), allowed=1)

    assert [r["id"] for r in rows] == [1, 3]
    assert source.dirty == 1
    with pytest.raises(DirtyLimitExceeded, match=r"id=2: column 'a' is integer and the cell is string"):
        read(table, Column("a", ColumnType.INTEGER))


def test_a_declared_string_takes_any_value():
    values = [1, -0.0, math.inf, True, "text", b"\x00"]
    table = MemoryTable([row(key(n), a=value) for n, value in enumerate(values)], page_rows=4)

    _, rows = read(table, Column("a", ColumnType.STRING, is_declared=True))

    assert [r["a"] for r in rows] == ["1", "-0.0", "Infinity", "true", "text", "AA=="]


def test_a_declared_double_takes_integers_that_are_exact():
    table = MemoryTable([row(key(1), a=2**53), row(key(2), a=2**53 + 1), row(key(3), a=0.5), row(key(4), a="1")])

    source, rows = read(table, Column("a", ColumnType.DOUBLE, is_declared=True), allowed=2)

    assert [r["a"] for r in rows] == [2.0**53, 0.5]
    assert source.dirty == 2


@pytest.mark.parametrize("to", [ColumnType.INTEGER, ColumnType.BOOLEAN, ColumnType.BINARY])
def test_no_other_conversion_is_made(to):
    value = {ColumnType.INTEGER: 1.0, ColumnType.BOOLEAN: 1, ColumnType.BINARY: "x"}[to]

    source, rows = read(MemoryTable([row(key(1), a=value)]), Column("a", to, is_declared=True), allowed=1)

    assert (source.dirty, rows) == (1, [])


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_rows_wider_than_a_page_are_put_together(size):
    wide = row(key(2), a=1, b="x", c=2.0, d=True, y="stray", z="stray too")
    table = MemoryTable([row(key(1), a=0), wide, wide.__class__(key(3), wide.cells), row(key(4))], cells_in_page=size)

    source, rows = read(
        table,
        Column("a", ColumnType.INTEGER),
        Column("b", ColumnType.STRING),
        Column("c", ColumnType.DOUBLE),
        Column("d", ColumnType.BOOLEAN),
        others=True,
    )

    full = {"a": 1, "b": "x", "c": 2.0, "d": True, "_other": '{"y":"stray","z":"stray too"}'}
    none = {"b": None, "c": None, "d": None, "_other": None}
    assert rows == [{"id": 1, "a": 0} | none, {"id": 2} | full, {"id": 3} | full, {"id": 4, "a": None} | none]
    assert source.others == 4


def test_only_some_dirty_records_are_named_in_the_log(caplog):
    table = MemoryTable(numbered(30, a="x"))

    read(table, Column("n", ColumnType.INTEGER), Column("a", ColumnType.INTEGER), allowed=30)

    assert len([r for r in caplog.records if "dirty record" in r.message]) == 10
