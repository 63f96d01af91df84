"""Every type of Tablestore into every type of MaxCompute that it may go into, through Arrow; pyodps reads it back.

What each should hold there is written here by hand, by the table of docs/reference/maxcompute.md.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from odps import ODPS

from airflow_tablestore.emulator import LocalCloud
from airflow_tablestore.emulator.accounts import DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET
from airflow_tablestore.errors import SpecError
from airflow_tablestore.pipeline.full_export.export import FullExport, Services, TableSelection, Unknown, run
from airflow_tablestore.pipeline.sinks.table_values import RULES
from airflow_tablestore.pipeline.target import TableTarget
from airflow_tablestore.wire.row import ColumnType
from tests.conformance.memory_table import MemoryTable, row
from tests.integration.loading import warehouse

pytestmark = pytest.mark.slow

MOMENT = datetime(2026, 11, 21, 4, 22, 12, 345000, tzinfo=UTC)
MILLIS = 1_795_234_932_345
NUMBERED = {"decimal": "decimal(10,2)", "int": "smallint"}

CASES = [
    ("integer", "int", -7, -7),
    ("integer", "double", 2**53, float(2**53)),
    ("integer", "float", 1 << 20, float(1 << 20)),
    ("integer", "decimal", 12, Decimal("12.00")),
    ("integer", "string", -(2**63), "-9223372036854775808"),
    ("integer", "boolean", 1, True),
    ("integer", "datetime", MILLIS, MOMENT),
    ("integer", "timestamp", MILLIS, MOMENT),
    ("double", "double", -0.1, -0.1),
    ("double", "float", 0.5, 0.5),
    ("double", "int", 12.0, 12),
    ("double", "decimal", 1.25, Decimal("1.25")),
    ("double", "string", 1e300, "1e+300"),
    ("boolean", "boolean", False, False),
    ("boolean", "int", True, 1),
    ("boolean", "string", True, "true"),
    ("string", "string", "héllo \n\0", "héllo \n\0"),
    ("string", "binary", "中", "中".encode()),
    ("string", "int", "-32768", -32768),
    ("string", "double", "1.5", 1.5),
    ("string", "float", "1.5", 1.5),
    ("string", "decimal", "-9.99", Decimal("-9.99")),
    ("string", "boolean", "TRUE", True),
    ("string", "datetime", "2026-11-21T12:22:12.345+08:00", MOMENT),
    ("string", "timestamp", "2026-11-21 04:22:12.345", MOMENT),
    ("string", "date", "2026-11-21", date(2026, 11, 21)),
    ("binary", "binary", b"\x00\xff", b"\x00\xff"),
    ("binary", "string", b"\x00\xff", "AP8="),
]


@pytest.fixture(scope="module")
def cloud():
    with LocalCloud() as made:
        yield made


def loaded(cloud, columns, cells):
    """The row that is there once these cells were exported into a table of these columns."""
    cloud.sql("drop table if exists typed")
    cloud.sql(f"create table typed (id bigint, {', '.join(columns)})")
    at = cloud.maxcompute
    export = FullExport("typed", TableSelection("t", unknown=Unknown.DROP), TableTarget("typed", truncates=True))
    types = tuple((name, ColumnType(value[0])) for name, value in cells.items())
    source = MemoryTable([row((("id", 1),), **{name: value[1] for name, value in cells.items()})], defined=types)
    run(export, Services(source, warehouse(at.endpoint, at.project)), run="r")
    if any("timestamp" in column for column in columns):
        return cloud.maxcompute_rows("typed")[0]  # pyodps gives no timestamps without pandas
    odps = ODPS(DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET, project=at.project, endpoint=at.endpoint)
    with odps.get_table("typed").open_reader(reopen=True) as reader:
        return dict(next(iter(reader)))


def plain(value):
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return value


def test_every_rule_has_its_case():
    assert {(source, base) for source, base, _, _ in CASES} == set(RULES)


@pytest.mark.parametrize("are_timestamps", [False, True])
def test_every_type_goes_through_arrow(cloud, are_timestamps):
    cases = {f"{case[0]}_to_{case[1]}": case for case in CASES if (case[1] == "timestamp") is are_timestamps}
    columns = [f"{name} {NUMBERED.get(case[1], case[1])}" for name, case in cases.items()]

    found = loaded(cloud, columns, {name: (case[0], case[2]) for name, case in cases.items()})

    assert {name: plain(found[name]) for name in cases} == {name: case[3] for name, case in cases.items()}


@pytest.mark.parametrize("kind", ["tinyint", "smallint", "int", "bigint"])
def test_every_width_of_integers(cloud, kind):
    assert loaded(cloud, [f"n {kind}"], {"n": ("integer", -1)})["n"] == -1


@pytest.mark.parametrize(("kind", "there"), [("varchar(3)", "abc"), ("char(5)", "abc"), ("timestamp_ntz", MOMENT)])
def test_types_that_go_by_the_rule_of_another(cloud, kind, there):
    given = "abc" if there == "abc" else "2026-11-21 04:22:12.345"

    found = plain(loaded(cloud, [f"x {kind}"], {"x": ("string", given)})["x"])

    assert (found.strip() if isinstance(found, str) else found) == there


def test_nested_columns_that_nothing_goes_into_are_null(cloud):
    nested = ["a array<bigint>", "m map<string,double>", "s struct<x:string,y:decimal(3,1)>"]

    found = loaded(cloud, ["n bigint", *nested], {"n": ("integer", 5)})

    assert found == {"id": 1, "n": 5, "a": None, "m": None, "s": None}


def test_a_column_that_arrow_has_no_type_for_is_named(cloud):
    with pytest.raises(SpecError, match="'j' is JSON, which cannot be written"):
        loaded(cloud, ["n bigint", "j json"], {"n": ("integer", 5)})
