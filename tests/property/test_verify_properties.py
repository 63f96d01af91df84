"""Verification against a dictionary: what two random tables do not share is counted and named, and nothing else."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_tablestore.consumer.table import show_key
from airflow_tablestore.pipeline.formats.csv import Csv
from airflow_tablestore.pipeline.formats.jsonl import JsonLines
from airflow_tablestore.pipeline.formats.parquet import Parquet
from airflow_tablestore.pipeline.full_export.export import FullExport, ObjectTarget, Services, TableSelection
from airflow_tablestore.pipeline.full_export.export import run as export
from airflow_tablestore.pipeline.verify.report import Kind
from airflow_tablestore.pipeline.verify.verify import Verify, VerifyServices, verify
from airflow_tablestore.wire.row import Cell, ColumnType, Row
from airflow_tablestore.wire.table import KeyColumn
from tests.conformance.memory_store import MemoryStore
from tests.conformance.memory_table import MemoryTable

KEYS = (KeyColumn("k", ColumnType.STRING), KeyColumn("n", ColumnType.INTEGER))
keys = st.tuples(st.text("ab\x00é,\"'\n", max_size=2), st.integers(-1, 1) | st.sampled_from([-(2**63), 2**63 - 1]))
VALUES = {
    "s": st.text(max_size=3),
    "i": st.integers(-(2**63), 2**63 - 1),
    "d": st.floats(),
    "b": st.binary(max_size=3),
    "t": st.booleans(),
}
rows = st.fixed_dictionaries({}, optional=VALUES)
tables = st.dictionaries(keys, rows, max_size=8)


def table(found, points):
    made = [
        Row((("k", k), ("n", n)), tuple(Cell(name, value, 1) for name, value in sorted(cells.items())))
        for (k, n), cells in sorted(found.items())
    ]
    cuts = [(("k", k), ("n", n)) for k, n in points]
    return MemoryTable(made, keys=KEYS, points=cuts, page_rows=2, defined=tuple((n, TYPES[n]) for n in VALUES))


TYPES = {
    "s": ColumnType.STRING,
    "i": ColumnType.INTEGER,
    "d": ColumnType.DOUBLE,
    "b": ColumnType.BINARY,
    "t": ColumnType.BOOLEAN,
}


def as_told(cells):
    """Cells as they are compared: NaN equals itself, and the zeros differ."""
    return {name: repr(value) for name, value in cells.items()}


@settings(max_examples=30, deadline=None)
@given(
    before=tables,
    changes=st.dictionaries(keys, st.none() | rows, max_size=4),
    points=st.lists(keys, max_size=3, unique=True),
    format=st.sampled_from([Csv(), JsonLines(), Parquet()]),
)
def test_exactly_the_keys_that_differ_are_named(before, changes, points, format):
    now = {key: cells for key, cells in {**before, **changes}.items() if cells is not None}
    store, points = MemoryStore(), sorted(points)
    target = ObjectTarget("fake", "p/", format, max_object_bytes=60)
    export(FullExport("p", TableSelection("t"), target), Services(table(before, points), store), run="r")

    found = verify(Verify("t", "p/", most_named=99), VerifyServices(table(now, points), store))

    shown = {key: show_key((("k", key[0]), ("n", key[1]))) for key in {*before, *now}}
    both = before.keys() & now.keys()
    changed = {shown[key] for key in both if as_told(before[key]) != as_told(now[key])}
    assert {one.key for one in found.named if one.kind is Kind.MISSING} == {
        shown[k] for k in now.keys() - before.keys()
    }
    assert {one.key for one in found.named if one.kind is Kind.EXTRA} == {shown[k] for k in before.keys() - now.keys()}
    assert {one.key for one in found.named if one.kind is Kind.CHANGED} == changed
    assert (found.rows, found.published, found.counts[Kind.DOUBLED]) == (len(now), len(before), 0)
    assert found.is_same == (not found.named)
