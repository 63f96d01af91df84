"""Tables and partitions as rows of the database, found and changed as parts of a transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from airflow_tablestore.emulator.maxcompute.database import content_of, drop_lists
from airflow_tablestore.emulator.maxcompute.tables import Definition, definition_from


@dataclass(frozen=True, slots=True)
class Table:
    """A stored table. `version` grows with each change of its definition."""

    id: int
    project: str
    name: str
    definition: Definition
    version: int
    created_millis: int
    ddl_millis: int


@dataclass(frozen=True, slots=True)
class Partition:
    """A stored partition, or all of a table that has none (`values` is empty then)."""

    id: int
    table_id: int
    values: tuple[str, ...]
    created_millis: int
    changed_millis: int


TABLE_QUERY = "SELECT id, project, name, definition, version, created_millis, ddl_millis FROM tables"
PARTITION_QUERY = "SELECT id, table_id, spec, created_millis, changed_millis FROM partitions"


def find_table(connection: sqlite3.Connection, project: str, name: str) -> Table | None:
    """The table, or None."""
    row = connection.execute(f"{TABLE_QUERY} WHERE project = ? AND name = ?", (project, name)).fetchone()
    return table_from(row) if row else None


def find_partition(connection: sqlite3.Connection, table_id: int, values: Sequence[str]) -> Partition | None:
    """The partition, or None."""
    row = connection.execute(f"{PARTITION_QUERY} WHERE table_id = ? AND spec = ?", (table_id, _spec(values))).fetchone()
    return partition_from(row) if row else None


def partitions_of(connection: sqlite3.Connection, table_id: int) -> list[Partition]:
    """The table's partitions, in the order of their values."""
    rows = connection.execute(f"{PARTITION_QUERY} WHERE table_id = ?", (table_id,))
    return sorted(map(partition_from, rows), key=lambda partition: partition.values)


def ensure_partition(connection: sqlite3.Connection, table_id: int, values: Sequence[str], stamp: int) -> None:
    """Makes the partition unless there is one."""
    connection.execute(
        "INSERT INTO partitions(table_id, spec, created_millis, changed_millis) VALUES (?, ?, ?, ?) "
        "ON CONFLICT(table_id, spec) DO NOTHING",
        (table_id, _spec(values), stamp, stamp),
    )


def touch(connection: sqlite3.Connection, partition: int, stamp: int) -> None:
    """Notes that the rows of the partition changed."""
    connection.execute("UPDATE partitions SET changed_millis = ? WHERE id = ?", (stamp, partition))


def drop_session(connection: sqlite3.Connection, session: str) -> None:
    """Removes a session with what it kept."""
    lists = [row[0] for row in connection.execute("SELECT list FROM blocks WHERE session = ?", (session,))]
    drop_lists(connection, [f"session {session}", *lists])
    connection.execute("DELETE FROM blocks WHERE session = ?", (session,))
    connection.execute("DELETE FROM sessions WHERE id = ?", (session,))


def drop_partition(connection: sqlite3.Connection, partition: Partition) -> None:
    drop_lists(connection, [content_of(partition.id)])
    connection.execute("DELETE FROM partitions WHERE id = ?", (partition.id,))


def _spec(values: Sequence[str]) -> str:
    return json.dumps(list(values))


def table_from(row: Sequence[Any]) -> Table:
    return Table(row[0], row[1], row[2], definition_from(row[3]), *row[4:])


def partition_from(row: Sequence[Any]) -> Partition:
    return Partition(row[0], row[1], tuple(json.loads(row[2])), row[3], row[4])
