"""What the changes of a shard become, in both modes."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from airflow_tablestore.errors import DirtyLimitExceeded, ProtocolError, SpecError
from airflow_tablestore.pipeline.contract import Column, Constant, Picked, Schema
from airflow_tablestore.pipeline.dirty import DirtyRecords
from airflow_tablestore.pipeline.selection import ChangeMode, ChangeSelection
from airflow_tablestore.pipeline.sources.changes import value_text
from airflow_tablestore.pipeline.sources.stream import Decoding, StreamSource, output_columns, pin_changes
from airflow_tablestore.wire.row import Cell, CellOp, ColumnType
from airflow_tablestore.wire.stream import Action, StreamRecord
from airflow_tablestore.wire.table import KeyColumn
from tests.conformance.changes import (
    NOW,
    Span,
    delete,
    deleted,
    deleted_version,
    key,
    put,
    put_cell,
    record,
    update,
)
from tests.conformance.memory_table import MemoryTable, row

ID = Column("id", ColumnType.INTEGER, is_key=True)
NAME, AGE = Column("name", ColumnType.STRING), Column("age", ColumnType.INTEGER)


def cells(*records, sequence=False, allowed=0):
    """The rows of multi_version."""
    selection = ChangeSelection("t", ChangeMode.MULTI_VERSION, with_sequence=sequence)
    source = StreamSource(Span([records]), Decoding(selection, Schema((ID,)), DirtyRecords(allowed).add))
    return [tuple(r.values()) for batch in source.batches() for r in batch.records.to_pylist()]


def rows(*records, columns=(NAME, AGE), sequence=False, allowed=0, picked=("id", "name", "age")):
    """The source and the rows of single_version_and_update_only."""
    chosen = tuple(Picked(name, name) for name in picked)
    selection = ChangeSelection("t", ChangeMode.SINGLE_VERSION, chosen, with_sequence=sequence)
    decoding = Decoding(selection, Schema((ID, *columns), is_picked=True), DirtyRecords(allowed).add)
    source = StreamSource(Span([records]), decoding)
    return source, [tuple(r.values()) for batch in source.batches() for r in batch.records.to_pylist()]


# ---- a row for each cell


def test_a_put_deletes_the_row_and_puts_each_cell():
    assert cells(put(1, name="ada", age=36)) == [
        (1, None, None, None, "DR"),
        (1, "name", 7, "ada", "U"),
        (1, "age", 7, "36", "U"),
    ]


def test_a_put_without_cells_deletes_the_row():
    assert cells(put(1)) == [(1, None, None, None, "DR")]


def test_an_update_is_a_row_for_each_cell():
    change = update(1, deleted_version("age", 5), deleted("city"), name="ada")

    assert cells(change) == [(1, "name", 7, "ada", "U"), (1, "age", 5, None, "DO"), (1, "city", None, None, "DA")]


def test_a_delete_is_one_row():
    assert cells(delete(1)) == [(1, None, None, None, "DR")]


def test_every_version_of_a_cell_is_a_row():
    change = record(Action.UPDATE, key(1), put_cell("name", "new", 9), put_cell("name", "old", 8))

    assert [(r[2], r[3]) for r in cells(change)] == [(9, "new"), (8, "old")]


def test_a_sequence_counts_the_rows_of_its_change():
    changes = [
        record(Action.PUT, key(1), put_cell("name", "x"), at=NOW, index=2),
        record(Action.UPDATE, key(1), put_cell("name", "y"), at=NOW + 1, index=0),
    ]

    assert [r[-1] for r in cells(*changes, sequence=True)] == [
        "0000000001_00001704067200000000_0000000002_s0:0000000000",
        "0000000001_00001704067200000000_0000000002_s0:0000000001",
        "0000000001_00001704067200000001_0000000000_s0:0000000000",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-(2**63), "-9223372036854775808"),
        (True, "true"),
        (False, "false"),
        ("", ""),
        ("null", "null"),
        (b"\x00\xff", "AP8="),
        (1.5, "1.5"),
        (3.0, "3.0"),
        (1e7, "10000000"),
        (12345678.5, "12345678.5"),
        (1e22, "10000000000000000000000"),
        (1e-7, "0.0000001"),
        (-0.0, "-0.0"),
        (math.nan, "NaN"),
        (-math.inf, "-Infinity"),
    ],
)
def test_values_are_text(value, text):
    assert value_text(value) == text
    assert cells(update(1, put_cell("c", value)))[0][3] == text


def test_a_key_unlike_the_tables_is_a_dirty_record():
    change = record(Action.PUT, (("id", "1"),))

    with pytest.raises(DirtyLimitExceeded, match=r"id=1: its key is not that of the table: id \(string\)"):
        cells(change)
    assert cells(change, delete(2), allowed=1) == [(2, None, None, None, "DR")]


def test_an_increment_in_a_log_breaks_the_protocol():
    change = record(Action.UPDATE, key(1), Cell("n", 1, None, CellOp.INCREMENT))

    with pytest.raises(ProtocolError, match="increment"):
        cells(change)
    with pytest.raises(ProtocolError, match="increment"):
        rows(change)


# ---- a row for each change


def test_puts_and_updates_are_rows():
    source, found = rows(put(1, name="ada", age=36), update(2, name="bob", age=7))

    assert found == [(1, "ada", 36), (2, "bob", 7)]
    assert (source.dirty, source.partial_rows, source.passed_over) == (0, 0, 0)


def test_two_updates_of_one_row_are_two_rows():
    assert rows(update(1, name="a", age=1), update(1, name="b", age=2))[1] == [(1, "a", 1), (1, "b", 2)]


def test_an_update_that_lacks_a_chosen_column_is_partial():
    source, found = rows(update(1, name="ada"), update(2, name="x", age=1), update(3, deleted("name"), age=2))

    assert found == [(1, "ada", None), (2, "x", 1), (3, None, 2)]
    assert source.partial_rows == 2


def test_a_put_is_never_partial():
    source, found = rows(put(1, name="ada"), put(2))

    assert found == [(1, "ada", None), (2, None, None)]
    assert (source.partial_rows, source.passed_over) == (0, 0)


def test_an_update_of_other_columns_is_passed_over():
    source, found = rows(update(1, city="x"), update(2, deleted("name")), update(3, name="c", age=1))

    assert found == [(3, "c", 1)]
    assert (source.partial_rows, source.passed_over) == (0, 2)


def test_a_put_of_which_nothing_is_chosen_is_passed_over():
    source, found = rows(put(1, city="x"), put(2, name="b"), columns=(NAME,), picked=("name",))

    assert found == [(2, "b")]
    assert source.passed_over == 1


def test_deletes_are_passed_over():
    source, found = rows(delete(1), put(2, name="b", age=1), delete(2))

    assert found == [(2, "b", 1)]
    assert source.passed_over == 2


def test_with_keys_alone_every_put_and_update_is_a_row():
    source, found = rows(put(1), update(2, name="x"), delete(3), columns=(), picked=("id",))

    assert found == [(1,), (2,)]
    assert (source.partial_rows, source.passed_over) == (0, 1)


def test_of_several_versions_the_newest_counts():
    change = record(
        Action.PUT, key(1), put_cell("name", "old", 1), put_cell("name", "new", 3), put_cell("name", "mid", 2)
    )

    assert rows(change, put(2, age=1))[1] == [(1, "new", None), (2, None, 1)]


def test_a_cell_of_another_type_makes_its_record_dirty():
    changes = [put(1, name="a", age="old"), update(2, age="old"), update(3, age=3)]

    source, found = rows(*changes, allowed=2)

    assert found == [(3, None, 3)]
    assert (source.dirty, source.partial_rows, source.passed_over) == (2, 1, 0)
    with pytest.raises(DirtyLimitExceeded, match="id=1: column 'age' is integer and the cell is string"):
        rows(*changes)


def test_a_declared_type_converts_without_loss():
    declared = Column("name", ColumnType.STRING, is_declared=True)

    assert rows(update(1, name=5, age=1), columns=(declared, AGE))[1] == [(1, "5", 1)]


def test_a_row_may_tell_its_sequence():
    _, found = rows(delete(9), put(1, name="a", age=1), update(2, city="x"), sequence=True)

    assert found == [(1, "a", 1, "0000000001_00001704067200000000_0000000000_s0")]


def test_damage_is_told_whichever_way_a_page_is_read():
    good = put(1, name="ada", age=1)
    at = good.row.index(b"ada")
    damaged = StreamRecord(good.action, good.row[:at] + b"eve" + good.row[at + 3 :])

    with pytest.raises(ProtocolError, match="checksum"):
        rows(good, damaged)
    with pytest.raises(ProtocolError, match="checksum"):
        cells(good, damaged)


def test_empty_pages_are_no_batches():
    selection = ChangeSelection("t", ChangeMode.MULTI_VERSION)
    source = StreamSource(Span([(), (delete(1),), ()]), Decoding(selection, Schema((ID,)), DirtyRecords(0).add))

    assert [batch.records.num_rows for batch in source.batches()] == [1]


# ---- official bytes


VECTORS = {
    vector["name"]: vector
    for vector in json.loads((Path(__file__).parents[2] / "vectors/plainbuffer.json").read_text())
    if vector["name"].startswith("stream_")
}
ACTIONS = {"PUT_ROW": Action.PUT, "UPDATE_ROW": Action.UPDATE, "DELETE_ROW": Action.DELETE}
OPS = {"put": "U", "delete_one_version": "DO", "delete_all_versions": "DA"}


@pytest.mark.parametrize("name", VECTORS)
def test_official_records_become_the_cells_that_they_mean(name):
    vector = VECTORS[name]
    (meaning,) = vector["meaning"]["rows"]
    action = ACTIONS[vector["meaning"]["action_type"]]
    schema = Schema(
        (Column("pk1", ColumnType.STRING, is_key=True), Column("pk2", ColumnType.INTEGER, is_key=True)), is_picked=True
    )
    selection = ChangeSelection("t", ChangeMode.MULTI_VERSION, with_sequence=True)
    span = Span([(StreamRecord(action, bytes.fromhex(vector["hex"])),)], "shard")

    (batch,) = StreamSource(span, Decoding(selection, schema, DirtyRecords(0).add)).batches()

    told = meaning["sequence_info"]
    place = f"{told['epoch']:010d}_{told['timestamp']:020d}_{told['row_index']:010d}_shard"
    expected = [] if action is Action.UPDATE else [("partition", 42, None, None, "DR", f"{place}:{0:010d}")]
    for cell in meaning["cells"]:
        expected.append(
            ("partition", 42, cell["name"], cell.get("timestamp"), OPS[cell["op"]], f"{place}:{len(expected):010d}")
        )
    found = [tuple(r.values()) for r in batch.records.to_pylist()]
    assert [(*r[:4], *r[5:]) for r in found] == expected
    assert [r[4] is None for r in found] == [r[4] != "U" for r in expected]


# ---- which columns


def test_the_chosen_columns_are_pinned_from_rows_of_the_table():
    table = MemoryTable([row(key(1), name="a", age=3)])
    selection = ChangeSelection("t", ChangeMode.SINGLE_VERSION, (Picked("age", "age"), Picked("id", "id")))

    pinned = pin_changes(table, selection, table.description)

    assert pinned.schema == Schema((ID, AGE), is_picked=True)


def test_what_an_earlier_window_has_pinned_is_kept_without_reading():
    table = MemoryTable([row(key(1), age="now text")])
    selection = ChangeSelection("t", ChangeMode.SINGLE_VERSION, (Picked("age", "age"),))

    pinned = pin_changes(table, selection, table.description, Schema((ID, AGE), is_picked=True))

    assert pinned.schema == Schema((ID, AGE), is_picked=True)
    assert table.asked == []


def test_cells_need_no_columns_but_the_key():
    table = MemoryTable([], keys=(KeyColumn("a", ColumnType.BINARY), KeyColumn("b", ColumnType.STRING)))

    pinned = pin_changes(table, ChangeSelection("t", ChangeMode.MULTI_VERSION), table.description)

    assert [(c.name, c.type, c.is_key) for c in pinned.schema.columns] == [
        ("a", ColumnType.BINARY, True),
        ("b", ColumnType.STRING, True),
    ]


def test_a_key_column_named_as_an_added_column_is_refused():
    table = MemoryTable([], keys=(KeyColumn("version", ColumnType.INTEGER),))

    with pytest.raises(SpecError, match="'version'"):
        pin_changes(table, ChangeSelection("t", ChangeMode.MULTI_VERSION), table.description)


def test_rows_need_columns():
    table = MemoryTable([])

    with pytest.raises(SpecError, match=r"source\.columns"):
        pin_changes(table, ChangeSelection("t", ChangeMode.SINGLE_VERSION), table.description)


def test_the_sequence_follows_the_chosen_columns():
    constant = Constant("cn", ColumnType.STRING, "region")
    selection = ChangeSelection("t", ChangeMode.SINGLE_VERSION, (Picked("age", "years"), constant), with_sequence=True)

    assert output_columns(selection) == (Picked("age", "years"), constant, Picked("sequenceinfo", "sequenceinfo"))
    assert output_columns(ChangeSelection("t", ChangeMode.MULTI_VERSION)) is None
