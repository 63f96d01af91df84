"""What every decoder makes of SimpleRowMatrix blocks: the same as reading them row by row."""

import struct
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.native import library
from airflow_tablestore.wire.decode import Decoder, Stray, Wanted
from airflow_tablestore.wire.decode.lockstep import LockstepDecoder
from airflow_tablestore.wire.decode.native import NativeDecoder
from airflow_tablestore.wire.decode.plain import PlainDecoder
from airflow_tablestore.wire.matrix import Matrix, decode_matrix, encode_matrix
from airflow_tablestore.wire.plainbuffer import checksum
from airflow_tablestore.wire.row import ColumnType, Value, type_of

Make = Callable[[Sequence[Wanted]], Decoder]
DECODERS: list[Any] = [
    PlainDecoder,
    LockstepDecoder,
    pytest.param(NativeDecoder, marks=pytest.mark.skipif(library() is None, reason="the C library was not built")),
]
each_decoder = pytest.mark.parametrize("make", DECODERS, ids=lambda make: make.__name__)

WANTED = (
    Wanted("user", ColumnType.STRING, is_key=True),
    Wanted("amount", ColumnType.DOUBLE),
    Wanted("city", ColumnType.STRING),
    Wanted("count", ColumnType.INTEGER),
    Wanted("paid", ColumnType.BOOLEAN),
    Wanted("photo", ColumnType.BINARY),
)
FIELDS = ("user", "id", "amount", "city", "count", "paid", "photo", "more")


def bits(value: Any) -> Any:
    return struct.pack("<d", value) if isinstance(value, float) else (type(value), value)


def check(make: Make, block: bytes) -> None:
    """The decoder says what the rows say, or both refuse."""
    try:
        matrix = decode_matrix(block)
    except ProtocolError:
        matrix = None
    if matrix is None or len({(n < matrix.key_count, f) for n, f in enumerate(matrix.fields)}) < len(matrix.fields):
        with pytest.raises(ProtocolError):
            make(WANTED).decode(block)
        return
    columns: dict[str, list[Value | None]] = {one.name: [None] * len(matrix.rows) for one in WANTED}
    strays: tuple[list[Any], list[Any]] = [], []
    for number, row in enumerate(matrix.rows):
        for field, value in enumerate(row):
            is_key, name = field < matrix.key_count, matrix.fields[field]
            wanted = next((one for one in WANTED if (one.is_key, one.name) == (is_key, name)), None)
            if value is None or (wanted is None and is_key):
                continue
            if wanted is not None and type_of(value) is wanted.type:
                columns[name][number] = value
            else:
                strays[wanted is None].append((number, name, bits(value)))

    decoded = make(WANTED).decode(block)

    decoded.records.validate(full=True)
    assert decoded.records.num_rows == len(matrix.rows)
    found = {name: [bits(v) for v in decoded.records.column(name).to_pylist()] for name in columns}
    assert found == {name: [bits(v) for v in values] for name, values in columns.items()}
    for told, expected in zip((decoded.conflicts, decoded.others), strays, strict=True):
        assert [(s.row, s.column, bits(s.value)) for s in told] == expected


def with_checksum(content: bytes) -> bytes:
    return content + bytes((checksum(content),))


@each_decoder
def test_every_type_and_null_arrive_as_themselves(make: Make):
    rows = (("ada", 1, 0.5, "杭州", -(2**63), True, b"\xff", None), ("bob", 2, None, None, None, None, None, None))

    decoded = make(WANTED).decode(encode_matrix(Matrix(FIELDS, 2, rows)))

    assert decoded.records.to_pylist() == [
        {"user": "ada", "amount": 0.5, "city": "杭州", "count": -(2**63), "paid": True, "photo": b"\xff"},
        {"user": "bob", "amount": None, "city": None, "count": None, "paid": None, "photo": None},
    ]
    assert (decoded.conflicts, decoded.others) == ((), ())


