"""The rows of a table at a moment, from a chain of publications, with bounded memory.

Changes are first divided by their key into buckets on disk, each small enough for memory. Base rows that no change has
touched pass by, as columns where the base has columns; the others go into the buckets too. Then bucket after bucket is
folded, window after window. Within a window, changes of a key come as they were read from their shard; where a shard
was divided within a window, the parent's come first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from airflow_tablestore.consumer.table import show_key
from airflow_tablestore.errors import ProtocolError, RecordError
from airflow_tablestore.pipeline.boundaries import micros_of
from airflow_tablestore.pipeline.fold.buckets import MOST_BUCKET_BYTES, Buckets, kept
from airflow_tablestore.pipeline.fold.chain import Chain, Link
from airflow_tablestore.pipeline.fold.row import Change, FoldedRow, Told
from airflow_tablestore.pipeline.fold.sieve import Sieve
from airflow_tablestore.pipeline.formats.reading import FieldType, Unread, described_format, rows_of, value_of
from airflow_tablestore.pipeline.manifest import Manifest
from airflow_tablestore.pipeline.sources.changes import CELL_COLUMNS, SEQUENCE_COLUMN
from airflow_tablestore.pipeline.sources.object_rows import ObjectRows, fetch
from airflow_tablestore.pipeline.sources.objects import Found, ListedObject, published_export, refuse_damaged
from airflow_tablestore.pipeline.store import ObjectReader
from airflow_tablestore.wire.row import Cell, ColumnType, PrimaryKey, Row, Value
from airflow_tablestore.wire.table import KeyColumn

T = TypeVar("T")

OBJECT_BYTES = 2 * 1024 * 1024
"""For so many bytes of objects there is a bucket at first; objects are compressed, and what is divided is not."""

CHOSEN_MILLIS = 60_000
"""A version that is so much older than its change was chosen by its writer. Without that it is the service's time."""

Refuse = Callable[[str, str], None]


def _pass(size: int) -> None:
    """Nothing."""


_BASE = -1
"""The number of the base among the windows."""


@dataclass(frozen=True, slots=True)
class Materials:
    """The objects of a chain, each known to be there and whole."""

    chain: Chain
    base: Found
    changes: tuple[tuple[Link, tuple[ListedObject, ...]], ...]

    @property
    def keys(self) -> tuple[KeyColumn, ...]:
        return self.base.keys

    @property
    def bytes(self) -> int:
        """Of all objects that are read."""
        return sum(one.bytes for one in (*self.base.objects, *(one for _, own in self.changes for one in own)))


def materials(store: ObjectReader, found: Chain) -> Materials:
    """The objects of the chain.

    :raises ProtocolError: objects are missing, cut or others than their manifest lists; nothing has been done then.
    """
    base = published_export(store, found.base.prefix, found.base.manifest)
    changes = []
    for link in found.links:
        own = link.manifest.of_run(link.window.run)
        listed = tuple(ListedObject(o.key, o.bytes, o.crc64, o.rows) for o in own)
        refuse_damaged(store, listed, f"window {link.window.window}")
        changes.append((link, listed))
    return Materials(found, base, tuple(changes))


