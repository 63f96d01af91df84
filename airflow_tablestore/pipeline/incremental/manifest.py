"""The manifest of one window: its objects, their columns, and where it lies in the stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from airflow_tablestore.pipeline.boundaries import Boundary
from airflow_tablestore.pipeline.contract import Constant, Schema
from airflow_tablestore.pipeline.dirty import samples_of
from airflow_tablestore.pipeline.incremental.job import Incremental
from airflow_tablestore.pipeline.incremental.plan import PartReport, WindowHead
from airflow_tablestore.pipeline.manifest import Manifest, OutputColumn, PublishedObject, PublishedWindow
from airflow_tablestore.pipeline.selection import ChangeMode, ChangeSelection
from airflow_tablestore.pipeline.sources.changes import CELL_COLUMNS, SEQUENCE_COLUMN
from airflow_tablestore.wire.row import ColumnType


def manifest_of(
    export: Incremental,
    format: dict[str, Any],
    head: WindowHead,
    reports: Sequence[PartReport],
    bounds: tuple[Boundary, Boundary] | None,
) -> Manifest:
    """The manifest of this window's objects alone."""
    dirty, samples = sum(report.dirty for report in reports), samples_of(report.samples for report in reports)
    window = PublishedWindow(
        run=head.run,
        window=head.window,
        stream_id=head.stream_id,
        begin=bounds[0] if bounds else None,
        end=bounds[1] if bounds else None,
        predecessor=head.predecessor,
        late=sum(report.late for report in reports),
        partial_rows=sum(report.partial_rows for report in reports),
        dirty=dirty,
        loss=head.loss,
        samples=samples,
    )
    return Manifest(
        pipeline=export.pipeline,
        run=head.run,
        claim=head.claim,
        table=export.source.table,
        begin=(),
        end=(),
        schema=head.schema,
        columns=tuple(output_columns_of(export.source, head.schema)),
        format=format,
        objects=tuple(
            PublishedObject(o.key, o.rows, o.bytes, o.crc64, head.run) for report in reports for o in report.objects
        ),
        dirty=dirty,
        windows=(window,),
        samples=samples,
    )


def output_columns_of(selection: ChangeSelection, schema: Schema) -> Iterator[OutputColumn]:
    """The columns of the objects. What tells of a change, and not of a cell's value, has no column as its source."""
    if selection.mode is ChangeMode.MULTI_VERSION:
        yield from (OutputColumn(c.name, c.type.value, c.name) for c in schema.columns)
        for name in CELL_COLUMNS:
            kind = ColumnType.INTEGER if name == "version" else ColumnType.STRING
            yield OutputColumn(name, kind.value, None)
    else:
        types = {column.name: column.type.value for column in schema.columns}
        for chosen in selection.columns or ():
            if isinstance(chosen, Constant):
                yield OutputColumn(chosen.to, chosen.type.value, None)
            else:
                yield OutputColumn(chosen.to, types[chosen.name], chosen.name)
    if selection.with_sequence:
        yield OutputColumn(SEQUENCE_COLUMN, ColumnType.STRING.value, None)