@each_decoder
def test_what_has_no_place_is_kept_apart(make: Make):
    rows = (("ada", 1, "x", 2, None, None, None, 1.5), ("bob", 2, 1.0, "y", 3, None, None, None))

    decoded = make(WANTED).decode(encode_matrix(Matrix(FIELDS, 2, rows)))

    assert decoded.conflicts == (Stray(0, "amount", "x"), Stray(0, "city", 2))
    assert decoded.others == (Stray(0, "more", 1.5),)


@each_decoder
def test_one_decoder_reads_both_forms_by_turns(make: Make):
    from airflow_tablestore.wire.plainbuffer import encode_rows
    from airflow_tablestore.wire.row import Cell, Row

    decoder = make(WANTED)
    plain = encode_rows([Row((("user", "ada"),), (Cell("count", 7),))])
    matrix = encode_matrix(Matrix(("user", "count"), 1, (("ada", 7),)))

    first, second, third = decoder.decode(plain), decoder.decode(matrix), decoder.decode(plain)

    assert first.records.equals(second.records)
    assert second.records.equals(third.records)


@each_decoder
def test_two_fields_of_one_name_are_refused(make: Make):
    for fields in (("user", "x", "x"), ("user", "city", "city"), ("user", "user", "city")):
        with pytest.raises(ProtocolError):
            make(WANTED).decode(encode_matrix(Matrix(fields, 2 if fields[1] == "user" else 1, (("a", "b", "c"),))))


@pytest.mark.skipif(library() is None, reason="the C library was not built")
@pytest.mark.parametrize("is_matrix", [True, False])
def test_the_c_decoder_reads_ordinary_blocks_itself(is_matrix):
    from airflow_tablestore.wire.plainbuffer import encode_rows
    from airflow_tablestore.wire.row import Cell, Row

    decoder = NativeDecoder(WANTED)
    decoder._plain = None  # type: ignore[assignment] # nobody to ask
    rows = [Row((("user", "ada"), ("id", 1)), (Cell("city", "杭州", 5), Cell("paid", 1, 5), Cell("x", b"", 5)))]
    block = encode_matrix(Matrix(FIELDS, 2, ((None,) * 8,) * 3)) if is_matrix else encode_rows(rows * 3)

    assert decoder.decode(block).records.num_rows == 3


values = st.one_of(
    st.none(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.booleans(), st.text(max_size=4), st.binary(max_size=4)
)
names = st.lists(st.sampled_from([*FIELDS, "", "列"]), max_size=6)
matrices = names.flatmap(
    lambda found: st.builds(
        Matrix,
        st.just(tuple(found)),
        st.integers(0, len(found)),
        st.lists(st.tuples(*[values] * len(found)), max_size=4).map(tuple),
        st.booleans(),
    )
)


@each_decoder
@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(matrix=matrices)
def test_a_decoder_agrees_with_the_reading_of_matrices(make: Make, matrix: Matrix):
    check(make, encode_matrix(matrix))


@each_decoder
@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_damaged_matrices_are_decoded_or_refused(make: Make, data: st.DataObject):
    block = bytearray(encode_matrix(data.draw(matrices)))[:-1]
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(block)))
        block[start : start + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))

    check(make, with_checksum(bytes(block)))


@each_decoder
def test_every_changed_bit_of_a_matrix_is_noticed(make: Make):
    block = encode_matrix(Matrix(FIELDS, 2, (("ada", 1, 0.5, "杭州", 3, True, b"\xff", None),)))

    for place in range(len(block) * 8):
        changed = bytearray(block)
        changed[place // 8] ^= 1 << place % 8
        with pytest.raises(ProtocolError):
            make(WANTED).decode(bytes(changed))


def test_no_columns_still_count_rows():
    block = encode_matrix(Matrix(("user",), 1, (("a",), ("b",))))

    assert PlainDecoder(()).decode(block).records == pa.RecordBatch.from_struct_array(pa.array([{}] * 2, pa.struct([])))
