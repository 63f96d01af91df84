"""The emulated Tablestore against a dictionary: any sequence of writes, then the same rows and ranges.

Requests go as bytes through the service in this process; bodies are built and read with `wire.plainbuffer`, whose codec
the emulator does not use.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.tablestore.errors import ServiceError
from airflow_tablestore.emulator.tablestore.service import Service
from airflow_tablestore.emulator.tablestore.validation import Limits
from airflow_tablestore.wire.plainbuffer import (
    decode_key,
    decode_rows,
    encode_delete,
    encode_key,
    encode_put,
    encode_update,
)
from airflow_tablestore.wire.proto import table_pb2 as pb
from airflow_tablestore.wire.row import INF_MAX, INF_MIN, INT64_MAX, INT64_MIN, Bound, Cell, CellOp, PrimaryKey

NOW = 1_700_000_000_000
NAMES = ("a", "b", "é", "z" * 40)

texts = st.text(alphabet=st.characters(codec="utf-8"), max_size=4)
strings = st.sampled_from(["", "a", "a\0", "a\0\1", "b", "é", "中"]) | texts
integers = st.sampled_from([INT64_MIN, -1, 0, 1, 255, 256, INT64_MAX]) | st.integers(INT64_MIN, INT64_MAX)
binaries = st.sampled_from([b"", b"\0", b"\0\xff", b"\xff"]) | st.binary(max_size=3)
values = strings | integers | binaries | st.booleans() | st.floats(allow_nan=False, allow_infinity=False)
keys = st.tuples(strings, integers, binaries)
bounds = st.tuples(
    st.sampled_from([INF_MIN, INF_MAX]) | strings,
    st.sampled_from([INF_MIN, INF_MAX]) | integers,
    st.sampled_from([INF_MIN, INF_MAX]) | binaries,
)
timestamps = st.none() | st.integers(NOW - 5, NOW + 5)
puts = st.builds(Cell, st.sampled_from(NAMES), values, timestamps)
deletes = st.builds(
    lambda name, stamp: Cell(
        name, None, stamp, CellOp.DELETE_ALL_VERSIONS if stamp is None else CellOp.DELETE_ONE_VERSION
    ),
    st.sampled_from(NAMES),
    timestamps,
)
writes = st.one_of(
    st.tuples(st.just("put"), keys, st.lists(puts, max_size=5)),
    st.tuples(st.just("update"), keys, st.lists(puts | deletes, min_size=1, max_size=5)),
    st.tuples(st.just("delete"), keys, st.just([])),
)
columns = st.lists(st.sampled_from([*NAMES, "missing", "k1"]), max_size=3)
times = st.none() | st.tuples(st.integers(NOW - 6, NOW + 1), st.integers(NOW, NOW + 7))

Key = tuple[str, int, bytes]
Versions = dict[int, object]


def named(key: tuple[object, ...]) -> PrimaryKey:
    return tuple((f"k{index}", value) for index, value in enumerate(key))  # type: ignore[misc]


def order(key: tuple[object, ...]) -> tuple[tuple[int, object], ...]:
    """What keys and bounds are sorted by."""
    marks = {INF_MIN: (0, b""), INF_MAX: (2, b"")}
    return tuple(
        marks[part] if isinstance(part, Bound) else (1, part.encode() if isinstance(part, str) else part)
        for part in key
    )


@dataclass
class Model:
    """A table as dictionaries: key -> column -> version -> value."""

    max_versions: int
    rows: dict[Key, dict[str, Versions]] = field(default_factory=dict)

    def write(self, kind: str, key: Key, cells: list[Cell]) -> None:
        if kind == "delete":
            self.rows.pop(key, None)
            return
        deletions = (CellOp.DELETE_ALL_VERSIONS, CellOp.DELETE_ONE_VERSION)
        if kind == "update" and key not in self.rows and all(cell.op in deletions for cell in cells):
            return
        row = {} if kind == "put" else {name: dict(found) for name, found in self.rows.get(key, {}).items()}
        for cell in cells:
            found = row.setdefault(cell.name, {})
            if cell.op == CellOp.PUT:
                found[NOW if cell.timestamp is None else cell.timestamp] = cell.value
            elif cell.op == CellOp.DELETE_ALL_VERSIONS:
                found.clear()
            else:
                found.pop(cell.timestamp, None)
        self.rows[key] = {name: self._newest(found) for name, found in row.items() if found}

    def _newest(self, found: Versions) -> Versions:
        return dict(sorted(found.items(), reverse=True)[: self.max_versions])

    def shown(self, key: Key, asked: Asked) -> list[tuple[str, int, object]] | None:
        """The cells of a row as a read shows them, None when it leaves the row out."""
        row = self.rows.get(key)
        if row is None:
            return None
        wanted, (first, last) = asked.columns, asked.times or (0, 2 * NOW)
        cells = [
            (name, stamp, value)
            for name in sorted(row, key=lambda name: name.encode())
            if not wanted or name in wanted
            for stamp, value in [
                (stamp, value) for stamp, value in sorted(row[name].items(), reverse=True) if first <= stamp < last
            ][: asked.most]
        ]
        if cells:
            return cells
        is_hidden = "k1" not in wanted if wanted else asked.times and row
        return None if is_hidden else []


@dataclass(frozen=True)
class Asked:
    """What a read asks for of each row: columns (empty: all), how many versions, of which times [first, last)."""

    columns: list[str]
    most: int
    times: tuple[int, int] | None

    def set(self, request: pb.GetRowRequest | pb.GetRangeRequest) -> None:
        request.columns_to_get.extend(self.columns)
        request.max_versions = self.most
        if self.times:
            request.time_range.start_time, request.time_range.end_time = self.times


class Emulated:
    """The same table in the emulator."""

    def __init__(self, max_versions: int, limits: Limits):
        self.service = Service(None, Clock(lambda: NOW * 1_000_000), limits)
        request = pb.CreateTableRequest()
        request.table_meta.table_name = "t"
        for name, kind in (("k0", pb.STRING), ("k1", pb.INTEGER), ("k2", pb.BINARY)):
            request.table_meta.primary_key.add(name=name, type=kind)
        request.reserved_throughput.capacity_unit.read = 0
        request.table_options.time_to_live = -1
        request.table_options.max_versions = max_versions
        self.ask("CreateTable", request, pb.CreateTableResponse)

    def ask(self, operation, request, answer):
        return answer.FromString(self.service.answer(operation, "demo", request.SerializeToString()))

    def write(self, changes: list[tuple[str, Key, list[Cell]]]) -> None:
        request = pb.BatchWriteRowRequest()
        table = request.tables.add(table_name="t")
        for kind, key, cells in changes:
            block = {
                "put": lambda key, cells: encode_put(key, cells),
                "update": lambda key, cells: encode_update(key, cells),
                "delete": lambda key, cells: encode_delete(key),
            }[kind](named(key), cells)
            row = table.rows.add(type=pb.OperationType.Value(kind.upper()), row_change=block)
            row.condition.row_existence = pb.IGNORE
        answer = self.ask("BatchWriteRow", request, pb.BatchWriteRowResponse)
        assert all(row.is_ok for row in answer.tables[0].rows)

    def row(self, key: Key, asked: Asked):
        request = pb.GetRowRequest(table_name="t", primary_key=encode_key(named(key)))
        asked.set(request)
        found = decode_rows(self.ask("GetRow", request, pb.GetRowResponse).row)
        return cells_of(found[0]) if found else None

    def range(self, start, end, is_backward: bool, asked: Asked, limit: int):
        """All rows of a range, following it to its end; None when it is refused."""
        request = pb.GetRangeRequest(table_name="t", direction=pb.BACKWARD if is_backward else pb.FORWARD)
        asked.set(request)
        request.inclusive_start_primary_key = encode_key(named(start))
        request.exclusive_end_primary_key = encode_key(named(end))
        if limit:
            request.limit = limit
        out: dict[Key, list] = {}
        while True:
            try:
                answer = self.ask("GetRange", request, pb.GetRangeResponse)
            except ServiceError as error:
                if not error.message.startswith("Begin key must"):
                    raise
                return None
            page = decode_rows(answer.rows)
            assert not limit or len(page) <= limit
            for row in page:
                key = tuple(value for _, value in row.key)
                out.setdefault(key, []).extend(cells_of(row))
            if not answer.next_start_primary_key:
                return list(out.items())
            assert decode_key(answer.next_start_primary_key)
            request.inclusive_start_primary_key = answer.next_start_primary_key
            request.token = answer.next_token


def cells_of(row) -> list[tuple[str, int, object]]:
    return [(cell.name, cell.timestamp, cell.value) for cell in row.cells]


def plain(cells):
    """Cells such that NaN equals NaN and 1 is not True."""
    return cells and [
        (name, stamp, type(value), "nan" if isinstance(value, float) and math.isnan(value) else repr(value))
        for name, stamp, value in cells
    ]


@settings(max_examples=80, deadline=None)
@given(
    history=st.lists(st.lists(writes, min_size=1, max_size=6), max_size=6),
    start=bounds,
    end=bounds,
    wanted=columns,
    max_versions=st.sampled_from([1, 1, 3]),
    most=st.sampled_from([1, 2, 100]),
    limit=st.sampled_from([0, 1, 3]),
    range_bytes=st.sampled_from([60, 400, 4 * 1024 * 1024]),
    span=times,
)
def test_the_emulator_is_a_sorted_dictionary(history, start, end, wanted, max_versions, most, limit, range_bytes, span):
    asked = Asked(wanted, most, span)
    model = Model(max_versions)
    emulated = Emulated(max_versions, Limits(range_bytes=range_bytes))
    try:
        for batch in history:
            emulated.write(batch)
            for kind, key, cells in batch:
                model.write(kind, key, cells)

        compare_rows(model, emulated, asked, is_whole=range_bytes > 400)
        for low, high in ((start, end), ((INF_MIN,) * 3, (INF_MAX,) * 3)):
            for is_backward in (False, True):
                found = emulated.range(*((high, low) if is_backward else (low, high)), is_backward, asked, limit)
                expected = ranged(model, low, high, is_backward, asked)
                assert found is None if expected is None else [(k, plain(c)) for k, c in found] == expected
    finally:
        emulated.service.close()


def compare_rows(model: Model, emulated: Emulated, asked: Asked, *, is_whole: bool) -> None:
    keys: Mapping[Key, object] = model.rows
    for key in [*list(keys)[:5], ("never", 0, b"")]:
        found, expected = plain(emulated.row(key, asked)), plain(model.shown(key, asked))
        assert found == expected if is_whole or not found else found == expected[: len(found)]


def ranged(model: Model, low, high, is_backward: bool, asked: Asked):
    first, last = order(low), order(high)
    if first >= last:
        return None
    inside = (lambda place: first < place <= last) if is_backward else (lambda place: first <= place < last)
    keys = sorted((key for key in model.rows if inside(order(key))), key=order, reverse=is_backward)
    shown = [(key, model.shown(key, asked)) for key in keys]
    return [(key, plain(cells)) for key, cells in shown if cells is not None]
