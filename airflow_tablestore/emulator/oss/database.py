"""What the OSS service knows, in SQLite: buckets, objects, the pieces they are made of, uploads and their parts.

One writer at a time, each change one transaction; readers are never held up (WAL). An object is a list of pieces, so
completing an upload, appending and copying link pieces and move no data. Long pieces are files (`pieces.py`); a file
without a row does not exist for anyone and is swept at the next start.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from airflow_tablestore.errors import SpecError

VERSION = 1
SCHEMA = """
CREATE TABLE buckets(
    name TEXT PRIMARY KEY, created_millis INTEGER NOT NULL, acl TEXT NOT NULL, storage_class TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE objects(
    id INTEGER PRIMARY KEY AUTOINCREMENT, bucket TEXT NOT NULL, key TEXT NOT NULL, kind TEXT NOT NULL,
    etag TEXT NOT NULL, size INTEGER NOT NULL, crc TEXT NOT NULL, modified_millis INTEGER NOT NULL,
    attributes TEXT NOT NULL, UNIQUE(bucket, key)
);
CREATE TABLE pieces(
    id TEXT PRIMARY KEY, size INTEGER NOT NULL, crc TEXT NOT NULL, md5 TEXT NOT NULL, data BLOB
);
CREATE TABLE extents(
    object INTEGER NOT NULL, ordinal INTEGER NOT NULL, piece TEXT NOT NULL, PRIMARY KEY(object, ordinal)
) WITHOUT ROWID;
CREATE INDEX extents_by_piece ON extents(piece);
CREATE TABLE uploads(
    id TEXT PRIMARY KEY, bucket TEXT NOT NULL, key TEXT NOT NULL, begun_millis INTEGER NOT NULL,
    attributes TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX uploads_by_key ON uploads(bucket, key, id);
CREATE TABLE parts(
    upload TEXT NOT NULL, number INTEGER NOT NULL, piece TEXT NOT NULL, modified_millis INTEGER NOT NULL,
    PRIMARY KEY(upload, number)
) WITHOUT ROWID;
CREATE INDEX parts_by_piece ON parts(piece);
"""


class Database:
    """Connections to one database file.

    :param is_durable: False when the data is not kept anyway: nothing waits for the disk then.
    :param schema: of the tables that a new file gets, of this version. MaxCompute has its own.
    :raises SpecError: the file was written by another version of the emulator.
    """

    def __init__(self, path: Path, *, is_durable: bool, schema: str = SCHEMA, version: int = VERSION):
        self._path, self._synchronous = path, "NORMAL" if is_durable else "OFF"
        self._opening = threading.Lock()
        self._open: list[sqlite3.Connection] = []
        self._own = threading.local()
        self._write_lock = threading.Lock()
        self._writer = self._connect()
        with self.writing() as connection:
            found = connection.execute("PRAGMA user_version").fetchone()[0]
            if found not in (0, version):
                raise SpecError(f"{path} was written by another version of the emulator; choose another --data-dir.")
            if found == 0:
                for statement in schema.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {version}")

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, alone: kept when the block ends, undone when it raises."""
        with self._write_lock:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
            except BaseException:
                self._writer.execute("ROLLBACK")
                raise
            self._writer.execute("COMMIT")

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One state of everything, on this thread's own connection."""
        connection = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = self._connect()
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.execute("COMMIT")

    def close(self) -> None:
        """Closes every connection; no transaction may be open."""
        with self._opening:
            while self._open:
                self._open.pop().close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=30)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        with self._opening:
            self._open.append(connection)
        return connection
