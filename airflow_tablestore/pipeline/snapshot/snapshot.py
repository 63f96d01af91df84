"""A full export made of an earlier one and the changes after it, without reading the table.

It is published as every full export is, all or nothing, and its manifest says that it was read at its moment: so it can
be restored, and be the base of the next snapshot. Rows are folded on disk, divided by a hash of their
key, so memory is bounded.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_tablestore.pipeline.contract import OTHER_COLUMN, Limits, Progress, Quiet, Report, Schema
from airflow_tablestore.pipeline.dirty import DirtyRecords
from airflow_tablestore.pipeline.fold.chain import chain
from airflow_tablestore.pipeline.fold.moment import PointInTime
from airflow_tablestore.pipeline.fold.rows import FoldedRows, Materials, materials
from airflow_tablestore.pipeline.full_export.objects import ExportObjects
from airflow_tablestore.pipeline.full_export.plan import PlanHead, SplitReport
from airflow_tablestore.pipeline.manifest import Manifest, OutputColumn, PublishedObject
from airflow_tablestore.pipeline.sources.conversion import others_as_json
from airflow_tablestore.pipeline.sources.objects import ObjectReader
from airflow_tablestore.pipeline.sources.table import arrow_schema
from airflow_tablestore.pipeline.store import Store
from airflow_tablestore.pipeline.target import ObjectTarget
from airflow_tablestore.wire.row import Row

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 4096


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One snapshot, ready to run once its services are given."""

    pipeline: str
    source: PointInTime
    target: ObjectTarget
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class SnapshotServices:
    """The bucket that the publications are in, and the one that the snapshot goes to; often the same."""

    source: ObjectReader
    store: Store


def survey(snapshot: Snapshot, services: SnapshotServices) -> Materials:
    """What a run would read. Changes nothing.

    :raises SpecError: no export, or a hole between windows.
    :raises ProtocolError: objects are missing, cut or others than their manifests list.
    """
    return materials(services.source, chain(services.source, snapshot.source))


def run(
    snapshot: Snapshot, services: SnapshotServices, *, run: str, attempt: int = 1, progress: Progress | None = None
) -> Report:
    """Fold, upload and publish. Until it publishes, what stands at the prefix still stands.

    :param run: the run's key, see `run.run_key`.
    :param attempt: counts from 1; what lower attempts have uploaded is aborted.
    """
    began, found = time.monotonic(), survey(snapshot, services)
    told, dirty = progress or Quiet(), DirtyRecords(snapshot.limits.errors)
    told.expect(found.bytes)
    schema = found.chain.base.manifest.schema
    sink = ExportObjects(services.store, snapshot.target, snapshot.pipeline)
    standing = sink.standing()
    sink.check()
    output = arrow_schema(schema)
    head = sink.claimed(standing, PlanHead(run, 0, schema, 1, ""), output, (), attempt)
    part = sink.part(head, 0, attempt)
    writer = part.writer(0, output, part.format(output))
    others = 0
    try:
        with tempfile.TemporaryDirectory(prefix="tablestore-snapshot-") as folder:
            rows = FoldedRows(services.source, found, dirty.add, Path(folder))
            for batch, extra in _batches(rows, schema, output):
                writer.write(batch)
                others += extra
                told.advance(batch.num_rows, 0)
        objects = writer.finish()
    except BaseException:  # also Ctrl-C: what was uploaded is of no use
        writer.abort()
        raise
    report = SplitReport(
        claim=head.claim,
        split=0,
        objects=tuple(objects),
        rows=sum(one.rows for one in objects),
        bytes_read=found.bytes,
        dirty=rows.dirty,
        others=others,
        seconds=time.monotonic() - began,
        samples=dirty.samples,
    )
    manifest = sink.publish(
        head, _manifest(snapshot, sink, head, report, found), [report], attempt, snapshot.limits.errors
    )
    own = manifest.of_run(run)
    return Report(
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
    )


def _manifest(
    snapshot: Snapshot, sink: ExportObjects, head: PlanHead, report: SplitReport, found: Materials
) -> Manifest:
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


def _batches(rows: FoldedRows, schema: Schema, output: pa.Schema) -> Iterator[tuple[pa.RecordBatch, int]]:
    """The rows as columns, with how many cells went to `_other`."""
    import pyarrow as pa

    names = [column.name for column in schema.columns]
    folded = iter(rows)
    while some := list(islice(folded, BATCH_ROWS)):
        found = [_cells(row) for row in some]
        columns: list[Sequence[Any]] = [[cells.pop(name, None) for cells in found] for name in names]
        extra = sum(len(cells) for cells in found)
        if schema.keeps_others:
            columns.append([others_as_json(cells) if cells else None for cells in found])
        arrays = [pa.array(values, one.type) for values, one in zip(columns, output, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=output), extra


def _cells(row: Row) -> dict[str, Any]:
    return {**dict(row.key), **{cell.name: cell.value for cell in row.cells}}
