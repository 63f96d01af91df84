"""What every format must do, whichever it is. A format joins in one line of `test_formats.py`.

A reader gives back the rows as Python values; it is written for the test with plain libraries, not with our code.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from airflow_tablestore.pipeline.contract import Format

SCHEMA = pa.schema([("id", pa.int64()), ("d", pa.float64()), ("b", pa.bool_()), ("s", pa.string()), ("x", pa.binary())])

HARD_ROWS: tuple[tuple[Any, ...], ...] = (
    (0, 0.0, True, "", b""),
    (-(2**63), -0.0, False, "null", b"\x00\xff"),
    (2**63 - 1, math.nan, None, None, None),
    (1, math.inf, True, " outer blanks\t", b"\n"),
    (2, -math.inf, False, 'a "quote", a comma', b'"'),
    (3, 5e-324, True, "line\nbreak", b"a,b"),
    (4, 1.7976931348623157e308, True, "lone\rreturn", b"x" * 1000),
    (5, 0.1 + 0.2, True, "\\N", b"\\N"),
    (6, 1e16, True, "中文 🙂 é", "é".encode()),
    (7, 9007199254740993.0, True, "NaN", b"1"),
    (8, None, True, '"', b"2"),
    (9, 3.0, True, "#comment", b"3"),
    (10, 1e-7, True, "\u2028\x00\x01\x7f", b"4"),
)

PLAIN_ROWS: tuple[tuple[Any, ...], ...] = tuple(
    (number, number / 7, number % 2 == 0, f"name {number}", bytes([number % 256])) for number in range(3000)
)


@dataclass(frozen=True)
class Case:
    """One format as set, the reader of what it writes, and rows that it holds."""

    name: str
    format: Format
    read: Callable[[bytes], list[tuple[Any, ...]]]
    rows: Sequence[tuple[Any, ...]] = HARD_ROWS


def batch_of(rows: Sequence[tuple[Any, ...]], schema: pa.Schema = SCHEMA) -> pa.RecordBatch:
    columns = list(zip(*rows, strict=True)) if rows else [() for _ in schema]
    return pa.record_batch([pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


def encoded(format: Format, batches: Sequence[pa.RecordBatch], schema: pa.Schema = SCHEMA) -> bytes:
    sink = io.BytesIO()
    encoder = format.encoder(schema, sink)
    for batch in batches:
        encoder.write(batch)
    encoder.close()
    return sink.getvalue()


def cut(batch: pa.RecordBatch, sizes: Sequence[int]) -> list[pa.RecordBatch]:
    """The batch in pieces of these sizes, over and over."""
    pieces, start, turn = [], 0, 0
    while start < batch.num_rows:
        size = sizes[turn % len(sizes)]
        pieces.append(batch.slice(start, size))
        start, turn = start + size, turn + 1
    return pieces


def same(found: Any, expected: Any) -> bool:
    """Equal to the last bit: -0.0 is not 0.0 here, NaN is NaN, True is not 1."""
    if isinstance(expected, float) and isinstance(found, float):
        return (math.isnan(found) and math.isnan(expected)) or struct.pack("d", found) == struct.pack("d", expected)
    return type(found) is type(expected) and found == expected


def assert_rows(found: Sequence[tuple[Any, ...]], expected: Sequence[tuple[Any, ...]]) -> None:
    assert len(found) == len(expected)
    for number, (one, other) in enumerate(zip(found, expected, strict=True)):
        for name, a, b in zip(SCHEMA.names, one, other, strict=True):
            assert same(a, b), f"row {number}, {name}: {a!r} is not {b!r}"


def every_value_reads_back(case: Case) -> None:
    data = encoded(case.format, [batch_of(case.rows)])

    assert_rows(case.read(data), case.rows)


def nothing_is_unfit(case: Case) -> None:
    assert not case.format.unfit(batch_of(case.rows))


def borders_of_batches_do_not_show(case: Case) -> None:
    batch = batch_of([*case.rows, *PLAIN_ROWS])

    whole = encoded(case.format, [batch])

    assert encoded(case.format, cut(batch, [1, 7, 500])) == whole
    assert encoded(case.format, cut(batch, [999])) == whole


def no_rows_is_a_valid_object(case: Case) -> None:
    data = encoded(case.format, [])

    assert case.read(data) == []


def the_description_is_json(case: Case) -> None:
    import json

    described = case.format.describe()

    assert json.loads(json.dumps(described)) == described
    assert described["type"]


CLAIMS = (
    every_value_reads_back,
    nothing_is_unfit,
    borders_of_batches_do_not_show,
    no_rows_is_a_valid_object,
    the_description_is_json,
)
