"""What an upsert session does at its commit: the rows of a delta table by key, the latest operation deciding.

The client sends five columns more than the table has, of which `__operation` tells 'U' or 'D'.
Source: pyodps, odps/tunnel/tabletunnel.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_tablestore.emulator.maxcompute import sessions
from airflow_tablestore.emulator.maxcompute.columns import Column, arrow_schema, values_of
from airflow_tablestore.emulator.maxcompute.errors import Refusal
from airflow_tablestore.emulator.maxcompute.kinds import type_from
from airflow_tablestore.emulator.maxcompute.rows import Table
from airflow_tablestore.emulator.maxcompute.sessions import Session
from airflow_tablestore.emulator.maxcompute.store import Store
from airflow_tablestore.emulator.maxcompute.tables import Definition

OPERATION = "__operation"
_VALUE_COLUMNS = "__value_cols"
_UPSERT, _DELETE = ord("U"), ord("D")
_EXTRA = (
    Column("__version", type_from("bigint")),
    Column("__app_version", type_from("bigint")),
    Column(OPERATION, type_from("tinyint")),
    Column("__key_cols", type_from("array<bigint>")),
    Column(_VALUE_COLUMNS, type_from("array<bigint>")),
)
_ATTEMPTS = 20


def columns_of(definition: Definition) -> tuple[Column, ...]:
    """What the client sends."""
    return (*definition.columns, *_EXTRA)


def check(batch: Any, definition: Definition) -> None:
    """:raises Refusal: an operation is unknown, a key is null, or only some columns are to be changed."""
    operations = batch.column(OPERATION).to_pylist()
    if not set(operations) <= {_UPSERT, _DELETE}:
        raise Refusal("MalformedDataStream", "An operation of the upsert stream is neither U nor D.")
    for name in definition.primary_key:
        if batch.column(_index(definition.columns, name)).null_count:
            raise Refusal("InvalidArgument", f"Column {name} is of the primary key; a value of it is null.")
    if any(batch.column(_VALUE_COLUMNS).to_pylist()):
        raise Refusal("NotImplemented", "The emulator does not change some columns of a row only.")


def commit(store: Store, session: Session, table: Table) -> None:
    """Makes the session's operations those of the partition, all at once; doing it again changes nothing."""
    if session.status == sessions.COMMITTED:
        return
    for _ in range(_ATTEMPTS):
        states = store.state(table, session.definition.columns)
        state = next((state for state in states if state.partition.values == session.values), None)
        if state is None:
            raise Refusal("NoSuchPartition")
        merged = _merged(store, session, state.batches)
        pieces = store.store_rows(merged.to_batches(max_chunksize=65536))
        try:
            if sessions.replace(store, session, state.pieces, pieces):
                return
        finally:
            store.give_up(pieces)
    raise Refusal("StatusConflict", "The table is written too often to be merged.")


def _merged(store: Store, session: Session, held: Sequence[Any]) -> Any:
    """The rows that there are after the operations: those that stay in their order, then what is new or changed."""
    import pyarrow as pa

    columns = session.definition.columns
    sent = list(store.read(store.listed(session.list), columns_of(session.definition)))
    count = sum(batch.num_rows for batch in held)
    operations = [_UPSERT] * count + [one for batch in sent for one in batch.column(OPERATION).to_pylist()]
    names = [column.name for column in columns]
    batches = [*held, *(batch.select(names) for batch in sent)]
    table = pa.Table.from_batches(batches, schema=arrow_schema(columns))
    rows: dict[tuple[Any, ...], int] = {}
    for index, (key, operation) in enumerate(zip(_keys(table, session.definition), operations, strict=True)):
        rows.pop(key, None)
        if operation == _UPSERT:
            rows[key] = index
    return table.take(pa.array(rows.values(), pa.int64()))


def _keys(table: Any, definition: Definition) -> list[tuple[Any, ...]]:
    wanted = [definition.columns[_index(definition.columns, name)] for name in definition.primary_key]
    keys: list[tuple[Any, ...]] = []
    for batch in table.select([column.name for column in wanted]).to_batches():
        keys += zip(*values_of(batch, wanted), strict=True)
    return keys


def _index(columns: Sequence[Column], name: str) -> int:
    return next(index for index, column in enumerate(columns) if column.name.lower() == name.lower())
