"""What a `kind: restore` becomes, and what it tells about itself."""

from __future__ import annotations

import re
from datetime import datetime

from airflow_tablestore.pipeline.contract import Column, Constant, Limits
from airflow_tablestore.pipeline.fold.moment import PointInTime
from airflow_tablestore.pipeline.formats.read_format import ReadFormat
from airflow_tablestore.pipeline.restore.job import (
    MAX_RETRIES,
    Nulls,
    PlainSource,
    PublishedSource,
    Restore,
    RowMode,
    RowTarget,
    Written,
)
from airflow_tablestore.spec.columns import ConstantColumn
from airflow_tablestore.spec.kinds.restore import ObjectsSource, RestoreSpec, TablestoreSink, WrittenColumn
from airflow_tablestore.spec.placeholders import render
from airflow_tablestore.wire.row import ColumnType


def restore(spec: RestoreSpec, *, run_date: datetime) -> Restore:
    """The restore that a spec describes.

    :param run_date: the time that the run is about, with its zone.
    """
    source, sink, limits = spec.source, spec.sink, spec.limits
    wanted: PublishedSource | PlainSource | PointInTime
    prefix = source_prefix(spec, run_date)
    if source.prefix is None:
        columns = tuple(Column(one.name, ColumnType(one.type)) for one in source.columns or ())
        wanted = PlainSource(source.objects or (), _format(source), columns)
    elif spec.moment is not None and source.changes is not None:
        wanted = PointInTime(prefix, source.changes, spec.moment)
    else:
        wanted = PublishedSource(prefix, source.run or "")
    return Restore(
        pipeline=spec.pipeline,
        source=wanted,
        target=_target(sink),
        limits=Limits(
            errors=limits.errors,
            mbps=limits.mbps or 0,
            rows_per_second=limits.rows_per_second or 0,
            workers=limits.workers or 0,
            threads=limits.threads,
        ),
    )


def _target(sink: TablestoreSink) -> RowTarget:
    return RowTarget(
        sink.table,
        RowMode(sink.write),
        sink.create_table,
        sink.batch_rows,
        columns=None if sink.columns is None else tuple(map(_column, sink.columns)),
        primary_key=sink.primary_key or (),
        nulls=Nulls(sink.nulls),
        batch_bytes=sink.batch_bytes,
        requests_per_second=sink.requests_per_second or 0,
        max_retries=MAX_RETRIES if sink.max_retries is None else sink.max_retries,
    )


def _column(column: WrittenColumn | ConstantColumn) -> Written | Constant:
    if isinstance(column, ConstantColumn):
        return Constant(column.resolved, ColumnType(column.resolved_type), column.output)
    return Written(column.name, column.output, ColumnType(column.type) if column.type else None)


def source_prefix(spec: RestoreSpec, run_date: datetime) -> str:
    """Where the objects of this run stand; of those named by patterns, what the first pattern fixes."""
    source = spec.source
    if source.prefix is None:
        return re.split(r"[*?\[]", (source.objects or ("",))[0])[0]
    words: dict[str, str | datetime] = {"run_date": run_date, "pipeline": spec.pipeline}
    return render(source.prefix, words, spec.timezone)


def _format(source: ObjectsSource) -> ReadFormat:
    if source.format == "csv":
        csv = source.csv
        return ReadFormat(
            "csv", csv.delimiter, csv.null, csv.header, csv.encoding, source.compress, has_quotes=csv.quote != "none"
        )
    if source.format == "text":
        text = source.text
        return ReadFormat("text", text.delimiter, text.null, text.header, text.encoding, source.compress)
    return ReadFormat(source.format or "parquet", compression=source.compress)


def restore_story(spec: RestoreSpec) -> list[str]:
    """What a run will do, in sentences."""
    source, sink, limits = spec.source, spec.sink, spec.limits
    if source.prefix is None:
        what = f"the {source.format} objects {', '.join(source.objects or ())} in bucket '{source.bucket}'"
    elif spec.moment is not None:
        what = (
            f"the newest full export below oss://{source.bucket}/{source.prefix} that had ended by "
            f"{spec.moment.isoformat()}, and the windows of changes after it below {source.changes}, and folds them,"
        )
    else:
        what = f"the export that is published at oss://{source.bucket}/{source.prefix}, found by its manifest,"
    told_by = "that is named" if sink.primary_key else "that the manifest tells"
    made = f" The table is made when it is missing, with the key {told_by}." if sink.create_table else ""
    null = "deletes its column" if sink.nulls == "delete" else "is no cell"
    how = "replaces the row of its key" if sink.write == "put" else "is written over the columns of the row of its key"
    slow = f" It writes at most {limits.rows_per_second:g} rows per second." if limits.rows_per_second else ""
    return [
        f"It reads {what} over connection '{source.connection}'. Objects that are missing, cut or changed are refused "
        "before a row is written.",
        f"It writes into table '{sink.table}' over connection '{sink.connection}', up to {sink.batch_rows} rows a "
        f"request, {limits.threads} requests at a time. Each row {how}; a null {null}.{made}{slow}",
        f"More than {limits.errors} dirty records fail the run; rows that were written before stay, and the same run "
        "done again writes them again as they are.",
    ]
