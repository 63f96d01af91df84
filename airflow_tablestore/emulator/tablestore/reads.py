"""Get rows: one, many, or a range in either direction.

What a read selects is decided in this order: versions that have not expired, the columns named, the span of columns,
the time range, the number of versions, the filter. A row with none of the named columns (or with no cell in the time
range) is left out, unless a column of the key is named too; with neither named, every row is there. Source: the
service's page on GetRange; that naming a key column keeps the row is usual practice and was not verified.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TypeAlias

from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.tablestore.cells import (
    HEADER,
    Change,
    KeySection,
    StoredCell,
    encode_row,
    key_block,
    key_parts,
    read_change,
    stored_cells,
    stored_key,
)
from airflow_tablestore.emulator.tablestore.errors import ServiceError, invalid
from airflow_tablestore.emulator.tablestore.filters import Filter, Page, RowValues, read_filter
from airflow_tablestore.emulator.tablestore.keys import check_key, match_key, sort_key
from airflow_tablestore.emulator.tablestore.matrix import matrix
from airflow_tablestore.emulator.tablestore.rows import MAX_TIMESTAMP, alive, latest
from airflow_tablestore.emulator.tablestore.storage import Store
from airflow_tablestore.emulator.tablestore.table import Table
from airflow_tablestore.emulator.tablestore.validation import (
    Limits,
    check_batch_tables,
    check_columns_to_get,
    check_no_transaction,
    check_read_key,
    check_rows,
    check_table_name,
    to_proto,
)
from airflow_tablestore.emulator.tablestore.writes import UNIT_BYTES
from airflow_tablestore.wire.proto import table_pb2 as pb

_POSITION = struct.Struct("<q")

Resume: TypeAlias = tuple[KeySection, bytes]
"""A wide row that an earlier answer began, and the token in it where this one goes on; the token is empty for none."""


@dataclass(frozen=True, slots=True)
class View:
    """What a read selects of each row. Times are milliseconds, [from, until)."""

    columns: frozenset[bytes] = frozenset()
    most_versions: int = 2**31 - 1
    from_time: int = 0
    until_time: int = MAX_TIMESTAMP
    start_column: bytes = b""
    end_column: bytes = b""
    filter: Filter | None = None
    has_time: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether it selects every column of every row; versions aside."""
        return not (self.columns or self.has_time or self.start_column or self.end_column or self.filter)

    def of(self, table: Table, key: KeySection, cells: list[StoredCell], now_millis: int) -> list[StoredCell] | None:
        """The cells that the read shows of a stored row; None when it does not show the row."""
        kept = alive(cells, table.versions, now_millis)
        if kept is None:
            return None
        if self.columns:
            kept = [cell for cell in kept if cell.name in self.columns]
        if self.start_column:
            kept = [cell for cell in kept if cell.name >= self.start_column]
        if self.end_column:
            kept = [cell for cell in kept if cell.name < self.end_column]
        if self.has_time:
            kept = [cell for cell in kept if self.from_time <= cell.timestamp < self.until_time]
        if not kept and self._hides(table, cells):
            return None
        if table.may_hold_versions:
            kept = latest(kept, min(self.most_versions, table.versions.most))
        if isinstance(self.filter, Page):
            return _page(kept, self.filter)
        if self.filter is not None and not self.filter.passes(RowValues(key_parts(key), kept)):
            return None
        return kept

    def _hides(self, table: Table, cells: Sequence[StoredCell]) -> bool:
        if self.columns:
            return not any(column.name in self.columns for column in table.keys)
        return self.has_time and bool(cells)


def _page(cells: Iterable[StoredCell], page: Page) -> list[StoredCell]:
    names: dict[bytes, int] = {}
    out = []
    for cell in cells:
        index = names.setdefault(cell.name, len(names))
        if page.offset <= index < page.offset + page.limit:
            out.append(cell)
    return out


