"""Rules for names, sizes and counts, with the service's limits and texts.

Source: the service's pages on limits, naming and error codes; where a page and the tests of an official client differ,
the tests are followed (column names) or the stricter one (128 columns to get; a test of the Java SDK shows 1024).
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from airflow_tablestore.emulator.tablestore.cells import DELETE_ALL, DELETE_ONE, INCREMENT, PUT, Change, ChangedCell
from airflow_tablestore.emulator.tablestore.errors import ServiceError, invalid
from airflow_tablestore.emulator.tablestore.keys import BINARY, DOUBLE, INTEGER, STRING, show
from airflow_tablestore.wire.proto import table_pb2 as pb

_TABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}\Z")
_INSTANCE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,30}[A-Za-z0-9]\Z")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a request may hold; sizes in bytes. The defaults are the service's."""

    request_bytes: int = 5 * 1024 * 1024
    """Of the whole body, which is larger than what it holds. Source: the service's page of limits."""
    write_bytes: int = 4 * 1024 * 1024
    rows_in_write: int = 200
    rows_in_read: int = 100
    cells_in_write: int = 1024
    cell_bytes: int = 2 * 1024 * 1024
    columns_to_get: int = 128
    rows_in_range: int = 5000
    range_bytes: int = 4 * 1024 * 1024
    defined_columns: int = 32
    partitions: int = 10
    split_unit_bytes: int = 1024 * 1024
    """The least `split_size_unit_in_byte`."""
    allows_non_finite: bool = False
    """Whether NaN and infinite doubles are taken: the service's page of errors says that they are refused."""


def check_instance_name(name: str) -> None:
    """Refuses what cannot be the name of an instance. Names may be longer than the service's, for those of tests."""
    if not _INSTANCE_NAME.match(name):
        raise invalid(f"Invalid instance name: '{name}'.")


def check_table_name(name: str) -> None:
    """Refuses what cannot be the name of a table: letters, digits, underscore, not first a digit, 1 to 255."""
    if not _TABLE_NAME.match(name):
        raise invalid(f"Invalid table name: '{name}'.")


def check_column_name(name: bytes) -> None:
    """Refuses what cannot be the name of a column: empty, over 255 bytes, beginning with '#'.

    The service's page says letters, digits and underscores; the Java SDK's tests write and read names with dots,
    spaces, quotes and Chinese characters, and are refused '#'.
    """
    if not 0 < len(name) <= 255 or name[0] == 0x23:
        raise invalid(f"Invalid column name: '{show(name)}'.")
    if not name.isascii():
        try:
            name.decode("utf-8")
        except UnicodeDecodeError:
            raise invalid(f"Invalid column name: '{show(name)}'.") from None


def check_put(change: Change, limits: Limits) -> None:
    """Refuses a row that cannot be put."""
    if change.is_delete:
        raise invalid("Invalid request of put/update row: unexpected RowDeleteMarker in request.")
    for cell in change.cells:
        if cell.op != PUT:
            raise invalid(f"OpType cannot be given for column name:'{show(cell.name)}' in PutRow.")
        if not cell.value:
            raise invalid("Invalid request of put row: find cells without values.")
    _check_cells(change, limits)


def check_update(change: Change, limits: Limits) -> None:
    """Refuses a row that cannot be updated."""
    if change.is_delete:
        raise invalid("Invalid request of put/update row: unexpected RowDeleteMarker in request.")
    if not change.cells:
        raise invalid("Attribute column is missing.")
    for cell in change.cells:
        _check_operation(cell)
    _check_cells(change, limits)


def check_delete(change: Change) -> None:
    """Refuses a row that does not say 'delete'."""
    if not change.is_delete:
        raise invalid("Invalid request of delete row: missing RowDeleteMarker in request.")
    if change.cells:
        raise invalid("Invalid delete row request: unexpected cells in request.")


def check_read_key(change: Change) -> None:
    """Refuses what is more than a key."""
    if change.is_delete:
        raise invalid("Delete marker cannot be given.")
    if change.cells:
        raise invalid("Attribute column cannot be given while reading data.")


