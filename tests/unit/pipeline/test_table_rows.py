"""A tunnel's records as rows of a table: columns by name, types, and what does not fit."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

from airflow_tablestore.errors import SpecError
from airflow_tablestore.pipeline.tunnel.table_rows import Change, columns_made, only_keys, table_rows
from airflow_tablestore.pipeline.tunnel.table_target import Pick
from airflow_tablestore.pipeline.warehouse import TableColumn
from airflow_tablestore.wire.row import Cell, CellOp, ColumnType, Row, SequenceInfo
from airflow_tablestore.wire.table import KeyColumn, TableDescription

SOURCE = TableDescription("t", (KeyColumn("userId", ColumnType.INTEGER),), defined=(("n", ColumnType.INTEGER),))
PLACE = SequenceInfo(1, 1_795_262_931_634_321, 2)


def columns(**types):
    return [TableColumn(name, type_.removesuffix("!"), not type_.endswith("!")) for name, type_ in types.items()]


def change(*cells, action="put", sequence=PLACE):
    return Change(action, Row((("userId", 7),), cells, sequence=sequence))


def one(rows, given):
    records, reasons = rows.apply([given])
    assert not reasons
    return records.to_pylist()[0]


def test_each_column_of_the_table_takes_what_has_its_name_whatever_the_case():
    table = columns(
        userid="bigint", action="string", sequence="string", time="bigint", cells="string", username="string"
    )

    found = one(table_rows(SOURCE, table, None), change(Cell("userName", "a", 5)))

    assert (found["userid"], found["action"], found["username"]) == (7, "put", "a")
    assert (found["sequence"], found["time"]) == ("0000000001_00001795262931634321_0000000002", PLACE.timestamp)
    assert json.loads(found["cells"]) == [{"name": "userName", "op": "put", "value": "a", "version": 5}]


def test_rows_of_the_table_have_no_sequence_and_no_time():
    found = one(table_rows(SOURCE, columns(sequence="string", time="bigint"), None), change(sequence=None))

    assert found == {"sequence": None, "time": None}


def test_the_time_of_a_change_fits_a_datetime():
    found = one(table_rows(SOURCE, columns(time="datetime"), None), change())

    assert found["time"] == datetime(1970, 1, 1) + timedelta(milliseconds=PLACE.timestamp // 1000)


def test_the_newest_version_of_a_cell_counts_and_a_deleted_one_is_null():
    table = columns(n="bigint", gone="string")
    cells = (Cell("n", 2, 20), Cell("n", 1, 10), Cell("gone", None, None, CellOp.DELETE_ALL_VERSIONS))

    assert one(table_rows(SOURCE, table, None), change(*cells)) == {"n": 2, "gone": None}


@pytest.mark.parametrize(
    ("type_", "value", "held"), [("string", 5, "5"), ("string", True, "true"), ("double", 5, 5.0), ("bigint", 5, 5)]
)
def test_an_attribute_is_taken_as_suits_its_column(type_, value, held):
    found = one(table_rows(SOURCE, columns(a=type_), None), change(Cell("a", value, 1)))

    assert (found["a"], type(found["a"])) == (held, type(held))


@pytest.mark.parametrize(
    ("table", "cells", "reason"),
    [
        ({"a": "bigint"}, [Cell("a", "x", 1)], "column 'a' is taken as integer and the cell is string"),
        ({"a": "tinyint"}, [Cell("a", 300, 1)], "is out of range"),
        ({"a": "string!"}, [], "column 'a' is NOT NULL"),
        ({"a": "string"}, [Cell("a", "x", 1), Cell("A", "y", 1)], "but for upper and lower case"),
        ({"n": "string"}, [Cell("n", "x", 1)], "column 'n' is taken as integer"),
    ],
)
def test_what_does_not_fit_is_told(table, cells, reason):
    _, reasons = table_rows(SOURCE, columns(**table), None).apply([change(*cells)])

    assert reason in reasons[0]


def test_a_row_before_a_change_that_cannot_be_read_is_told():
    torn = Change("update", Row((("userId", 7),), sequence=PLACE), b"torn")

    _, reasons = table_rows(SOURCE, columns(before="string"), None).apply([torn])

    assert "'before' cannot be read" in reasons[0]


def test_names_that_differ_in_case_only_do_no_harm_where_nobody_asks_for_them():
    rows = table_rows(SOURCE, columns(n="bigint"), None)

    assert one(rows, change(Cell("n", 1, 1), Cell("A", 1, 1), Cell("a", 1, 1))) == {"n": 1}


def test_picked_columns_have_their_own_names_and_types():
    picks = (Pick("userId", "id"), Pick("cells.time", "at", ColumnType.STRING))

    found = one(table_rows(SOURCE, columns(id="bigint", at="string", more="string"), picks), change(Cell("time", 3, 1)))

    assert found == {"id": 7, "at": "3", "more": None}


@pytest.mark.parametrize(
    ("table", "picks", "told"),
    [
        ({"a": "timestamp"}, None, "column 'a' is a TIMESTAMP, which cannot be streamed"),
        ({"a": "string"}, (Pick("a", "b"),), "the table has no column 'b'"),
        ({"a": "array<bigint>"}, None, "cannot be written"),
    ],
)
def test_a_table_that_cannot_take_them_is_refused(table, picks, told):
    with pytest.raises(SpecError, match=told):
        table_rows(SOURCE, columns(**table), picks)


def test_a_deletion_has_the_key_alone():
    table = columns(userid="bigint!", n="bigint!")
    rows = only_keys(table_rows(SOURCE, table, None), ["userid"], table)

    assert one(rows, change(action="delete")) == {"userid": 7, "n": None}


def test_a_table_that_is_made_has_the_key_and_what_is_added():
    made = columns_made(SOURCE, None)

    assert [(c.name, c.type, c.is_nullable) for c in made] == [
        ("userId", "bigint", False),
        ("action", "string", True),
        ("sequence", "string", True),
        ("time", "bigint", True),
        ("cells", "string", True),
        ("before", "string", True),
    ]


def test_a_table_that_is_made_needs_the_types_of_attributes():
    with pytest.raises(SpecError, match="the type of 'v' is not known"):
        columns_made(SOURCE, (Pick("userId", "id"), Pick("n", "n"), Pick("v", "v")))
