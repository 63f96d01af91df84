"""The rows of a range are the same in whichever form the service sends them, or will not send them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_tablestore.consumer.table import Forms, cut_at, full_range, pages
from airflow_tablestore.errors import ProtocolError, Rejected
from airflow_tablestore.pipeline.contract import Column, Schema
from airflow_tablestore.pipeline.full_export.plan import Slice
from airflow_tablestore.pipeline.selection import TableSelection
from airflow_tablestore.pipeline.sources.table import TableSlice, forms_for
from airflow_tablestore.wire.plainbuffer import encode_key
from airflow_tablestore.wire.proto import table_pb2
from airflow_tablestore.wire.row import ColumnType, Row, Value
from airflow_tablestore.wire.table import Form, RangePage, RangeRead, bulk_export, get_range
from tests.conformance.memory_table import Matrices, MemoryTable, numbered, row

COLUMNS = ("a", "b", "c")
SCHEMA = Schema(
    (
        Column("id", ColumnType.INTEGER, is_key=True),
        Column("a", ColumnType.INTEGER),
        Column("b", ColumnType.STRING, is_declared=True),
        Column("c", ColumnType.DOUBLE, is_declared=True),
    ),
    keeps_others=True,
    is_picked=True,
)


def read(rows: list[Row], matrices: Matrices, **options: int) -> tuple[list[Any], list[tuple[str, str]], MemoryTable]:
    """The rows and the dirty records of a source that asks for matrices where the service knows of them."""
    stored, dirty = MemoryTable(rows, matrices=matrices, **options), []  # type: ignore[var-annotated]
    selection = TableSelection("t", asks_compact=matrices is not Matrices.IGNORED)
    part = Slice(full_range(stored.description))
    source = TableSlice(stored, selection, SCHEMA, part, lambda key, reason: dirty.append((key, reason)))
    return [str(one) for batch in source.batches() for one in batch.records.to_pylist()], dirty, stored


def form_of(asked: Any) -> str:
    """In which form a page was asked for."""
    if isinstance(asked, table_pb2.BulkExportRequest):
        return "bulk"
    return "matrix" if asked.data_block_type_hint == table_pb2.DBT_SIMPLE_ROW_MATRIX else "plain"


values: st.SearchStrategy[Value] = st.one_of(
    st.integers(-3, 3), st.floats(), st.booleans(), st.text(max_size=3), st.binary(max_size=3)
)
tables = st.lists(st.dictionaries(st.sampled_from([*COLUMNS, "unknown"]), values), max_size=9).map(
    lambda found: [row((("id", number),), **cells) for number, cells in enumerate(found)]
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(rows=tables, page_rows=st.integers(1, 4), cells_in_page=st.integers(0, 2))
@pytest.mark.parametrize("has_bulk", [False, True])
@pytest.mark.parametrize("matrices", [Matrices.SENT, Matrices.REFUSED, Matrices.LACKING])
def test_rows_are_the_same_in_every_form(matrices, has_bulk, rows, page_rows, cells_in_page):
    plainly, dirty, _ = read(rows, Matrices.IGNORED, page_rows=page_rows, cells_in_page=cells_in_page)

    found, refused, _ = read(rows, matrices, page_rows=page_rows, cells_in_page=cells_in_page, has_bulk=has_bulk)

    assert found == plainly
    assert refused == dirty


@pytest.mark.parametrize(
    ("matrices", "has_bulk", "forms"),
    [
        (Matrices.SENT, True, "bulk bulk bulk"),
        (Matrices.SENT, False, "bulk matrix matrix matrix"),
        (Matrices.REFUSED, False, "bulk matrix plain plain plain"),
        (Matrices.LACKING, True, "bulk matrix plain plain plain"),
    ],
)
def test_a_refusal_is_remembered(matrices, has_bulk, forms):
    _, _, stored = read(numbered(9, a=1), matrices, page_rows=3, has_bulk=has_bulk)

    assert " ".join(map(form_of, stored.asked)) == forms


def test_what_one_slice_has_learnt_the_next_one_knows():
    stored = MemoryTable(numbered(6, a=1), matrices=Matrices.REFUSED)
    selection, whole = TableSelection("t", asks_compact=True), full_range(stored.description)
    forms = forms_for(selection)

    for part in cut_at(stored.description, whole, [3]):
        list(TableSlice(stored, selection, SCHEMA, Slice(part), lambda key, reason: None, forms).batches())

    assert [form_of(asked) for asked in stored.asked] == ["bulk", "matrix", "plain", "plain"]


def test_backwards_is_never_asked_for_in_bulk():
    stored = MemoryTable(numbered(2, a=1), matrices=Matrices.SENT, has_bulk=True)
    part = Slice(full_range(stored.description, [9], [0]))

    list(TableSlice(stored, TableSelection("t", asks_compact=True), SCHEMA, part, lambda key, reason: None).batches())

    assert [form_of(asked) for asked in stored.asked] == ["matrix"]


def test_a_matrix_without_a_named_column_is_not_believed():
    rows, _, stored = read([row((("id", 1),), a=1, c=0.5)], Matrices.LACKING)

    assert [form_of(asked) for asked in stored.asked] == ["bulk", "matrix", "plain"]
    assert "'c': 0.5" in rows[0]


def test_all_columns_are_never_asked_for_as_a_matrix():
    stored = MemoryTable(numbered(1), matrices=Matrices.SENT)
    part, selection = Slice(full_range(stored.description)), TableSelection("t", asks_compact=True)

    list(TableSlice(stored, selection, Schema(SCHEMA.columns), part, lambda key, reason: None).batches())

    assert [form_of(asked) for asked in stored.asked] == ["plain"]


def test_other_refusals_are_told():
    class Closed(MemoryTable):
        def _range(self, body: bytes) -> RangePage:
            raise Rejected("not for you", operation="GetRange", code="OTSAuthFailed", status=403)

    whole = full_range(MemoryTable([]).description)

    with pytest.raises(Rejected, match="not for you"):
        list(pages(Closed([]), RangeRead("t", whole.begin, whole.end), Forms(Form.BULK, Form.MATRIX)))


def test_a_matrix_that_nobody_asked_for_is_refused():
    answer = table_pb2.GetRangeResponse(rows=b"", data_block_type=table_pb2.DBT_SIMPLE_ROW_MATRIX)
    answer.consumed.capacity_unit.read = 1
    whole = full_range(MemoryTable([]).description)

    with pytest.raises(ProtocolError, match="SimpleRowMatrix"):
        get_range(RangeRead("t", whole.begin, whole.end)).read(answer.SerializeToString())
    page = get_range(RangeRead("t", whole.begin, whole.end, form=Form.MATRIX)).read(answer.SerializeToString())
    assert page.is_matrix


def test_a_page_of_bulk_export_is_the_matrix_that_it_names():
    answer = table_pb2.BulkExportResponse(rows=b"SRM0", data_block_type=table_pb2.DBT_SIMPLE_ROW_MATRIX)
    answer.consumed.capacity_unit.read = 7
    answer.next_start_primary_key = encode_key((("id", 3),))
    whole = full_range(MemoryTable([]).description)

    page = bulk_export(RangeRead("t", whole.begin, whole.end)).read(answer.SerializeToString())

    assert (bytes(page.rows), page.is_matrix, page.read_units, page.next_key) == (b"SRM0", True, 7, (("id", 3),))
    assert page.next_token == b""


def test_a_matrix_that_ends_in_its_names_is_refused():
    page = RangePage(b"SRM0" + b"\x01\x00\x00\x00" * 4, is_matrix=True)
    whole = full_range(MemoryTable([]).description)

    with pytest.raises(ProtocolError, match="too early"):
        page.shows(RangeRead("t", whole.begin, whole.end, form=Form.MATRIX))
