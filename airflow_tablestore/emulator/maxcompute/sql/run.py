"""Statements carried out: DDL on the store, rows of queries into tables.

Each statement changes the store in one transaction, or not at all; only CREATE TABLE AS makes the table first.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_tablestore.emulator.maxcompute.columns import Column
from airflow_tablestore.emulator.maxcompute.errors import Refusal, SqlFailure, meaning_failure, no_table
from airflow_tablestore.emulator.maxcompute.rows import Partition, Table
from airflow_tablestore.emulator.maxcompute.sql import statements as st
from airflow_tablestore.emulator.maxcompute.sql.inserts import insert
from airflow_tablestore.emulator.maxcompute.sql.selects import as_csv, select
from airflow_tablestore.emulator.maxcompute.store import Store
from airflow_tablestore.emulator.maxcompute.tables import Definition

MOST_COLUMNS = 1200
"""Of a table. Source: the service's limits."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a statement said, and the rows that it selected."""

    text: str = ""
    columns: tuple[Column, ...] = ()
    batches: Sequence[Any] = ()


def run_statement(store: Store, project: str, text: str) -> Result:
    """Carries the statement out.

    :raises SqlFailure: it cannot be understood or makes no sense; nothing has changed.
    """
    statement = st.statement_from(text)
    if statement is None:
        return Result(text="OK")
    if isinstance(statement, st.Select):
        columns, batches = select(store, project, statement.query)
        return Result(_text(columns, batches), columns, batches)
    try:
        return Result(text=_RUNS[type(statement)](store, project, statement))
    except Refusal as refusal:
        raise meaning_failure(refusal.message) from refusal


def _text(columns: Sequence[Column], batches: Sequence[Any]) -> str:
    import pyarrow as pa

    try:
        return as_csv(columns, batches)
    except (pa.ArrowException, OverflowError, ValueError) as error:
        raise meaning_failure(f"a value of the result cannot be told: {error}") from error


def _named(store: Store, project: str, name: st.Name) -> Table:
    table = store.find(name.project or project, name.table)
    if table is None:
        raise no_table(f"{name.project or project}.{name.table}")
    return table


def _create(store: Store, project: str, asked: st.CreateTable) -> str:
    at = asked.name.project or project
    if store.find(at, asked.name.table) is not None:
        return _made_already(asked)
    batches: Sequence[Any] = ()
    definition = asked.definition or Definition(())
    if asked.like is not None:
        definition = dataclasses.replace(_named(store, project, asked.like).definition, lifecycle_days=0)
    elif asked.query:
        columns, batches = select(store, project, asked.query)
        definition = dataclasses.replace(definition, columns=columns)
    checked = _checked(definition)
    if not store.create(at, asked.name.table, checked):
        return _made_already(asked)
    if batches:
        store.write(_named(store, at, asked.name), {(): store.store_rows(batches)}, is_overwrite=True)
    return "OK"


def _made_already(asked: st.CreateTable) -> str:
    if not asked.is_lenient:
        raise SqlFailure("ODPS-0110061", f"Failed to run ddltask - table {asked.name.table} already exists")
    return "OK"


def _checked(definition: Definition) -> Definition:
    names = [column.name for column in (*definition.columns, *definition.partition_columns)]
    if not definition.columns or len(names) > MOST_COLUMNS:
        raise meaning_failure(f"a table has 1 to {MOST_COLUMNS} columns, not {len(names)}")
    if len(set(names)) != len(names):
        raise meaning_failure(f"column {next(name for name in names if names.count(name) > 1)} is there twice")
    if len(definition.partition_columns) > 6:
        raise meaning_failure("a table has up to six levels of partitions")
    wrong = [c.name for c in definition.partition_columns if c.kind.name not in _PARTITION_TYPES]
    if wrong:
        raise meaning_failure(f"column {wrong[0]} is of a type that no partition can have")
    return _keyed(definition)


_PARTITION_TYPES = frozenset({"tinyint", "smallint", "int", "bigint", "string", "varchar", "char", "date"})


def _keyed(definition: Definition) -> Definition:
    key = tuple(name.lower() for name in definition.primary_key)
    if not key:
        return definition
    columns = {column.name: column for column in definition.columns}
    if not definition.is_transactional:
        raise meaning_failure("a table with a primary key needs TBLPROPERTIES ('transactional'='true')")
    for name in key:
        if name not in columns:
            raise meaning_failure(f"column {name} of the primary key is not there")
        if columns[name].is_nullable:
            raise meaning_failure(f"column {name} of the primary key must be NOT NULL")
    return dataclasses.replace(definition, primary_key=key)


