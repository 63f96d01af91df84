"""What every decoder of a change log must do. A new one joins by one line in DECODERS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.native import library
from airflow_tablestore.wire.decode import Wanted
from airflow_tablestore.wire.decode.changes import Changes, Done, PlainChanges, Record
from airflow_tablestore.wire.decode.native_changes import NativeChanges
from airflow_tablestore.wire.plainbuffer import encode_rows
from airflow_tablestore.wire.row import Cell, CellOp, ColumnType, Row, SequenceInfo
from airflow_tablestore.wire.stream import Action, StreamRecord
from airflow_tablestore.wire.tunnel_channel import TunnelRecord
from tests.conformance.changes import delete, deleted, deleted_version, put, put_cell, record, update

DECODERS: list[Any] = [
    PlainChanges,
    pytest.param(NativeChanges, marks=pytest.mark.skipif(library() is None, reason="the C library was not built")),
]
each_decoder = pytest.mark.parametrize("make", DECODERS, ids=lambda make: make.__name__)

ID = (Wanted("id", ColumnType.INTEGER, is_key=True),)


def told(changes: Changes) -> dict[str, Any]:
    return {
        "keys": [repr(column.to_pylist()) for column in changes.keys],
        "places": changes.places.to_pylist(),
        "cells": repr(changes.cells.to_pylist()),  # as text, where NaN is itself and 0.0 is not -0.0
        "unlike": dict(changes.unlike),
    }


def cells_of(changes: Changes) -> list[tuple[Any, ...]]:
    """Each cell's record, number, name, operation, version and value."""
    rows = [list(row.values()) for row in changes.cells.to_pylist()]
    return [(*row[:5], next((value for value in row[5:] if value is not None), None)) for row in rows]


# ---- each decoder


@each_decoder
def test_each_cell_is_a_row_with_its_value_in_the_column_of_its_type(make):
    one = update(1, a=-(2**63), b=0.5, c=True, d="列", e=b"\x00\xff", f="", g=b"")

    cells = make(ID).decode([one]).cells.to_pylist()

    found = [{name for name, value in list(cell.items())[5:] if value is not None} for cell in cells]
    assert found == [{"integer"}, {"double"}, {"boolean"}, {"string"}, {"binary"}, {"string"}, {"binary"}]
    assert [cell["name"] for cell in cells] == list("abcdefg")
    assert [cells[0]["integer"], cells[3]["string"], cells[4]["binary"]] == [-(2**63), "列", b"\x00\xff"]


@each_decoder
def test_a_put_begins_with_the_end_of_the_row_before_and_a_deletion_has_nothing_else(make):
    changes = make(ID).decode([put(1, a=1), delete(2), update(3, deleted("a"), deleted_version("b", 9))])

    assert cells_of(changes) == [
        (0, 0, None, Done.DELETED_ROW, None, None),
        (0, 1, "a", Done.PUT, 7, 1),
        (1, 0, None, Done.DELETED_ROW, None, None),
        (2, 0, "a", Done.DELETED_ALL_VERSIONS, None, None),
        (2, 1, "b", Done.DELETED_ONE_VERSION, 9, None),
    ]


@each_decoder
def test_keys_and_places_are_those_of_the_records(make):
    key = (Wanted("u", ColumnType.STRING, is_key=True), Wanted("b", ColumnType.BINARY, is_key=True))
    log = [record(Action.UPDATE, (("u", f"ü{n}"), ("b", bytes(n))), at=5 + n, index=n) for n in range(3)]

    changes = make(key).decode(log)

    assert [column.to_pylist() for column in changes.keys] == [["ü0", "ü1", "ü2"], [b"", b"\0", b"\0\0"]]
    assert changes.places.to_pylist() == [{"epoch": 1, "time": 5 + n, "index": n, "cells": 0} for n in range(3)]
    assert changes.cells.num_rows == 0


@each_decoder
def test_records_of_a_tunnel_have_the_cells_that_they_have(make):
    base = TunnelRecord(Action.PUT, encode_rows([Row((("id", 1),), (Cell("a", 1), Cell("b", "x", 9)))]))
    log = [TunnelRecord(one.action, one.row) for one in (put(2, a=2), delete(3), update(4, deleted("a")))]

    changes = make(ID, of_stream=False).decode([base, *log])

    assert [(cell[0], *cell[2:]) for cell in cells_of(changes)] == [
        (0, "a", Done.PUT, None, 1),
        (0, "b", Done.PUT, 9, "x"),
        (1, "a", Done.PUT, 7, 2),
        (3, "a", Done.DELETED_ALL_VERSIONS, None, None),
    ]
    assert changes.places.column("cells").to_pylist() == [2, 1, 0, 1]
    assert changes.places.column("epoch").to_pylist() == [None, 1, 1, 1]