class Reads:
    """The operations that read rows."""

    def __init__(self, store: Store, clock: Clock, limits: Limits):
        self._store, self._clock, self._limits = store, clock, limits

    def row(self, instance: str, request: pb.GetRowRequest) -> pb.GetRowResponse:
        """One row, or an empty answer."""
        check_no_transaction(request.transaction_id)
        check_table_name(request.table_name)
        view = self._view(request, "No version condition is specified.")
        key = _read_key(request.primary_key)
        table = self._store.table(instance, request.table_name)
        block, token, consumed = self._one(table, key, view, request.token)
        return pb.GetRowResponse(consumed=consumed, row=block, next_token=token or None)

    def batch(self, instance: str, request: pb.BatchGetRowRequest) -> pb.BatchGetRowResponse:
        """Many rows of one or more tables, each with a result of its own."""
        if not request.tables:
            raise invalid("No row specified in the request of BatchGetRow.")
        check_batch_tables([table.table_name for table in request.tables])
        check_rows(sum(len(table.primary_key) for table in request.tables), self._limits.rows_in_read)
        views = [self._view(asked, "No version condition is specified while querying row.") for asked in request.tables]
        keys = [[_read_key(block) for block in asked.primary_key] for asked in request.tables]
        answer = pb.BatchGetRowResponse()
        for asked, view, wanted in zip(request.tables, views, keys, strict=True):
            results = answer.tables.add(table_name=asked.table_name)
            tokens = list(asked.token) + [b""] * (len(wanted) - len(asked.token))
            for key, token in zip(wanted, tokens, strict=False):
                try:
                    table = self._store.table(instance, asked.table_name)
                    block, next_token, consumed = self._one(table, key, view, token)
                except ServiceError as error:
                    results.rows.add(is_ok=False, error=to_proto(error))
                else:
                    results.rows.add(is_ok=True, consumed=consumed, row=block, next_token=next_token or None)
        return answer

    def range(self, instance: str, request: pb.GetRangeRequest) -> pb.GetRangeResponse:
        """The rows between two keys, as many as one answer holds, and where to go on.

        Rows that the filter or the columns leave out count among the 5000 that one request looks at, so an answer
        may be empty and still have more behind it. A matrix holds one version and no times: where more is asked for,
        or where a row comes in parts, plain rows are sent, and the answer says so.
        """
        page, table = self._range(instance, request, splits_rows=True)
        answer = pb.GetRangeResponse(
            next_start_primary_key=None if page.next_key is None else key_block(page.next_key),
            next_token=page.token or None,
        )
        is_matrix = request.data_block_type_hint == pb.DBT_SIMPLE_ROW_MATRIX and request.max_versions == 1
        if is_matrix and not page.token and not request.token:
            has_entire_key = request.return_entire_primary_keys or not request.HasField("return_entire_primary_keys")
            answer.rows = page.matrix(table, request.columns_to_get, has_entire_key=has_entire_key)
            answer.data_block_type = pb.DBT_SIMPLE_ROW_MATRIX
        else:
            answer.rows = page.block()
        answer.consumed.CopyFrom(_consumed(page.size))
        return answer

    def export(self, instance: str, request: pb.BulkExportRequest) -> pb.BulkExportResponse:
        """The rows from one key to a later one, latest versions only, as a matrix unless plain rows are asked for.

        There is no token, so a row that is wider than an answer is sent whole.
        """
        asked = pb.GetRangeRequest(
            table_name=request.table_name,
            direction=pb.FORWARD,
            columns_to_get=request.columns_to_get,
            max_versions=1,
            inclusive_start_primary_key=request.inclusive_start_primary_key,
            exclusive_end_primary_key=request.exclusive_end_primary_key,
            filter=request.filter or None,
        )
        page, table = self._range(instance, asked, splits_rows=False)
        is_matrix = request.data_block_type_hint == pb.DBT_SIMPLE_ROW_MATRIX
        return pb.BulkExportResponse(
            consumed=_consumed(page.size),
            rows=page.matrix(table, request.columns_to_get, has_entire_key=True) if is_matrix else page.block(),
            next_start_primary_key=None if page.next_key is None else key_block(page.next_key),
            data_block_type=request.data_block_type_hint,
        )

    def _range(self, instance: str, request: pb.GetRangeRequest, *, splits_rows: bool) -> tuple[RangePage, Table]:
        check_no_transaction(request.transaction_id)
        check_table_name(request.table_name)
        if request.HasField("limit") and request.limit <= 0:
            raise invalid("The limit must be greater than 0.")
        _check_token(request.token)
        view = self._view(request, "No version condition is specified.")
        start = _read_key(request.inclusive_start_primary_key, is_bound=True)
        end = _read_key(request.exclusive_end_primary_key, is_bound=True)
        table = self._store.table(instance, request.table_name)
        match_key(start.parts, table.keys)
        match_key(end.parts, table.keys)
        low, high = sort_key(start.parts), sort_key(end.parts)
        is_backward = request.direction == pb.BACKWARD
        if is_backward:
            if low <= high:
                raise invalid("Begin key must more than end key in BACKWARD")
            low, high = high, low
        elif low >= high:
            raise invalid("Begin key must less than end key in FORWARD")
        limit = min(request.limit or self._limits.rows_in_range, self._limits.rows_in_range)
        with closing(self._store.rows(table, low, high, is_backward=is_backward)) as rows:
            if view.is_whole and table.holds_answers and not request.token:
                page = self._whole(rows, limit, splits_rows)
            else:
                page = self._selected(table, rows, view, limit, (start.key, request.token), splits_rows)
        return page, table

    def _view(
        self, request: pb.GetRowRequest | pb.GetRangeRequest | pb.TableInBatchGetRowRequest, missing: str
    ) -> View:
        check_columns_to_get(request.columns_to_get, self._limits)
        has_time = request.HasField("time_range")
        if not has_time and not request.HasField("max_versions"):
            raise invalid(missing)
        if request.HasField("max_versions") and request.max_versions <= 0:
            raise invalid(f"Invalid max versions: {request.max_versions} . Reason: Max versions must be positive.")
        if request.time_range.HasField("specific_time") and request.HasField("max_versions"):
            if request.time_range.HasField("start_time") or request.time_range.HasField("end_time"):
                raise invalid("Specific timestamp, time range and max versions cannot be given at the same time.")
            raise invalid("Specific tiemstamp and max versions cannot be given at the same time.")
        from_time, until_time = _times(request.time_range) if has_time else (0, MAX_TIMESTAMP)
        return View(
            columns=frozenset(name.encode() for name in request.columns_to_get),
            most_versions=request.max_versions if request.HasField("max_versions") else 2**31 - 1,
            from_time=from_time,
            until_time=until_time,
            start_column=request.start_column.encode(),
            end_column=request.end_column.encode(),
            filter=read_filter(request.filter) if request.filter else None,
            has_time=has_time,
        )

    def _one(self, table: Table, key: Change, view: View, token: bytes) -> tuple[bytes, bytes, pb.ConsumedCapacity]:
        match_key(key.parts, table.keys)
        row = self._store.row(table, sort_key(key.parts))
        if row is None:
            return b"", b"", _consumed(0)
        section = stored_key(row)
        cells = view.of(table, section, stored_cells(row, len(section.wire)), self._clock.millis())
        if cells is None:
            return b"", b"", _consumed(len(row))
        cells, rest = _fitting(_after(cells, token), self._limits.range_bytes)
        block = HEADER + encode_row(section, cells)
        return block, _token(rest), _consumed(len(block))

    def _whole(self, rows: Iterator[bytes], limit: int, splits_rows: bool) -> RangePage:
        out: list[bytes] = []
        size, most = 0, self._limits.range_bytes
        for row in rows:
            size += len(row)
            if len(out) == limit or (size > most and out):
                return RangePage(out, stored_key(row), b"")
            if size > most and splits_rows:
                section = stored_key(row)
                cells, rest = _fitting(stored_cells(row, len(section.wire)), most)
                if rest:
                    return RangePage([encode_row(section, cells)], section, _token(rest))
            out.append(row)
        return RangePage(out, None, b"")

    def _selected(
        self, table: Table, rows: Iterator[bytes], view: View, limit: int, resume: Resume, splits_rows: bool
    ) -> RangePage:
        out: list[bytes] = []
        size, most, seen = 0, self._limits.range_bytes, 0
        now = self._clock.millis()
        for row in rows:
            section = stored_key(row)
            if len(out) == limit or seen == self._limits.rows_in_range:
                return RangePage(out, section, b"")
            seen += 1
            cells = view.of(table, section, stored_cells(row, len(section.wire)), now)
            if resume[1] and cells and section == resume[0]:
                cells = _after(cells, resume[1])
            if cells is None:
                continue
            encoded = encode_row(section, cells)
            size += len(encoded)
            if size > most and out:
                return RangePage(out, section, b"")
            if size > most and splits_rows:
                fitting, rest = _fitting(cells, most)
                if rest:
                    return RangePage([encode_row(section, fitting)], section, _token(rest))
            out.append(encoded)
        return RangePage(out, None, b"")


