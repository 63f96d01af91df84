"""What the service does behind a delivery task: reads the table and its change log, and writes files into a bucket.

One step of a task reads what is new, and writes what has waited long enough or is large enough. Files are written
before it is kept how far the task is, under names that the next attempt uses again: killed between the two, a task
writes the same files once more. Time is the time of data, so a test moves it forward instead of waiting.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Protocol

from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.tablestore import delivery_store as kept
from airflow_tablestore.emulator.tablestore import shards
from airflow_tablestore.emulator.tablestore.cells import HEADER, encode_row, key_parts, stored_cells, stored_key
from airflow_tablestore.emulator.tablestore.delivery_files import Values, folder_of, parquet, values_of
from airflow_tablestore.emulator.tablestore.delivery_store import Task
from airflow_tablestore.emulator.tablestore.errors import ServiceError
from airflow_tablestore.emulator.tablestore.keys import sort_key
from airflow_tablestore.emulator.tablestore.rows import alive, latest
from airflow_tablestore.emulator.tablestore.storage import Store
from airflow_tablestore.emulator.tablestore.streams import Streams
from airflow_tablestore.emulator.tablestore.table import Table
from airflow_tablestore.wire.plainbuffer import decode_rows
from airflow_tablestore.wire.proto import delivery_pb2 as pb
from airflow_tablestore.wire.proto import table_pb2
from airflow_tablestore.wire.row import Row

log = logging.getLogger(__name__)

SERVICE_ROLE = "aliyunserviceroleforotsdatadelivery"
ABOVE_ALL = b"\xff"
TOLD_EVERY_NANOS = 500_000_000
"""How far a quiet task gets before that is kept."""


class Bucketful(Protocol):
    """What is needed of an object store."""

    def put_bytes(self, bucket: str, key: str, body: bytes) -> object: ...

    def sizes(self) -> list[tuple[str, int, int]]: ...


@dataclass(frozen=True, slots=True)
class Cut:
    """When a file is complete. The service's two minutes are documented, its size is not."""

    seconds: float = 120.0
    bytes: int = 32 * 1024 * 1024


@dataclass(slots=True)
class _Open:
    """What a task has read and not written. It belongs to one definition of one task and may be lost."""

    places: dict[str, str]
    rows: dict[str, list[Values]] = field(default_factory=dict)
    size: int = 0
    count: int = 0
    since_micros: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def add(self, config: pb.OSSTaskConfig, row: Row, written_micros: int, size: int) -> None:
        def drop(column: str) -> None:
            self.dropped[column] += 1

        folder = folder_of(config, row, written_micros, drop)
        self.rows.setdefault(folder, []).append(values_of(config, row, drop))
        self.size += size
        self.count += 1


