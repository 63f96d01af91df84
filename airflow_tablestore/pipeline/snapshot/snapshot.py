"""A full export made of an earlier one and the changes after it, without reading the table.

It is published as every full export is, all or nothing, and its manifest says that it was read at its moment: so it can
be restored, and be the base of the next snapshot. Rows are folded on disk, divided by their keys, so memory is bounded.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_tablestore.pipeline.contract import OTHER_COLUMN, Batch, Limits, Progress, Quiet, Report, Schema
from airflow_tablestore.pipeline.dirty import DirtyRecords
from airflow_tablestore.pipeline.fold.anew import awaited_by_the_next_attempt, begun_anew_by_the_next_attempt
from airflow_tablestore.pipeline.fold.chain import chain
from airflow_tablestore.pipeline.fold.moment import PointInTime
from airflow_tablestore.pipeline.fold.rows import FoldedRows, Materials, materials
from airflow_tablestore.pipeline.full_export.plan import KeyRange, PlanHead, Slice, Split, SplitReport
from airflow_tablestore.pipeline.full_export.sink import ExportSink, export_sink
from airflow_tablestore.pipeline.manifest import Manifest, OutputColumn, PublishedObject
from airflow_tablestore.pipeline.run import Work, carry, keep_memory_flat, stopped_by
from airflow_tablestore.pipeline.sources.conversion import others_as_json
from airflow_tablestore.pipeline.sources.object_rows import others_of
from airflow_tablestore.pipeline.sources.table import arrow_schema
from airflow_tablestore.pipeline.store import ObjectReader, Store
from airflow_tablestore.pipeline.target import ObjectTarget, TableTarget
from airflow_tablestore.pipeline.throttle import Throttle
from airflow_tablestore.pipeline.warehouse import Warehouse
from airflow_tablestore.wire.row import Row

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 4096

ALONE = (Split(0, "all", (Slice(KeyRange((), ())),)),)
"""The one piece of work that a snapshot is."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One snapshot, ready to run once its services are given."""

    pipeline: str
    source: PointInTime
    target: ObjectTarget | TableTarget
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class SnapshotServices:
    """The bucket that the publications are in; the one that the snapshot goes to, often the same, or a project."""

    source: ObjectReader
    place: Store | Warehouse


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotReport(Report):
    """What a run did. `read` are the prefixes of the full export and of the windows that were folded."""

    read: tuple[str, ...]


def survey(snapshot: Snapshot, services: SnapshotServices) -> Materials:
    """What a run would read. Changes nothing.

    :raises WindowMissing: a window is not published, or not yet.
    :raises SpecError: no export, or windows that do not join.
    :raises ProtocolError: objects are missing, cut or others than their manifests list.
    """
    return materials(services.source, chain(services.source, snapshot.source))


def run(
    snapshot: Snapshot, services: SnapshotServices, *, run: str, attempt: int = 1, progress: Progress | None = None
) -> SnapshotReport:
    """Fold, upload and publish. Until it publishes, what stands at its place still stands.

    :param run: the run's key, see `run.run_key`.
    :param attempt: counts from 1. Each attempt takes a claim of its own, and aborts what earlier ones have uploaded.
    :raises RetryLater: also for a window that is not published, or not yet.
    :raises TablestoreError: as a full export does; nothing is published then, or the next attempt goes on.
    """
    began = time.monotonic()
    with begun_anew_by_the_next_attempt(), awaited_by_the_next_attempt():
        found = survey(snapshot, services)
        sink, manifest = _published(snapshot, services, found, run, attempt, progress or Quiet())
    own = manifest.of_run(run)
    return SnapshotReport(
        pipeline=snapshot.pipeline,
        run=run,
        rows=sum(one.rows for one in own),
        bytes=sum(one.bytes for one in own),
        objects=len(own),
        seconds=time.monotonic() - began,
        dirty=manifest.dirty,
        others=manifest.others,
        manifest=sink.manifest,
        samples=manifest.samples,
        read=found.chain.prefixes,
    )


def _published(
    snapshot: Snapshot, services: SnapshotServices, found: Materials, run: str, attempt: int, told: Progress
) -> tuple[ExportSink, Manifest]:
    keep_memory_flat()
    told.expect(found.bytes)
    schema = found.chain.base.manifest.schema
    sink = export_sink(snapshot.target, services.place, snapshot.pipeline)
    standing, output = sink.standing(), arrow_schema(schema)
    sink.check()
    sink.fits(output)
    head = sink.claimed(standing, PlanHead(run, 0, schema, len(ALONE), ""), output, ALONE, attempt)
    report = _uploaded(snapshot, services, sink, head, found, attempt, told)
    made = _manifest(snapshot, sink, head, report, found)
    return sink, sink.publish(head, made, [report], attempt, snapshot.limits.errors)


