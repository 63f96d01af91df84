"""A table in memory that answers the calls of a full export: description, ranges, split points.

It answers with the service's own bytes (PlainBuffer), in pages as small as a test likes, and cuts wide rows when told.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from airflow_tablestore.consumer.table import compare_keys
from airflow_tablestore.errors import Rejected
from airflow_tablestore.wire.call import Call
from airflow_tablestore.wire.matrix import Matrix, encode_matrix
from airflow_tablestore.wire.plainbuffer import decode_key, decode_rows, encode_rows
from airflow_tablestore.wire.proto import table_pb2
from airflow_tablestore.wire.row import Cell, ColumnType, PrimaryKey, Row, Value
from airflow_tablestore.wire.table import KeyColumn, RangePage, SplitPoints, TableDescription


def row(key: PrimaryKey, **cells: Value) -> Row:
    return Row(key, tuple(Cell(name, value, timestamp=1) for name, value in sorted(cells.items())))


def numbered(count: int, **cells: Value) -> list[Row]:
    """Rows with the keys 0 … count - 1."""
    return [row((("id", number),), n=number, **cells) for number in range(count)]


class Matrices(enum.Enum):
    """What the service does when it is asked for SimpleRowMatrix."""

    IGNORED = "plain rows are sent"
    SENT = "matrices are sent"
    REFUSED = "the request is refused"
    LACKING = "matrices are sent, without one column that was named"


class MemoryTable:
    """One table with an integer key `id`, unless other key columns are given.

    :param page_rows: rows in a page.
    :param points: the keys at which the service would cut; None: it refuses to.
    :param cells_in_page: cuts a row with more cells than that into several pages.
    :param matrices: what a request for a matrix gets.
    :param has_bulk: whether there is BulkExport, which never cuts a row.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        *,
        name: str = "t",
        keys: tuple[KeyColumn, ...] = (KeyColumn("id", ColumnType.INTEGER),),
        defined: tuple[tuple[str, ColumnType], ...] = (),
        page_rows: int = 3,
        points: Sequence[PrimaryKey] | None = (),
        cells_in_page: int = 0,
        matrices: Matrices = Matrices.IGNORED,
        has_bulk: bool = False,
    ):
        self.rows, self.description = list(rows), TableDescription(name, keys, defined)
        self.asked: list[Any] = []
        self._page_rows, self._points, self._cells_in_page = page_rows, points, cells_in_page
        self._matrices, self._has_bulk = matrices, has_bulk

    def send(self, call: Call[Any]) -> Any:
        return {
            "DescribeTable": lambda body: self.description,
            "ComputeSplitPointsBySize": self._split,
            "GetRange": self._range,
            "BulkExport": self._bulk,
        }[call.operation](call.body)

    def _split(self, body: bytes) -> SplitPoints:
        if self._points is None:
            raise Rejected("not here", operation="ComputeSplitPointsBySize", code="OTSUnsupportOperation", status=403)
        return SplitPoints(self.description.keys, tuple(self._points))

    def _range(self, body: bytes) -> RangePage:
        asked = table_pb2.GetRangeRequest.FromString(body)
        self.asked.append(asked)
        if asked.data_block_type_hint != table_pb2.DBT_SIMPLE_ROW_MATRIX or self._matrices is Matrices.IGNORED:
            return self._page(asked)
        if self._matrices is Matrices.REFUSED:
            raise Rejected("no such field", operation="GetRange", code="OTSParameterInvalid", status=400)
        named = list(asked.columns_to_get)
        return self._as_matrix(self._page(asked), named[:-1] if self._matrices is Matrices.LACKING else named)

    def _bulk(self, body: bytes) -> RangePage:
        asked = table_pb2.BulkExportRequest.FromString(body)
        self.asked.append(asked)
        if not self._has_bulk:
            raise Rejected("not here", operation="BulkExport", code="OTSUnsupportOperation", status=403)
        named = list(asked.columns_to_get)
        as_range = table_pb2.GetRangeRequest(
            direction=table_pb2.FORWARD,
            columns_to_get=named,
            inclusive_start_primary_key=asked.inclusive_start_primary_key,
            exclusive_end_primary_key=asked.exclusive_end_primary_key,
        )
        page = self._page(as_range, cuts_rows=False)
        return self._as_matrix(page, named[:-1] if self._matrices is Matrices.LACKING else named)

    def _as_matrix(self, page: RangePage, columns: list[str]) -> RangePage:
        rows = decode_rows(bytes(page.rows)) if page.rows else []
        keys = [column.name for column in self.description.keys]
        others = [name for name in columns if name not in keys]
        values = [dict(r.key) | {cell.name: cell.value for cell in r.cells} for r in rows]
        table = tuple(tuple(found.get(name) for name in (*keys, *others)) for found in values)
        block = encode_matrix(Matrix((*keys, *others), len(keys), table)) if rows else b""
        return replace(page, rows=block, is_matrix=True)

    def _page(self, asked: Any, *, cuts_rows: bool = True) -> RangePage:
        begin, end = decode_key(asked.inclusive_start_primary_key), decode_key(asked.exclusive_end_primary_key)
        onward = -1 if asked.direction == table_pb2.BACKWARD else 1
        inside = [
            r
            for r in self.rows[::onward]
            if compare_keys(begin, r.key) != onward and compare_keys(r.key, end) == -onward
        ]
        limit = min(asked.limit or self._page_rows, self._page_rows)
        page, rest = inside[:limit], inside[limit:]
        page = [seen for r in page if (seen := _seen(r, tuple(asked.columns_to_get))) is not None]
        first = _seen(inside[0], tuple(asked.columns_to_get)) if inside else None
        if cuts_rows and self._cells_in_page and first is not None and len(first.cells) > self._cells_in_page:
            return self._part_of(first, asked.token, inside[1:])
        if self._cells_in_page:
            page, rest = page[:1], inside[1:]
        return RangePage(encode_rows(page) if page else b"", rest[0].key if rest else None)

    def _part_of(self, wide: Row, token: bytes, rest: Sequence[Row]) -> RangePage:
        start = int(token or b"0")
        cells = wide.cells[start : start + self._cells_in_page]
        onward = start + self._cells_in_page
        block = encode_rows([Row(wide.key, cells)])
        if onward < len(wide.cells):
            return RangePage(block, wide.key, str(onward).encode())
        return RangePage(block, rest[0].key if rest else None)


def _seen(stored: Row, columns: tuple[str, ...]) -> Row | None:
    """A row as columns_to_get lets it through: None when it has none of them."""
    if not columns:
        return stored
    cells = tuple(cell for cell in stored.cells if cell.name in columns)
    has_key = any(name in columns for name, _ in stored.key)
    return Row(stored.key, cells) if cells or has_key else None