@dataclass(slots=True)
class FoldedRows:
    """The rows at the chain's moment. Iterate once.

    :param refuse: hears of rows that cannot be known, and may raise to end the work.
    :param folder: room for one object of the base, and for the changes and the rows that they touch, uncompressed.
    :param took: hears how many bytes were read, object by object, and may wait.
    :param bucket_bytes: of a file on disk; memory takes five to eight times that, and one window's changes of one key.
    """

    store: ObjectReader
    materials: Materials
    refuse: Refuse
    folder: Path
    took: Callable[[int], None] = _pass
    bucket_bytes: int = MOST_BUCKET_BYTES
    dirty: int = field(default=0, init=False)
    changes: int = field(default=0, init=False)
    _read_millis: int = field(default=0, init=False)
    _known: dict[str, ColumnType] = field(default_factory=dict, init=False)
    _names: dict[str, int] = field(default_factory=dict, init=False)

    def __iter__(self) -> Iterator[Row]:
        """:raises StartOver: an object is another one than when the chain was found."""
        return self._folded(self._untouched_rows)

    def pieces(self) -> Iterator[pa.RecordBatch | Row]:
        """The same rows; those that no change has touched as columns, named as in the table, if the base has columns.

        :raises StartOver: as iterating does.
        """
        return self._folded(self._untouched if self.materials.base.is_columnar else self._untouched_rows)

    def _folded(self, untouched: Callable[[Buckets, Sieve], Iterator[T]]) -> Iterator[T | Row]:
        base = self.materials.chain.base.manifest
        self._read_millis, schema = micros_of(base.read[1]) // 1000 if base.read else 0, base.schema
        self._known = {column.name: column.type for column in schema.columns}
        count = 1 + self.materials.bytes // OBJECT_BYTES
        buckets = Buckets(self.folder, count, most_bytes=self.bucket_bytes)
        try:
            touched = Sieve()
            self._divide_changes(buckets, touched)
            yield from untouched(buckets, touched)
            names = list(self._names)
            for path in buckets:
                yield from self._bucket(path, names)
        finally:
            buckets.close()

    def _divide_changes(self, buckets: Buckets, touched: Sieve) -> None:
        keys, end = self.materials.keys, micros_of(self.materials.chain.to)
        for window, (link, objects) in enumerate(self.materials.changes):
            for listed in objects:
                for values in _values(self.store, link.manifest, listed, keys, self.folder):
                    *parts, name, version, value, op, sequence = values
                    micros, shard = _place(sequence)
                    if micros < end:
                        self.changes += 1
                        key, change = tuple(parts), (op, None if name is None else self._number(name), value, version)
                        touched.add(key)
                        buckets.keep(key, (window, micros, shard, change))
                self.took(listed.bytes)

    def _untouched_rows(self, buckets: Buckets, touched: Sieve) -> Iterator[Row]:
        for rows in self._base():
            for row in rows:
                if _values_of(row.key) in touched:
                    self._keep(row, buckets)
                else:
                    yield row

    def _untouched(self, buckets: Buckets, touched: Sieve) -> Iterator[pa.RecordBatch]:
        names = [key.name for key in self.materials.keys]
        for rows in self._base():
            for batch in rows.batches():
                held = touched.held([batch.column(name).to_pylist() for name in names])
                for row in rows.rows_in(batch.filter(pa.array(held))):
                    self._keep(row, buckets)
                if not held.all():
                    yield batch.filter(pa.array(~held)) if held.any() else batch

    def _base(self) -> Iterator[ObjectRows]:
        """Object by object; each must be read before the next one comes."""
        base = self.materials.base
        for listed in base.objects:
            rows = ObjectRows(self.store, base, listed, base.keys, self.refuse, self.folder)
            yield rows
            self.dirty += rows.dirty
            self.took(listed.bytes)

    def _keep(self, row: Row, buckets: Buckets) -> None:
        cells = {self._number(cell.name): cell.value for cell in row.cells}
        buckets.keep(_values_of(row.key), (_BASE, cells))

    def _number(self, name: str) -> int:
        """Names are many times longer than numbers, and each row on disk would have its own."""
        return self._names.setdefault(name, len(self._names))

    def _bucket(self, path: Path, names: Sequence[str]) -> Iterator[Row]:
        rows: dict[tuple[Any, ...], dict[int, Value] | FoldedRow]
        rows = {key: what[0] for key, (window, *what) in kept(path) if window == _BASE}
        waiting: dict[tuple[Any, ...], list[_Kept]] = {}
        current = _BASE
        for key, (window, *what) in kept(path):
            if window == _BASE:
                continue
            if window != current:
                self._settle(rows, waiting, current, names)
                current = window
            waiting.setdefault(key, []).append(what)
        self._settle(rows, waiting, current, names)
        for values, found in rows.items():
            key = tuple((one.name, value) for one, value in zip(self.materials.keys, values, strict=True))
            row = self._row(key, found, names)
            if row is not None:
                yield row

    def _settle(
        self,
        rows: dict[tuple[Any, ...], dict[int, Value] | FoldedRow],
        waiting: dict[tuple[Any, ...], list[_Kept]],
        window: int,
        names: Sequence[str],
    ) -> None:
        """Apply the changes of one window, which leaves none waiting."""
        for key, changes in waiting.items():
            found = rows.get(key)
            if not isinstance(found, FoldedRow):
                found = rows[key] = FoldedRow(None if found is None else _named(found, names))
            for micros, _, (op, number, text, version) in _ordered(changes, self.materials.changes[window][0]):
                name = "" if number is None else names[number]
                done = micros // 1000
                is_backdated = version is not None and version < min(done - CHOSEN_MILLIS, self._read_millis)
                told = None if text is None else Told(text)
                found.apply(Change(op, name, told, version, is_backdated, is_repeated=done < self._read_millis))
        waiting.clear()

    def _row(self, key: PrimaryKey, found: dict[int, Value] | FoldedRow, names: Sequence[str]) -> Row | None:
        """The row as it was; None when there was none, or nobody can tell."""
        if not isinstance(found, FoldedRow):
            return Row(key, tuple(Cell(names[number], value) for number, value in found.items()))
        try:
            cells = found.cells()
            if cells is None:
                return None
            return Row(key, tuple(Cell(name, self._value(name, value)) for name, value in cells.items()))
        except RecordError as error:
            self.dirty += 1
            self.refuse(show_key(key), str(error))
            return None

    def _value(self, name: str, value: Value | Told) -> Value:
        """:raises RecordError: a value that is not of its column's type, or of a column without one."""
        if not isinstance(value, Told):
            return value
        kind = self._known.get(name)
        if kind is None:
            raise RecordError(f"column '{name}' is not among those of the full export, so its type is not known")
        read = value_of(value.text, FieldType(name, kind))
        if isinstance(read, Unread):
            raise RecordError(read.reason)
        return read