@each_decoder
def test_a_record_of_another_key_is_told_and_the_others_are_read(make):
    other = record(Action.UPDATE, (("ID", 1),), put_cell("a", 1))

    changes = make(ID).decode([update(1, a=1), other, update(2, a=2)])

    assert changes.unlike == {1: (("ID", 1),)}
    assert changes.keys[0].to_pylist() == [1, None, 2]
    assert [cell[0] for cell in cells_of(changes)] == [0, 2]


@each_decoder
def test_a_page_without_records_has_no_rows(make):
    changes = make(ID).decode([])

    assert (len(changes.keys[0]), changes.places.num_rows, changes.cells.num_rows) == (0, 0, 0)


@each_decoder
def test_an_increment_is_refused(make):
    counted = record(Action.UPDATE, (("id", 1),), Cell("n", 1, None, CellOp.INCREMENT))

    with pytest.raises(ProtocolError, match="column 'n'"):
        make(ID).decode([counted])


@each_decoder
def test_names_without_end_are_taken(make):
    decoder = make(ID)

    for page in range(3):
        names = [f"column {page} {n}" for n in range(5000)]
        changes = decoder.decode([update(1, **dict.fromkeys(names, 1)), update(2, **{names[0]: 2})])
        assert changes.cells.column("name").to_pylist() == [*names, names[0]]


# ---- the faster one against the plain one

names = st.sampled_from(["a", "b", "", "列", "id", "n" * 70])
integers = st.integers(-(2**63), 2**63 - 1)
values = st.one_of(integers, st.floats(), st.booleans(), st.text(max_size=20), st.binary(max_size=20))
cells = st.one_of(
    st.builds(Cell, names, values, st.one_of(st.none(), integers)),
    st.builds(lambda name, at: Cell(name, None, at, CellOp.DELETE_ONE_VERSION), names, integers),
    st.builds(lambda name: Cell(name, None, None, CellOp.DELETE_ALL_VERSIONS), names),
)
keys = st.one_of(
    st.integers(0, 9).map(lambda n: (("id", n),)),
    st.sampled_from([(("id", "x"),), (("ID", 1),), (("id", 1), ("more", 2))]),
)
places = st.one_of(
    st.none(), st.builds(SequenceInfo, st.integers(-1, 2**31 - 1), integers, st.integers(-(2**31), 2**31 - 1))
)
rows = st.builds(Row, keys, st.lists(cells, max_size=5).map(tuple), st.booleans(), places)
records = st.builds(lambda action, row: TunnelRecord(action, encode_rows([row])), st.sampled_from(Action), rows)


def outcome(decoder: Any, page: Sequence[Record]) -> Any:
    try:
        return told(decoder.decode(page))
    except ProtocolError:
        return "refused"


@pytest.mark.slow
@pytest.mark.skipif(library() is None, reason="the C library was not built")
@given(st.lists(st.lists(records, max_size=4), min_size=1, max_size=3), st.booleans())
@settings(max_examples=100, deadline=None)
def test_the_library_reads_what_plain_python_reads(pages, of_stream):
    ours, plain = NativeChanges(ID, of_stream=of_stream), PlainChanges(ID, of_stream=of_stream)

    for page in pages:
        assert outcome(ours, page) == outcome(plain, page)


@pytest.mark.slow
@pytest.mark.skipif(library() is None, reason="the C library was not built")
def test_every_changed_bit_is_refused_or_read_alike():
    many = (Cell("a", 1, 5), Cell("b", "x", 5), Cell("c", None, None, CellOp.DELETE_ALL_VERSIONS), Cell("d", True, 1))
    block = encode_rows([Row((("id", 1),), many, sequence=SequenceInfo(1, 2, 3))])
    ours, plain = NativeChanges(ID), PlainChanges(ID)

    for place in range(len(block) * 8):
        changed = bytearray(block)
        changed[place // 8] ^= 1 << place % 8
        page = [StreamRecord(Action.UPDATE, bytes(changed))]
        assert outcome(ours, page) == outcome(plain, page)
