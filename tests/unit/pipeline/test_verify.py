"""A table beside its export, in memory: what is the same is told so, what differs is named, and reading is bounded."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from airflow_tablestore.consumer.table import cut_by_size, full_range
from airflow_tablestore.errors import ProtocolError, SpecError
from airflow_tablestore.pipeline.contract import Constant, Picked
from airflow_tablestore.pipeline.formats.csv import Csv
from airflow_tablestore.pipeline.formats.jsonl import JsonLines
from airflow_tablestore.pipeline.formats.parquet import Parquet
from airflow_tablestore.pipeline.formats.text import Text
from airflow_tablestore.pipeline.full_export.export import FullExport, ObjectTarget, Services, TableSelection, WriteMode
from airflow_tablestore.pipeline.full_export.export import run as export
from airflow_tablestore.pipeline.verify.checksums import Spans, Tally, differing, fingerprint
from airflow_tablestore.pipeline.verify.report import Difference, Kind
from airflow_tablestore.pipeline.verify.verify import Verify, VerifyServices, estimate, verify
from airflow_tablestore.wire.row import INF_MAX, INF_MIN, ColumnType
from airflow_tablestore.wire.table import KeyColumn, SplitPoints
from tests.conformance.memory_store import MemoryStore
from tests.conformance.memory_table import MemoryTable, numbered, row

PREFIX = "gps/full/"
POINTS = [(("id", number),) for number in (10, 20, 30)]
ROWS = [
    row((("id", 1),), s="", d=-0.0, b=b"\x00\xff", t=True, i=2**63 - 1),
    row((("id", 2),)),
    row((("id", 3),), s="null", d=math.inf, i=-(2**63)),
    row((("id", 4),), s='a "b",\r\n c', surplus=b"no column"),
]


def table(rows, **how):
    return MemoryTable(rows, **{"points": POINTS, **how})


def published(rows, format=None, store=None, run="r1", mode=WriteMode.TRUNCATE, **how):
    store = store or MemoryStore()
    target = ObjectTarget("fake", PREFIX, format or Csv(), mode)
    export(FullExport("gps", TableSelection("t", **how), target), Services(table(rows), store), run=run)
    return store


def compared(rows, store, **job):
    return verify(Verify("t", PREFIX, **job), VerifyServices(table(rows), store))


def without(rows, number):
    return [one for one in rows if one.key != (("id", number),)]


def objects_of(store, suffix=".csv"):
    return [one.key for one in store.list(PREFIX) if one.key.endswith(suffix)]


@pytest.mark.parametrize("format", [Csv(), JsonLines(), Parquet(), Text()], ids=["csv", "jsonl", "parquet", "text"])
def test_an_export_is_the_same_as_its_table_in_every_format(format):
    rows = ROWS[:3] if isinstance(format, Text) else ROWS

    found = compared(rows, published(rows, format))

    assert (found.is_same, found.rows, found.published, found.differing) == (True, len(rows), len(rows), 0)
    assert "are the same" in next(found.lines())


@pytest.mark.parametrize("format", [Csv(), JsonLines(), Parquet()], ids=["csv", "jsonl", "parquet"])
def test_a_changed_a_missing_and_an_extra_row_are_each_named(format):
    rows = numbered(40, s="x")
    store = published(rows, format)
    now = [*without(without(rows, 7), 25), row((("id", 25),), n=25, s="y"), row((("id", 99),), n=99)]
    now.sort(key=lambda one: one.key)

    found = compared(now, store)

    assert found.counts == {Kind.MISSING: 1, Kind.EXTRA: 1, Kind.CHANGED: 1, Kind.DOUBLED: 0}
    assert set(found.named) == {
        Difference(Kind.EXTRA, "id=7"),
        Difference(Kind.CHANGED, "id=25", ("s",)),
        Difference(Kind.MISSING, "id=99"),
    }
    assert (found.is_same, found.differing, found.ranges) == (False, 3, 4)
    assert any("1 published and not in the table: id=7" in line for line in found.lines())


def test_only_what_differs_is_read_twice():
    rows = numbered(40, s="x")
    store = published(rows)
    there = table([*without(rows, 25), row((("id", 25),), n=0)])
    there.rows.sort(key=lambda one: one.key)

    found = verify(Verify("t", PREFIX), VerifyServices(there, store))

    begins = [bytes(asked.inclusive_start_primary_key) for asked in there.asked]
    assert (found.differing, len(begins) - len(set(begins))) == (1, 4)  # ten rows, three in a page


@pytest.mark.parametrize(
    ("one", "other"), [(1, 1.0), (1, True), (1, "1"), ("x", b"x"), (0.0, -0.0), (1.5, 1.6), ("", None), (b"", None)]
)
def test_values_of_another_type_differ(one, other):
    cells = {} if other is None else {"v": other}

    assert fingerprint((("id", 1),), {"v": one}) != fingerprint((("id", 1),), cells)


def test_nan_is_what_it_is_and_the_order_of_cells_is_nothing():
    assert fingerprint((("id", 1),), {"a": math.nan, "b": 1}) == fingerprint((("id", 1),), {"b": 1, "a": math.nan})


def test_named_keys_are_bounded_and_all_are_counted():
    rows = numbered(40)
    store = published(rows)

    found = compared([], store, most_named=3)

    assert (found.counts[Kind.EXTRA], [one.key for one in found.named]) == (40, ["id=0", "id=1", "id=2"])
    assert any("and 37 more" in line for line in found.lines())


def test_a_row_that_is_published_twice_is_named():
    rows = numbered(5)
    store = published(rows)
    export_twice(store)

    found = compared(rows, store)

    assert (found.counts[Kind.DOUBLED], found.published) == (5, 10)


def export_twice(store):
    """Makes the manifest list a second object with the same rows, of the same run."""
    manifest = json.loads(store.get(PREFIX + "_manifest.json"))
    (entry,) = manifest["objects"][:1]
    store.put(PREFIX + "again.csv", store.get(entry["key"]))
    manifest["objects"].append({**entry, "key": PREFIX + "again.csv"})
    store.put(PREFIX + "_manifest.json", json.dumps(manifest).encode())


def test_columns_that_were_not_exported_are_not_compared():
    columns = (Picked("id", "key"), Picked("s", "t"), Constant("x", ColumnType.STRING, "c"))
    rows = [row((("id", n),), s="x", other=n) for n in range(5)]
    store = published(rows, columns=columns)
    later = [row((("id", n),), s="x", other=-n) for n in range(5)]

    assert compared(later, store).is_same
    assert not compared([row((("id", n),), s="y") for n in range(5)], store).is_same


def test_values_that_were_converted_are_the_same():
    rows = [row((("id", 1),), v=1), row((("id", 2),), v="2"), row((("id", 3),), v=True)]
    store = published(rows, types={"v": ColumnType.STRING}, columns=(Picked("id", "id"), Picked("v", "v")))

    assert compared(rows, store).is_same


@pytest.mark.parametrize("begin_end", [((20,), (10,)), ((10,), (20,)), ((INF_MAX,), (INF_MIN,))])
def test_the_range_that_was_exported_is_the_range_that_is_compared(begin_end):
    rows = numbered(40, s="x")
    begin, end = begin_end
    store = published(rows, begin=begin, end=end)

    found = compared(rows, store)

    assert (found.is_same, found.rows) == (True, 40 if begin[0] is INF_MAX else 10)
    changed = [replace(one, cells=()) if one.key == (("id", 15),) else one for one in rows]
    assert [str(one) for one in compared(changed, store).named] == ["id=15 (n, s)"]


def test_the_last_of_appended_runs_is_compared_or_the_one_that_is_named():
    store = published(numbered(5), mode=WriteMode.APPEND)
    published(numbered(6), store=store, run="r2", mode=WriteMode.APPEND)

    assert compared(numbered(6), store).run == "r2"
    assert compared(numbered(6), store).is_same
    assert compared(numbered(5), store, run="r1").is_same
    with pytest.raises(SpecError, match="holds no run 'r3'"):
        compared(numbered(5), store, run="r3")


def test_an_empty_table_and_its_export_are_the_same():
    found = compared([], published([]))

    assert (found.is_same, found.rows, found.published) == (True, 0, 0)


# ---- damage


def test_a_damaged_object_is_an_error_before_anything_is_told():
    store = published(numbered(40, s="x"))
    key = objects_of(store)[1]
    body = store.get(key)
    store.put(key, body[:-2] + b"\x00\n")

    with pytest.raises(ProtocolError, match="instead of"):
        compared(numbered(40, s="x"), store)
    store.delete([key])
    with pytest.raises(ProtocolError, match="is missing"):
        compared(numbered(40, s="x"), store)


def test_an_object_that_is_damaged_on_its_way_is_an_error():
    store = Garbling(published(numbered(40, s="x")))

    with pytest.raises(ProtocolError, match="is damaged, or was written again"):
        verify(Verify("t", PREFIX), VerifyServices(table(numbered(40, s="x")), store))


class Garbling:
    """A store whose bytes change between disk and reader."""

    def __init__(self, store):
        self._store = store

    def __getattr__(self, name):
        return getattr(self._store, name)

    def read(self, key, begin, size):
        return self._store.read(key, begin, size)[::-1]


def test_what_is_no_export_of_this_table_is_refused():
    with pytest.raises(SpecError, match="no export is published"):
        compared(numbered(5), MemoryStore())
    store = published(numbered(5))
    other = MemoryTable([], keys=(KeyColumn("uid", ColumnType.STRING),))
    with pytest.raises(SpecError, match=r"has the key id \(integer\), table t uid \(string\)"):
        verify(Verify("t", PREFIX), VerifyServices(other, store))
    store.delete([PREFIX + "_SUCCESS"])
    with pytest.raises(SpecError, match="has no _SUCCESS"):
        compared(numbered(5), store)


def test_an_export_that_is_published_anew_meanwhile_is_not_mixed_with_the_former():
    store = published(numbered(5))
    former = store.get(PREFIX + "_manifest.json")
    published(numbered(6), store=store, run="r2")

    with pytest.raises(ProtocolError, match="was published anew while it was looked at"):
        verify(Verify("t", PREFIX), VerifyServices(table(numbered(6)), Overtaken(store, former)))


class Overtaken(Garbling):
    """A store that tells a former manifest once."""

    def __init__(self, store, former):
        super().__init__(store)
        self._former = [former]

    def get(self, key):
        return self._former.pop() if self._former and key.endswith("_manifest.json") else self._store.get(key)


# ---- ranges and estimates


def test_checksums_see_a_row_that_stands_twice():
    one, two = Tally(), Tally()
    one.add(b"a")
    for _ in range(3):
        two.add(b"a")

    assert differing([one, Tally()], [two, Tally()]) == {0}


def test_a_key_is_in_the_range_that_begins_at_or_before_it():
    there = table([]).description
    points = SplitPoints(there.keys, tuple(POINTS))
    spans = Spans([part for part, _ in cut_by_size(there, full_range(there), points, 1)])

    assert [spans.of((("id", n),)) for n in (0, 9, 10, 19, 20, 39, 10, -5, 30)] == [0, 0, 1, 1, 2, 3, 1, 0, 3]


def test_an_estimate_reads_one_page_and_no_object():
    rows = numbered(40, s="x")
    there, store = table(rows, page_rows=10), published(rows)

    found = estimate(Verify("t", PREFIX), VerifyServices(there, NoReading(store)))

    assert len(there.asked) == 1
    assert (found.rows, found.published, found.objects, found.is_counted) == (40, 40, 4, False)
    assert found.bytes > 40 * 8
    assert found.requests >= 4
    assert found.read_units >= 5
    assert found.object_requests == 8


def test_a_table_of_one_page_is_counted():
    found = estimate(Verify("t", PREFIX), VerifyServices(table(numbered(3)), published(numbered(4))))

    assert (found.rows, found.published, found.is_counted) == (3, 4, True)


class NoReading(Garbling):
    """A store that must not be asked for an object's bytes."""

    def read(self, key, begin, size):
        raise AssertionError(f"{key} was read")
