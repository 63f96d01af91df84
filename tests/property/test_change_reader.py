"""The quick reading of a stream record says what the thorough one says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.wire.decode.change import ChangeReader
from airflow_tablestore.wire.plainbuffer import decode_rows, encode_rows
from airflow_tablestore.wire.row import INF_MIN, Cell, CellOp, Row, SequenceInfo

pytestmark = pytest.mark.slow

names = st.sampled_from(["a", "b", "", "列", "id"])
integers = st.integers(-(2**63), 2**63 - 1)
values = st.one_of(integers, st.floats(allow_nan=False), st.booleans(), st.text(max_size=6), st.binary(max_size=6))
cells = st.one_of(
    st.builds(Cell, names, values, st.one_of(st.none(), integers)),
    st.builds(lambda name, at: Cell(name, None, at, CellOp.DELETE_ONE_VERSION), names, integers),
    st.builds(lambda name: Cell(name, None, None, CellOp.DELETE_ALL_VERSIONS), names),
    st.builds(lambda name, n: Cell(name, n, None, CellOp.INCREMENT), names, integers),
)
keys = st.lists(
    st.tuples(names, st.one_of(integers, st.text(max_size=6), st.binary(max_size=6), st.just(INF_MIN))),
    min_size=1,
    max_size=3,
).map(tuple)
sequences = st.one_of(
    st.none(), st.builds(SequenceInfo, st.integers(0, 2**31 - 1), integers, st.integers(0, 2**31 - 1))
)
rows = st.builds(Row, keys, st.lists(cells, max_size=5).map(tuple), st.booleans(), sequences)


def check(reader: ChangeReader, block: bytes) -> None:
    """Both read the same, or both refuse."""
    try:
        found = decode_rows(block)
    except ProtocolError:
        found = []
    if len(found) != 1 or not found[0].key or found[0].sequence is None:
        with pytest.raises(ProtocolError):
            reader.read(block)
        return
    key, told, sequence = reader.read(block)
    assert (key, sequence) == (found[0].key, found[0].sequence)
    assert repr(told) == repr([(c.name, c.value, c.timestamp, c.op) for c in found[0].cells])


@given(st.lists(rows, min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_every_record_is_read_as_the_thorough_reader_reads_it(given_rows):
    reader = ChangeReader()

    for row in given_rows:
        check(reader, encode_rows([row]))


@given(st.data(), rows)
@settings(max_examples=100, deadline=None)
def test_damage_is_refused_where_the_thorough_reader_refuses_it(data, row):
    reader, block = ChangeReader(), bytearray(encode_rows([row]))
    reader.read(encode_rows([Row((("a", 1),), sequence=SequenceInfo(0, 1, 2))]))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(block)))
        block[start : start + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))

    check(reader, bytes(block))


def test_every_changed_bit_of_a_record_is_noticed_or_read_alike():
    cells_ = (Cell("a", 1, 5), Cell("b", "x", 5), Cell("c", None, None, CellOp.DELETE_ALL_VERSIONS), Cell("d", True, 1))
    block = encode_rows([Row((("id", "k"),), cells_, sequence=SequenceInfo(1, 2, 3))])
    reader = ChangeReader()

    for place in range(len(block) * 8):
        changed = bytearray(block)
        changed[place // 8] ^= 1 << place % 8
        check(reader, bytes(changed))
