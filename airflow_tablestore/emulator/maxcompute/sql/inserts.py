"""INSERT: the rows of a query into a table, or into partitions that the statement or the rows name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_tablestore.emulator.maxcompute.columns import Column, check
from airflow_tablestore.emulator.maxcompute.database import Piece
from airflow_tablestore.emulator.maxcompute.errors import meaning_failure
from airflow_tablestore.emulator.maxcompute.rows import Table
from airflow_tablestore.emulator.maxcompute.sql.selects import select
from airflow_tablestore.emulator.maxcompute.sql.statements import Insert
from airflow_tablestore.emulator.maxcompute.store import Store


def insert(store: Store, project: str, table: Table, asked: Insert) -> None:
    """Carries it out, in every partition at once; partitions that no row names stay as they are."""
    import pyarrow as pa

    if table.definition.is_delta:
        raise meaning_failure("the emulator writes a table with a primary key by upserts only")
    fixed = {name: value for name, value in asked.spec.items() if value is not None}
    partition_columns = table.definition.partition_columns
    if sorted(asked.spec) != sorted(column.name for column in partition_columns):
        raise meaning_failure("INSERT needs the PARTITION with every partition column of the table")
    given = _given(table, asked.columns)
    free = [column for column in partition_columns if column.name not in fixed]
    _, batches = select(store, project, asked.query)
    rows = pa.Table.from_batches(batches) if batches else None
    count = rows.num_columns if rows is not None else len(given) + len(free)
    if count != len(given) + len(free):
        raise meaning_failure(f"the query has {count} columns where {len(given) + len(free)} are wanted")
    targets = _by_partition(rows, len(given), free) if free else {(): rows}
    stored: dict[tuple[str, ...], list[Piece]] = {}
    try:
        for values, part in targets.items():
            spec = {**fixed, **dict(zip((column.name for column in free), values, strict=True))}
            at = table.definition.partition_of(spec) if partition_columns else ()
            stored[at] = store.store_rows(_fitted(part, table.definition.columns, given) if part is not None else [])
        store.write(table, stored, is_overwrite=asked.is_overwrite)
    finally:
        store.give_up(piece for pieces in stored.values() for piece in pieces)


def _given(table: Table, names: Sequence[str]) -> list[Column]:
    if not names:
        return list(table.definition.columns)
    found = [table.definition.column(name) for name in names]
    known = [column for column in found if column in table.definition.columns and column is not None]
    if len(known) != len(names):
        raise meaning_failure(f"the columns {', '.join(names)} are not all of table {table.name}")
    return known


def _by_partition(rows: Any, width: int, free: Sequence[Column]) -> dict[tuple[str, ...], Any]:
    import pyarrow as pa

    if rows is None:
        return {}
    texts = [rows.column(width + index).cast(pa.string()).to_pylist() for index in range(len(free))]
    numbers: dict[tuple[str, ...], list[int]] = {}
    for number, values in enumerate(zip(*texts, strict=True)):
        if None in values:
            raise meaning_failure("a row's partition is null")
        numbers.setdefault(values, []).append(number)
    return {values: rows.take(pa.array(held, pa.int64())) for values, held in numbers.items()}


def _fitted(rows: Any, columns: Sequence[Column], given: Sequence[Column]) -> list[Any]:
    """The rows with every column of the table, those that are not given null."""
    import pyarrow as pa

    arrays = []
    try:
        for column in columns:
            kind = column.kind.arrow()
            at = given.index(column) if column in given else -1
            arrays.append(rows.column(at).cast(kind) if at >= 0 else pa.nulls(rows.num_rows, kind))
    except pa.ArrowException as error:
        raise meaning_failure(f"a value does not fit its column: {error}") from error
    batches = pa.Table.from_arrays(arrays, names=[column.name for column in columns]).combine_chunks().to_batches()
    for batch in batches:
        check(batch, columns)
    return list(batches)
