"""The emulator and the client have a codec each, written apart: they read each other and refuse alike."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_tablestore.emulator.tablestore.cells import (
    DELETE_ALL,
    DELETE_ONE,
    HEADER,
    INCREMENT,
    PUT,
    encode_row,
    key_block,
    key_parts,
    key_section,
    read_change,
    stored_cell,
    stored_cells,
    stored_key,
    value_of,
)
from airflow_tablestore.emulator.tablestore.errors import ServiceError
from airflow_tablestore.emulator.tablestore.keys import AUTO_INCREMENT as AUTO_INCREMENT_TYPE
from airflow_tablestore.emulator.tablestore.keys import BINARY, INTEGER, STRING, KeyPart, sort_key
from airflow_tablestore.emulator.tablestore.keys import INF_MAX as INF_MAX_TYPE
from airflow_tablestore.emulator.tablestore.keys import INF_MIN as INF_MIN_TYPE
from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.wire.plainbuffer import (
    decode_key,
    decode_rows,
    decode_value,
    encode_delete,
    encode_key,
    encode_put,
    encode_update,
)
from airflow_tablestore.wire.row import AUTO_INCREMENT, INF_MAX, INF_MIN, Cell, CellOp, KeyValue, Row

pytestmark = pytest.mark.slow
modest = settings(max_examples=100, deadline=None)

MARKS = {INF_MIN: INF_MIN_TYPE, INF_MAX: INF_MAX_TYPE, AUTO_INCREMENT: AUTO_INCREMENT_TYPE}
OPS = {
    CellOp.PUT: PUT,
    CellOp.INCREMENT: INCREMENT,
    CellOp.DELETE_ONE_VERSION: DELETE_ONE,
    CellOp.DELETE_ALL_VERSIONS: DELETE_ALL,
}

texts = st.text(max_size=12)
integers = st.integers(-(2**63), 2**63 - 1)
values = st.one_of(integers, st.floats(allow_nan=False), st.booleans(), texts, st.binary(max_size=12))
plain_keys = st.lists(st.tuples(texts, st.one_of(integers, texts, st.binary(max_size=6))), min_size=1, max_size=4)
any_keys = st.lists(
    st.tuples(texts, st.one_of(integers, texts, st.binary(max_size=6), st.sampled_from(list(MARKS)))),
    min_size=1,
    max_size=4,
)
versions = st.lists(st.builds(Cell, texts, values, integers), max_size=5)
changes = st.lists(
    st.one_of(
        st.builds(Cell, texts, values, st.none() | integers),
        st.builds(Cell, texts, integers, st.none(), st.just(CellOp.INCREMENT)),
        st.builds(Cell, texts, st.none(), integers, st.just(CellOp.DELETE_ONE_VERSION)),
        st.builds(Cell, texts, st.none(), st.none(), st.just(CellOp.DELETE_ALL_VERSIONS)),
    ),
    max_size=5,
)


def part(name: str, value: KeyValue) -> KeyPart:
    """A column of a key as the emulator holds it."""
    if isinstance(value, int):
        return KeyPart(name.encode(), INTEGER, struct.pack("<q", value))
    if isinstance(value, str):
        return KeyPart(name.encode(), STRING, value.encode())
    if isinstance(value, bytes):
        return KeyPart(name.encode(), BINARY, value)
    return KeyPart(name.encode(), MARKS[value], b"")


@modest
@given(any_keys.map(tuple))
def test_a_key_means_the_same_to_both(key):
    parts = tuple(part(*column) for column in key)

    assert read_change(encode_key(key)).parts == parts
    assert decode_key(key_block(key_section(parts))) == key
    assert key_block(key_section(parts)) == encode_key(key)


@modest
@given(any_keys.map(tuple), changes)
def test_a_change_means_the_same_to_both(key, cells):
    change = read_change(encode_update(key, cells))

    assert change.parts == tuple(part(*column) for column in key)
    read = [(c.name.decode(), decode_value(c.value) if c.value else None, c.timestamp, c.op) for c in change.cells]
    assert repr(read) == repr([(cell.name, cell.value, cell.timestamp, OPS[cell.op]) for cell in cells])
    assert not change.is_delete


@modest
@given(plain_keys.map(tuple))
def test_a_deletion_means_the_same_to_both(key):
    change = read_change(encode_delete(key))

    assert change.is_delete
    assert change.cells == []


@modest
@given(plain_keys.map(tuple), versions)
def test_a_stored_row_is_what_was_put(key, cells):
    change = read_change(encode_put(key, cells))

    stored = encode_row(change.key, [stored_cell(cell, cell.timestamp or 0) for cell in change.cells])

    assert repr(decode_rows(HEADER + stored)) == repr([Row(key, tuple(cells))])
    assert HEADER + stored == encode_put(key, cells)
    section = stored_key(stored)
    assert key_parts(section) == change.parts
    found = [(c.name.decode(), decode_value(value_of(c)), c.timestamp) for c in stored_cells(stored, len(section.wire))]
    assert repr(found) == repr([(cell.name, cell.value, cell.timestamp) for cell in cells])


@modest
@given(plain_keys.map(tuple), changes, st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_is_refused_by_both_or_read_alike(key, cells, place, difference):
    block = bytearray(encode_update(key, cells))
    block[place % len(block)] ^= difference

    try:
        [row] = decode_rows(bytes(block))
    except (ProtocolError, ValueError):
        row = None
    try:
        change = read_change(bytes(block))
    except ServiceError:
        change = None

    assert (row is None) == (change is None)
    if row is not None and change is not None:
        assert tuple(part(*column) for column in row.key) == change.parts
        assert [cell.name.encode() for cell in row.cells] == [cell.name for cell in change.cells]


@modest
@given(st.tuples(texts, integers, st.binary(max_size=6)), st.tuples(texts, integers, st.binary(max_size=6)))
def test_keys_sort_as_their_bytes_do(one, other):
    def order(values):
        text, number, data = values
        return text.encode(), number, data

    def blob(values):
        return sort_key([part(name, value) for name, value in zip("abc", values, strict=True)])

    assert (blob(one) < blob(other)) == (order(one) < order(other))
