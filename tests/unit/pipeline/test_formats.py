"""The formats' own corners: what the pack cannot ask of all."""

from __future__ import annotations

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_tablestore.errors import RecordError, SpecError
from airflow_tablestore.pipeline.contract import JSON_MARK
from airflow_tablestore.pipeline.formats.compression import Compression
from airflow_tablestore.pipeline.formats.csv import Csv
from airflow_tablestore.pipeline.formats.dates import strftime_of
from airflow_tablestore.pipeline.formats.groups import Groups
from airflow_tablestore.pipeline.formats.jsonl import JsonLines
from airflow_tablestore.pipeline.formats.parquet import Parquet
from airflow_tablestore.pipeline.formats.text import Text
from tests.conformance.format_pack import encoded


def strings(*cells: str | None, name: str = "s") -> pa.RecordBatch:
    return pa.record_batch([pa.array(cells, pa.string())], names=[name])


def text_of(format, batch: pa.RecordBatch) -> str:
    return encoded(format, [batch], batch.schema).decode()


def test_csv_quotes_the_empty_string_and_never_a_null():
    batch = pa.record_batch([pa.array([1, 2, 3]), pa.array(["", None, "null"])], names=["id", "s"])

    assert text_of(Csv(), batch) == 'id,s\n1,""\n2,\n3,null\n'
    assert text_of(Csv(null="null"), batch) == 'id,s\n1,""\n2,null\n3,"null"\n'


def test_csv_quotes_only_the_cells_that_need_it():
    batch = strings("plain", "a,b", 'a"b', "a\rb", " a", "a ", "#a")

    assert text_of(Csv(header=False), batch) == 'plain\n"a,b"\n"a""b"\n"a\rb"\n" a"\n"a "\n#a\n'


def test_csv_writes_doubles_that_stay_doubles():
    batch = pa.record_batch([pa.array([1.0, -0.0, 1e300, float("nan"), float("-inf")])], names=["d"])

    assert text_of(Csv(header=False), batch) == "1.0\n-0.0\n1e+300\nNaN\n-Infinity\n"


def test_csv_header_is_quoted_as_cells_are():
    assert text_of(Csv(), strings("x", name="a,b")) == '"a,b"\nx\n'


def test_csv_without_quotes_refuses_rows_that_need_them():
    batch = strings("fine", "a,b", "", None)

    unfit = Csv(quote="none", null="").unfit(batch)

    assert [u.row for u in unfit] == [1, 2, 3]
    assert "column 's'" in unfit[0].reason


def test_csv_of_one_column_refuses_a_null_that_is_an_empty_line():
    assert [u.row for u in Csv().unfit(strings("a", None))] == [1]
    assert not Csv(null="null").unfit(strings("a", None))


def test_text_refuses_cells_that_would_not_read_back():
    batch = strings("a|b", "a||b", "end|", "two\nlines", r"\N", None, "")

    assert [u.row for u in Text(delimiter="||").unfit(batch)] == [1, 2, 3, 4]


def test_a_character_that_the_encoding_lacks_is_named():
    batch = strings("中文", "🙂")

    unfit = Csv(encoding="GBK", null="-").unfit(batch)

    assert [u.row for u in unfit] == [1]
    assert "U+1F642" in unfit[0].reason
    with pytest.raises(RecordError, match=r"U\+1F642"):
        encoded(Csv(encoding="GBK"), [batch], batch.schema)


def test_jsonl_holds_json_columns_as_objects():
    schema = pa.schema([pa.field("id", pa.int64()), pa.field("_other", pa.string(), metadata={JSON_MARK: b"1"})])
    batch = pa.record_batch([pa.array([1, 2]), pa.array(['{"a": 1}', None])], schema=schema)

    lines = text_of(JsonLines(), batch).splitlines()

    assert [json.loads(line) for line in lines] == [{"id": 1, "_other": {"a": 1}}, {"id": 2, "_other": None}]


def test_gzip_holds_neither_time_nor_name():
    data = encoded(Csv(compression=Compression.GZIP), [strings("a")], strings("a").schema)

    assert data[3:8] == bytes(5)
    assert gzip.decompress(data) == b"s\na\n"


@pytest.mark.parametrize("format", [Csv(compression=c) for c in Compression] + [Text(), JsonLines(), Parquet()])
def test_suffix_tells_format_and_compression(format):
    described = format.describe()

    ends = {"gzip": ".gz", "zstd": ".zst"} if described["type"] != "parquet" else {}
    stem = {"csv": ".csv", "text": ".txt", "jsonl": ".jsonl", "parquet": ".parquet"}[described["type"]]
    assert format.suffix == stem + ends.get(described.get("compress", ""), "")


def test_parquet_row_groups_have_the_rows_asked_for():
    batch = pa.record_batch([pa.array(range(25))], names=["n"])

    data = encoded(Parquet(row_group_rows=10), [batch.slice(0, 3), batch.slice(3)], batch.schema)

    meta = pq.ParquetFile(pa.BufferReader(data)).metadata
    assert [meta.row_group(i).num_rows for i in range(meta.num_row_groups)] == [10, 10, 5]


def test_groups_end_at_the_row_that_fills_them():
    batch = strings("x" * 92, "x" * 92, "x" * 92, "x" * 500, "x")
    groups = Groups(batch.schema, rows=100, max_bytes=150)

    taken = [*groups.add(batch), *groups.rest()]

    assert [g.num_rows for g in taken] == [2, 2, 1]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Csv(delimiter="||"),
        lambda: Csv(delimiter="\n"),
        lambda: Csv(null="a,b"),
        lambda: Csv(quote="some"),
        lambda: Csv(encoding="klingon"),
        lambda: Csv(encoding="base64"),
        lambda: Csv(encoding="ISO-2022-JP"),
        lambda: Text(encoding="HZ-GB-2312"),
        lambda: Text(encoding="UTF7"),
        lambda: Csv(date_format="QQQ"),
        lambda: Text(delimiter=""),
        lambda: Text(delimiter="N"),
        lambda: Parquet(compression="lzo"),
        lambda: Parquet(row_group_rows=0),
    ],
)
def test_settings_are_refused_where_they_are_made(wrong):
    with pytest.raises(SpecError):
        wrong()


def test_date_formats_of_java_and_python_are_understood():
    assert strftime_of("yyyy-MM-dd HH:mm:ss") == "%Y-%m-%d %H:%M:%S"
    assert strftime_of("yyyyMMdd'T'HHmmss") == "%Y%m%dT%H%M%S"
    assert strftime_of("%d.%m.%Y") == "%d.%m.%Y"


def test_times_follow_the_date_format():
    moment = pa.array([1_700_000_000_123_456], pa.timestamp("us", "UTC"))
    batch = pa.record_batch([moment], names=["t"])

    assert text_of(Csv(header=False), batch) == "2023-11-14T22:13:20+0000\n"
    assert text_of(Csv(header=False, date_format="yyyy-MM-dd HH:mm:ss"), batch) == "2023-11-14 22:13:20\n"
