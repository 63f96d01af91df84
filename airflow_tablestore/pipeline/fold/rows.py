"""The rows of a table at a moment, from a chain of publications, with bounded memory.

Base rows and changes are first divided by a hash of their key into buckets on disk, each small enough for memory; then
bucket after bucket is put in order and folded. Changes of a key come in the order of windows, and within one in that of
their shard; where a shard was divided within a window, the parent's come first.
"""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from airflow_tablestore.consumer.table import show_key
from airflow_tablestore.errors import ProtocolError, RecordError
from airflow_tablestore.pipeline.boundaries import micros_of
from airflow_tablestore.pipeline.fold.chain import Chain, Link
from airflow_tablestore.pipeline.fold.row import Change, folded
from airflow_tablestore.pipeline.formats.reading import FieldType, Unread, described_format, rows_of, value_of
from airflow_tablestore.pipeline.manifest import Manifest
from airflow_tablestore.pipeline.sources.changes import CELL_COLUMNS, SEQUENCE_COLUMN
from airflow_tablestore.pipeline.sources.objects import (
    Found,
    ListedObject,
    ObjectReader,
    ObjectRows,
    fetch,
    published_export,
    refuse_damaged,
)
from airflow_tablestore.wire.row import Cell, ColumnType, PrimaryKey, Row, Value
from airflow_tablestore.wire.table import KeyColumn

BUCKET_BYTES = 16 * 1024 * 1024
"""Of objects; as Python values a bucket takes about ten to twenty times that, for objects are compressed."""

MOST_BUCKETS = 500
"""Files that are open at a time, far below what systems allow."""

Refuse = Callable[[str, str], None]


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
    :param folder: room for the buckets, about as much as the objects hold uncompressed.
    """

    store: ObjectReader
    materials: Materials
    refuse: Refuse
    folder: Path
    dirty: int = field(default=0, init=False)
    changes: int = field(default=0, init=False)
    _known: dict[str, ColumnType] = field(default_factory=dict, init=False)

    def __iter__(self) -> Iterator[Row]:
        """:raises StartOver: an object is another one than when the chain was found."""
        schema = self.materials.chain.base.manifest.schema
        self._known = {column.name: column.type for column in schema.columns}
        count = min(MOST_BUCKETS, 1 + self.materials.bytes // BUCKET_BYTES)
        paths = [self.folder / f"bucket-{number}" for number in range(count)]
        with ExitStack() as stack:
            files = [stack.enter_context(path.open("wb")) for path in paths]
            self._divide_base(files)
            self._divide_changes(files)
        for path in paths:
            yield from self._bucket(path)
            path.unlink()

    def _divide_base(self, files: Sequence[IO[bytes]]) -> None:
        base = self.materials.base
        for listed in base.objects:
            rows = ObjectRows(self.store, base, listed, base.keys, self.refuse, self.folder)
            for row in rows:
                _keep(files, row.key, (None, {cell.name: cell.value for cell in row.cells}))
            self.dirty += rows.dirty

    def _divide_changes(self, files: Sequence[IO[bytes]]) -> None:
        keys, end = self.materials.keys, micros_of(self.materials.chain.to)
        for number, (link, objects) in enumerate(self.materials.changes):
            for listed in objects:
                for values in _values(self.store, link.manifest, listed, keys, self.folder):
                    *key, name, version, value, op, sequence = values
                    place = _place(sequence)
                    if place.micros < end:
                        self.changes += 1
                        named = tuple((one.name, part) for one, part in zip(keys, key, strict=True))
                        _keep(files, named, ((number, place), (op, name, value, version)))

    def _bucket(self, path: Path) -> Iterator[Row]:
        bases: dict[PrimaryKey, dict[str, Value]] = {}
        changes: dict[PrimaryKey, list[tuple[Any, Any]]] = {}
        for key, (place, what) in _kept(path):
            if place is None:
                bases[key] = what
            else:
                changes.setdefault(key, []).append((place, what))
        for key in {**bases, **changes}:
            try:
                cells = folded(bases.get(key), [self._change(what) for _, what in _ordered(changes.get(key, ()))])
            except RecordError as error:
                self.dirty += 1
                self.refuse(show_key(key), str(error))
                continue
            if cells is not None:
                yield Row(key, tuple(Cell(name, value) for name, value in cells.items()))

    def _change(self, what: tuple[str, str | None, str | None, int | None]) -> Change:
        """:raises RecordError: a value that is not of its column's type, or of a column without one."""
        op, name, text, version = what
        if name is None or text is None:
            return Change(op, name or "", None, version)
        kind = self._known.get(name)
        if kind is None:
            raise RecordError(f"column '{name}' is not among those of the full export, so its type is not known")
        value = value_of(text, FieldType(name, kind))
        if isinstance(value, Unread):
            raise RecordError(value.reason)
        return Change(op, name, value, version)


@dataclass(frozen=True, slots=True, order=True)
class _Place:
    """Where a change stands: as `sources.changes.sequence_text` tells it."""

    epoch: int
    micros: int
    row: int
    number: int
    shard: str


def _place(text: str) -> _Place:
    """:raises ProtocolError: it is no such text."""
    try:
        epoch, micros, row, rest = text.split("_", 3)
        shard, _, number = rest.rpartition(":")
        return _Place(int(epoch), int(micros), int(row), int(number), shard)
    except (ValueError, AttributeError) as error:
        raise ProtocolError(f"{text!r} does not tell where a change stands") from error


def _ordered(changes: Sequence[tuple[tuple[int, _Place], Any]]) -> list[tuple[tuple[int, _Place], Any]]:
    """By window; in a window shard by shard, the one whose first change is older first; in a shard by its order."""
    first: dict[tuple[int, str], int] = {}
    for (window, place), _ in changes:
        shard = (window, place.shard)
        first[shard] = min(first.get(shard, place.micros), place.micros)
    return sorted(changes, key=lambda one: (one[0][0], first[one[0][0], one[0][1].shard], one[0][1].shard, one[0][1]))


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


def _keep(files: Sequence[IO[bytes]], key: PrimaryKey, what: Any) -> None:
    bucket = zlib.crc32(repr(key).encode("utf-8", "surrogatepass")) % len(files)
    pickle.dump((key, what), files[bucket], protocol=pickle.HIGHEST_PROTOCOL)


def _kept(path: Path) -> Iterator[tuple[PrimaryKey, Any]]:
    with path.open("rb") as file:
        while True:
            try:
                yield pickle.load(file)  # noqa: S301 - written a moment ago by this process, in a folder of its own
            except EOFError:
                return
