"""The two sides of a comparison: a table and the objects that were published from it, row by row in one form.

The table is read as the export read it: its range, its pinned columns and their types come from the manifest. What the
export leaves out (dirty records, columns that nobody asked for) is left out here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

from airflow_tablestore.consumer.table import KeyRange, Sender, cut_by_size, full_range
from airflow_tablestore.errors import Problem, ProtocolError, Rejected, SpecError, StartOver
from airflow_tablestore.pipeline.contract import Progress, Schema
from airflow_tablestore.pipeline.full_export.division import UNSUPPORTED
from airflow_tablestore.pipeline.full_export.plan import Slice, key_from_json
from airflow_tablestore.pipeline.manifest import Manifest, read_manifest
from airflow_tablestore.pipeline.restore.job import PublishedSource
from airflow_tablestore.pipeline.selection import TableSelection, Unknown
from airflow_tablestore.pipeline.sources.object_rows import READ_BYTES, ObjectRows, others_of
from airflow_tablestore.pipeline.sources.objects import Found, ListedObject, find
from airflow_tablestore.pipeline.sources.table import TableSlice
from airflow_tablestore.pipeline.store import ObjectReader, Store
from airflow_tablestore.pipeline.throttle import Throttle
from airflow_tablestore.pipeline.verify.checksums import Spans
from airflow_tablestore.pipeline.verify.job import Verify, VerifyServices
from airflow_tablestore.wire.call import Call
from airflow_tablestore.wire.row import KeyValue, PrimaryKey, Row, Value
from airflow_tablestore.wire.table import MEBIBYTE, RangePage, TableDescription, compute_split_points, describe_table

T = TypeVar("T")

SPAN_BYTES = 64 * MEBIBYTE
"""About so much of a table is one key range: what one changed row makes to be read twice."""


@dataclass(frozen=True, slots=True)
class Ready:
    """Both sides, known to fit each other. `estimates` are bytes by range; 0 where the service gives none."""

    place: str
    schema: Schema
    found: Found
    ranges: tuple[KeyRange, ...]
    estimates: tuple[int, ...]

    @property
    def run(self) -> str:
        return self.found.run

    @property
    def published(self) -> int:
        """Rows, as the manifest says."""
        return self.found.rows

    @property
    def objects(self) -> int:
        return len(self.found.objects)

    @property
    def object_bytes(self) -> int:
        return sum(one.bytes for one in self.found.objects)

    @property
    def reads(self) -> int:
        """Requests that bring all of it."""
        return sum(1 + -(-one.bytes // READ_BYTES) for one in self.found.objects)


def survey(job: Verify, services: VerifyServices) -> Ready:
    """Both sides looked at; nothing is compared yet.

    :raises SpecError: there is no export of a table's rows, or the table has another key.
    :raises ProtocolError: objects are missing or not those that the manifest lists.
    """
    store = cast("Store", services.store)
    place = store.uri(job.prefix)
    manifest = read_manifest(store, job.prefix)
    run = job.run or _last_run(manifest)
    found = find(store, PublishedSource(job.prefix, run))
    if manifest is None or found.run != (run or manifest.run):
        raise ProtocolError(f"{place} was published anew while it was looked at. Verify it again.")
    table = services.client.send(describe_table(job.table))
    if [(key.name, key.type) for key in table.keys] != [(key.name, key.type) for key in found.keys]:
        theirs, ours = (", ".join(f"{k.name} ({k.type})" for k in keys) for keys in (found.keys, table.keys))
        hint = "name the table that the export was made from, or one of the same key"
        raise SpecError([Problem(f"the export at {place} has the key {theirs}, table {job.table} {ours}", hint)])
    spans = divided(services.client, table, full_range(table, _parts(manifest.begin), _parts(manifest.end)))
    return Ready(place, manifest.schema, found, tuple(s[0] for s in spans), tuple(s[1] for s in spans))


def divided(client: Sender, table: TableDescription, whole: KeyRange) -> list[tuple[KeyRange, int]]:
    """The range in parts of about SPAN_BYTES, with their estimated bytes; one of 0 where the service gives none."""
    try:
        points = client.send(compute_split_points(table.name, SPAN_BYTES))
    except Rejected as error:
        if error.code not in UNSUPPORTED:
            raise
        return [(whole, 0)]
    return cut_by_size(table, whole, points, SPAN_BYTES)


def _last_run(manifest: Manifest | None) -> str:
    """The run of the manifest where its prefix holds several; "" where there is nothing to choose."""
    runs = {one.run for one in manifest.objects} if manifest else set()
    return manifest.run if manifest and len(runs) > 1 and manifest.run in runs else ""


def _parts(begin_or_end: tuple[object, ...]) -> tuple[KeyValue, ...]:
    return tuple(value for _, value in key_from_json([["", part] for part in begin_or_end]))


class Metered:
    """A sender that adds up the read capacity units that answers tell."""

    def __init__(self, sender: Sender):
        self._sender, self.read_units = sender, 0

    def send(self, call: Call[T]) -> T:
        answer = self._sender.send(call)
        if isinstance(answer, RangePage):
            self.read_units += answer.read_units
        return answer


class TableSide:
    """The rows of the table as the export would write them. `dirty` counts those that it would not."""

    def __init__(self, job: Verify, sender: Sender, ready: Ready, progress: Progress):
        self.sender, self.dirty = Metered(sender), 0
        self._selection = TableSelection(job.table, unknown=Unknown.OTHER, asks_compact=job.asks_compact)
        self._ready, self._progress, self._throttle = ready, progress, Throttle(job.limits)
        self._others = any(column.to is None for column in ready.found.columns)
        self._compared = {column.to for column in ready.found.columns if column.to}
        self._null = ready.found.format.null if ready.found.format.kind == "text" else None

    def rows(self, number: int) -> Iterator[tuple[PrimaryKey, dict[str, Value]]]:
        """Those of one range, in the order of their keys."""
        schema, span = self._ready.schema, Slice(self._ready.ranges[number])
        keys = [column.name for column in schema.columns if column.is_key]
        source = TableSlice(self.sender, self._selection, schema, span, self._refuse)
        for batch in source.batches():
            self._throttle.took(batch.records.num_rows, batch.bytes_read)
            self._progress.advance(batch.records.num_rows, batch.bytes_read)
            columns = {name: batch.records.column(name).to_pylist() for name in batch.records.schema.names}
            for values in zip(*columns.values(), strict=True):
                yield self._row(dict(zip(columns, values, strict=True)), keys)

    def _row(self, values: dict[str, Value | None], keys: list[str]) -> tuple[PrimaryKey, dict[str, Value]]:
        key: PrimaryKey = tuple((name, values[name]) for name in keys)  # type: ignore[misc]
        others = others_of(values.pop("_other", None)) if self._others else {}
        cells = {
            name: value
            for name, value in values.items()
            if value is not None and value != self._null and name in self._compared and name not in keys
        }
        return key, {**others, **cells}

    def _refuse(self, key: str, reason: str) -> None:
        self.dirty += 1


class ObjectSide:
    """The published rows, each with the number of its range."""

    def __init__(self, store: ObjectReader, ready: Ready, throttle: Throttle, progress: Progress):
        self._store, self._ready, self._progress = store, ready, progress
        self._throttle = throttle
        self._spans = Spans(ready.ranges)
        self._met: dict[str, set[int]] = {}
        self.bytes_read = 0

    def rows(self, wanted: frozenset[int] | None = None) -> Iterator[tuple[int, Row]]:
        """All, or those of these ranges: then only objects are read that have some.

        :raises ProtocolError: an object is damaged, or has a row that no table can hold.
        """
        with tempfile.TemporaryDirectory(prefix="tablestore-verify-") as folder:
            for listed in self._ready.found.objects:
                met = self._met.setdefault(listed.key, set())
                if wanted is not None and not met & wanted:
                    continue
                for row in self._of(listed, Path(folder)):
                    number = self._spans.of(row.key)
                    met.add(number)
                    if wanted is None or number in wanted:
                        yield number, row
                self.bytes_read += listed.bytes
                self._progress.advance(max(listed.rows, 0), listed.bytes)

    def _of(self, listed: ListedObject, folder: Path) -> Iterator[Row]:
        rows = ObjectRows(self._store, self._ready.found, listed, self._ready.found.keys, _refuse, folder)
        try:
            yield from rows
        except StartOver as error:
            place = self._store.uri(listed.key)
            raise ProtocolError(
                f"{place} is damaged, or was written again meanwhile: its bytes are not those that the manifest lists. "
                "Nothing was compared to its end."
            ) from error


def _refuse(place: str, reason: str) -> None:
    raise ProtocolError(f"{place}: {reason}. The object is whole and yet not what an export writes.")


def cells_of(row: Row) -> dict[str, Value]:
    """The cells of a row that hold something."""
    return {cell.name: cell.value for cell in row.cells if cell.value is not None}
