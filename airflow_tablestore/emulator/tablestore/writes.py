"""Put, update and delete rows: one at a time or in a batch; conditions, generated keys, returned rows.

A batch is one transaction: its rows are applied in their order, a row that is refused leaves the others, and nothing is
answered before it is kept.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.tablestore.cells import (
    HEADER,
    Change,
    KeySection,
    StoredCell,
    encode_row,
    key_block,
    key_section,
    read_change,
    stored_cells,
    stored_key,
)
from airflow_tablestore.emulator.tablestore.errors import ServiceError, condition_failed, invalid
from airflow_tablestore.emulator.tablestore.filters import Composite, RowValues, Single, read_condition
from airflow_tablestore.emulator.tablestore.keys import (
    AUTO_INCREMENT,
    INTEGER,
    KeyPart,
    check_key,
    match_key,
    sort_key,
)
from airflow_tablestore.emulator.tablestore.rows import alive, latest, only_deletes, put_row, update_row
from airflow_tablestore.emulator.tablestore.storage import RowChange, Store, Writing
from airflow_tablestore.emulator.tablestore.table import Table
from airflow_tablestore.emulator.tablestore.validation import (
    Limits,
    change_bytes,
    check_batch_tables,
    check_delete,
    check_no_transaction,
    check_put,
    check_rows,
    check_table_name,
    check_update,
    check_write_bytes,
    to_proto,
)
from airflow_tablestore.wire.proto import table_pb2 as pb

UNIT_BYTES = 4096
"""What one capacity unit reads or writes."""

_EXPECTATIONS: dict[int, str] = {
    pb.IGNORE: "IGNORE",
    pb.EXPECT_EXIST: "EXPECT_EXIST",
    pb.EXPECT_NOT_EXIST: "EXPECT_NOT_EXIST",
}
_NAMES: dict[int, str] = {pb.PUT: "Put", pb.UPDATE: "Update", pb.DELETE: "Delete"}


@dataclass(frozen=True, slots=True)
class Write:
    """One row of a request, parsed and found well-formed; it may still not fit its table."""

    action: int
    change: Change
    expectation: int
    condition: Single | Composite | None
    return_type: int
    return_columns: tuple[str, ...]

    @property
    def is_conditional(self) -> bool:
        """Whether the row before decides."""
        return self.expectation != pb.IGNORE or self.condition is not None


class Writes:
    """The operations that change rows."""

    def __init__(self, store: Store, clock: Clock, limits: Limits):
        self._store, self._clock, self._limits = store, clock, limits

    def put(self, instance: str, request: pb.PutRowRequest) -> pb.PutRowResponse:
        """Replaces a row."""
        check_no_transaction(request.transaction_id)
        consumed, row = self._single(instance, request, pb.PUT, request.row)
        return pb.PutRowResponse(consumed=consumed, row=row)

    def update(self, instance: str, request: pb.UpdateRowRequest) -> pb.UpdateRowResponse:
        """Changes cells of a row, making the row when it is not there."""
        check_no_transaction(request.transaction_id)
        consumed, row = self._single(instance, request, pb.UPDATE, request.row_change)
        return pb.UpdateRowResponse(consumed=consumed, row=row)

    def delete(self, instance: str, request: pb.DeleteRowRequest) -> pb.DeleteRowResponse:
        """Deletes a row."""
        check_no_transaction(request.transaction_id)
        consumed, row = self._single(instance, request, pb.DELETE, request.primary_key)
        return pb.DeleteRowResponse(consumed=consumed, row=row)

    def batch(self, instance: str, request: pb.BatchWriteRowRequest) -> pb.BatchWriteRowResponse:
        """Puts, updates and deletes many rows of one or more tables; each row has a result of its own."""
        writes = self._parsed(request)
        now = self._clock.millis()
        answer = pb.BatchWriteRowResponse()
        with self._store.writing() as writing:
            for asked, rows in zip(request.tables, writes, strict=True):
                results = answer.tables.add(table_name=asked.table_name)
                try:
                    table = self._store.table(instance, asked.table_name)
                except ServiceError as error:
                    for _ in rows:
                        results.rows.add(is_ok=False, error=to_proto(error))
                    continue
                for write in rows:
                    _add_result(results, writing, table, write, now)
        return answer

    def _single(
        self,
        instance: str,
        request: pb.PutRowRequest | pb.UpdateRowRequest | pb.DeleteRowRequest,
        action: int,
        block: bytes,
    ) -> tuple[pb.ConsumedCapacity, bytes | None]:
        check_table_name(request.table_name)
        write = self._write(action, block, request)
        check_write_bytes([write.change], len(block), f"{_NAMES[action]}Row", self._limits)
        with self._store.writing() as writing:
            table = self._store.table(instance, request.table_name)
            return apply(writing, table, write, self._clock.millis())

    def _write(
        self,
        action: int,
        block: bytes,
        request: pb.PutRowRequest | pb.UpdateRowRequest | pb.DeleteRowRequest | pb.RowInBatchWriteRowRequest,
    ) -> Write:
        change = read_change(block)
        if action == pb.PUT:
            check_put(change, self._limits)
        elif action == pb.UPDATE:
            check_update(change, self._limits)
        elif action == pb.DELETE:
            check_delete(change)
        check_key(change.parts, is_write=True)
        condition = request.condition
        return_content = request.return_content
        write = Write(
            action,
            change,
            condition.row_existence,
            read_condition(condition.column_condition) if condition.column_condition else None,
            return_content.return_type,
            tuple(return_content.return_column_names),
        )
        if any(part.type == AUTO_INCREMENT for part in change.parts):
            _check_generated(write)
        return write

    def _parsed(self, request: pb.BatchWriteRowRequest) -> list[list[Write]]:
        check_no_transaction(request.transaction_id)
        if not request.tables:
            raise invalid("No row is specified in BatchWriteRow.")
        check_batch_tables([table.table_name for table in request.tables])
        check_rows(sum(len(table.rows) for table in request.tables), self._limits.rows_in_write)
        out = []
        for table in request.tables:
            if not table.rows:
                raise invalid(f"No operation is specified for table: '{table.table_name}'.")
            writes = [self._write(row.type, row.row_change, row) for row in table.rows]
            _check_repeated(writes)
            out.append(writes)
        check_write_bytes(
            (write.change for writes in out for write in writes), request.ByteSize(), "BatchWriteRow", self._limits
        )
        return out


def _add_result(
    results: pb.TableInBatchWriteRowResponse, writing: Writing, table: Table, write: Write, now: int
) -> None:
    try:
        consumed, row = apply(writing, table, write, now)
    except ServiceError as error:
        results.rows.add(is_ok=False, error=to_proto(error))
    else:
        results.rows.add(is_ok=True, consumed=consumed, row=row)


def _check_generated(write: Write) -> None:
    """What the service asks of a row whose key it is to fill in."""
    count = sum(part.type == AUTO_INCREMENT for part in write.change.parts)
    if count > 1:
        raise invalid(f"{count} pk auto increment exist in row.")
    if write.action == pb.DELETE:
        raise invalid("Invalid row to delete which with pk auto increment.")
    if write.expectation != pb.IGNORE:
        raise invalid(f"Invalid expect: {_EXPECTATIONS[write.expectation]} when modify row with pk auto increment.")
    if write.condition is not None:
        raise invalid("Can't set condition when modify row with pk auto increment.")


def _check_repeated(writes: Sequence[Write]) -> None:
    """A batch may change a row twice only if nothing depends on what the row was."""
    if not any(write.is_conditional for write in writes):
        return
    wires = [write.change.key.wire for write in writes]
    if len(set(wires)) == len(wires):
        return
    for write in writes:
        if wires.count(write.change.key.wire) > 1 and write.is_conditional:
            what = "row condition check" if write.condition is not None else "row exist expectation check"
            raise invalid(f"Repeated rows do not support {what} in BatchModify.")


def apply(writing: Writing, table: Table, write: Write, now_millis: int) -> tuple[pb.ConsumedCapacity, bytes | None]:
    """Carries out one write inside a transaction: what it consumed, and the row to return (None: none).

    :raises ServiceError: the row does not fit the table or the condition does not hold; nothing was changed.
    """
    change = write.change
    match_key(change.parts, table.keys)
    parts, key = change.parts, change.key
    if table.has_auto_increment:
        parts, key = _with_generated(writing, table, write, now_millis)
    place = sort_key(parts)
    needs_before = write.is_conditional or write.action == pb.UPDATE or writing.needs_before(table)
    before = _before(writing, table, place, now_millis) if needs_before else None
    if write.is_conditional:
        _check_condition(write, parts, before)
    after: list[StoredCell] | None = None
    if write.action == pb.PUT:
        after = put_row(change.cells, table.versions, now_millis)
    elif write.action == pb.UPDATE:
        if not table.allows_update:
            raise invalid("The table does not allow updates.")
        after = update_row(before or (), change.cells, table.versions, now_millis)
        if before is None and only_deletes(change.cells):
            after = None
    applied = RowChange(write.action, place, key, change, before, now_millis)
    writing.change(table, applied, None if after is None else encode_row(key, after))
    return _consumed(write), _returned(write, key, after or [])


def _with_generated(
    writing: Writing, table: Table, write: Write, now_millis: int
) -> tuple[tuple[KeyPart, ...], KeySection]:
    change = write.change
    wanted = [index for index, part in enumerate(change.parts) if part.type == AUTO_INCREMENT]
    if not wanted:
        if write.action != pb.DELETE and write.expectation != pb.EXPECT_EXIST:
            raise invalid(
                f"Invalid expect: {_EXPECTATIONS[write.expectation]} when modify a specific row for table "
                "with pk auto increment."
            )
        return change.parts, change.key
    value = writing.next_auto(table, now_millis * 1000)
    parts = list(change.parts)
    parts[wanted[0]] = KeyPart(parts[wanted[0]].name, INTEGER, struct.pack("<q", value))
    return tuple(parts), key_section(parts)


def _before(writing: Writing, table: Table, place: bytes, now_millis: int) -> list[StoredCell] | None:
    row = writing.row(table, place)
    if row is None:
        return None
    return alive(stored_cells(row, len(stored_key(row).wire)), table.versions, now_millis)


def _check_condition(write: Write, parts: Sequence[KeyPart], before: list[StoredCell] | None) -> None:
    if write.expectation == pb.EXPECT_EXIST and before is None:
        raise condition_failed()
    if write.expectation == pb.EXPECT_NOT_EXIST and before is not None:
        raise condition_failed()
    if write.condition is not None:
        key = parts if before is not None else ()
        if not write.condition.passes(RowValues(key, before or [])):
            raise condition_failed()


def _consumed(write: Write) -> pb.ConsumedCapacity:
    units = max(1, -(-change_bytes(write.change) // UNIT_BYTES))
    return pb.ConsumedCapacity(capacity_unit=pb.CapacityUnit(read=1 if write.is_conditional else 0, write=units))


def _returned(write: Write, key: KeySection, after: list[StoredCell]) -> bytes | None:
    if write.return_type == pb.RT_PK:
        return key_block(key)
    if write.return_type == pb.RT_AFTER_MODIFY:
        names = {name.encode() for name in write.return_columns}
        return HEADER + encode_row(key, latest([cell for cell in after if cell.name in names], 1))
    return None
