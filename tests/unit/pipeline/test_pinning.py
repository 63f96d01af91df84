"""Which columns a run has."""

from __future__ import annotations

import pytest

from airflow_tablestore.consumer.table import cut_at, full_range
from airflow_tablestore.errors import SpecError
from airflow_tablestore.pipeline.contract import Column, Picked, Schema
from airflow_tablestore.pipeline.selection import TableSelection, Unknown
from airflow_tablestore.pipeline.sources.pinning import SAMPLED_PLACES, pin_schema, read_sample
from airflow_tablestore.wire.row import INF_MAX, INF_MIN, ColumnType
from tests.conformance.memory_table import MemoryTable, numbered, row

INTEGER, DOUBLE, STRING, BOOLEAN = ColumnType.INTEGER, ColumnType.DOUBLE, ColumnType.STRING, ColumnType.BOOLEAN


def key(number: int):
    return (("id", number),)


def pin(table: MemoryTable, selection: TableSelection | None = None, earlier: Schema | None = None, points=()):
    whole = full_range(table.description)
    return pin_schema(
        table, selection or TableSelection("t"), table.description, cut_at(table.description, whole, points), earlier
    )


def named(schema: Schema):
    return {c.name: c.type for c in schema.columns}


def test_keys_come_first_then_defined_columns_then_sampled_ones_by_name():
    table = MemoryTable([row(key(1), z=1, b="x", m=1.5)], defined=(("m", DOUBLE), ("absent", STRING)))

    schema = pin(table).schema

    assert list(named(schema)) == ["id", "m", "absent", "b", "z"]
    assert named(schema) == {"id": INTEGER, "m": DOUBLE, "absent": STRING, "b": STRING, "z": INTEGER}
    assert schema.keeps_others


def test_samples_come_from_several_places():
    table = MemoryTable([*numbered(10), row(key(10_000), late=True)])

    schema = pin(table, points=tuple(range(500, 20_000, 500))).schema

    assert "late" in named(schema)
    assert len(table.asked) <= SAMPLED_PLACES


def test_a_row_that_is_met_from_both_ends_counts_once():
    table = MemoryTable([row(key(1), a=1), row(key(2), a="x")])
    whole, backwards = full_range(table.description), full_range(table.description, (INF_MAX,), (INF_MIN,))

    sample = read_sample(table, "t", [whole, backwards])

    assert (sample.rows, dict(sample.types["a"])) == (2, {INTEGER: 1, STRING: 1})


def test_all_columns_of_a_row_wider_than_a_page_are_seen():
    table = MemoryTable([row(key(1), a=1, b="x", c=1.5, d=True, e=2)], cells_in_page=2)

    pinned = pin(table)

    assert list(named(pinned.schema)) == ["id", "a", "b", "c", "d", "e"]
    assert pinned.sampled_rows == 1


def test_the_majority_wins_and_the_author_hears_of_it():
    table = MemoryTable([row(key(1), a=1), row(key(2), a="x"), row(key(3), a="y")])

    pinned = pin(table)

    assert named(pinned.schema)["a"] is STRING
    assert "integer (1), string (2)" in pinned.warnings[0]
    assert "{name: a, type: string}" in pinned.warnings[0]


def test_an_earlier_schema_is_kept_without_reading():
    earlier = Schema((Column("id", INTEGER, is_key=True), Column("a", DOUBLE), Column("gone", STRING)), True)
    table = MemoryTable(numbered(3, a=1, new="x"))

    pinned = pin(table, earlier=earlier)

    assert pinned.schema.columns == earlier.columns
    assert table.asked == []


def test_an_earlier_schema_of_another_table_is_not_kept():
    earlier = Schema((Column("key", STRING, is_key=True), Column("n", STRING)), True)

    assert named(pin(MemoryTable(numbered(3)), earlier=earlier).schema) == {"id": INTEGER, "n": INTEGER}


def test_types_pinned_for_picked_columns_hold_when_all_are_wanted():
    earlier = Schema((Column("id", INTEGER, is_key=True), Column("n", DOUBLE)), is_picked=True)

    schema = pin(MemoryTable(numbered(3, b=True)), earlier=earlier).schema

    assert named(schema) == {"id": INTEGER, "b": BOOLEAN, "n": DOUBLE}


def test_picked_columns_keep_their_order_and_all_keys_are_read():
    selection = TableSelection("t", columns=(Picked("b", "B"), Picked("id", "id"), Picked("n", "n")))

    schema = pin(MemoryTable(numbered(3, b=True, c="x")), selection).schema

    assert list(named(schema)) == ["id", "b", "n"]
    assert schema.is_picked
    assert not schema.keeps_others


def test_declared_columns_need_no_sample():
    selection = TableSelection("t", columns=(Picked("rare", "rare"),), types={"rare": STRING})
    table = MemoryTable(numbered(3))

    schema = pin(table, selection).schema

    assert schema.columns[1] == Column("rare", STRING, is_declared=True)
    assert table.asked == []


def test_a_column_that_no_row_has_is_refused_with_the_nearest():
    table = MemoryTable(numbered(3), defined=(("name", STRING),))

    with pytest.raises(SpecError, match="'nmae'; did you mean 'name'"):
        pin(table, TableSelection("t", columns=(Picked("nmae", "nmae"),)))


def test_a_column_of_an_empty_table_is_taken_for_a_string():
    pinned = pin(MemoryTable([]), TableSelection("t", columns=(Picked("a", "a"),)))

    assert named(pinned.schema) == {"id": INTEGER, "a": STRING}
    assert "no rows" in pinned.warnings[0]


def test_a_key_column_cannot_be_declared_as_another_type():
    with pytest.raises(SpecError, match="key column 'id' of t is integer"):
        pin(MemoryTable([]), TableSelection("t", columns=(Picked("id", "id"),), types={"id": STRING}))


def test_a_table_with_our_name_for_others_is_refused():
    table = MemoryTable([row(key(1), _other="theirs")])

    with pytest.raises(SpecError, match="_other"):
        pin(table)
    assert "_other" in named(pin(table, TableSelection("t", unknown=Unknown.DROP)).schema)