@dataclass(frozen=True, slots=True)
class RangePage:
    """What one GetRange answers: rows, the key to go on from (None: the range is done), and the token within it."""

    rows: list[bytes]
    next_key: KeySection | None
    token: bytes

    @property
    def size(self) -> int:
        """The bytes of the rows, as capacity is counted."""
        return len(HEADER) + sum(map(len, self.rows)) if self.rows else 0

    def block(self) -> bytes:
        """The rows as PlainBuffer."""
        return HEADER + b"".join(self.rows) if self.rows else b""

    def matrix(self, table: Table, columns: Sequence[str], *, has_entire_key: bool) -> bytes:
        """The rows as a matrix: every column that one of them has, or the columns that were named.

        :param has_entire_key: whether the whole key is shown, or only those of its columns that were named.
        """
        keys = [column.name for column in table.keys]
        if not columns:
            return matrix(self.rows, keys, None, has_entire_key=True)
        named = list(dict.fromkeys(name.encode() for name in columns))
        shown = keys if has_entire_key else [name for name in keys if name in named]
        others = [name for name in named if name not in keys]
        return matrix(self.rows, shown, others, has_entire_key=shown == keys)


def _times(asked: pb.TimeRange) -> tuple[int, int]:
    if asked.HasField("specific_time"):
        if asked.HasField("start_time") or asked.HasField("end_time"):
            raise invalid("Specific tiemstamp and time range cannot be given at the same time.")
        if asked.specific_time < 0:
            raise invalid("Specific timestamp cannot be less than 0.")
        return asked.specific_time, asked.specific_time + 1
    if not asked.HasField("start_time") or not asked.HasField("end_time"):
        raise invalid("Start and end time must be given at the same time.")
    if asked.start_time < 0 or asked.end_time < 0:
        raise invalid("Timestamp must be in range [0, INT64_MAX/1000).")
    return asked.start_time, asked.end_time


