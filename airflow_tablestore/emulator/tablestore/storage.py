"""The bytes of all tables in one SQLite file.

Each Tablestore table is one SQLite table without rowids: sortable key -> stored row, so that key order is storage order
and a range is one scan. Writes go through one connection and one lock; every batch is one transaction, in which the
change log (when there is one) writes too. Reads use a connection per thread and see whole transactions only (WAL). A
killed process loses nothing that was answered: the log is replayed when the file is opened again.
"""

# ruff: noqa: S608 - the names in SQL are made of a table's id, an integer of ours

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from airflow_tablestore.emulator.tablestore.cells import Change, KeySection, StoredCell
from airflow_tablestore.emulator.tablestore.errors import table_exists, table_missing
from airflow_tablestore.emulator.tablestore.table import Table, table_of

FILE_NAME = "tables.sqlite"
CHECKPOINT_PAGES = 20_000
"""Fewer checkpoints than SQLite's own 1000 pages: four times the rows per second for random keys."""
PAGE_BYTES = 8192
WRITER_CACHE_KIB = 64 * 1024
READER_CACHE_KIB = 8 * 1024
"""Ranges pass through once, so a reader gains nothing by remembering."""
CHUNK_ROWS = 200

_SCHEMA = """
CREATE TABLE IF NOT EXISTS tables (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  instance TEXT NOT NULL,
  name TEXT NOT NULL,
  description BLOB NOT NULL,
  may_hold_versions INTEGER NOT NULL,
  last_auto INTEGER NOT NULL DEFAULT 0,
  UNIQUE (instance, name)
)
"""


@dataclass(frozen=True, slots=True)
class RowChange:
    """One change as it was applied: what was asked, under which key, and the row before (None: none, or not read).

    The key is complete, also where the request left a part to the service.
    """

    action: int
    sort_key: bytes
    key: KeySection
    change: Change
    before: list[StoredCell] | None
    now_millis: int


class ChangeLog(Protocol):
    """Writes records of changes in the transaction of the change itself, and in the same file."""

    def opened(self, connection: sqlite3.Connection, tables: Sequence[Table]) -> None:
        """Called once, in a transaction, when the file is opened."""

    def defined(self, connection: sqlite3.Connection, table: Table) -> None:
        """Called when a table was made or redefined."""

    def dropped(self, connection: sqlite3.Connection, table: Table) -> None:
        """Called when a table was deleted."""

    def wants(self, table: Table) -> bool:
        """Whether changes of this table are recorded (then `RowChange.before` is always read)."""

    def record(self, connection: sqlite3.Connection, table: Table, change: RowChange, index: int) -> None:
        """Called once per applied change, in order; what it writes is committed or lost with the change.

        :param index: how many changes the same transaction recorded before.
        """


