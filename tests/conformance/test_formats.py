"""Every format against the pack."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_tablestore.pipeline.formats.compression import Compression
from airflow_tablestore.pipeline.formats.csv import Csv
from airflow_tablestore.pipeline.formats.jsonl import JsonLines
from airflow_tablestore.pipeline.formats.parquet import Parquet
from airflow_tablestore.pipeline.formats.text import Text
from tests.conformance.format_pack import CLAIMS, HARD_ROWS, PLAIN_ROWS, SCHEMA, Case

Rows = list[tuple[Any, ...]]


def value(text: str | None, kind: pa.DataType) -> Any:
    if text is None:
        return None
    if pa.types.is_integer(kind):
        return int(text)
    if pa.types.is_floating(kind):
        return float(text)
    if pa.types.is_boolean(kind):
        return {"true": True, "false": False}[text]
    return base64.b64decode(text, validate=True) if pa.types.is_binary(kind) else text


def typed(lines: list[list[str | None]]) -> Rows:
    return [tuple(value(c, f.type) for c, f in zip(line, SCHEMA, strict=True)) for line in lines]


def quoted_fields(text: str, delimiter: str, null: str) -> list[list[str | None]]:
    """RFC 4180 by hand, because no reader of the standard library tells "" in quotes from nothing."""
    lines: list[list[str | None]] = []
    line: list[str | None] = []
    at = 0
    while at < len(text):
        if text[at] == '"':
            field, at = "", at + 1
            while True:
                end = text.index('"', at)
                field, at = field + text[at:end], end + 1
                if text[at] != '"':
                    break
                field, at = field + '"', at + 1
            line.append(field)
        else:
            end = min(i for i in (text.find(delimiter, at), text.find("\n", at)) if i >= 0)
            assert "\r" not in text[at:end]
            line.append(None if text[at:end] == null else text[at:end])
            at = end
        if text[at] == "\n":
            lines.append(line)
            line = []
        at += 1
    return lines


def csv_reader(delimiter: str = ",", null: str = "", encoding: str = "utf-8") -> Any:
    def read(data: bytes) -> Rows:
        lines = quoted_fields(data.decode(encoding), delimiter, null)
        assert lines[0] == SCHEMA.names
        return typed(lines[1:])

    return read


def text_reader(delimiter: str, null: str) -> Any:
    def read(data: bytes) -> Rows:
        lines = data.decode().split("\n")[:-1]
        return typed([[None if f == null else f for f in line.split(delimiter)] for line in lines])

    return read


def read_jsonl(data: bytes) -> Rows:
    rows: Rows = []
    for line in data.decode().split("\n")[:-1]:
        row = json.loads(line, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
        assert list(row) == SCHEMA.names
        d, x = row["d"], row["x"]
        rows.append(
            (row["id"], None if d is None else float(d), row["b"], row["s"], None if x is None else base64.b64decode(x))
        )
    return rows


def read_parquet(data: bytes) -> Rows:
    table = pq.read_table(io.BytesIO(data))
    assert table.schema.equals(SCHEMA)
    return [tuple(row.values()) for row in table.to_pylist()]


def unzstd(data: bytes) -> bytes:
    return pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()


no_breaks = [row for row in HARD_ROWS if row[3] is None or not set("\r\n") & set(row[3])]

CASES = [
    Case("csv", Csv(), csv_reader()),
    Case("csv, null as a word", Csv(null="null"), csv_reader(null="null")),
    Case("csv, null as a number", Csv(null="0"), csv_reader(null="0")),
    Case("csv, every cell quoted", Csv(quote="all"), csv_reader()),
    Case("csv, tab", Csv(delimiter="\t"), csv_reader("\t")),
    Case("csv, a digit as delimiter", Csv(delimiter="1"), csv_reader("1")),
    Case("csv, UTF-16", Csv(encoding="UTF-16"), csv_reader(encoding="utf-16")),
    Case("csv, gzip", Csv(compression=Compression.GZIP), lambda data: csv_reader()(gzip.decompress(data))),
    Case("csv, zstd", Csv(compression=Compression.ZSTD), lambda data: csv_reader()(unzstd(data))),
    Case("csv, never quoted", Csv(quote="none", null="~"), csv_reader(null="~"), PLAIN_ROWS),
    Case("text", Text(delimiter="\x01", null="\\NULL"), text_reader("\x01", "\\NULL"), no_breaks[:-1]),
    Case("text, long delimiter", Text(delimiter="||", null="~"), text_reader("||", "~"), no_breaks),
    Case("jsonl", JsonLines(), read_jsonl),
    Case("jsonl, gzip", JsonLines(Compression.GZIP), lambda data: read_jsonl(gzip.decompress(data))),
    Case("parquet", Parquet(), read_parquet),
    Case("parquet, small groups", Parquet("snappy", row_group_rows=5), read_parquet),
]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.__name__)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_format(case: Case, claim: Any) -> None:
    claim(case)


def test_the_standard_library_reads_our_csv() -> None:
    from tests.conformance.format_pack import batch_of, encoded

    data = encoded(Csv(), [batch_of(HARD_ROWS)])

    lines = list(csv.reader(io.StringIO(data.decode(), newline="")))

    assert lines[0] == SCHEMA.names
    assert [line[3] for line in lines[1:]] == [row[3] or "" for row in HARD_ROWS]


def test_pyarrow_reads_our_csv_with_null_and_empty_apart() -> None:
    import pyarrow.csv as pc

    from tests.conformance.format_pack import batch_of, encoded

    data = encoded(Csv(null="null"), [batch_of(HARD_ROWS)])

    options = pc.ConvertOptions(
        column_types={"id": pa.int64(), "d": pa.float64(), "b": pa.bool_(), "s": pa.string(), "x": pa.string()},
        null_values=["null"],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    table = pc.read_csv(
        io.BytesIO(data), parse_options=pc.ParseOptions(newlines_in_values=True), convert_options=options
    )

    assert table["s"].to_pylist() == [row[3] for row in HARD_ROWS]
    assert table["id"].to_pylist() == [row[0] for row in HARD_ROWS]