def _drop(store: Store, project: str, asked: st.DropTable) -> str:
    table = store.find(asked.name.project or project, asked.name.table)
    if table is not None:
        store.drop(table)
    elif not asked.is_lenient:
        raise no_table(str(asked.name))
    return "OK"


def _add_partitions(store: Store, project: str, asked: st.AddPartitions) -> str:
    table = _named(store, project, asked.name)
    wanted = [_values(table, spec) for spec in asked.specs]
    known = {partition.values for partition in store.partitions(table)}
    for values in wanted:
        if values in known and not asked.is_lenient:
            raise SqlFailure("ODPS-0110061", f"Failed to run ddltask - partition {values} already exists")
    for values in wanted:
        store.add_partition(table, values)
    return "OK"


def _drop_partitions(store: Store, project: str, asked: st.DropPartitions) -> str:
    table = _named(store, project, asked.name)
    store.drop_partitions(_found(store, table, asked.specs, is_lenient=asked.is_lenient))
    return "OK"


def _found(store: Store, table: Table, specs: Iterable[Mapping[str, str]], *, is_lenient: bool) -> list[Partition]:
    found = []
    for spec in specs:
        partition = store.partition(table, _values(table, spec))
        if partition is not None:
            found.append(partition)
        elif not is_lenient:
            raise SqlFailure("ODPS-0110061", f"Failed to run ddltask - partition {dict(spec)} does not exist")
    return found


def _values(table: Table, spec: Mapping[str, str]) -> tuple[str, ...]:
    if not table.definition.partition_columns:
        raise meaning_failure(f"table {table.name} is not partitioned")
    return table.definition.partition_of(spec)


def _truncate(store: Store, project: str, asked: st.Truncate) -> str:
    table = _named(store, project, asked.name)
    if table.definition.partition_columns and not asked.specs:
        raise meaning_failure("TRUNCATE of a partitioned table needs its PARTITION")
    store.empty(_found(store, table, asked.specs, is_lenient=False) if asked.specs else store.partitions(table))
    return "OK"


def _add_columns(store: Store, project: str, asked: st.AddColumns) -> str:
    table = _named(store, project, asked.name)
    new = [c for c in asked.columns if not (asked.is_lenient and table.definition.column(c.name))]
    if any(not column.is_nullable for column in new):
        raise meaning_failure("a column that is added cannot be NOT NULL")
    columns = (*table.definition.columns, *new)
    store.change(table, _checked(dataclasses.replace(table.definition, columns=columns)))
    return "OK"


def _alter(store: Store, project: str, asked: st.Alter) -> str:
    table = _named(store, project, asked.name)
    old = table.definition
    definition = dataclasses.replace(
        old,
        comment=old.comment if asked.comment is None else asked.comment,
        lifecycle_days=old.lifecycle_days if asked.lifecycle_days is None else asked.lifecycle_days,
        properties=tuple({**dict(old.properties), **asked.properties}.items()),
    )
    if asked.new_name and store.find(table.project, asked.new_name) is not None:
        raise SqlFailure("ODPS-0110061", f"Failed to run ddltask - table {asked.new_name} already exists")
    store.change(table, definition, name=asked.new_name, is_of_columns=False)
    return "OK"


def _show_partitions(store: Store, project: str, asked: st.ShowPartitions) -> str:
    table = _named(store, project, asked.name)
    if not table.definition.partition_columns:
        raise meaning_failure(f"table {table.name} is not partitioned")
    lines = (table.definition.spec_text(p.values).replace(",", "/") for p in store.partitions(table))
    return "".join(f"{line}\n" for line in lines)


def _insert(store: Store, project: str, asked: st.Insert) -> str:
    insert(store, project, _named(store, project, asked.name), asked)
    return "OK"


_RUNS: Mapping[type, Any] = {
    st.CreateTable: _create,
    st.DropTable: _drop,
    st.AddPartitions: _add_partitions,
    st.DropPartitions: _drop_partitions,
    st.Truncate: _truncate,
    st.AddColumns: _add_columns,
    st.Alter: _alter,
    st.ShowPartitions: _show_partitions,
    st.Insert: _insert,
}
