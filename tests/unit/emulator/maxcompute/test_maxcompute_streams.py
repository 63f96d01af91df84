"""The record stream and the Arrow frame, against bytes that pyodps made (tests/vectors/maxcompute.json)."""

from __future__ import annotations

import base64
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from fastcrc import crc32

from airflow_tablestore.emulator.maxcompute import arrow_frames, records
from airflow_tablestore.emulator.maxcompute.columns import Column, arrow_schema, batch_of, check, values_of
from airflow_tablestore.emulator.maxcompute.errors import Refusal
from airflow_tablestore.emulator.maxcompute.kinds import DataType, type_from

VECTORS = json.loads((Path(__file__).parents[3] / "vectors/maxcompute.json").read_text())
RECORDS = [v for v in VECTORS if v["meaning"].get("format") == "record_stream"]
ARROW = [v for v in VECTORS if v["meaning"].get("format") == "arrow_stream"]
CHECKSUMS = [v for v in VECTORS if v["meaning"].get("algorithm") == "crc32c"]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def bytes_of(vector):
    return bytes.fromhex(vector["hex"]) if "hex" in vector else base64.b64decode(vector["base64"])


def named(vectors):
    return [pytest.param(vector, id=vector["name"]) for vector in vectors]


def columns_of(vector):
    return [Column(told["name"], type_from(told["type"])) for told in vector["meaning"]["schema"]]


def moment(text, kind):
    """Seconds and nanoseconds of an ISO time with up to nine digits."""
    head, _, rest = text.partition(".")
    digits = rest.split("+")[0].rstrip("Z")
    at = datetime.fromisoformat(head + ("" if "+" in head else "+00:00") if "+" not in rest else head + "+00:00")
    seconds = int((at - EPOCH).total_seconds())
    return seconds, int(digits.ljust(9, "0")) if digits else 0


def plain(value, kind: DataType):
    """A vector's value as the record stream's."""
    name = kind.name
    if value is None:
        return None
    if isinstance(value, dict) and "hex" in value:
        return bytes.fromhex(value["hex"])
    if name in ("double", "float"):
        return float(value)
    if name in ("tinyint", "smallint", "int", "bigint"):
        return int(value)
    if name == "json":
        return json.dumps(value).encode()
    if name == "date":
        return (date.fromisoformat(value) - date(1970, 1, 1)).days
    if name == "datetime":
        return (datetime.fromisoformat(value) - EPOCH) // timedelta(milliseconds=1)
    if name in ("timestamp", "timestamp_ntz"):
        return moment(value, kind)
    if name == "array":
        return [plain(one, kind.parts[0]) for one in value]
    if name == "map":
        return [(plain(key, kind.parts[0]), plain(held, kind.parts[1])) for key, held in value.items()]
    if name == "struct":
        return tuple(plain(value[field], part) for field, part in zip(kind.fields, kind.parts, strict=True))
    return value.encode() if isinstance(value, str) else value


def rows_of(columns):
    return [list(row) for row in zip(*columns, strict=True)]


def wanted_rows(vector):
    columns = columns_of(vector)
    return [[plain(v, c.kind) for v, c in zip(row, columns, strict=True)] for row in vector["meaning"]["rows"]]


def decoded_rows(body, kinds):
    return [row for columns in records.decoded(body, kinds) for row in rows_of(columns)]


def encoded(rows, kinds):
    return b"".join(records.encoded([list(zip(*rows, strict=True))] if rows else [], kinds))


@pytest.mark.parametrize("vector", named(RECORDS))
def test_what_pyodps_wrote_is_read(vector):
    kinds = [column.kind for column in columns_of(vector)]

    found = decoded_rows(bytes_of(vector), kinds)

    assert repr(found) == repr(wanted_rows(vector))


@pytest.mark.parametrize("vector", named(v for v in RECORDS if not v["name"].endswith("_cython")))
def test_what_is_written_is_what_pyodps_writes(vector):
    kinds = [column.kind for column in columns_of(vector)]

    assert encoded(wanted_rows(vector), kinds) == bytes_of(vector)


@pytest.mark.parametrize("vector", named(RECORDS))
def test_values_survive_arrow(vector):
    columns = columns_of(vector)
    wanted = wanted_rows(vector)

    batch = batch_of([list(column) for column in zip(*wanted, strict=True)] or [[] for _ in columns], columns)

    found = rows_of(values_of(batch, columns))
    assert repr(found) == repr([[scaled(v, c.kind) for v, c in zip(row, columns, strict=True)] for row in wanted])


def scaled(value, kind):
    """Decimals come back with every digit of their scale."""
    if kind.name != "decimal" or value is None:
        return value
    return str(Decimal(value.decode()).quantize(Decimal(1).scaleb(-kind.arguments[1]))).encode()


