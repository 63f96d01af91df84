"""The writing side of streams: each change becomes a record, in the transaction of the change.

A record goes to the shard that holds its key at that time. Record times rise within a shard; the records of one write
request share their time and differ in the row index. Only a clock that was moved back makes the times of a shard fall.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Sequence

from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.tablestore import delivery_store, shards, tunnel_store
from airflow_tablestore.emulator.tablestore.cells import read_change
from airflow_tablestore.emulator.tablestore.keys import sort_key
from airflow_tablestore.emulator.tablestore.records import ACTIONS, Place, encode_origin, encode_record
from airflow_tablestore.emulator.tablestore.shards import Kept, Shard
from airflow_tablestore.emulator.tablestore.storage import RowChange
from airflow_tablestore.emulator.tablestore.table import Table
from airflow_tablestore.wire.proto import table_pb2 as pb

MOVED_MICROS = 1_000_000
"""A clock that goes back by less is a clock that ticks badly; by this much or more, somebody moved it."""


class StreamLog:
    """The records of every table that has a stream. Only used inside the transactions of one store."""

    def __init__(self, clock: Clock):
        self._clock = clock
        self._open: dict[int, list[Shard]] = {}  # by table; the open shards in key order, as of the last commit
        self._now = 0
        self._times: dict[int, int] = {}  # by shard, of this transaction

    # ---- tables come and go

    def opened(self, connection: sqlite3.Connection, tables: Sequence[Table]) -> None:
        """Makes the file able to hold streams; tables of older files get theirs."""
        for statement in f"{shards.SCHEMA}{tunnel_store.SCHEMA}{delivery_store.SCHEMA}".split(";"):
            connection.execute(statement)
        for table in tables:
            self.defined(connection, table)

    def defined(self, connection: sqlite3.Connection, table: Table) -> None:
        """Makes the stream that the table is to have, and deletes any other."""
        keep = table.stream_id if table.is_streamed else ""
        shards.drop_streams(connection, table.id, keep)
        if keep and shards.stream_created(connection, keep) is None:
            told = pb.DescribeTableResponse.FromString(table.description)
            points = [sort_key(read_change(point).parts) for point in told.shard_splits]
            shards.make_stream(connection, keep, table.id, told.stream_details.last_enable_time, points)
        self.forget(table)

    def dropped(self, connection: sqlite3.Connection, table: Table) -> None:
        """Deletes the table's stream, its tunnels and its delivery tasks."""
        shards.drop_streams(connection, table.id)
        tunnel_store.drop_tunnels(connection, table.id)
        delivery_store.drop_tasks(connection, table.id)
        self.forget(table)

    def forget(self, table: Table) -> None:
        """Looks up the table's shards anew before its next record."""
        self._open.pop(table.id, None)

    # ---- changes

    def wants(self, table: Table) -> bool:
        """Whether the table has a stream."""
        return table.is_streamed

    def record(self, connection: sqlite3.Connection, table: Table, change: RowChange, index: int) -> None:
        """Adds the record of a change to the shard of its key."""
        if index == 0:
            self._now, self._times = self._clock.micros(), {}
        shard = self._shard(connection, table, change.sort_key)
        micros = self._times.get(shard.n)
        if micros is None:
            micros = self._times[shard.n] = rising(shards.last_time(connection, shard.n), self._now)
        row = encode_record(table, change, Place(shard.epoch, micros, index))
        shards.append(connection, shard.n, micros, Kept(ACTIONS[change.action], row, encode_origin(table, change)))

    def _shard(self, connection: sqlite3.Connection, table: Table, key: bytes) -> Shard:
        known = self._open.get(table.id)
        if known is None:
            found = [shard for shard in shards.shards_of(connection, table.stream_id) if shard.is_open]
            known = self._open[table.id] = sorted(found, key=lambda shard: shard.low)
        return known[bisect_right(known, key, key=lambda shard: shard.low) - 1]


def rising(last: int, now: int) -> int:
    """The time of a new record, after one with the time `last`."""
    return now if now > last or last - now >= MOVED_MICROS else last + 1