def _values_of(key: PrimaryKey) -> tuple[Any, ...]:
    return tuple(value for _, value in key)


_Kept = list[Any]
"""A change on its way: its microseconds, its shard, and what it did."""


def _named(cells: dict[int, Value], names: Sequence[str]) -> dict[str, Value]:
    return {names[number]: value for number, value in cells.items()}


def _place(text: str) -> tuple[int, str]:
    """The time and the shard of a change, from where it stands: as `sources.changes.sequence_text` tells it.

    :raises ProtocolError: it is no such text.
    """
    try:
        _, micros, _, rest = text.split("_", 3)
        return int(micros), rest.rpartition(":")[0]
    except (ValueError, AttributeError) as error:
        raise ProtocolError(f"{text!r} does not tell where a change stands") from error


def _ordered(changes: list[_Kept], link: Link) -> list[_Kept]:
    """One key's changes of one window: shard by shard, in a shard as they were read, which is the order of the log.

    A shard that ended in the window comes before one that goes on: it may be its parent, never its child. Of several
    such the one whose first change is older is first. Within a shard time does not decide, for it may run backwards.
    """
    shards: dict[str, list[_Kept]] = {}
    for change in changes:
        shards.setdefault(change[1], []).append(change)
    if len(shards) == 1:
        return changes
    ended = link.window.end.ended if link.window.end else ()
    ordered = sorted(shards, key=lambda shard: (shard not in ended, shards[shard][0][0], shard))
    return [change for shard in ordered for change in shards[shard]]


def _values(
    store: ObjectReader, manifest: Manifest, listed: ListedObject, keys: Sequence[KeyColumn], folder: Path
) -> Iterator[tuple[Any, ...]]:
    """The rows of an object of changes: key, name, version, value, operation, place.

    :raises ProtocolError: a row that cannot be read; a change must not be passed over.
    """
    place, path = store.uri(listed.key), folder / "changes"
    names = [column.name for column in manifest.columns]
    format = described_format(manifest.format, names, place)
    fields = [FieldType(column.name, ColumnType(column.type)) for column in manifest.columns]
    at = [names.index(name) for name in (*(key.name for key in keys), *CELL_COLUMNS, SEQUENCE_COLUMN)]
    fetch(store, listed, path)
    try:
        count = 0
        for values in rows_of(path, format, fields, place):
            count += 1
            if isinstance(values, Unread):
                raise ProtocolError(f"{place} row {count}: {values.reason}")
            yield tuple(values[one] for one in at)
    finally:
        path.unlink(missing_ok=True)
    if count != listed.rows:
        raise ProtocolError(f"{place} has {count} rows, and its manifest says {listed.rows}")
