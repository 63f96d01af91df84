"""Regular blocks, which the numpy decoder reads itself: equal to plain Python, damaged or not."""

from __future__ import annotations

import random
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_tablestore.errors import ProtocolError, SpecError
from airflow_tablestore.wire.decode import BACKEND_VARIABLE, Wanted, decoder
from airflow_tablestore.wire.decode.crc_arrays import crc_of_eight, crc_of_spans
from airflow_tablestore.wire.decode.lockstep import PATIENCE, PAUSE, LockstepDecoder
from airflow_tablestore.wire.decode.plain import PlainDecoder
from airflow_tablestore.wire.plainbuffer import checksum, encode_rows
from airflow_tablestore.wire.row import Cell, ColumnType, Row

WANTED = (
    Wanted("user", ColumnType.STRING, is_key=True),
    Wanted("amount", ColumnType.DOUBLE),
    Wanted("city", ColumnType.STRING),
    Wanted("count", ColumnType.INTEGER),
    Wanted("missing", ColumnType.INTEGER),
    Wanted("paid", ColumnType.BOOLEAN),
    Wanted("photo", ColumnType.BINARY),
)
texts = st.one_of(st.text(max_size=30), st.just("\x01\x03\x04\x04\x00\x00\x00user\x05"))
cells = st.tuples(st.floats(), texts, st.integers(-(2**63), 2**63 - 1), st.booleans(), st.binary(max_size=70))
NAMES = ("amount", "city", "count", "paid", "photo")


def regular(rows: list[Any], version: int | None = 7) -> bytes:
    """A block whose rows all have the same cells; a part of the key, `id`, is not wanted."""
    return encode_rows(
        Row(
            (("user", f"user {number}"), ("id", number)),
            tuple(Cell(name, value, version) for name, value in zip(NAMES, row, strict=True)),
        )
        for number, row in enumerate(rows)
    )


def by_itself() -> LockstepDecoder:
    """A decoder that has nobody to ask."""
    made = LockstepDecoder(WANTED, fewest_rows=1)
    made._plain = None  # type: ignore[assignment]
    return made


def bits(records: Any) -> list[Any]:
    return [[struct.pack("<d", v) if isinstance(v, float) else v for v in c.to_pylist()] for c in records.columns]


@settings(max_examples=100, deadline=None)
@given(rows=st.lists(cells, min_size=1, max_size=6), version=st.sampled_from([None, 0, 1 << 62]))
def test_regular_blocks_are_decoded_as_plain_python_does(rows, version):
    block = regular(rows, version)
    asks = LockstepDecoder(WANTED, fewest_rows=1)

    decoded = asks.decode(block)

    decoded.records.validate(full=True)
    assert decoded.records.schema == PlainDecoder(WANTED).decode(block).records.schema
    assert bits(decoded.records) == bits(PlainDecoder(WANTED).decode(block).records)


@pytest.mark.parametrize("size", [0, 9, 500])
def test_regular_blocks_need_nobody_else(size):
    rows = [(0.5, "x" * (size + n % 3), -n, n % 2 == 0, bytes(size)) for n in range(300)]

    decoded = by_itself().decode(regular(rows))

    assert decoded.records.column("city").to_pylist() == [row[1] for row in rows]
    assert decoded.records.column("missing").null_count == 300


@pytest.mark.slow
def test_every_changed_byte_of_a_regular_block_is_noticed():
    block = regular([(1.5, "杭州", 3, True, b"\xff"), (2.5, "", 4, False, b"")])
    chance = random.Random(8)

    for place in range(len(block)):
        changed = bytearray(block)
        changed[place] ^= chance.randrange(1, 256)
        with pytest.raises(ProtocolError):
            LockstepDecoder(WANTED, fewest_rows=1).decode(bytes(changed))


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(rows=st.lists(cells, min_size=1, max_size=4), data=st.data())
def test_damaged_regular_blocks_are_decoded_or_refused_as_plain_python_does(rows, data):
    block = bytearray(regular(rows))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(block)))
        block[start : start + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    answers = []
    for made in (PlainDecoder(WANTED), LockstepDecoder(WANTED, fewest_rows=1)):
        try:
            decoded = made.decode(bytes(block))
            answers.append((bits(decoded.records), len(decoded.conflicts), len(decoded.others)))
        except ProtocolError:
            answers.append(None)

    assert answers[0] == answers[1]


def test_irregular_blocks_are_not_tried_each_time():
    odd = encode_rows([Row((("user", "a"),)), Row((("user", "b"),), (Cell("count", 1),))])
    even = regular([(0.5, "", 1, True, b"")])
    tried = LockstepDecoder(WANTED, fewest_rows=1)
    looked_at = []
    tried._regular = lambda content, look=tried._regular: (looked_at.append(content), look(content))[1]  # type: ignore[method-assign]

    for _ in range(PATIENCE + PAUSE):
        assert tried.decode(odd).records.num_rows == 2
    assert len(looked_at) == PATIENCE + 1

    for _ in range(PAUSE):
        assert tried.decode(even).records.num_rows == 1
    looked_at.clear()
    tried.decode(even)
    assert looked_at == [even]


@given(spans=st.lists(st.tuples(st.binary(max_size=40), st.integers(0, 255)), min_size=1, max_size=5))
def test_checksums_of_many_spans_are_those_of_each(spans):
    content, places = b"12345678", []
    for data, _ in spans:
        places.append((len(content), len(content) + len(data)))
        content += data
    starts, ends = (np.array(side, np.int64) for side in zip(*places, strict=True))
    seeds = np.array([seed for _, seed in spans], np.uint8)

    found = crc_of_spans(content, starts, ends, seeds)

    assert found.tolist() == [checksum(data, seed) for data, seed in spans]


@given(numbers=st.lists(st.integers(0, 2**64 - 1), min_size=1))
def test_checksums_of_eight_bytes_are_those_of_each(numbers):
    found = crc_of_eight(np.array(numbers, np.uint64))

    assert found.tolist() == [checksum(struct.pack("<Q", number)) for number in numbers]


def test_the_environment_may_choose_it(monkeypatch):
    monkeypatch.setenv(BACKEND_VARIABLE, "numpy")

    assert isinstance(decoder(WANTED), LockstepDecoder)


def test_a_column_wanted_twice_is_refused():
    with pytest.raises(SpecError, match="twice"):
        LockstepDecoder([WANTED[0], WANTED[0]])