def _uploaded(
    snapshot: Snapshot,
    services: SnapshotServices,
    sink: ExportSink,
    head: PlanHead,
    found: Materials,
    attempt: int,
    told: Progress,
) -> SplitReport:
    """Fold and upload; nothing is visible yet, and after a failure nothing is left."""
    began, stop, dirty = time.monotonic(), threading.Event(), DirtyRecords(snapshot.limits.errors)
    output = arrow_schema(head.schema)
    part = sink.part(head, 0, attempt)
    format = part.format(output)
    with tempfile.TemporaryDirectory(prefix="tablestore-snapshot-") as folder:
        throttle = Throttle(snapshot.limits, sleep=stop.wait)

        def took(size: int) -> None:
            told.advance(0, size)
            throttle.took(0, size)

        rows = FoldedRows(stopped_by(stop, services.source), found, dirty.add, Path(folder), took)
        source = FoldedBatches(rows, head.schema)
        writer = part.writer(0, output, format)
        keys = tuple(column.name for column in head.schema.columns if column.is_key)
        receipt = carry(Work(source, (), format, writer, dirty, throttle, told, stop, keys))
    return SplitReport(
        claim=head.claim,
        split=0,
        objects=receipt.objects,
        rows=receipt.rows,
        bytes_read=found.bytes,
        dirty=rows.dirty + receipt.unfit,
        others=source.others,
        seconds=time.monotonic() - began,
        samples=dirty.samples,
    )


@dataclass(slots=True)
class FoldedBatches:
    """Folded rows as columns. `others` counts the cells that went into `_other`. Read it once."""

    rows: FoldedRows
    pinned: Schema
    others: int = 0

    def schema(self) -> pa.Schema:
        return arrow_schema(self.pinned)

    def batches(self) -> Iterator[Batch]:
        waiting: list[Row] = []
        for piece in self.rows.pieces():
            if not isinstance(piece, Row):
                yield Batch(self._output(piece))
                continue
            waiting.append(piece)
            if len(waiting) == BATCH_ROWS:
                yield Batch(self._columns(waiting))
                waiting = []
        if waiting:
            yield Batch(self._columns(waiting))

    def _output(self, untouched: pa.RecordBatch) -> pa.RecordBatch:
        import pyarrow as pa

        output, count, names = self.schema(), untouched.num_rows, untouched.schema.names
        if self.pinned.keeps_others and OTHER_COLUMN in names:
            self.others += sum(len(others_of(one)) for one in untouched.column(OTHER_COLUMN).drop_null().to_pylist())
        arrays = [untouched.column(one.name) if one.name in names else pa.nulls(count, one.type) for one in output]
        return pa.RecordBatch.from_arrays(arrays, schema=output)

    def _columns(self, rows: Sequence[Row]) -> pa.RecordBatch:
        import pyarrow as pa

        output, names = self.schema(), [column.name for column in self.pinned.columns]
        found = [_cells(row) for row in rows]
        columns: list[Sequence[Any]] = [[cells.pop(name, None) for cells in found] for name in names]
        self.others += sum(len(cells) for cells in found)
        if self.pinned.keeps_others:
            columns.append([others_as_json(cells) if cells else None for cells in found])
        arrays = [pa.array(values, one.type) for values, one in zip(columns, output, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=output)


def _cells(row: Row) -> dict[str, Any]:
    return {**dict(row.key), **{cell.name: cell.value for cell in row.cells}}


def _manifest(snapshot: Snapshot, sink: ExportSink, head: PlanHead, report: SplitReport, found: Materials) -> Manifest:
    base = found.chain.base.manifest
    columns = [OutputColumn(c.name, c.type.value, c.name) for c in base.schema.columns]
    if base.schema.keeps_others:
        columns.append(OutputColumn(OTHER_COLUMN, "json", None))
    return Manifest(
        pipeline=snapshot.pipeline,
        run=head.run,
        claim=head.claim,
        table=base.table,
        begin=(),
        end=(),
        schema=base.schema,
        columns=tuple(columns),
        format=sink.describe(),
        objects=tuple(PublishedObject(o.key, o.rows, o.bytes, o.crc64, head.run) for o in report.objects),
        dirty=report.dirty,
        others=report.others,
        samples=report.samples,
        read=(found.chain.to, found.chain.to),
    )
