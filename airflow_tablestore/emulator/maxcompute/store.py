"""Tables and partitions as they are kept: every change is one transaction.

Raises the service's refusals for what depends on the stored state. Sessions are in `sessions.py`, results of SQL in
`instances.py`, over the same database. Any name of a project is accepted, each with tables of its own.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.maxcompute.columns import Column, arrow_schema
from airflow_tablestore.emulator.maxcompute.database import (
    FILE_NAME,
    SCHEMA,
    TABLES,
    VERSION,
    Piece,
    append_pieces,
    content_of,
    data_of,
    drop_lists,
    drop_pieces,
    pieces_of,
    rows_in,
    store_piece,
    sweep,
)
from airflow_tablestore.emulator.maxcompute.errors import Refusal
from airflow_tablestore.emulator.maxcompute.rows import (
    TABLE_QUERY,
    Partition,
    Table,
    drop_partition,
    drop_session,
    ensure_partition,
    find_partition,
    find_table,
    partitions_of,
    table_from,
    touch,
)
from airflow_tablestore.emulator.maxcompute.tables import Definition
from airflow_tablestore.emulator.oss.database import Database

PIECE_BYTES = 8 * 1024 * 1024
"""About how much data a piece holds."""


@dataclass(frozen=True, slots=True)
class Held:
    """A partition as it was at one moment: the pieces that its rows are in, and the rows."""

    partition: Partition
    pieces: list[Piece]
    batches: list[Any]


class Store:
    """Everything under one directory; None keeps it in a temporary one that `close` removes."""

    def __init__(self, path: Path | None, clock: Clock):
        self._temporary = None if path else Path(tempfile.mkdtemp(prefix="airflow-tablestore-maxcompute-"))
        self.root = root = path or self._temporary or Path()
        root.mkdir(parents=True, exist_ok=True)
        self.clock = clock
        self.database = Database(root / FILE_NAME, is_durable=path is not None, schema=SCHEMA, version=VERSION)
        with self.database.writing() as connection:
            sweep(connection)

    def close(self) -> None:
        """Closes the database; an ephemeral store is gone afterwards."""
        self.database.close()
        if self._temporary:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def clear(self) -> None:
        """Removes every table, session and instance."""
        with self.database.writing() as connection:
            for table in TABLES:
                connection.execute(f"DELETE FROM {table}")  # noqa: S608

    # ---- tables

    def tables(self, project: str, after: str = "", prefix: str = "", most: int = -1) -> list[Table]:
        """The project's tables by name, those behind `after`."""
        with self.database.reading() as connection:
            rows = connection.execute(
                f"{TABLE_QUERY} WHERE project = ? AND name > ? AND substr(name, 1, ?) = ? ORDER BY name LIMIT ?",
                (project, after, len(prefix), prefix, most),
            )
            return [table_from(row) for row in rows]

    def counts(self) -> dict[str, dict[str, int]]:
        """Rows of every table, by project and name."""
        found: dict[str, dict[str, int]] = {}
        with self.database.reading() as connection:
            rows = connection.execute(
                "SELECT t.project, t.name, coalesce(sum(p.rows), 0) FROM tables t "
                "LEFT JOIN partitions s ON s.table_id = t.id LEFT JOIN lists l ON l.owner = 'content ' || s.id "
                "LEFT JOIN pieces p ON p.id = l.piece GROUP BY t.id ORDER BY t.project, t.name"
            )
            for project, name, count in rows:
                found.setdefault(project, {})[name] = count
        return found

    def find(self, project: str, name: str) -> Table | None:
        """The table, or None."""
        with self.database.reading() as connection:
            return find_table(connection, project, name)

    def create(self, project: str, name: str, definition: Definition) -> bool:
        """Whether the table is new; False when there is one of this name, which stays as it is."""
        stamp = self.clock.millis()
        with self.database.writing() as connection:
            if find_table(connection, project, name) is not None:
                return False
            cursor = connection.execute(
                "INSERT INTO tables(project, name, definition, version, created_millis, ddl_millis) "
                "VALUES (?, ?, ?, 1, ?, ?)",
                (project, name, definition.to_json(), stamp, stamp),
            )
            if not definition.partition_columns:
                ensure_partition(connection, cursor.lastrowid or 0, (), stamp)
            return True

    def drop(self, table: Table) -> None:
        """Removes the table with its data and its sessions."""
        with self.database.writing() as connection:
            for partition in partitions_of(connection, table.id):
                drop_partition(connection, partition)
            for (session,) in connection.execute("SELECT id FROM sessions WHERE table_id = ?", (table.id,)).fetchall():
                drop_session(connection, session)
            connection.execute("DELETE FROM tables WHERE id = ?", (table.id,))

    def change(self, table: Table, definition: Definition, *, name: str = "", is_of_columns: bool = True) -> None:
        """Gives the table another definition, or another name.

        :param is_of_columns: whether sessions that were begun before are refused from now on.
        """
        with self.database.writing() as connection:
            connection.execute(
                "UPDATE tables SET definition = ?, name = ?, version = version + ?, ddl_millis = ? WHERE id = ?",
                (definition.to_json(), name or table.name, int(is_of_columns), self.clock.millis(), table.id),
            )

    # ---- partitions

    def partitions(self, table: Table) -> list[Partition]:
        """Every partition, in the order of their values; of a table without partitions, the one that is all of it."""
        with self.database.reading() as connection:
            return partitions_of(connection, table.id)

    def partition(self, table: Table, values: Sequence[str]) -> Partition | None:
        """The partition of these values, or None."""
        with self.database.reading() as connection:
            return find_partition(connection, table.id, values)

    def add_partition(self, table: Table, values: Sequence[str]) -> bool:
        """Whether the partition is new."""
        with self.database.writing() as connection:
            if find_partition(connection, table.id, values) is not None:
                return False
            ensure_partition(connection, table.id, values, self.clock.millis())
            return True

    def drop_partitions(self, partitions: Iterable[Partition]) -> None:
        """Removes the partitions with their data, all at once."""
        with self.database.writing() as connection:
            for partition in partitions:
                drop_partition(connection, partition)

    def empty(self, partitions: Iterable[Partition]) -> None:
        """Removes the rows of the partitions, all at once."""
        stamp = self.clock.millis()
        with self.database.writing() as connection:
            for partition in partitions:
                drop_lists(connection, [content_of(partition.id)])
                touch(connection, partition.id, stamp)

    # ---- rows

    def size(self, partition: Partition) -> tuple[int, int]:
        """Rows of the partition, and bytes of their data."""
        with self.database.reading() as connection:
            rows, size = connection.execute(
                "SELECT coalesce(sum(p.rows), 0), coalesce(sum(length(p.data)), 0) FROM lists l "
                "JOIN pieces p ON p.id = l.piece WHERE l.owner = ?",
                (content_of(partition.id),),
            ).fetchone()
            return rows, size

    def store_rows(self, batches: Iterable[Any]) -> list[Piece]:
        """Stores the batches as pieces that nobody names yet; when the batches fail, nothing stays.

        Whoever calls names them or gives them up (`give_up`).
        """
        stored: list[Piece] = []
        waiting: list[Any] = []
        size = 0
        try:
            for batch in batches:
                if batch.num_rows:
                    waiting.append(batch)
                    size += batch.nbytes
                if size >= PIECE_BYTES:
                    stored.append(self._stored(waiting))
                    waiting, size = [], 0
            if waiting:
                stored.append(self._stored(waiting))
        except BaseException:
            self.give_up(stored)
            raise
        return stored

    def give_up(self, pieces: Iterable[Piece]) -> None:
        """Deletes those of the pieces that nobody names."""
        with self.database.writing() as connection:
            drop_pieces(connection, [piece.id for piece in pieces])

    def write(self, table: Table, rows: Mapping[tuple[str, ...], Sequence[Piece]], *, is_overwrite: bool) -> None:
        """Puts the pieces behind the rows of their partitions, or in their place, all at once; makes the partitions.

        :raises Refusal: the table is gone, or has changed.
        """
        stamp = self.clock.millis()
        with self.database.writing() as connection:
            now = find_table(connection, table.project, table.name)
            if now is None or (now.id, now.version) != (table.id, table.version):
                raise Refusal("TableModified")
            for values, pieces in rows.items():
                ensure_partition(connection, table.id, values, stamp)
                partition = find_partition(connection, table.id, values)
                if partition is None:
                    raise Refusal("NoSuchPartition")
                if is_overwrite:
                    drop_lists(connection, [content_of(partition.id)])
                append_pieces(connection, content_of(partition.id), pieces)
                touch(connection, partition.id, stamp)

    def content(self, partition: Partition) -> list[Piece]:
        """The pieces that the partition's rows are in."""
        with self.database.reading() as connection:
            return pieces_of(connection, content_of(partition.id))

    def state(self, table: Table, columns: Sequence[Column]) -> list[Held]:
        """Every partition with its rows, all of one moment, in memory."""
        found = []
        with self.database.reading() as connection:
            for partition in partitions_of(connection, table.id):
                pieces = pieces_of(connection, content_of(partition.id))
                held = [data for piece in pieces if (data := data_of(connection, piece)) is not None]
                found.append(Held(partition, pieces, [batch for data in held for batch in _batches(data, columns)]))
        return found

    def listed(self, owner: str) -> list[Piece]:
        """The pieces of any list."""
        with self.database.reading() as connection:
            return pieces_of(connection, owner)

    def read(
        self, pieces: Sequence[Piece], columns: Sequence[Column], start: int = 0, count: int = -1
    ) -> Iterator[Any]:
        """Record batches of the rows, with these columns: what a piece does not have is null.

        :param count: how many rows; -1 for all.
        """
        left = rows_in(pieces) - start if count < 0 else count
        for piece in pieces:
            if left <= 0:
                return
            if start >= piece.rows:
                start -= piece.rows
                continue
            with self.database.reading() as connection:
                data = data_of(connection, piece)
            if data is None:
                raise Refusal("TableModified")
            for batch in _batches(data, columns):
                if start >= batch.num_rows:
                    start -= batch.num_rows
                    continue
                part = batch.slice(start, min(left, batch.num_rows - start))
                start, left = 0, left - part.num_rows
                yield part
                if left <= 0:
                    return

    def _stored(self, batches: Sequence[Any]) -> Piece:
        import pyarrow as pa

        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batches[0].schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
        with self.database.writing() as connection:
            return store_piece(connection, sum(batch.num_rows for batch in batches), memoryview(sink.getvalue()))


def _batches(data: bytes, columns: Sequence[Column]) -> Iterator[Any]:
    import pyarrow as pa

    schema = arrow_schema(columns)
    with pa.ipc.open_stream(pa.py_buffer(data)) as reader:
        for batch in reader:
            arrays = []
            for field in schema:
                index = batch.schema.get_field_index(field.name)
                held = batch.column(index) if index >= 0 else pa.nulls(batch.num_rows, field.type)
                arrays.append(held)
            yield pa.RecordBatch.from_arrays(arrays, schema=schema) if arrays else batch.select([])