def _check_operation(cell: ChangedCell) -> None:
    if cell.op in (PUT, INCREMENT):
        if not cell.value:
            raise invalid(f"Invalid cell: '{show(cell.name)}'. Reason: missing value.")
        if cell.op == INCREMENT and cell.value[0] != INTEGER:
            raise invalid(f"Column '{show(cell.name)}' can only be incremented by an integer.")
    elif cell.op in (DELETE_ONE, DELETE_ALL):
        if cell.value:
            raise invalid("Column value cannot be given when type is DELETE_ONE_VERSION,DELETE_ALL_VERSION.")
        if cell.op == DELETE_ONE and cell.timestamp is None:
            raise invalid("Timestamp must be given when type is DELETE_ONE_VERSION.")
        if cell.op == DELETE_ALL and cell.timestamp is not None:
            raise invalid("Timestamp cannot be given when type is DELETE_ALL_VERSION.")
    else:
        raise invalid(f"Invalid op type of cell: {cell.op}.")


def _check_cells(change: Change, limits: Limits) -> None:
    cells = change.cells
    if len(cells) > limits.cells_in_write:
        raise invalid(
            f"The number of attribute columns exceeds the limit, limit count: {limits.cells_in_write}, "
            f"column count: {len(cells)}."
        )
    keys = {part.name for part in change.parts}
    for name, _, _, value, _, _ in cells:
        if not 0 < len(name) <= 255 or name[0] == 0x23 or not name.isascii():
            check_column_name(name)
        if name in keys:
            raise invalid(f"Duplicated attribute column name with primary key column: '{show(name)}'.")
        if len(value) > limits.cell_bytes and value[0] in (STRING, BINARY) and len(value) - 5 > limits.cell_bytes:
            raise invalid(
                f"The length of attribute column: '{show(name)}' exceeds the MaxLength:{limits.cell_bytes} "
                f"with CurrentLength:{len(value) - 5}."
            )
        if value and value[0] == DOUBLE and not limits.allows_non_finite:
            _check_finite(value)


def _check_finite(value: bytes) -> None:
    (number,) = struct.unpack_from("<d", value, 1)
    if math.isnan(number):
        raise invalid("NaN can't be set to double value.")
    if math.isinf(number):
        raise invalid("Infinity can't be set to double value.")


def change_bytes(change: Change) -> int:
    """The size of a row as limits and capacity units count it: names and values, without their packing."""
    size = sum(len(part.name) + len(part.payload) for part in change.parts)
    for cell in change.cells:
        size += len(cell.name)
        if cell.value:
            size += len(cell.value) - (5 if cell.value[0] in (STRING, BINARY) else 1)
    return size


def check_write_bytes(changes: Iterable[Change], body_bytes: int, operation: str, limits: Limits) -> None:
    """Refuses a write that holds too much."""
    if body_bytes <= limits.write_bytes:
        return
    size = sum(map(change_bytes, changes))
    if size > limits.write_bytes:
        raise invalid(
            f"The total data size of {operation} request exceeds the limit, limit size: {limits.write_bytes}, "
            f"data size: {size}."
        )


def check_columns_to_get(names: Sequence[str], limits: Limits) -> None:
    """Refuses too many columns, or what cannot be one."""
    if len(names) > limits.columns_to_get:
        raise invalid(
            f"The number of columns from the request exceeds the limit, limit count: {limits.columns_to_get}, "
            f"column count: {len(names)}."
        )
    for name in names:
        check_column_name(name.encode())


def check_rows(count: int, limit: int) -> None:
    """Refuses a batch of too many rows."""
    if count > limit:
        raise invalid(f"Rows count exceeds the upper limit: {limit}.")


def check_batch_tables(names: Collection[str]) -> None:
    """Refuses a batch that names a table wrongly, or twice."""
    seen: set[str] = set()
    for name in names:
        check_table_name(name)
        if name in seen:
            raise invalid(f"Duplicated table name: '{name}'.")
        seen.add(name)


def check_no_transaction(transaction_id: str) -> None:
    """Refuses any transaction: no table here has local transactions enabled, so no id is valid."""
    if transaction_id:
        raise invalid("TransactionID is invalid.")


def to_proto(error: ServiceError) -> pb.Error:
    """The error as answers carry it."""
    return pb.Error(code=error.code, message=error.message)
