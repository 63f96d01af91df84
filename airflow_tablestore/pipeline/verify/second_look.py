"""The rows of differing ranges, key by key: published ones on disk, the table's as they pass by.

A temporary SQLite file holds a fingerprint and the marks of the cells of each published row, so memory does not grow
with what differs.
"""

from __future__ import annotations

import ast
import json
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path

from airflow_tablestore.consumer.table import show_key
from airflow_tablestore.pipeline.verify.checksums import cell_marks, fingerprint
from airflow_tablestore.pipeline.verify.report import Found, Kind
from airflow_tablestore.pipeline.verify.sides import cells_of
from airflow_tablestore.wire.row import PrimaryKey, Row, Value


class PublishedRows:
    """Published rows on disk, by key. Close it; the folder is the caller's to remove."""

    def __init__(self, folder: Path, found: Found):
        self._found = found
        self._connection = sqlite3.connect(folder / "published", isolation_level=None)
        self._connection.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; "
            "CREATE TABLE rows (key TEXT NOT NULL, digest BLOB NOT NULL, marks TEXT NOT NULL); BEGIN"
        )

    def add(self, rows: Iterable[Row]) -> None:
        """Keep these."""
        values = ((repr(row.key), *_kept(row.key, cells_of(row))) for row in rows)
        self._connection.executemany("INSERT INTO rows VALUES (?, ?, ?)", values)

    def sort(self) -> None:
        """All are there."""
        self._connection.execute("CREATE INDEX by_key ON rows (key)")

    def meet(self, key: PrimaryKey, cells: Mapping[str, Value]) -> None:
        """A row of the table; it is compared with what was published under its key, which is then done with."""
        asked = (repr(key),)
        published = self._connection.execute("SELECT digest, marks FROM rows WHERE key = ?", asked).fetchall()
        if not published:
            self._found.add(Kind.MISSING, show_key(key))
            return
        digest, marks = published[0]
        if len(published) > 1:
            self._found.add(Kind.DOUBLED, show_key(key))
        elif digest != fingerprint(key, cells):
            self._found.add(Kind.CHANGED, show_key(key), _changed(json.loads(marks), cell_marks(cells)))
        self._connection.execute("DELETE FROM rows WHERE key = ?", asked)

    def tell_the_rest(self) -> None:
        """What no row of the table has met."""
        for (text,) in self._connection.execute("SELECT key FROM rows GROUP BY key ORDER BY MIN(rowid)"):
            key: PrimaryKey = ast.literal_eval(text)  # of integers, strings and bytes: it was written above
            self._found.add(Kind.EXTRA, show_key(key))

    def close(self) -> None:
        self._connection.close()


def _kept(key: PrimaryKey, cells: Mapping[str, Value]) -> tuple[bytes, str]:
    return fingerprint(key, cells), json.dumps(cell_marks(cells))


def _changed(one: Mapping[str, int], other: Mapping[str, int]) -> tuple[str, ...]:
    return tuple(sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name)))