class Store:
    """All tables of all instances.

    :param folder: where the file is kept, made when absent; None keeps it in a temporary folder until `close`.
    """

    def __init__(self, folder: Path | None, changes: ChangeLog | None = None):
        self._is_ephemeral = folder is None
        self._folder = Path(tempfile.mkdtemp(prefix="tablestore-")) if folder is None else folder
        self._folder.mkdir(parents=True, exist_ok=True)
        self._changes = changes
        self._lock = threading.RLock()  # held by whoever writes, and around `_tables` and the table it tells of
        self._local = threading.local()
        self._opened: list[tuple[threading.Thread, sqlite3.Connection]] = []
        self._is_closed = False
        self._writer = self._connect(WRITER_CACHE_KIB)
        self._writer.execute(_SCHEMA)
        self._tables = {(row.instance, row.name): row for row in self._read_tables()}
        if changes is not None:
            with self.transaction() as connection:
                changes.opened(connection, list(self._tables.values()))

    def close(self) -> None:
        """Closes the file; removes it when it was temporary. A thread that reads ends its reading, and begins no other.

        Its connection is left to it: the interpreter dies of one that is closed while another thread uses it.
        """
        with self._lock:
            self._is_closed = True
            for thread, connection in self._opened:
                if connection is self._writer or thread is threading.current_thread() or not thread.is_alive():
                    connection.close()
            self._opened.clear()
        if self._is_ephemeral:
            shutil.rmtree(self._folder, ignore_errors=True)

    # ---- tables

    def table(self, instance: str, name: str) -> Table:
        """The table, or the service's error when there is none."""
        try:
            return self._tables[instance, name]
        except KeyError:
            raise table_missing() from None

    def names(self, instance: str) -> list[str]:
        """The names of the instance's tables, sorted."""
        return sorted(name for at, name in list(self._tables) if at == instance)

    def create(self, table: Table) -> None:
        """Makes an empty table; its id is given here."""
        with self._lock:
            if (table.instance, table.name) in self._tables:
                raise table_exists()
            with self.transaction() as connection:
                cursor = connection.execute(
                    "INSERT INTO tables (instance, name, description, may_hold_versions) VALUES (?, ?, ?, ?)",
                    (table.instance, table.name, table.description, table.may_hold_versions),
                )
                made = replace(table, id=int(cursor.lastrowid or 0))
                connection.execute(f"CREATE TABLE r{made.id} (k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID")
                if self._changes is not None:
                    self._changes.defined(connection, made)
            self._tables[made.instance, made.name] = made

    def redefine(self, table: Table) -> None:
        """Replaces what is known about a table; its rows stay."""
        with self._lock:
            if self.table(table.instance, table.name).id != table.id:
                raise table_missing()
            with self.transaction() as connection:
                connection.execute(
                    "UPDATE tables SET description = ?, may_hold_versions = ? WHERE id = ?",
                    (table.description, table.may_hold_versions, table.id),
                )
                if self._changes is not None:
                    self._changes.defined(connection, table)
            self._tables[table.instance, table.name] = table

    def drop(self, instance: str, name: str) -> None:
        """Deletes a table with its rows."""
        with self._lock:
            table = self.table(instance, name)
            with self.transaction() as connection:
                connection.execute("DELETE FROM tables WHERE id = ?", (table.id,))
                connection.execute(f"DROP TABLE r{table.id}")
                if self._changes is not None:
                    self._changes.dropped(connection, table)
            del self._tables[instance, name]

    def clear(self) -> None:
        """Deletes every table of every instance."""
        with self._lock:
            for instance, name in list(self._tables):
                self.drop(instance, name)

    def tables(self) -> list[Table]:
        """Every table, by instance and name."""
        with self._lock:
            return sorted(self._tables.values(), key=lambda table: (table.instance, table.name))

    def streamed(self, instance: str) -> list[Table]:
        """The instance's tables that have a stream, by name."""
        found = [table for (at, _), table in list(self._tables.items()) if at == instance and table.is_streamed]
        return sorted(found, key=lambda table: table.name)

    def count(self, table: Table) -> int:
        """How many rows are stored."""
        with _gone_is_missing():
            (count,) = self._reader().execute(f"SELECT count(*) FROM r{table.id}").fetchone()
        return int(count)

    @property
    def folder(self) -> Path:
        """Where the file is."""
        return self._folder

    # ---- rows

    @contextlib.contextmanager
    def writing(self) -> Iterator[Writing]:
        """One transaction: everything is kept at its end, or nothing when an error leaves it.

        No table comes or goes meanwhile, so tables are looked up inside.
        """
        with self.transaction() as connection:
            yield Writing(connection, self._changes)

    def row(self, table: Table, key: bytes) -> bytes | None:
        """The stored row of a key, or None."""
        with _gone_is_missing():
            found = self._reader().execute(f"SELECT v FROM r{table.id} WHERE k = ?", (key,)).fetchone()
        return None if found is None else found[0]

    def rows(self, table: Table, low: bytes, high: bytes, *, is_backward: bool) -> Generator[bytes, None, None]:
        """Stored rows with `low` <= key < `high`, or `low` < key <= `high` from the end; all from one moment.

        Close it when not read to its end: it holds back the checkpoint of the write-ahead log.
        """
        where, order = ("k > ? AND k <= ?", "DESC") if is_backward else ("k >= ? AND k < ?", "ASC")
        with _gone_is_missing():
            cursor = self._reader().execute(
                f"SELECT v FROM r{table.id} WHERE {where} ORDER BY k {order}",
                (low, high),
            )
            try:
                while chunk := cursor.fetchmany(CHUNK_ROWS):
                    for (row,) in chunk:
                        yield row
            finally:
                cursor.close()

    def middle_key(self, table: Table, low: bytes, high: bytes | None) -> bytes | None:
        """The sort key of the row in the middle of a range; None when there are not two rows in it."""
        where, bounds = "k >= ? AND k < ?", (low, b"\xff" if high is None else high)
        with _gone_is_missing():
            (count,) = self._reader().execute(f"SELECT count(*) FROM r{table.id} WHERE {where}", bounds).fetchone()
            found = self._reader().execute(
                f"SELECT k FROM r{table.id} WHERE {where} ORDER BY k LIMIT 1 OFFSET ?", (*bounds, count // 2)
            )
            return bytes(found.fetchone()[0]) if count > 1 else None

    def sizes(self, table: Table) -> Iterator[tuple[bytes, int]]:
        """Key and stored bytes of each row, in key order."""
        with _gone_is_missing():
            yield from self._reader().execute(f"SELECT k, length(k) + length(v) FROM r{table.id} ORDER BY k")

    def size(self, table: Table) -> int:
        """Stored bytes of all rows."""
        with _gone_is_missing():
            (total,) = self._reader().execute(f"SELECT total(length(k) + length(v)) FROM r{table.id}").fetchone()
        return int(total)

    # ---- connections

    def _connect(self, cache_kib: int) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._folder / FILE_NAME, isolation_level=None, check_same_thread=False, cached_statements=512
        )
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {'OFF' if self._is_ephemeral else 'NORMAL'}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA cache_size = -{cache_kib}")
        connection.execute("PRAGMA busy_timeout = 10000")
        with self._lock:
            self._opened.append((threading.current_thread(), connection))
        return connection

    def _reader(self) -> sqlite3.Connection:
        if self._is_closed:
            raise sqlite3.ProgrammingError("Cannot operate on a closed database.")
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect(READER_CACHE_KIB)
        return connection

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for this thread whose reads all see the same moment."""
        connection = self._reader()
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The connection that writes, for one thread at a time; everything is kept at the end, or nothing."""
        with self._lock:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    def _read_tables(self) -> list[Table]:
        found = self._writer.execute("SELECT id, instance, name, description, may_hold_versions FROM tables")
        return [table_of(id_, instance, name, data, bool(wide)) for id_, instance, name, data, wide in found]


