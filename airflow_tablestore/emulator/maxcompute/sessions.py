"""Tunnel sessions: uploads with their blocks, downloads, streams, upserts. Each change is one transaction.

A session keeps the definition its table had; where the table has changed since, nothing is written. Sessions live a
day of the data's clock. A commit that is repeated does nothing again.
"""

from __future__ import annotations

import dataclasses
import json
import secrets
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_tablestore.emulator.maxcompute.database import (
    Piece,
    append_pieces,
    content_of,
    drop_lists,
    pieces_of,
)
from airflow_tablestore.emulator.maxcompute.errors import Refusal
from airflow_tablestore.emulator.maxcompute.rows import (
    Partition,
    Table,
    drop_session,
    find_partition,
    touch,
)
from airflow_tablestore.emulator.maxcompute.store import Store
from airflow_tablestore.emulator.maxcompute.tables import Definition, definition_from

UPLOAD, DOWNLOAD, STREAM, UPSERT = "upload", "download", "stream", "upsert"
NORMAL, CLOSED, EXPIRED, ABORTED, COMMITTED = "normal", "closed", "expired", "aborted", "committed"
LIFETIME_MILLIS = 24 * 3600 * 1000
"""How long a session can be used. Source: the service's limits."""
MOST_BLOCKS = 20_000
_MISSING = {
    UPLOAD: "NoSuchUpload",
    DOWNLOAD: "NoSuchDownload",
    STREAM: "StreamSessionNotFound",
    UPSERT: "UpsertSessionNotFound",
}
_SELECT = (
    "SELECT id, kind, table_id, version, spec, status, is_overwrite, definition, created_millis, slots FROM sessions"
)


@dataclass(frozen=True, slots=True)
class Session:
    """A session. `version` is the table's when it was begun; `values` are those of the partition."""

    id: str
    kind: str
    table_id: int
    version: int
    values: tuple[str, ...]
    status: str
    is_overwrite: bool
    definition: Definition
    created_millis: int
    slots: int

    @property
    def list(self) -> str:
        """The list of what the session keeps: a download's rows, an upsert's."""
        return f"session {self.id}"


def begin(
    store: Store, kind: str, table: Table, partition: Partition, *, is_overwrite: bool = False, slots: int = 0
) -> Session:
    """A new session on the partition; a download keeps the rows that are there now."""
    stamp = store.clock.millis()
    id_ = f"{stamp:014d}{secrets.token_hex(9)}"
    with store.database.writing() as connection:
        _forget_old(connection, stamp)
        connection.execute(
            "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                id_,
                kind,
                table.id,
                table.version,
                json.dumps(partition.values),
                NORMAL,
                is_overwrite,
                table.definition.to_json(),
                stamp,
                slots,
            ),
        )
        session = _found(connection, id_)
        if session is None:
            raise Refusal("InternalServerError")
        if kind == DOWNLOAD:
            append_pieces(connection, session.list, pieces_of(connection, content_of(partition.id)))
    return session


def find(store: Store, kind: str, id_: str, table: Table) -> Session:
    """The session on this table, in its state of now.

    :raises Refusal: there is none of this id, or not on this table.
    """
    with store.database.reading() as connection:
        session = _found(connection, id_)
    if session is None or session.kind != kind or session.table_id != table.id:
        raise Refusal(_MISSING[kind])
    if session.status == NORMAL and store.clock.millis() - session.created_millis > LIFETIME_MILLIS:
        return dataclasses.replace(session, status=EXPIRED)
    return session


def usable(store: Store, kind: str, id_: str, table: Table) -> Session:
    """The session, when it can take or give data. :raises Refusal: StatusConflict, or there is none."""
    session = find(store, kind, id_, table)
    if session.status != NORMAL:
        raise Refusal("StatusConflict", f"The session is {session.status}.")
    return session


def blocks(store: Store, session: Session) -> list[int]:
    """Numbers of the blocks that arrived."""
    with store.database.reading() as connection:
        rows = connection.execute("SELECT number FROM blocks WHERE session = ? ORDER BY number", (session.id,))
        return [row[0] for row in rows]


def put_block(store: Store, session: Session, number: int, pieces: Sequence[Piece]) -> None:
    """Makes the pieces the block of this number, in place of what it was."""
    name = f"block {session.id} {number} {secrets.token_hex(4)}"
    with store.database.writing() as connection:
        _check_normal(connection, session)
        earlier = connection.execute(
            "SELECT list FROM blocks WHERE session = ? AND number = ?", (session.id, number)
        ).fetchone()
        (count,) = connection.execute("SELECT count(*) FROM blocks WHERE session = ?", (session.id,)).fetchone()
        if earlier is None and count >= MOST_BLOCKS:
            raise Refusal("InvalidBlockID", f"A session takes {MOST_BLOCKS} blocks.")
        append_pieces(connection, name, pieces)
        connection.execute("INSERT OR REPLACE INTO blocks VALUES (?, ?, ?)", (session.id, number, name))
        if earlier:
            drop_lists(connection, earlier)


