"""Random changes: what is exported of them rebuilds the table, whichever way the pages are cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_tablestore.pipeline.contract import Column, Picked, Schema
from airflow_tablestore.pipeline.selection import ChangeMode, ChangeSelection
from airflow_tablestore.pipeline.sources.changes import value_text
from airflow_tablestore.pipeline.sources.stream import Decoding, StreamSource
from airflow_tablestore.wire.row import Cell, CellOp, ColumnType, type_of
from airflow_tablestore.wire.stream import Action, StreamRecord
from tests.conformance.changes import NOW, Span, key, record

pytestmark = pytest.mark.slow

NAMES = ("a", "b", "id", "列")
"""`id` is the key's name too; an attribute may have it all the same."""

ID = Column("id", ColumnType.INTEGER, is_key=True)
A, B = Column("a", ColumnType.INTEGER), Column("b", ColumnType.STRING, is_declared=True)

values = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.booleans(),
    st.text(max_size=5),
    st.binary(max_size=5),
)
puts = st.builds(Cell, st.sampled_from(NAMES), values, st.integers(0, 3))
deletes = st.one_of(
    st.builds(
        lambda name, at: Cell(name, None, at, CellOp.DELETE_ONE_VERSION), st.sampled_from(NAMES), st.integers(0, 3)
    ),
    st.builds(lambda name: Cell(name, None, None, CellOp.DELETE_ALL_VERSIONS), st.sampled_from(NAMES)),
)
Change = tuple[Action, int, tuple[Cell, ...]]


def cells(one: st.SearchStrategy[Cell]) -> st.SearchStrategy[tuple[Cell, ...]]:
    """Cells of a change: no two of one column and version."""
    return st.lists(one, max_size=4, unique_by=lambda cell: (cell.name, cell.timestamp)).map(tuple)


changes = st.lists(
    st.one_of(
        st.tuples(st.just(Action.PUT), st.integers(0, 2), cells(puts)),
        st.tuples(st.just(Action.UPDATE), st.integers(0, 2), cells(st.one_of(puts, puts, deletes))),
        st.tuples(st.just(Action.DELETE), st.integers(0, 2), st.just(())),
    ),
    max_size=12,
)
cuts = st.lists(st.integers(0, 5), min_size=1, max_size=6)

Table = dict[int, dict[tuple[str, int], Any]]


def applied(made: Sequence[Change]) -> Table:
    """The table once the changes are made: values by row, column and version."""
    table: Table = {}
    for action, row, done in made:
        if action is not Action.UPDATE:
            table.pop(row, None)
        for cell in done:
            stored = table.setdefault(row, {})
            if cell.op is CellOp.PUT:
                stored[cell.name, cell.timestamp or 0] = cell.value
            elif cell.op is CellOp.DELETE_ONE_VERSION:
                stored.pop((cell.name, cell.timestamp or 0), None)
            else:
                for place in [place for place in stored if place[0] == cell.name]:
                    del stored[place]
    return {row: stored for row, stored in table.items() if stored}


def pages(made: Sequence[Change], sizes: Sequence[int]) -> list[list[StreamRecord]]:
    records = [record(action, key(row), *done, at=NOW + n // 2, index=n) for n, (action, row, done) in enumerate(made)]
    found, turn = [], 0
    while records:
        size = sizes[turn % len(sizes)] or (1 if turn > len(sizes) else 0)
        found.append(records[:size])
        records, turn = records[size:], turn + 1
    return found


def read(span: Span, selection: ChangeSelection, schema: Schema) -> tuple[StreamSource, list[dict[str, Any]]]:
    dirty: list[tuple[str, str]] = []
    source = StreamSource(span, Decoding(selection, schema, lambda name, reason: dirty.append((name, reason))))
    rows = [row for batch in source.batches() for row in batch.records.to_pylist()]
    assert source.dirty == len(dirty)
    return source, rows


@given(made=changes, sizes=cuts)
@settings(max_examples=100, deadline=None)
def test_rows_about_cells_rebuild_the_table(made, sizes):
    selection = ChangeSelection("t", ChangeMode.MULTI_VERSION, with_sequence=True)

    _, rows = read(Span(pages(made, sizes)), selection, Schema((ID,)))

    table: dict[int, dict[tuple[str, int], str]] = {}
    for row in rows:
        stored = table.setdefault(row["id"], {})
        match row["optype"]:
            case "DR":
                stored.clear()
            case "U":
                stored[row["colname"], row["version"]] = row["colvalue"]
            case "DO":
                stored.pop((row["colname"], row["version"]), None)
            case "DA":
                for place in [place for place in stored if place[0] == row["colname"]]:
                    del stored[place]
    expected = {row: {at: value_text(v) for at, v in stored.items()} for row, stored in applied(made).items()}
    assert {row: stored for row, stored in table.items() if stored} == expected
    sequences = [row["sequenceinfo"] for row in rows]
    assert sequences == sorted(set(sequences))


def chosen(change: Change) -> tuple[dict[str, Any] | None, bool]:
    """The row that a change makes, by hand, and whether it is dirty."""
    action, row, done = change
    newest: dict[str, Cell] = {}
    for cell in done:
        before = newest.get(cell.name)
        if cell.op is CellOp.PUT and (before is None or (cell.timestamp or 0) >= (before.timestamp or 0)):
            newest[cell.name] = cell
    a, b = newest.get("a"), newest.get("b")
    if action is Action.DELETE or (action is Action.UPDATE and a is None and b is None):
        return None, False
    if a is not None and a.value is not None and type_of(a.value) is not ColumnType.INTEGER:
        return None, True
    return {"id": row, "a": a.value if a else None, "b": as_text(b.value) if b else None}, False


def as_text(value: Any) -> str:
    from airflow_tablestore.pipeline.sources.conversion import as_string

    return as_string(value)


@given(made=changes, sizes=cuts)
@settings(max_examples=100, deadline=None)
def test_rows_about_changes_are_the_newest_values_of_the_columns_chosen(made, sizes):
    columns = (Picked("id", "id"), Picked("a", "a"), Picked("b", "b"))
    selection = ChangeSelection("t", ChangeMode.SINGLE_VERSION, columns)

    source, rows = read(Span(pages(made, sizes)), selection, Schema((ID, A, B), is_picked=True))

    by_hand = [chosen(change) for change in made]
    assert rows == [row for row, _ in by_hand if row is not None]
    assert source.dirty == sum(is_dirty for _, is_dirty in by_hand)
    assert source.passed_over == sum(row is None and not is_dirty for row, is_dirty in by_hand)
    assert source.partial_rows == sum(
        row is not None and None in (row["a"], row["b"])
        for (row, _), (action, _, _) in zip(by_hand, made, strict=True)
        if action is Action.UPDATE
    )
