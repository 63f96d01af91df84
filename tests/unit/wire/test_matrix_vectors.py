"""SimpleRowMatrix against blocks that official parsers read, and against damage."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_tablestore.errors import ProtocolError, RecordError
from airflow_tablestore.wire.matrix import Matrix, decode_matrix, encode_matrix
from airflow_tablestore.wire.plainbuffer import checksum

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "matrix.json").read_text())
GOOD = [v for v in VECTORS if "error" not in v["meaning"]]
each_vector = pytest.mark.parametrize("vector", GOOD, ids=lambda v: v["name"])


def value(item: dict[str, Any]) -> Any:
    match item["type"]:
        case "null":
            return None
        case "integer":
            return int(item["value"])
        case "double":
            return struct.unpack(">d", bytes.fromhex(item["bits"]))[0]
        case "binary":
            return bytes.fromhex(item["value"])
        case _:
            return item["value"]


def matrix(meaning: dict[str, Any]) -> Matrix:
    rows = tuple(tuple(value(item) for item in row) for row in meaning["rows"])
    return Matrix(tuple(meaning["fields"]), meaning["pk_count"], rows, meaning["entire_primary_keys"])


@each_vector
def test_a_block_reads_as_its_meaning(vector: dict[str, Any]):
    assert repr(decode_matrix(bytes.fromhex(vector["hex"]))) == repr(matrix(vector["meaning"]))


@each_vector
def test_a_meaning_is_written_as_its_block(vector: dict[str, Any]):
    assert encode_matrix(matrix(vector["meaning"])) == bytes.fromhex(vector["hex"])


def test_a_wrong_checksum_is_refused():
    (bad,) = [v for v in VECTORS if v["name"] == "bad_checksum"]

    with pytest.raises(ProtocolError, match="checksum"):
        decode_matrix(bytes.fromhex(bad["hex"]))


@pytest.mark.slow
@each_vector
def test_a_changed_byte_is_refused_or_read_as_what_it_says(vector: dict[str, Any]):
    """With the checksum made right, so that the reading itself is tried."""
    block = bytearray.fromhex(vector["hex"])[:300]
    for place in range(len(block) - 1):
        for byte in (0, 1, 2, 0x7F, 0xFF):
            changed = bytearray(block)
            changed[place] = byte
            changed[-1] = checksum(bytes(changed[:-1]))
            try:
                decoded = decode_matrix(bytes(changed))
            except ProtocolError:
                continue
            assert encode_matrix(decoded) == bytes(changed)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_are_decoded_or_refused(content: bytes):
    block = b"SRM0" + content

    with pytest.raises(ProtocolError):
        decode_matrix(block + bytes((checksum(block) ^ 1,)))
    with pytest.raises(ProtocolError):
        decode_matrix(block + bytes((checksum(block),)))


cells = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.booleans(),
    st.text(max_size=8),
    st.binary(max_size=8),
)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_matrix_survives_the_trip(data: st.DataObject):
    fields = data.draw(st.lists(st.text(max_size=6), max_size=4).map(tuple))
    rows = data.draw(st.lists(st.tuples(*[cells for _ in fields]), max_size=4).map(tuple))
    given_matrix = Matrix(fields, data.draw(st.integers(0, len(fields))), rows, data.draw(st.booleans()))

    assert repr(decode_matrix(encode_matrix(given_matrix))) == repr(given_matrix)


@pytest.mark.parametrize(
    "wrong",
    [
        Matrix(("a",), 2, ()),
        Matrix(("a",), 1, ((1, 2),)),
        Matrix(("a",), 1, ((2**63,),)),
        Matrix(("\ud800",), 1, ()),
        Matrix(("a" * 2**15,), 1, ()),
    ],
    ids=lambda m: repr(m)[:40],
)
def test_what_the_form_cannot_hold_is_not_written(wrong: Matrix):
    with pytest.raises(RecordError):
        encode_matrix(wrong)
