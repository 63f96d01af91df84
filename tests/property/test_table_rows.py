"""A tunnel's records become the same rows of a table whether they are taken together or one by one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_tablestore.pipeline.tunnel.table_columns import together
from airflow_tablestore.pipeline.tunnel.table_rows import Change, table_rows
from airflow_tablestore.pipeline.tunnel.table_target import Pick
from airflow_tablestore.pipeline.warehouse import TableColumn
from airflow_tablestore.wire.decode import Wanted
from airflow_tablestore.wire.decode.changes import PlainChanges, changes_decoder
from airflow_tablestore.wire.plainbuffer import encode_rows
from airflow_tablestore.wire.row import Cell, CellOp, ColumnType, Row, SequenceInfo
from airflow_tablestore.wire.stream import Action
from airflow_tablestore.wire.table import KeyColumn, TableDescription
from airflow_tablestore.wire.tunnel_channel import TunnelRecord

pytestmark = pytest.mark.slow

SOURCE = TableDescription(
    "t", (KeyColumn("id", ColumnType.INTEGER), KeyColumn("K", ColumnType.STRING)), defined=(("n", ColumnType.INTEGER),)
)
TYPES = {
    "id": "bigint",
    "k": "string",
    "action": "string",
    "sequence": "string",
    "time": "datetime",
    "cells": "string",
    "before": "string",
    "n": "bigint",
    "a": "string",
    "x": "double",
}
TABLE = [TableColumn(name, kind) for name, kind in TYPES.items()]
PICKS = [Pick(name, to) for name, to in (("K", "a"), ("n", "n"), ("cells.time", "id"), ("time", "time"), ("x", "x"))]

integers = st.integers(-(2**63), 2**63 - 1)
versions = st.one_of(st.none(), st.integers(0, 3))
usual = st.one_of(
    st.builds(Cell, st.just("n"), st.integers(0, 9), versions),
    st.builds(Cell, st.just("a"), st.text(max_size=3), versions),
    st.builds(lambda name: Cell(name, None, None, CellOp.DELETE_ALL_VERSIONS), st.sampled_from("nax")),
)
odd = st.builds(
    Cell,
    st.sampled_from(["n", "N", "a", "A", "x", "time"]),
    st.one_of(integers, st.floats(), st.booleans(), st.text(max_size=3), st.binary(max_size=3)),
    versions,
)
keys = st.builds(lambda n, k: (("id", n), ("K", k)), integers, st.text(max_size=3))
places = st.one_of(st.none(), st.builds(SequenceInfo, st.integers(0, 9), st.integers(0, 2**50), st.integers(0, 99)))


def records_of(cells: st.SearchStrategy[Cell]) -> st.SearchStrategy[list[tuple[Action, Row, Row | None]]]:
    rows = st.builds(Row, keys, st.lists(cells, max_size=3).map(tuple), sequence=places)
    return st.lists(st.tuples(st.sampled_from(Action), rows, st.one_of(st.none(), rows)), max_size=5)


@given(st.one_of(records_of(usual), records_of(odd)), st.sampled_from([None, PICKS]), st.booleans())
@settings(max_examples=120, deadline=None)
def test_records_taken_together_are_the_rows_that_they_are_one_by_one(told, picks, is_plain):
    rows = table_rows(SOURCE, TABLE, picks)
    decoder = (PlainChanges if is_plain else changes_decoder)(
        [Wanted(key.name, key.type, is_key=True) for key in SOURCE.keys], of_stream=False
    )
    origins = [None if before is None else encode_rows([before]) for _, _, before in told]
    records = [
        TunnelRecord(action, encode_rows([row]), origin) for (action, row, _), origin in zip(told, origins, strict=True)
    ]
    decoded = together(decoder, records)
    assert decoded is not None

    made = rows.at_once(decoded)

    if made is not None:
        changes = [Change(one.action.value, one.decoded(), one.origin) for one in records]
        expected, reasons = rows.apply(changes)
        assert made[0].equals(expected)
        assert dict(made[1]) == reasons
        assert decoded.micros.to_pylist() == [change.micros for change in changes]


@pytest.mark.parametrize("picks", [None, PICKS], ids=["by name", "picked"])
def test_records_without_anything_odd_are_taken_together(picks):
    place = SequenceInfo(1, 1_795_262_931_634_321, 2)
    rows = [
        Row(
            (("id", number), ("K", "k")),
            (Cell("n", number, 5), Cell("a", "text", 5), Cell("more", 1.5, 5)),
            sequence=place,
        )
        for number in range(3)
    ]
    records = [TunnelRecord(Action.PUT, encode_rows([row])) for row in rows]
    decoder = changes_decoder([Wanted(key.name, key.type, is_key=True) for key in SOURCE.keys], of_stream=False)

    made = table_rows(SOURCE, TABLE, picks).at_once(together(decoder, records))

    assert made is not None
    assert made[0].column("n").to_pylist() == [0, 1, 2]
    assert not made[1]


@pytest.mark.parametrize(
    "cells",
    [
        (Cell("n", "text", 1),),
        (Cell("n", 1, 1), Cell("n", 2, 2)),
        (Cell("n", 1, 1), Cell("N", 2, 1)),
    ],
    ids=["another type", "two versions", "two names but for their case"],
)
def test_an_odd_record_has_the_others_taken_one_by_one_too(cells):
    row = Row((("id", 1), ("K", "k")), cells, sequence=SequenceInfo(1, 1_795_262_931_634_321, 2))
    decoder = changes_decoder([Wanted(key.name, key.type, is_key=True) for key in SOURCE.keys], of_stream=False)

    decoded = together(decoder, [TunnelRecord(Action.PUT, encode_rows([row]))])

    assert decoded is not None
    assert table_rows(SOURCE, TABLE, None).at_once(decoded) is None
