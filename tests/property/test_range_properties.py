"""However a range is cut, every key is in exactly one part, and the parts follow each other."""

from __future__ import annotations

import itertools
from functools import cmp_to_key

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_tablestore.consumer.table import KeyRange, compare_keys, cut_at, cut_by_size, full_range
from airflow_tablestore.errors import SpecError
from airflow_tablestore.wire.row import INF_MAX, INF_MIN, INT64_MAX, INT64_MIN, Bound, ColumnType
from airflow_tablestore.wire.table import KeyColumn, SplitPoints, TableDescription

COLUMNS = (
    KeyColumn("a", ColumnType.STRING),
    KeyColumn("b", ColumnType.INTEGER),
    KeyColumn("c", ColumnType.BINARY),
)
# Few different values, so that keys meet, and the odd ones.
VALUES = {
    ColumnType.STRING: st.sampled_from(["", "a", "ab", "b", "é", "\uffff", "\U0001f600"]) | st.text(max_size=3),
    ColumnType.INTEGER: st.integers(-3, 3) | st.sampled_from([INT64_MIN, INT64_MAX]),
    ColumnType.BINARY: st.sampled_from([b"", b"\x00", b"\x7f", b"\xff"]) | st.binary(max_size=2),
}
BOUNDS = st.sampled_from([INF_MIN, INF_MAX])


@st.composite
def tables(draw):
    columns = draw(st.permutations(COLUMNS))[: draw(st.integers(1, 3))]
    return TableDescription("t", tuple(columns))


def rows(table):
    return st.tuples(*(VALUES[c.type] for c in table.keys)).map(lambda values: named(table, values))


def prefixes(table, at_least=0):
    some = st.integers(at_least, len(table.keys))
    return some.flatmap(lambda n: st.tuples(*(VALUES[c.type] | BOUNDS for c in table.keys[:n])))


def named(table, values):
    return tuple((c.name, v) for c, v in zip(table.keys, values, strict=True))


def service_order(key):
    """The service's order, written down independently of the code under test."""
    out = []
    for _, value in key:
        if isinstance(value, Bound):
            out.append((0 if value is INF_MIN else 2, b"", 0))
        elif isinstance(value, int):
            out.append((1, b"", value))
        else:
            out.append((1, value.encode() if isinstance(value, str) else value, 0))
    return out


def holds(part: KeyRange, key) -> bool:
    place = service_order(key)
    if part.is_backward:
        return service_order(part.begin) >= place > service_order(part.end)
    return service_order(part.begin) <= place < service_order(part.end)


@st.composite
def ranges(draw):
    table = draw(tables())
    for _ in range(5):
        try:
            return table, full_range(table, draw(prefixes(table)), draw(prefixes(table)))
        except SpecError:
            continue
    return table, full_range(table)


def check_cover(whole: KeyRange, parts: list[KeyRange], keys) -> None:
    assert parts[0].begin == whole.begin
    assert parts[-1].end == whole.end
    assert all(one.end == other.begin for one, other in itertools.pairwise(parts))
    for part in parts:
        assert part.is_backward == whole.is_backward
        first, last = service_order(part.begin), service_order(part.end)
        assert first > last if part.is_backward else first < last
    for key in keys:
        assert sum(holds(part, key) for part in parts) == holds(whole, key)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_keys_are_compared_as_the_service_orders_them(data):
    table = data.draw(tables())
    full = st.tuples(*(VALUES[c.type] | BOUNDS for c in table.keys)).map(lambda values: named(table, values))
    keys = data.draw(st.lists(full, min_size=2, max_size=8))

    ordered = sorted(keys, key=cmp_to_key(compare_keys))

    assert [service_order(key) for key in ordered] == sorted(service_order(key) for key in keys)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_written_range_holds_every_row_that_its_parts_allow(data):
    table = data.draw(tables())
    begin, end = data.draw(prefixes(table)), data.draw(prefixes(table))
    try:
        whole = full_range(table, begin, end)
    except SpecError:
        return
    row = data.draw(rows(table))

    # what is left out may be anything, so a row is judged by the parts that are written
    place = service_order(row)
    low, high = (end, begin) if whole.is_backward else (begin, end)
    low_place, high_place = (service_order(tuple(("", part) for part in bound)) for bound in (low, high))
    is_over = place[: len(low)] > low_place or (
        place[: len(low)] == low_place and (len(low) < len(table.keys) or not whole.is_backward)
    )
    is_under = place[: len(high)] < high_place or (
        place[: len(high)] == high_place and (len(high) < len(table.keys) or whole.is_backward)
    )
    assert holds(whole, row) == (is_over and is_under)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_the_services_points_cut_a_range_without_gap_or_overlap(data):
    table, whole = data.draw(ranges())
    points = tuple(named(table, row) for row in data.draw(st.lists(point_values(table), max_size=8)))

    parts = [part for part, _ in cut_by_size(table, whole, SplitPoints(table.keys, points), 100)]

    check_cover(whole, parts, [*data.draw(st.lists(rows(table), max_size=8)), *points])


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_the_authors_points_cut_a_range_without_gap_or_overlap(data):
    table, whole = data.draw(ranges())
    points = data.draw(st.lists(st.integers(1, len(table.keys)).flatmap(lambda n: point_values(table, n)), max_size=5))
    full = [named(table, (*p, *[INF_MIN] * (len(table.keys) - len(p)))) for p in points]
    inside = {tuple(service_order(k)): p for k, p in zip(full, points, strict=True) if strictly(whole, k)}
    wanted = [inside[place] for place in sorted(inside, reverse=whole.is_backward)]

    parts = cut_at(table, whole, wanted)

    assert len(parts) == len(wanted) + 1
    check_cover(whole, parts, [*data.draw(st.lists(rows(table), max_size=8)), *full])


def point_values(table, width=None):
    """A key prefix as points have it: values, then (the service leaves them out) INF_MIN."""
    if width is not None:
        return st.tuples(*(VALUES[c.type] for c in table.keys[:width]))
    return st.integers(1, len(table.keys)).flatmap(
        lambda n: st.tuples(*(VALUES[c.type] for c in table.keys[:n]), *(st.just(INF_MIN) for _ in table.keys[n:]))
    )


def strictly(whole: KeyRange, key) -> bool:
    low, high = (whole.end, whole.begin) if whole.is_backward else (whole.begin, whole.end)
    return service_order(low) < service_order(key) < service_order(high)
