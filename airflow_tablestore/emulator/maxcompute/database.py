"""The tables of MaxCompute's database, and the pieces of data that they name.

All data are `pieces`: a few megabytes of rows each, an Arrow IPC stream, never changed. Content of partitions, blocks
of uploads and what a download session saw are lists of pieces; so a commit moves no data and is one transaction.
A piece that nobody names any more is deleted by whoever let go of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

VERSION = 1
FILE_NAME = "maxcompute.sqlite"
SCHEMA = """
CREATE TABLE tables(
    id INTEGER PRIMARY KEY AUTOINCREMENT, project TEXT NOT NULL, name TEXT NOT NULL, definition TEXT NOT NULL,
    version INTEGER NOT NULL, created_millis INTEGER NOT NULL, ddl_millis INTEGER NOT NULL, UNIQUE(project, name)
);
CREATE TABLE partitions(
    id INTEGER PRIMARY KEY AUTOINCREMENT, table_id INTEGER NOT NULL, spec TEXT NOT NULL,
    created_millis INTEGER NOT NULL, changed_millis INTEGER NOT NULL, UNIQUE(table_id, spec)
);
CREATE TABLE pieces(id INTEGER PRIMARY KEY AUTOINCREMENT, rows INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE lists(
    owner TEXT NOT NULL, ordinal INTEGER NOT NULL, piece INTEGER NOT NULL, PRIMARY KEY(owner, ordinal)
) WITHOUT ROWID;
CREATE INDEX lists_by_piece ON lists(piece);
CREATE TABLE sessions(
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, table_id INTEGER NOT NULL, version INTEGER NOT NULL, spec TEXT NOT NULL,
    status TEXT NOT NULL, is_overwrite INTEGER NOT NULL, definition TEXT NOT NULL, created_millis INTEGER NOT NULL,
    slots INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE blocks(
    session TEXT NOT NULL, number INTEGER NOT NULL, list TEXT NOT NULL, PRIMARY KEY(session, number)
) WITHOUT ROWID;
CREATE TABLE instances(
    id TEXT PRIMARY KEY, project TEXT NOT NULL, job TEXT NOT NULL, task TEXT NOT NULL, status TEXT NOT NULL,
    text TEXT NOT NULL, columns TEXT NOT NULL, rows INTEGER NOT NULL, started_millis INTEGER NOT NULL,
    ended_millis INTEGER NOT NULL
) WITHOUT ROWID;
"""
TABLES = ("tables", "partitions", "pieces", "lists", "sessions", "blocks", "instances")


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece that is stored, without its data."""

    id: int
    rows: int


def content_of(partition: int) -> str:
    """The list that is a partition's content."""
    return f"content {partition}"


def store_piece(connection: sqlite3.Connection, rows: int, data: Any) -> Piece:
    """Stores the data of one piece, which nobody names yet."""
    cursor = connection.execute("INSERT INTO pieces(rows, data) VALUES (?, ?)", (rows, data))
    return Piece(cursor.lastrowid or 0, rows)


def pieces_of(connection: sqlite3.Connection, owner: str) -> list[Piece]:
    """The pieces of a list, in its order."""
    rows = connection.execute(
        "SELECT p.id, p.rows FROM lists l JOIN pieces p ON p.id = l.piece WHERE l.owner = ? ORDER BY l.ordinal",
        (owner,),
    )
    return [Piece(*row) for row in rows]


def append_pieces(connection: sqlite3.Connection, owner: str, pieces: Iterable[Piece]) -> None:
    """Names the pieces at the end of a list."""
    (last,) = connection.execute("SELECT coalesce(max(ordinal), -1) FROM lists WHERE owner = ?", (owner,)).fetchone()
    connection.executemany(
        "INSERT INTO lists VALUES (?, ?, ?)",
        [(owner, ordinal, piece.id) for ordinal, piece in enumerate(pieces, last + 1)],
    )


def drop_lists(connection: sqlite3.Connection, owners: Sequence[str]) -> None:
    """Removes the lists, and the pieces that only they named."""
    given_up: set[int] = set()
    for owner in owners:
        given_up |= {row[0] for row in connection.execute("SELECT piece FROM lists WHERE owner = ?", (owner,))}
        connection.execute("DELETE FROM lists WHERE owner = ?", (owner,))
    drop_pieces(connection, given_up)


def drop_pieces(connection: sqlite3.Connection, pieces: Iterable[int]) -> None:
    """Deletes those of the pieces that nobody names."""
    connection.executemany(
        "DELETE FROM pieces WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM lists WHERE piece = ?1)",
        [(piece,) for piece in pieces],
    )


def sweep(connection: sqlite3.Connection) -> None:
    """Deletes what a killed process left: pieces that nobody named."""
    connection.execute("DELETE FROM pieces WHERE id NOT IN (SELECT piece FROM lists)")


def data_of(connection: sqlite3.Connection, piece: Piece) -> bytes | None:
    """The piece's data; None when it is gone."""
    row = connection.execute("SELECT data FROM pieces WHERE id = ?", (piece.id,)).fetchone()
    return row[0] if row else None


def rows_in(pieces: Iterable[Piece]) -> int:
    """How many rows there are in all."""
    return sum(piece.rows for piece in pieces)


def owners_like(connection: sqlite3.Connection, prefix: str) -> Iterator[str]:
    """The lists whose names begin so."""
    rows = connection.execute(
        "SELECT DISTINCT owner FROM lists WHERE owner >= ? AND owner < ?", (prefix, prefix + "\U0010ffff")
    )
    return (row[0] for row in rows)
