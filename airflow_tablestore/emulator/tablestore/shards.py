"""The shards of all streams and their records, in the tables' own file.

A shard holds the changes of a range of keys, numbered from 0 without a gap; the number is the place that iterators
name. An open shard takes new records; a split or a merge closes it for good, and its children take over its range.
Expired records go from the front. Functions take the connection of whoever reads or writes.

`top` of a record is the latest record time up to and with it: it never falls, not even where a test moved the time
back, so the first record of a time or later is found by halving.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from airflow_tablestore.wire.proto import table_pb2 as pb

SCHEMA = """
CREATE TABLE IF NOT EXISTS streams (
  id TEXT PRIMARY KEY,
  table_id INTEGER NOT NULL UNIQUE,
  created_micros INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS shards (
  n INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  stream TEXT NOT NULL,
  low BLOB NOT NULL,
  high BLOB,
  epoch INTEGER NOT NULL,
  parent TEXT NOT NULL,
  sibling TEXT NOT NULL,
  last_micros INTEGER NOT NULL,
  top INTEGER NOT NULL DEFAULT 0,
  first INTEGER NOT NULL DEFAULT 0,
  next INTEGER NOT NULL DEFAULT 0,
  closed_micros INTEGER
);
CREATE INDEX IF NOT EXISTS shards_of_stream ON shards (stream, n);
CREATE TABLE IF NOT EXISTS records (
  shard INTEGER NOT NULL,
  place INTEGER NOT NULL,
  top INTEGER NOT NULL,
  action INTEGER NOT NULL,
  record BLOB NOT NULL,
  origin BLOB,
  PRIMARY KEY (shard, place)
) WITHOUT ROWID;
"""

_COLUMNS = "n, id, stream, low, high, epoch, parent, sibling, last_micros, top, first, next, closed_micros"


@dataclass(frozen=True, slots=True)
class Shard:
    """One shard: keys from `low` (included) to `high` (excluded; None: no end); records from `first` to before `next`.

    `last_micros` is the time of its latest record, or of its parents'; `closed_micros` is None while it is open.
    """

    n: int
    id: str
    stream: str
    low: bytes
    high: bytes | None
    epoch: int
    parent: str
    sibling: str
    last_micros: int
    top: int
    first: int
    next: int
    closed_micros: int | None

    @property
    def is_open(self) -> bool:
        """Whether new records may come."""
        return self.closed_micros is None

    def holds(self, key: bytes) -> bool:
        """Whether changes under this sort key go here while it is open."""
        return self.low <= key and (self.high is None or key < self.high)


@dataclass(frozen=True, slots=True)
class Kept:
    """One record as it is kept."""

    action: pb.ActionType
    record: bytes
    origin: bytes | None


# ---- streams


def make_stream(
    connection: sqlite3.Connection, stream: str, table_id: int, micros: int, points: Sequence[bytes]
) -> None:
    """A new stream with one open shard per part of the table; `points` are the sort keys between the parts."""
    connection.execute("INSERT INTO streams VALUES (?, ?, ?)", (stream, table_id, micros))
    for low, high in zip([b"", *points], [*points, None], strict=True):
        _make_shard(connection, stream, low, high, micros)


def drop_streams(connection: sqlite3.Connection, table_id: int, keep: str = "") -> None:
    """Deletes the streams of a table, except one, with all their records."""
    for (stream,) in connection.execute(
        "SELECT id FROM streams WHERE table_id = ? AND id <> ?", (table_id, keep)
    ).fetchall():
        connection.execute("DELETE FROM records WHERE shard IN (SELECT n FROM shards WHERE stream = ?)", (stream,))
        connection.execute("DELETE FROM shards WHERE stream = ?", (stream,))
        connection.execute("DELETE FROM streams WHERE id = ?", (stream,))


def stream_created(connection: sqlite3.Connection, stream: str) -> int | None:
    """When a stream was made (microseconds); None: there is none of that id."""
    found = connection.execute("SELECT created_micros FROM streams WHERE id = ?", (stream,)).fetchone()
    return None if found is None else int(found[0])


# ---- shards


def shards_of(connection: sqlite3.Connection, stream: str) -> list[Shard]:
    """The shards of a stream, parents before their children."""
    found = connection.execute(f"SELECT {_COLUMNS} FROM shards WHERE stream = ? ORDER BY n", (stream,))  # noqa: S608
    return [Shard(*row) for row in found]


def shard_named(connection: sqlite3.Connection, id_: str) -> Shard | None:
    """The shard of that id."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM shards WHERE id = ?", (id_,)).fetchone()  # noqa: S608
    return None if row is None else Shard(*row)


