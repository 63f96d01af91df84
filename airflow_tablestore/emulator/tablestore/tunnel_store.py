"""Tunnels, their clients and their channels, in the tables' own file.

A row is read as a value and saved as a whole; what may follow what is decided in `tunnel_life`. Functions take the
connection of whoever reads or writes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from typing import Any, TypeVar

SCHEMA = """
CREATE TABLE IF NOT EXISTS tunnels (
  id TEXT PRIMARY KEY,
  table_id INTEGER NOT NULL,
  name TEXT NOT NULL,
  type INTEGER NOT NULL,
  stream TEXT NOT NULL,
  stage TEXT NOT NULL,
  is_expired INTEGER NOT NULL,
  created_nanos INTEGER NOT NULL,
  config BLOB,
  last_shard INTEGER NOT NULL,
  UNIQUE (table_id, name)
);
CREATE TABLE IF NOT EXISTS tunnel_clients (
  id TEXT PRIMARY KEY,
  tunnel TEXT NOT NULL,
  tag TEXT NOT NULL,
  timeout_seconds INTEGER NOT NULL,
  seen_seconds REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS tunnel_channels (
  id TEXT PRIMARY KEY,
  tunnel TEXT NOT NULL,
  place INTEGER NOT NULL,
  is_base INTEGER NOT NULL,
  low BLOB NOT NULL,
  high BLOB,
  shard TEXT NOT NULL,
  parents TEXT NOT NULL,
  status TEXT NOT NULL,
  version INTEGER NOT NULL,
  client TEXT NOT NULL,
  wanted TEXT NOT NULL,
  is_suspended INTEGER NOT NULL,
  token TEXT NOT NULL,
  number INTEGER NOT NULL,
  consumed_nanos INTEGER NOT NULL,
  records INTEGER NOT NULL,
  read_nanos INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS channels_of_tunnel ON tunnel_channels (tunnel, place);
"""


@dataclass(frozen=True, slots=True)
class Tunnel:
    """One tunnel. `config` is its StreamTunnelConfig as it came; shards up to `last_shard` have their channels."""

    id: str
    table_id: int
    name: str
    type: int
    stream: str
    stage: str
    is_expired: bool
    created_nanos: int
    config: bytes | None
    last_shard: int


@dataclass(frozen=True, slots=True)
class Client:
    """One client, and when it last was heard of, in seconds of the wall clock."""

    id: str
    tunnel: str
    tag: str
    timeout_seconds: int
    seen_seconds: float


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel: the rows from `low` to before `high`, or the records of `shard`, which follow those of `parents`.

    `client` holds it, or ""; `wanted` is who shall have it next. `token` and `number` are its latest checkpoint.
    """

    id: str
    tunnel: str
    place: int
    is_base: bool
    low: bytes
    high: bytes | None
    shard: str
    parents: str
    status: str
    version: int = 0
    client: str = ""
    wanted: str = ""
    is_suspended: bool = False
    token: str = ""
    number: int = 0
    consumed_nanos: int = 0
    records: int = 0
    read_nanos: int = 0


V = TypeVar("V", Tunnel, Client, Channel)

_TABLES: dict[type[Any], str] = {Tunnel: "tunnels", Client: "tunnel_clients", Channel: "tunnel_channels"}


def save(connection: sqlite3.Connection, value: Tunnel | Client | Channel) -> None:
    """Keeps a value in place of the one with its id."""
    told = astuple(value)
    marks = ", ".join("?" * len(told))
    connection.execute(f"REPLACE INTO {_TABLES[type(value)]} VALUES ({marks})", told)  # noqa: S608


def tunnel_named(connection: sqlite3.Connection, id_: str) -> Tunnel | None:
    """The tunnel of that id."""
    return next(iter(_read(connection, Tunnel, "WHERE id = ?", id_)), None)


def tunnels_of(connection: sqlite3.Connection, table_ids: Iterable[int]) -> list[Tunnel]:
    """The tunnels of some tables, from old to new."""
    found = (tunnel for id_ in table_ids for tunnel in _read(connection, Tunnel, "WHERE table_id = ?", id_))
    return sorted(found, key=lambda tunnel: (tunnel.created_nanos, tunnel.id))


def clients_of(connection: sqlite3.Connection, tunnel: str) -> list[Client]:
    """The clients of a tunnel, those that died lately too."""
    return _read(connection, Client, "WHERE tunnel = ? ORDER BY id", tunnel)


def channels_of(connection: sqlite3.Connection, tunnel: str) -> list[Channel]:
    """The channels of a tunnel, parents before their children."""
    return _read(connection, Channel, "WHERE tunnel = ? ORDER BY place", tunnel)


def channel_named(connection: sqlite3.Connection, tunnel: str, id_: str) -> Channel | None:
    """The channel of that id in a tunnel."""
    return next(iter(_read(connection, Channel, "WHERE tunnel = ? AND id = ?", tunnel, id_)), None)


def drop_client(connection: sqlite3.Connection, id_: str) -> None:
    """Deletes a client."""
    connection.execute("DELETE FROM tunnel_clients WHERE id = ?", (id_,))


def drop_tunnel(connection: sqlite3.Connection, id_: str) -> None:
    """Deletes a tunnel with its clients and channels."""
    connection.execute("DELETE FROM tunnel_clients WHERE tunnel = ?", (id_,))
    connection.execute("DELETE FROM tunnel_channels WHERE tunnel = ?", (id_,))
    connection.execute("DELETE FROM tunnels WHERE id = ?", (id_,))


def drop_tunnels(connection: sqlite3.Connection, table_id: int) -> None:
    """Deletes the tunnels of a table."""
    for tunnel in tunnels_of(connection, [table_id]):
        drop_tunnel(connection, tunnel.id)


def _read(connection: sqlite3.Connection, kind: type[V], where: str, *values: object) -> list[V]:
    flags = [place for place, field in enumerate(fields(kind)) if field.type == "bool"]
    found = []
    for row in connection.execute(f"SELECT * FROM {_TABLES[kind]} {where}", values):  # noqa: S608
        told = list(row)
        for place in flags:
            told[place] = bool(told[place])
        found.append(kind(*told))
    return found