class Writing:
    """Changes of one transaction, in order. `change` is the only place where a row is changed."""

    def __init__(self, connection: sqlite3.Connection, changes: ChangeLog | None):
        self._connection, self._changes = connection, changes
        self._recorded = 0

    def needs_before(self, table: Table) -> bool:
        """Whether the row before must be read even if the change itself does not need it."""
        return self._changes is not None and self._changes.wants(table)

    def row(self, table: Table, key: bytes) -> bytes | None:
        """The row as this transaction sees it."""
        found = self._connection.execute(f"SELECT v FROM r{table.id} WHERE k = ?", (key,)).fetchone()
        return None if found is None else found[0]

    def change(self, table: Table, change: RowChange, row: bytes | None) -> None:
        """Keeps the row that a change leaves (None: deletes it), and has the change recorded."""
        if row is None:
            self._connection.execute(f"DELETE FROM r{table.id} WHERE k = ?", (change.sort_key,))
        else:
            self._connection.execute(f"REPLACE INTO r{table.id} VALUES (?, ?)", (change.sort_key, row))
        if self._changes is not None and self._changes.wants(table):
            self._changes.record(self._connection, table, change, self._recorded)
            self._recorded += 1

    def next_auto(self, table: Table, at_least: int) -> int:
        """The next value of the table's auto-increment column; values only grow."""
        (last,) = self._connection.execute("SELECT last_auto FROM tables WHERE id = ?", (table.id,)).fetchone()
        value = max(int(last) + 1, at_least)
        self._connection.execute("UPDATE tables SET last_auto = ? WHERE id = ?", (value, table.id))
        return value


@contextlib.contextmanager
def _gone_is_missing() -> Iterator[None]:
    # A table dropped by another request between look-up and use.
    try:
        yield
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            raise table_missing() from error
        raise
