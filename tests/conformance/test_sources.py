"""Every source against the pack."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_tablestore.consumer.table import full_range
from airflow_tablestore.pipeline.contract import Column, Picked, Schema
from airflow_tablestore.pipeline.full_export.plan import Slice
from airflow_tablestore.pipeline.selection import ChangeMode, ChangeSelection, TableSelection
from airflow_tablestore.pipeline.sources.stream import Decoding, StreamSource
from airflow_tablestore.pipeline.sources.table import TableSlice
from airflow_tablestore.wire.row import ColumnType
from airflow_tablestore.wire.stream import Action, StreamRecord
from tests.conformance.changes import Span, put, put_cell, record, update
from tests.conformance.memory_table import Matrices, MemoryTable, row
from tests.conformance.source_pack import CLAIMS, Case, Refuse

ID, N = Column("id", ColumnType.INTEGER, is_key=True), Column("n", ColumnType.INTEGER)
VALUES = [number if number != 4 else "four" for number in range(10)]


def table(values: list[Any], matrices: Matrices = Matrices.IGNORED) -> Any:
    def make(refuse: Refuse) -> TableSlice:
        rows = [row((("id", number),), n=value) for number, value in enumerate(values)]
        stored = MemoryTable(rows, matrices=matrices)
        selection = TableSelection("t", asks_compact=matrices is not Matrices.IGNORED)
        schema = Schema((ID, N), is_picked=selection.asks_compact)
        return TableSlice(stored, selection, schema, Slice(full_range(stored.description)), refuse)

    return make


def stream(records: list[StreamRecord], mode: ChangeMode, schema: Schema, *, with_sequence: bool = False) -> Any:
    def make(refuse: Refuse) -> StreamSource:
        chosen = (Picked("id", "id"), Picked("n", "n")) if mode is ChangeMode.SINGLE_VERSION else None
        decoding = Decoding(ChangeSelection("t", mode, chosen, with_sequence=with_sequence), schema, refuse)
        return StreamSource(Span([records[:3], [], records[3:]]), decoding)

    return make


ROWS = [(put if number % 2 else update)(number, n=value) for number, value in enumerate(VALUES)]
CELLS = [*ROWS[:4], record(Action.PUT, (("id", "4"),), put_cell("n", 1)), *ROWS[5:]]
SINGLE, MULTI = ChangeMode.SINGLE_VERSION, ChangeMode.MULTI_VERSION

CASES = [
    Case("table", table(VALUES), table([])),
    Case("table, matrices", table(VALUES, Matrices.SENT), table([], Matrices.SENT)),
    Case("table, matrices refused", table(VALUES, Matrices.REFUSED), table([], Matrices.REFUSED)),
    Case("stream, rows", stream(ROWS, SINGLE, Schema((ID, N))), stream([], SINGLE, Schema((ID, N)))),
    Case("stream, cells", stream(CELLS, MULTI, Schema((ID,))), stream([], MULTI, Schema((ID,)), with_sequence=True)),
]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.__name__)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_source(case: Case, claim: Any) -> None:
    claim(case)
