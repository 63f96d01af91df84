"""A table beside a full export of it that is published in a bucket.

Both sides are read once and every row counts to a key range, whose rows are told by their number and a checksum. Ranges
that differ are read again and compared key by key. So nothing that grows with the table is held in memory, and reading
twice is paid for what differs alone.

The table is read as the export read it: its range, its pinned columns and their types come from the manifest. What the
export leaves out (dirty records, columns that nobody asked for) is left out here. The table is compared as it is now:
what was written since the export differs.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from airflow_tablestore.consumer.table import KeyRange, Sender, cut_by_size, full_range
from airflow_tablestore.errors import Problem, ProtocolError, Rejected, SpecError, StartOver
from airflow_tablestore.pipeline.contract import Limits, Progress, Quiet, Schema
from airflow_tablestore.pipeline.full_export.division import UNSUPPORTED
from airflow_tablestore.pipeline.full_export.plan import Slice, key_from_json
from airflow_tablestore.pipeline.manifest import Manifest, read_manifest
from airflow_tablestore.pipeline.restore.job import PublishedSource
from airflow_tablestore.pipeline.selection import TableSelection, Unknown
from airflow_tablestore.pipeline.sources.objects import READ_BYTES, Found, ListedObject, ObjectReader, ObjectRows, find
from airflow_tablestore.pipeline.sources.objects import others_of as cells_of
from airflow_tablestore.pipeline.sources.table import TableSlice
from airflow_tablestore.pipeline.store import Store
from airflow_tablestore.pipeline.throttle import Throttle
from airflow_tablestore.pipeline.verify import report as told
from airflow_tablestore.pipeline.verify.checksums import Spans, differing, fingerprint, tallies
from airflow_tablestore.pipeline.verify.report import MOST_NAMED, Estimate, VerifyReport
from airflow_tablestore.pipeline.verify.second_look import PublishedRows
from airflow_tablestore.wire.call import Call
from airflow_tablestore.wire.row import KeyValue, PrimaryKey, Row, Value
from airflow_tablestore.wire.table import (
    MEBIBYTE,
    RangePage,
    RangeRead,
    compute_split_points,
    describe_table,
    get_range,
)

T = TypeVar("T")

SPAN_BYTES = 64 * MEBIBYTE
"""About so much of a table is one key range: what one changed row makes to be read twice."""

SAMPLED_ROWS = 200
ENOUGH_RANGES = 8
"""With fewer ranges the service's sizes are mostly guesses about the ends of the table."""

PAGE_BYTES, PAGE_ROWS, UNIT_BYTES = 4 * MEBIBYTE, 5000, 4096
"""Of one answer to GetRange, and of a read capacity unit. Source: Tablestore documentation, "Limits" and "Billing"."""


@dataclass(frozen=True, slots=True)
class Verify:
    """What is compared: a table, and the full export under a prefix.

    :param run: one of several that were appended there; "" the last one.
    :param most_named: keys named of each kind of difference.
    """

    table: str
    prefix: str
    run: str = ""
    limits: Limits = field(default_factory=Limits)
    asks_compact: bool = False
    most_named: int = MOST_NAMED


@dataclass(frozen=True, slots=True)
class VerifyServices:
    """The instance of the table, and the bucket of the objects."""

    client: Sender
    store: Store


@dataclass(frozen=True, slots=True)
class _Ready:
    """Both sides, known to fit each other. `estimates` are bytes by range; 0 where the service gives none."""

    place: str
    schema: Schema
    found: Found
    ranges: tuple[KeyRange, ...]
    estimates: tuple[int, ...]


def verify(job: Verify, services: VerifyServices, *, progress: Progress | None = None) -> VerifyReport:
    """Compare.

    :raises SpecError: there is no export, it is not one of a table's rows, or the table has another key.
    :raises ProtocolError: objects are missing, damaged, or not those that the manifest lists.
    """
    began, hears = time.monotonic(), progress or Quiet()
    ready = _survey(job, services)
    hears.expect(sum(ready.estimates) + sum(one.bytes for one in ready.found.objects))
    table = _TableSide(job, services.client, ready, hears)
    objects = _ObjectSide(services.store, ready, Throttle(job.limits), hears)
    there, published = tallies(len(ready.ranges)), tallies(len(ready.ranges))
    for number in range(len(ready.ranges)):
        for key, cells in table.rows(number):
            there[number].add(fingerprint(key, cells))
    dirty = table.dirty
    for number, row in objects.rows():
        published[number].add(fingerprint(row.key, _cells(row)))
    unequal, found = differing(there, published), told.Found(job.most_named)
    if unequal:
        _look_again(unequal, table, objects, found)
    return VerifyReport(
        table=job.table,
        place=ready.place,
        run=ready.found.run,
        rows=sum(one.rows for one in there),
        published=sum(one.rows for one in published),
        dirty=dirty,
        ranges=len(ready.ranges),
        differing=len(unequal),
        counts=dict(found.counts),
        named=tuple(found.named),
        read_units=table.sender.read_units,
        bytes_read=objects.bytes_read,
        seconds=time.monotonic() - began,
    )