@pytest.mark.parametrize("vector", named(ARROW))
def test_the_arrow_stream_of_pyodps_is_read(vector):
    columns = columns_of(vector)

    batches = list(arrow_frames.batches(bytes_of(vector), arrow_schema(columns)))

    found = [row for batch in batches for row in rows_of(values_of(batch, columns))]
    assert repr(found) == repr(
        [[scaled(v, c.kind) for v, c in zip(r, columns, strict=True)] for r in wanted_rows(vector)]
    )


@pytest.mark.parametrize("vector", named(ARROW))
def test_the_frame_is_that_of_pyodps(vector):
    body = bytes_of(vector)

    framed = b"".join(arrow_frames.framed([arrow_frames.payload(body)], vector["meaning"]["chunk_size"]))

    assert framed == body


@pytest.mark.parametrize("vector", named(ARROW))
def test_the_schema_is_that_of_pyodps(vector):
    told = pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(vector["meaning"]["arrow_schema_message"]["hex"])))

    assert arrow_schema(columns_of(vector)) == told


@pytest.mark.parametrize("vector", named(CHECKSUMS))
def test_the_checksum_is_that_of_pyodps(vector):
    assert crc32.iscsi(bytes_of(vector)) == vector["meaning"]["checksum"]


SOUND = bytes_of(next(v for v in RECORDS if v["name"] == "record_hundred_rows"))
SOUND_KINDS = [type_from("bigint"), type_from("string")]


@pytest.mark.parametrize("length", [0, 1, 5, 12, len(SOUND) // 2, len(SOUND) - 7, len(SOUND) - 1])
def test_a_stream_that_is_cut_is_refused(length):
    with pytest.raises(Refusal) as refused:
        decoded_rows(SOUND[:length], SOUND_KINDS)

    assert refused.value.code in ("IncompleteBody", "MalformedDataStream")


@pytest.mark.parametrize("at", range(0, len(SOUND), 7))
def test_a_stream_with_a_changed_bit_is_refused(at):
    changed = SOUND[:at] + bytes((SOUND[at] ^ 1,)) + SOUND[at + 1 :]

    with pytest.raises(Refusal):
        decoded_rows(changed, SOUND_KINDS)


ARROW_BODY = bytes_of(next(v for v in ARROW if v["name"] == "arrow_common_types_chunk_64"))
ARROW_COLUMNS = columns_of(next(v for v in ARROW if v["name"] == "arrow_common_types_chunk_64"))


@pytest.mark.parametrize("length", [0, 3, 7, 64, len(ARROW_BODY) // 2, len(ARROW_BODY) - 1])
def test_an_arrow_stream_that_is_cut_is_refused(length):
    with pytest.raises(Refusal):
        list(arrow_frames.batches(ARROW_BODY[:length], arrow_schema(ARROW_COLUMNS)))


@pytest.mark.parametrize("at", range(4, len(ARROW_BODY), 37))
def test_an_arrow_stream_with_a_changed_bit_is_refused(at):
    changed = ARROW_BODY[:at] + bytes((ARROW_BODY[at] ^ 1,)) + ARROW_BODY[at + 1 :]

    with pytest.raises(Refusal):
        list(arrow_frames.batches(changed, arrow_schema(ARROW_COLUMNS)))


def test_rows_of_other_columns_are_refused():
    schema = arrow_schema([Column("a", type_from("string")), Column("b", type_from("bigint"))])

    with pytest.raises(Refusal):
        list(arrow_frames.batches(ARROW_BODY, schema))


@pytest.mark.parametrize(
    ("kind", "value"),
    [("decimal(5,2)", b"1234.5"), ("decimal(5,2)", b"nan"), ("string", b"\xff\xfe"), ("timestamp", (2**40, 0))],
)
def test_a_value_that_its_column_cannot_hold_is_refused(kind, value):
    with pytest.raises(Refusal) as refused:
        batch_of([[value]], [Column("c", type_from(kind))])

    assert refused.value.code == "MalformedDataStream"
    assert "Column c" in refused.value.message


@pytest.mark.parametrize(
    ("kind", "value"), [("date", 2_932_897), ("date", -719_163), ("datetime", 253_402_300_800_000)]
)
def test_a_year_that_the_service_does_not_have_is_refused(kind, value):
    columns = [Column("c", type_from(kind))]

    check(batch_of([[0, None]], columns), columns)
    check(batch_of([[None]], columns), columns)
    with pytest.raises(Refusal) as refused:
        check(batch_of([[0, value]], columns), columns)

    assert refused.value.code == "InvalidArgument"


def test_a_number_beyond_its_type_is_refused():
    body = encoded([[128]], [type_from("bigint")])

    with pytest.raises(Refusal):
        decoded_rows(body, [type_from("tinyint")])