def split(connection: sqlite3.Connection, shard: Shard, at: bytes, micros: int) -> tuple[str, str]:
    """Closes a shard; two children take over the keys below `at` and from it on."""
    _close(connection, shard, micros)
    lower = _make_shard(connection, shard.stream, shard.low, at, shard.last_micros, shard.epoch + 1, shard.id)
    upper = _make_shard(connection, shard.stream, at, shard.high, shard.last_micros, shard.epoch + 1, shard.id)
    return lower, upper


def merge(connection: sqlite3.Connection, lower: Shard, upper: Shard, micros: int) -> str:
    """Closes two neighbours; one child takes over the keys of both."""
    _close(connection, lower, micros)
    _close(connection, upper, micros)
    last, epoch = max(lower.last_micros, upper.last_micros), max(lower.epoch, upper.epoch) + 1
    return _make_shard(connection, lower.stream, lower.low, upper.high, last, epoch, lower.id, upper.id)


def _close(connection: sqlite3.Connection, shard: Shard, micros: int) -> None:
    connection.execute("UPDATE shards SET closed_micros = ? WHERE n = ?", (micros, shard.n))


def _make_shard(
    connection: sqlite3.Connection,
    stream: str,
    low: bytes,
    high: bytes | None,
    last_micros: int,
    epoch: int = 0,
    parent: str = "",
    sibling: str = "",
) -> str:
    id_ = f"{uuid.uuid4()}_{last_micros}"
    connection.execute(
        "INSERT INTO shards (id, stream, low, high, epoch, parent, sibling, last_micros) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (id_, stream, low, high, epoch, parent, sibling, last_micros),
    )
    return id_


# ---- records


def append(connection: sqlite3.Connection, shard: int, micros: int, kept: Kept) -> None:
    """Adds a record at the end of a shard."""
    connection.execute(
        "INSERT INTO records SELECT n, next, max(top, ?), ?, ?, ? FROM shards WHERE n = ?",
        (micros, kept.action, kept.record, kept.origin, shard),
    )
    connection.execute(
        "UPDATE shards SET next = next + 1, last_micros = ?, top = max(top, ?) WHERE n = ?", (micros, micros, shard)
    )


def last_time(connection: sqlite3.Connection, shard: int) -> int:
    """The time of a shard's latest record, or of its parents'."""
    (micros,) = connection.execute("SELECT last_micros FROM shards WHERE n = ?", (shard,)).fetchone()
    return int(micros)


def records_from(connection: sqlite3.Connection, shard: Shard, place: int, limit: int) -> Generator[Kept, None, None]:
    """Records in their order; close it when not read to its end."""
    found = connection.execute(
        "SELECT action, record, origin FROM records WHERE shard = ? AND place >= ? ORDER BY place LIMIT ?",
        (shard.n, place, limit),
    )
    for action, record, origin in found:
        yield Kept(action, record, origin)


def place_of_time(connection: sqlite3.Connection, shard: Shard, micros: int) -> int:
    """The place of the first kept record with this time or a later one; the end when there is none."""
    low, high = shard.first, shard.next
    while low < high:
        middle = (low + high) // 2
        (top,) = connection.execute(
            "SELECT top FROM records WHERE shard = ? AND place = ?", (shard.n, middle)
        ).fetchone()
        low, high = (middle + 1, high) if top < micros else (low, middle)
    return low


def trim(connection: sqlite3.Connection, shard: Shard, before: int) -> None:
    """Deletes the records in front of a place."""
    connection.execute("DELETE FROM records WHERE shard = ? AND place < ?", (shard.n, before))
    connection.execute("UPDATE shards SET first = max(first, ?) WHERE n = ?", (before, shard.n))


def forget(connection: sqlite3.Connection, shard: Shard) -> None:
    """Takes a shard off the list; its records are gone already."""
    connection.execute("DELETE FROM shards WHERE n = ?", (shard.n,))


def is_stale(connection: sqlite3.Connection, shard: Shard, cutoff: int) -> bool:
    """Whether its oldest record, or a closed and empty shard itself, is older than a time."""
    if shard.first == shard.next:
        return shard.closed_micros is not None and shard.closed_micros < cutoff
    (top,) = connection.execute(
        "SELECT top FROM records WHERE shard = ? AND place = ?", (shard.n, shard.first)
    ).fetchone()
    return bool(top < cutoff)