def _look_again(unequal: frozenset[int], table: _TableSide, objects: _ObjectSide, found: told.Found) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="tablestore-verify-") as folder,
        closing(PublishedRows(Path(folder), found)) as published,
    ):
        published.add(row for _, row in objects.rows(unequal))
        published.sort()
        for number in sorted(unequal):
            for key, cells in table.rows(number):
                published.meet(key, cells)
        published.tell_the_rest()


def estimate(job: Verify, services: VerifyServices) -> Estimate:
    """What `verify` would read. Reads the manifest, the objects' heads and one page of the table.

    :raises SpecError: as `verify`.
    :raises ProtocolError: as `verify`, without a look into objects.
    """
    ready = _survey(job, services)
    whole = RangeRead(job.table, ready.ranges[0].begin, ready.ranges[-1].end, ready.ranges[0].is_backward)
    read = RangeRead(whole.table, whole.begin, whole.end, whole.is_backward, limit=SAMPLED_ROWS)
    page = services.client.send(get_range(read))
    sampled, size = _count(page, job.table), len(page.rows)
    is_counted = page.next_key is None
    rows, bytes_ = sampled, size
    if not is_counted:
        by_size = sum(ready.estimates) if len(ready.ranges) >= ENOUGH_RANGES else 0
        rows = max(ready.found.rows, by_size * sampled // size if size else 0, sampled)
        bytes_ = max(by_size, rows * size // sampled if sampled else 0)
    requests = max(-(-bytes_ // PAGE_BYTES), -(-rows // PAGE_ROWS), len(ready.ranges))
    objects = ready.found.objects
    return Estimate(
        table=job.table,
        place=ready.place,
        run=ready.found.run,
        rows=rows,
        bytes=bytes_,
        requests=requests,
        read_units=-(-bytes_ // UNIT_BYTES) + (0 if is_counted else requests),
        is_counted=is_counted,
        objects=len(objects),
        published=ready.found.rows,
        object_bytes=sum(one.bytes for one in objects),
        object_requests=sum(1 + -(-one.bytes // READ_BYTES) for one in objects),
    )


def _count(page: RangePage, table: str) -> int:
    from airflow_tablestore.wire.plainbuffer import decode_rows

    return len(decode_rows(page.rows)) if len(page.rows) else 0


# ---- what is compared with what


def _survey(job: Verify, services: VerifyServices) -> _Ready:
    """Both sides looked at; nothing is compared yet."""
    store, place = services.store, services.store.uri(job.prefix)
    manifest = read_manifest(store, job.prefix)
    found = find(store, PublishedSource(job.prefix, job.run or _last_run(manifest)))
    if manifest is None:  # `find` has said so already
        raise SpecError([Problem(f"{place} holds no export", path="prefix")])
    table = services.client.send(describe_table(job.table))
    if [(key.name, key.type) for key in table.keys] != [(key.name, key.type) for key in found.keys]:
        theirs, ours = (", ".join(f"{k.name} ({k.type})" for k in keys) for keys in (found.keys, table.keys))
        hint = "name the table that the export was made from, or one of the same key"
        raise SpecError([Problem(f"the export at {place} has the key {theirs}, table {job.table} {ours}", hint)])
    whole = full_range(table, _parts(manifest.begin), _parts(manifest.end))
    spans: list[tuple[KeyRange, int]] = [(whole, 0)]
    try:
        points = services.client.send(compute_split_points(job.table, SPAN_BYTES))
        spans = cut_by_size(table, whole, points, SPAN_BYTES)
    except Rejected as error:
        if error.code not in UNSUPPORTED:
            raise
    return _Ready(place, manifest.schema, found, tuple(s[0] for s in spans), tuple(s[1] for s in spans))


def _last_run(manifest: Manifest | None) -> str:
    """The run of the manifest where its prefix holds several; "" where there is nothing to choose."""
    runs = {one.run for one in manifest.objects} if manifest else set()
    return manifest.run if manifest and len(runs) > 1 and manifest.run in runs else ""


def _parts(begin_or_end: tuple[object, ...]) -> tuple[KeyValue, ...]:
    return tuple(value for _, value in key_from_json([["", part] for part in begin_or_end]))


class _Metered:
    """A sender that adds up the read capacity units that answers tell."""

    def __init__(self, sender: Sender):
        self._sender, self.read_units = sender, 0

    def send(self, call: Call[T]) -> T:
        answer = self._sender.send(call)
        if isinstance(answer, RangePage):
            self.read_units += answer.read_units
        return answer


class _TableSide:
    """The rows of the table as the export would write them. `dirty` counts those that it would not."""

    def __init__(self, job: Verify, sender: Sender, ready: _Ready, progress: Progress):
        self.sender, self.dirty = _Metered(sender), 0
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
        others = cells_of(values.pop("_other", None)) if self._others else {}
        cells = {
            name: value
            for name, value in values.items()
            if value is not None and value != self._null and name in self._compared and name not in keys
        }
        return key, {**others, **cells}

    def _refuse(self, key: str, reason: str) -> None:
        self.dirty += 1


class _ObjectSide:
    """The published rows, each with the number of its range."""

    def __init__(self, store: ObjectReader, ready: _Ready, throttle: Throttle, progress: Progress):
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


def _cells(row: Row) -> dict[str, Value]:
    return {cell.name: cell.value for cell in row.cells if cell.value is not None}
