"""MaxCompute's tables beside the network, for tests: SQL and rows as dicts. No fault strikes what is done here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airflow_tablestore.emulator.maxcompute.errors import Refusal, SqlFailure
from airflow_tablestore.emulator.maxcompute.rows import Table
from airflow_tablestore.emulator.maxcompute.store import Store
from airflow_tablestore.errors import SpecError


def run_sql(store: Store, project: str, statement: str) -> list[dict[str, Any]]:
    """What a statement selects; nothing for one that selects nothing.

    :raises SpecError: it fails, with the service's words.
    """
    from airflow_tablestore.emulator.maxcompute.sql.run import run_statement

    try:
        result = run_statement(store, project, statement)
    except SqlFailure as failure:
        raise SpecError(str(failure)) from failure
    return [row for batch in result.batches for row in batch.to_pylist()]


def put_rows(store: Store, project: str, name: str, rows: Iterable[Mapping[str, Any]], partition: str) -> None:
    """Puts rows behind those of a table or of its partition, which is made when absent.

    :raises SpecError: there is no such table, or a row does not fit it.
    """
    import pyarrow as pa

    from airflow_tablestore.emulator.maxcompute.columns import arrow_schema, check

    table = _table(store, project, name)
    columns = table.definition.columns
    try:
        values = table.definition.partition_from(partition)
        batches = pa.Table.from_pylist([dict(row) for row in rows], arrow_schema(columns)).to_batches()
        for batch in batches:
            check(batch, columns)
    except (pa.ArrowException, Refusal) as error:
        raise SpecError(f"Rows of {name!r}: {error}") from error
    store.write(table, {values: store.store_rows(batches)}, is_overwrite=False)


def rows_of(store: Store, project: str, name: str, partition: str | None) -> list[dict[str, Any]]:
    """The rows of a table with their partition columns, or of one partition, in the order in which they were written.

    :raises SpecError: there is no such table, or the text is no partition of it.
    """
    table = _table(store, project, name)
    definition = table.definition
    try:
        wanted = None if partition is None else definition.partition_from(partition)
    except Refusal as refusal:
        raise SpecError(f"Table {name!r}: {refusal.message}") from refusal
    found = []
    names = [column.name for column in definition.partition_columns]
    for held in store.state(table, definition.columns):
        if wanted is None or held.partition.values == wanted:
            told = dict(zip(names, held.partition.values, strict=True))
            found += [{**row, **told} for batch in held.batches for row in batch.to_pylist()]
    return found


def _table(store: Store, project: str, name: str) -> Table:
    table = store.find(project, name.lower())
    if table is None:
        raise SpecError(f"There is no table {name!r} in the project {project!r}.")
    return table