def _read_key(block: bytes, *, is_bound: bool = False) -> Change:
    key = read_change(block)
    check_read_key(key)
    check_key(key.parts, is_bound=is_bound)
    return key


def _fitting(cells: list[StoredCell], most: int) -> tuple[list[StoredCell], list[StoredCell]]:
    """The cells that one answer holds, at least one, and the rest."""
    size = 0
    for index, cell in enumerate(cells):
        size += len(cell.wire)
        if size > most and index:
            return cells[:index], cells[index:]
    return cells, []


def _token(rest: Sequence[StoredCell]) -> bytes:
    """Where a wide row goes on: version and name of the next cell."""
    return _POSITION.pack(rest[0].timestamp) + rest[0].name if rest else b""


def _check_token(token: bytes) -> None:
    if token and len(token) <= _POSITION.size:
        raise invalid("Invalid token.")


def _after(cells: list[StoredCell], token: bytes) -> list[StoredCell]:
    if not token:
        return cells
    _check_token(token)
    place = (token[_POSITION.size :], -_POSITION.unpack_from(token)[0])
    return [cell for cell in cells if (cell.name, -cell.timestamp) >= place]


def _consumed(size: int) -> pb.ConsumedCapacity:
    return pb.ConsumedCapacity(capacity_unit=pb.CapacityUnit(read=max(1, -(-size // UNIT_BYTES)), write=0))