class Worker:
    """Carries tasks on, step by step; used by one thread.

    :param turn_on_stream: makes a table have a stream: instance, table.
    """

    def __init__(
        self,
        store: Store,
        streams: Streams,
        clock: Clock,
        objects: Bucketful,
        turn_on_stream: Callable[[str, str], None],
    ):
        self._store, self._streams, self._clock, self._objects = store, streams, clock, objects
        self._turn_on_stream = turn_on_stream
        self._open: dict[tuple[str, bytes], _Open] = {}
        self.cut = Cut()

    def step(self, id_: str, forced: tuple[int, str] | None = None) -> None:
        """Carries a task on as far as that is possible now.

        :param forced: an error that a test wants: code and detail.
        """
        with self._store.reading() as connection:
            task = kept.task_with(connection, id_)
        table = next((one for one in self._store.tables() if task is not None and one.id == task.table_id), None)
        if task is None or table is None:
            return
        config = pb.OSSTaskConfig.FromString(task.config)
        error, detail = forced or self._trouble(config)
        if (error, detail) != (task.error, task.detail):
            task = self._keep(replace(task, error=error, detail=detail))
        if error:
            self._open = {key: one for key, one in self._open.items() if key[0] != id_}
            return
        if task.phase == pb.INIT:
            self._begin(task, table)
        elif task.phase == pb.FULL:
            self._deliver_rows(task, table, config)
        elif task.type != pb.BASE:
            self._deliver_changes(task, table, config)

    def _trouble(self, config: pb.OSSTaskConfig) -> tuple[int, str]:
        role = config.ossStsRole.rpartition(":role/")[2].lower()
        if not config.ossStsRole.startswith("acs:ram::") or role != SERVICE_ROLE:
            return pb.UNAUTHORIZED, f"The role '{config.ossStsRole}' does not let Tablestore write to the bucket."
        if config.ossBucket not in {name for name, _, _ in self._objects.sizes()}:
            return pb.INVALID_OSS_BUCKET, f"The bucket '{config.ossBucket}' does not exist."
        return pb.OK, ""

    def _keep(self, task: Task, places: dict[str, str] | None = None) -> Task:
        """Keeps a task and where it goes on, unless it was deleted or changed meanwhile."""
        with self._store.transaction() as connection:
            known = kept.task_with(connection, task.id)
            if known is not None and known.config == task.config:
                kept.save(connection, task)
                kept.save_places(connection, task.id, places or {})
        return task

    # ---- the beginning

    def _begin(self, task: Task, table: Table) -> None:
        """From now on every change is the change log's, so nothing falls between the rows and the changes."""
        if task.type == pb.BASE:
            self._keep(replace(task, phase=pb.FULL))
            return
        if not table.is_streamed:
            self._turn_on_stream(table.instance, table.name)
            table = self._store.table(table.instance, table.name)
        with self._store.transaction() as connection:
            ends = dict(self._ends(connection, table))
            if kept.task_with(connection, task.id) is not None:
                kept.save(connection, replace(task, phase=pb.INCR if task.type == pb.INC else pb.FULL))
                kept.save_places(connection, task.id, ends)

    def _ends(self, connection: sqlite3.Connection, table: Table) -> Iterator[tuple[str, str]]:
        for shard in shards.shards_of(connection, table.stream_id):
            yield shard.id, f"{shard.id}\t{shard.next:016x}" if shard.is_open else ""

    # ---- rows of the table

    def _deliver_rows(self, task: Task, table: Table, config: pb.OSSTaskConfig) -> None:
        """The rows from `next_key` on that make one set of files, or all that are left."""
        found, next_key = _Open({}), None
        now = self._clock.millis()
        with closing(self._store.rows(table, task.next_key or b"", ABOVE_ALL, is_backward=False)) as rows:
            for stored in rows:
                section = stored_key(stored)
                if found.size >= self.cut.bytes:
                    next_key = sort_key(key_parts(section))
                    break
                cells = alive(stored_cells(stored, len(section.wire)), table.versions, now)
                if cells is not None:
                    block = HEADER + encode_row(section, latest(cells, 1))
                    written = max((cell.timestamp for cell in cells), default=now)
                    found.add(config, decode_rows(block)[0], written * 1000, len(block))
        task = self._flush(task, config, found)
        if next_key is None:
            # a BaseTask that is done is in the next phase too: the Java SDK takes that for its end
            reached = self._settled_nanos() if task.type == pb.BASE else task.reached_nanos
            task = replace(task, phase=pb.INCR, reached_nanos=reached)
        self._keep(replace(task, next_key=ABOVE_ALL if next_key is None else next_key))

    # ---- changes

    def _deliver_changes(self, task: Task, table: Table, config: pb.OSSTaskConfig) -> None:
        if not table.is_streamed:
            self._turn_on_stream(table.instance, table.name)
            return
        key = (task.id, task.config)
        state = self._open.get(key)
        if state is None:
            with self._store.reading() as connection:
                state = self._open[key] = _Open(kept.places(connection, task.id))
        reached = self._settled_nanos()
        before = state.count
        is_all = self._read(table, config, state)
        if state.count and not before:
            state.since_micros = reached // 1000
        waited = reached // 1000 - state.since_micros
        if state.count and state.size < self.cut.bytes and 0 <= waited < self.cut.seconds * 1_000_000:
            return
        if not state.count and reached - task.reached_nanos < TOLD_EVERY_NANOS and reached >= task.reached_nanos:
            return
        del self._open[key]
        task = self._flush(task, config, state)
        self._keep(replace(task, reached_nanos=reached if is_all else task.reached_nanos), state.places)

    def _settled_nanos(self) -> int:
        """Now, when no write with an earlier time is still under way: writers hold what is held here."""
        with self._store.transaction():
            return self._clock.micros() * 1000

    def _read(self, table: Table, config: pb.OSSTaskConfig, state: _Open) -> bool:
        """Reads what is new, until a file is full; whether that was all."""
        with self._store.reading() as connection:
            found = list(shards.shards_of(connection, table.stream_id))
        for shard in found:
            iterator = state.places.get(shard.id, f"{shard.id}\t{shard.first:016x}")
            while iterator and state.size < self.cut.bytes:
                page = self._page(table, shard.id, iterator)
                if page is None:
                    iterator = ""
                    break
                for one in page.stream_records:
                    if one.action_type != table_pb2.DELETE_ROW:
                        (row,) = decode_rows(one.record)
                        micros = row.sequence.timestamp if row.sequence else self._clock.micros()
                        state.add(config, row, micros, len(one.record))
                iterator = page.next_shard_iterator
                if not page.may_more_record:
                    break
            state.places[shard.id] = iterator
        return state.size < self.cut.bytes

    def _page(self, table: Table, shard: str, iterator: str) -> table_pb2.GetStreamRecordResponse | None:
        """None: the shard is not kept any more. Records that are not kept any more are passed over."""
        for place in (iterator, None):
            try:
                if place is None:
                    asked = table_pb2.GetShardIteratorRequest(stream_id=table.stream_id, shard_id=shard)
                    place = self._streams.iterator(table.instance, asked).shard_iterator
                wanted = table_pb2.GetStreamRecordRequest(shard_iterator=place, table_name=table.name)
                return self._streams.records(table.instance, wanted)
            except ServiceError as error:
                log.info("Delivery of %s passes over what the stream has forgotten: %s", table.name, error)
        return None

    # ---- files

    def _flush(self, task: Task, config: pb.OSSTaskConfig, found: _Open) -> Task:
        """Writes what was read; the task as it is then, not kept yet."""
        if not found.count:
            return task
        for folder, rows in found.rows.items():
            key = f"{folder}{task.name}-{task.id[:8]}-{task.flushes:08d}.parquet"
            self._objects.put_bytes(config.ossBucket, key, parquet(config, rows))
        dropped = dict(Counter(task.dropped) + found.dropped)
        return replace(task, flushes=task.flushes + 1, rows=task.rows + found.count, dropped=dropped)
