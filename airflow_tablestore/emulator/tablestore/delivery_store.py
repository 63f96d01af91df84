"""Delivery tasks and how far each is, in the tables' own file.

A task is read as a value and saved as a whole; what it has delivered is an object store's. Functions take the
connection of whoever reads or writes.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field

SCHEMA = """
CREATE TABLE IF NOT EXISTS delivery_tasks (
  id TEXT PRIMARY KEY,
  table_id INTEGER NOT NULL,
  name TEXT NOT NULL,
  type INTEGER NOT NULL,
  config BLOB NOT NULL,
  phase INTEGER NOT NULL,
  reached_nanos INTEGER NOT NULL,
  error INTEGER NOT NULL,
  detail TEXT NOT NULL,
  created_nanos INTEGER NOT NULL,
  next_key BLOB,
  flushes INTEGER NOT NULL,
  rows INTEGER NOT NULL,
  dropped TEXT NOT NULL,
  UNIQUE (table_id, name)
);
CREATE TABLE IF NOT EXISTS delivery_places (
  task TEXT NOT NULL,
  shard TEXT NOT NULL,
  iterator TEXT NOT NULL,
  PRIMARY KEY (task, shard)
) WITHOUT ROWID;
"""

_COLUMNS = (
    "id, table_id, name, type, config, phase, reached_nanos, error, detail, created_nanos, next_key, flushes, rows, "
    "dropped"
)


@dataclass(frozen=True, slots=True)
class Task:
    """One task. `config` is its OSSTaskConfig as it came.

    `next_key` is where the rows of the table go on, None when they are done; `flushes` counts how often files were
    written. `rows` were delivered; `dropped` counts values that did not fit, by column.
    """

    id: str
    table_id: int
    name: str
    type: int
    config: bytes
    phase: int = 0
    reached_nanos: int = 0
    error: int = 0
    detail: str = ""
    created_nanos: int = 0
    next_key: bytes | None = b""
    flushes: int = 0
    rows: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)


def save(connection: sqlite3.Connection, task: Task) -> None:
    """Keeps a task in place of the one with its id."""
    values = [getattr(task, name.strip()) for name in _COLUMNS.split(",")]
    values[-1] = json.dumps(dict(task.dropped))
    connection.execute(f"REPLACE INTO delivery_tasks ({_COLUMNS}) VALUES ({', '.join('?' * len(values))})", values)  # noqa: S608


def tasks(connection: sqlite3.Connection, table_id: int | None = None) -> list[Task]:
    """The tasks of a table, or all; from old to new."""
    where, values = ("", ()) if table_id is None else ("WHERE table_id = ?", (table_id,))
    found = connection.execute(f"SELECT {_COLUMNS} FROM delivery_tasks {where} ORDER BY created_nanos, id", values)  # noqa: S608
    return [Task(*(*row[:-1], json.loads(row[-1]))) for row in found]


def task_with(connection: sqlite3.Connection, id_: str) -> Task | None:
    """The task of that id."""
    return next((task for task in tasks(connection) if task.id == id_), None)


def places(connection: sqlite3.Connection, task: str) -> dict[str, str]:
    """Where a task goes on, by shard: an iterator, or "" for a shard that is read to its end."""
    return dict(connection.execute("SELECT shard, iterator FROM delivery_places WHERE task = ?", (task,)).fetchall())


def save_places(connection: sqlite3.Connection, task: str, found: Mapping[str, str]) -> None:
    """Keeps where a task goes on."""
    rows = [(task, shard, iterator) for shard, iterator in found.items()]
    connection.executemany("REPLACE INTO delivery_places VALUES (?, ?, ?)", rows)


def drop_task(connection: sqlite3.Connection, id_: str) -> None:
    """Deletes a task."""
    connection.execute("DELETE FROM delivery_places WHERE task = ?", (id_,))
    connection.execute("DELETE FROM delivery_tasks WHERE id = ?", (id_,))


def drop_tasks(connection: sqlite3.Connection, table_id: int) -> None:
    """Deletes the tasks of a table."""
    for task in tasks(connection, table_id):
        drop_task(connection, task.id)
