"""Values into a table's columns: what fits is exactly there, what does not is named."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from airflow_tablestore.errors import SpecError
from airflow_tablestore.pipeline.contract import OverLength
from airflow_tablestore.pipeline.sinks.table_columns import mapping_of
from airflow_tablestore.pipeline.sinks.table_values import RULES
from airflow_tablestore.pipeline.warehouse import TableColumn

PAGE = Path(__file__).parents[3] / "docs/reference/maxcompute.md"
ARROW = {
    "integer": pa.int64(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "string": pa.string(),
    "binary": pa.binary(),
}
NAMES = {"int": "BIGINT, INT, SMALLINT, TINYINT", "string": "STRING, VARCHAR, CHAR", "timestamp": "TIMESTAMP(_NTZ)"}


def converted(value, source, column, *, over=OverLength.FAIL, nullable=True, most=0):
    """The one value in the table, or the reason why it cannot be there."""
    output = pa.schema([pa.field("v", ARROW[source])])
    mapping = mapping_of(output, [TableColumn("v", column, nullable)], None, over, most)
    rows, reasons = mapping.apply(pa.RecordBatch.from_arrays([pa.array([value], ARROW[source])], schema=output))
    return reasons[0] if reasons else rows.column(0)[0].as_py()


@pytest.mark.parametrize(
    ("value", "source", "column", "there"),
    [
        (2**63 - 1, "integer", "bigint", 2**63 - 1),
        (-128, "integer", "tinyint", -128),
        (7, "integer", "smallint", 7),
        (2**53, "integer", "double", float(2**53)),
        (-5, "integer", "string", "-5"),
        (5, "integer", "decimal(10,2)", Decimal("5.00")),
        (1, "integer", "boolean", True),
        (1_700_000_000_123, "integer", "datetime", datetime(2023, 11, 14, 22, 13, 20, 123000)),
        (-1, "integer", "timestamp", datetime(1969, 12, 31, 23, 59, 59, 999000)),
        (0.1, "double", "double", 0.1),
        (0.5, "double", "float", 0.5),
        (3.0, "double", "bigint", 3),
        (0.1, "double", "string", "0.1"),
        (0.1, "double", "decimal(10,2)", Decimal("0.10")),
        (True, "boolean", "boolean", True),
        (False, "boolean", "string", "false"),
        (True, "boolean", "int", 1),
        ("杭州", "string", "varchar(2)", "杭州"),
        ("", "string", "string", ""),
        ("12", "string", "int", 12),
        ("1e3", "string", "double", 1000.0),
        ("1.50", "string", "decimal(3,1)", Decimal("1.5")),
        ("TRUE", "string", "boolean", True),
        ("é", "string", "binary", "é".encode()),
        ("2026-11-21 04:22:12.5", "string", "datetime", datetime(2026, 11, 21, 4, 22, 12, 500000)),
        ("2026-11-21T04:22:12+08:00", "string", "timestamp", datetime(2026, 11, 20, 20, 22, 12)),
        ("2026-11-21", "string", "date", date(2026, 11, 21)),
        (b"\x00\xff", "binary", "binary", b"\x00\xff"),
        (b"\x00\xff", "binary", "string", "AP8="),
        (None, "string", "bigint", None),
    ],
)
def test_a_value_that_fits_is_there_as_it_is(value, source, column, there):
    assert converted(value, source, column) == there


@pytest.mark.parametrize(
    ("value", "source", "column", "told"),
    [
        (128, "integer", "tinyint", "out of range"),
        (2**53 + 1, "integer", "double", "more digits than fit"),
        (2, "integer", "boolean", "neither 0 nor 1"),
        (10**18, "integer", "datetime", "outside of the years 1 to 9999"),
        (10**14, "integer", "timestamp", "out of range"),
        (1000, "integer", "decimal(3,1)", "more digits than fit"),
        (0.1, "double", "float", "more digits than fit"),
        (0.5, "double", "bigint", "no whole number"),
        (float("nan"), "double", "bigint", "no whole number"),
        (float("inf"), "double", "decimal(10,2)", "no finite number"),
        (1.255, "double", "decimal(10,2)", "more digits than fit"),
        ("abc", "string", "varchar(2)", "holds 2 characters and the value has 3"),
        ("1.5", "string", "bigint", "no whole number"),
        ("x", "string", "double", "no number"),
        ("yes", "string", "boolean", "neither true nor false"),
        ("2026-11-21 04:22:12.123456", "string", "datetime", "finer than a millisecond"),
        ("yesterday", "string", "timestamp", "no time such as"),
        ("yesterday", "string", "date", "no date such as"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_its_column(value, source, column, told):
    reason = converted(value, source, column)

    assert "column 'v'" in reason
    assert told in reason


@pytest.mark.parametrize(
    ("over", "there"),
    [(OverLength.TRUNCATE, "éé"), (OverLength.NULL, None), (OverLength.FAIL, "holds 5 bytes and the value has 6")],
)
def test_too_many_bytes_are_what_the_author_chose(over, there):
    found = converted("ééé", "string", "string", over=over, most=5)

    assert found == there or (there and there in found)


def test_null_is_refused_where_the_table_has_none():
    assert "NOT NULL" in converted(None, "integer", "bigint", nullable=False)


def test_every_reason_of_a_batch_names_its_row():
    output = pa.schema([pa.field("a", pa.int64()), pa.field("b", pa.string())])
    mapping = mapping_of(output, [TableColumn("B", "varchar(1)"), TableColumn("a", "tinyint")], None)
    batch = pa.RecordBatch.from_pydict({"a": [1, 300, None, 2], "b": ["x", "y", "zz", None]}, schema=output)

    rows, reasons = mapping.apply(batch)

    assert sorted(reasons) == [1, 2]
    assert rows.schema.names == ["B", "a"]
    assert rows.slice(3).to_pylist() == [{"B": None, "a": 2}]


@pytest.mark.parametrize("source", ARROW)
@pytest.mark.parametrize("column", ["bigint", "double", "boolean", "string", "binary", "datetime", "date", "decimal"])
def test_a_pair_of_types_is_converted_or_refused_before_rows_flow(source, column):
    output = pa.schema([pa.field("v", ARROW[source])])
    base = "int" if column == "bigint" else column

    if (source, base) in RULES:
        assert mapping_of(output, [TableColumn("v", column)], None).schema.names == ["v"]
    else:
        with pytest.raises(SpecError, match="cannot take values of type"):
            mapping_of(output, [TableColumn("v", column)], None)


def test_a_table_that_does_not_fit_is_told_with_all_its_problems():
    output = pa.schema([pa.field("a", pa.int64()), pa.field("_other", pa.string())])
    columns = [TableColumn("b", "bigint", is_nullable=False), TableColumn("c", "json")]

    with pytest.raises(SpecError) as raised:
        mapping_of(output, columns, None)

    told = [problem.message for problem in raised.value.problems]
    assert told == [
        "the table has no column 'a'",
        "the table has no column '_other'",
        "nothing goes into 'b', which is NOT NULL",
        "column 'c' is JSON, which cannot be written",
    ]


def test_as_many_columns_must_be_named_as_there_are():
    output = pa.schema([pa.field("a", pa.int64())])

    with pytest.raises(SpecError, match="2 columns are named and the output has 1: a"):
        mapping_of(output, [TableColumn("x", "bigint")], ["x", "y"])


def table_of_rules():
    """The rules in Markdown, as the page has them."""
    rows = [(source, NAMES.get(base, base.upper()), rule.told) for (source, base), rule in RULES.items()]
    head = ["| in Tablestore | in MaxCompute | how |", "| --- | --- | --- |"]
    return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in rows)])


def test_the_page_has_every_rule():
    assert table_of_rules() in PAGE.read_text()