def commit(store: Store, session: Session) -> None:
    """Makes the blocks rows of the partition, all at once; nothing happens when that was done before.

    :raises Refusal: the session is no longer usable, or its table or partition is not what it was.
    """
    if session.status == CLOSED:
        return
    with store.database.writing() as connection:
        if _status(connection, session) == CLOSED:
            return
        _check_normal(connection, session)
        partition = _same_partition(connection, session)
        content = content_of(partition.id)
        lists = connection.execute(
            "SELECT list FROM blocks WHERE session = ? ORDER BY number", (session.id,)
        ).fetchall()
        if session.is_overwrite:
            drop_lists(connection, [content])
        for (name,) in lists:
            append_pieces(connection, content, pieces_of(connection, name))
        drop_lists(connection, [name for (name,) in lists])
        touch(connection, partition.id, store.clock.millis())
        _set_status(connection, session, CLOSED)


def append(store: Store, session: Session, pieces: Sequence[Piece]) -> None:
    """Puts the pieces behind the partition's rows at once: what a stream does.

    :raises Refusal: as `commit`.
    """
    with store.database.writing() as connection:
        _check_normal(connection, session)
        partition = _same_partition(connection, session)
        append_pieces(connection, content_of(partition.id), pieces)
        touch(connection, partition.id, store.clock.millis())


def keep(store: Store, session: Session, pieces: Iterable[Piece]) -> None:
    """Keeps the pieces in the session, behind those that it has: what an upsert does before its commit."""
    with store.database.writing() as connection:
        _check_normal(connection, session)
        append_pieces(connection, session.list, pieces)


def replace(store: Store, session: Session, seen: Sequence[Piece], pieces: Sequence[Piece]) -> bool:
    """Makes the pieces the content of the partition and the session committed, if the content is still what was seen.

    :returns: whether it was; the caller looks again otherwise.
    """
    with store.database.writing() as connection:
        if _status(connection, session) == COMMITTED:
            return True
        _check_normal(connection, session)
        partition = _same_partition(connection, session)
        content = content_of(partition.id)
        if pieces_of(connection, content) != list(seen):
            return False
        drop_lists(connection, [content, session.list])
        append_pieces(connection, content, pieces)
        touch(connection, partition.id, store.clock.millis())
        _set_status(connection, session, COMMITTED)
        return True


def abort(store: Store, session: Session) -> None:
    """Ends the session; what it kept is given up."""
    with store.database.writing() as connection:
        if _status(connection, session) == NORMAL:
            drop_lists(connection, [session.list])
            _set_status(connection, session, ABORTED)


def _found(connection: sqlite3.Connection, id_: str) -> Session | None:
    row = connection.execute(f"{_SELECT} WHERE id = ?", (id_,)).fetchone()
    return _session(row) if row else None


def _session(row: Sequence[Any]) -> Session:
    return Session(
        row[0],
        row[1],
        row[2],
        row[3],
        tuple(json.loads(row[4])),
        row[5],
        bool(row[6]),
        definition_from(row[7]),
        row[8],
        row[9],
    )


def _status(connection: sqlite3.Connection, session: Session) -> str:
    row = connection.execute("SELECT status FROM sessions WHERE id = ?", (session.id,)).fetchone()
    return row[0] if row else ""


def _check_normal(connection: sqlite3.Connection, session: Session) -> None:
    """:raises Refusal: the session is not, or no longer, in use."""
    status = session.status if session.status != NORMAL else _status(connection, session)
    if not status:
        raise Refusal(_MISSING[session.kind])
    if status != NORMAL:
        raise Refusal("StatusConflict", f"The session is {status}.")


def _set_status(connection: sqlite3.Connection, session: Session, status: str) -> None:
    connection.execute("UPDATE sessions SET status = ? WHERE id = ?", (status, session.id))


def _same_partition(connection: sqlite3.Connection, session: Session) -> Partition:
    """The session's partition. :raises Refusal: TableModified, NoSuchPartition."""
    row = connection.execute("SELECT version FROM tables WHERE id = ?", (session.table_id,)).fetchone()
    if row is None or row[0] != session.version:
        raise Refusal("TableModified")
    partition = find_partition(connection, session.table_id, session.values)
    if partition is None:
        raise Refusal("NoSuchPartition")
    return partition


def _forget_old(connection: sqlite3.Connection, stamp: int) -> None:
    """Sessions tell for another day that they are expired."""
    old = connection.execute("SELECT id FROM sessions WHERE created_millis < ?", (stamp - 2 * LIFETIME_MILLIS,))
    for (session,) in old.fetchall():
        drop_session(connection, session)
