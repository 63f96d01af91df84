"""What a spec becomes: the pipeline that the command line and the operators run.

The only place where the words of a spec meet the values of the engine. No service is asked here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial

from airflow_tablestore.pipeline.contract import Constant, Format, Limits, OverLength, Picked
from airflow_tablestore.pipeline.formats.compression import Compression
from airflow_tablestore.pipeline.formats.csv import Csv
from airflow_tablestore.pipeline.formats.jsonl import JsonLines
from airflow_tablestore.pipeline.formats.parquet import Parquet
from airflow_tablestore.pipeline.formats.text import Text
from airflow_tablestore.pipeline.full_export.export import FullExport
from airflow_tablestore.pipeline.incremental.export import Incremental
from airflow_tablestore.pipeline.selection import ChangeMode, ChangeSelection, TableSelection, Unknown
from airflow_tablestore.pipeline.target import BlockCompression, ObjectTarget, TableTarget, WriteMode
from airflow_tablestore.pipeline.window import Window
from airflow_tablestore.spec.columns import ConstantColumn, PickedColumn
from airflow_tablestore.spec.common import Limits as LimitsSpec
from airflow_tablestore.spec.kinds.full_export import FullExportSpec
from airflow_tablestore.spec.kinds.incremental import IncrementalSpec
from airflow_tablestore.spec.maxcompute_sink import MaxComputeSink, split_partition
from airflow_tablestore.spec.oss_sink import OssSink
from airflow_tablestore.spec.placeholders import render
from airflow_tablestore.spec.stream_source import StreamSource
from airflow_tablestore.spec.table_source import TableSource
from airflow_tablestore.wire.row import ColumnType

MEGABYTE = 1024 * 1024


def full_export(spec: FullExportSpec, *, run_date: datetime, instance: str = "") -> FullExport:
    """The full export that a spec describes.

    :param run_date: the time that the run is about, with its zone; the same for all tasks of a run.
    :param instance: the Tablestore instance that the source's connection leads to; needed for a table's loads alone.
    """
    return FullExport(
        pipeline=spec.pipeline,
        source=_selection(spec.source),
        target=_full_target(spec, run_date),
        limits=limits_of(spec.limits),
        instance=instance,
        status_table=spec.ledger.table if spec.ledger else "",
    )


def incremental(spec: IncrementalSpec, *, instance: str) -> Incremental:
    """The incremental export that a spec describes.

    :param instance: the Tablestore instance that the source's connection leads to.
    """
    return Incremental(
        pipeline=spec.pipeline,
        instance=instance,
        source=_changes(spec.source),
        grid=spec.grid,
        lag=spec.window.lag,
        target=partial(_window_target, spec),
        limits=limits_of(spec.limits),
        status_table=spec.status_table.table,
    )


def _selection(source: TableSource) -> TableSelection:
    columns = source.columns or ()
    return TableSelection(
        table=source.table,
        columns=tuple(_column(column) for column in columns) or None,
        types=_types(columns),
        unknown=Unknown(source.unknown_columns),
        begin=source.range.begin if source.range else (),
        end=source.range.end if source.range else (),
        points=source.points,
        tasks=source.tasks,
        asks_compact=source.compact,
    )


def _changes(source: StreamSource) -> ChangeSelection:
    columns = source.columns or ()
    return ChangeSelection(
        table=source.table,
        mode=ChangeMode(source.mode),
        columns=tuple(_column(column) for column in columns) or None,
        types=_types(columns),
        with_sequence=source.export_sequence_info,
    )


def _types(columns: Sequence[PickedColumn | ConstantColumn]) -> dict[str, ColumnType]:
    return {c.name: ColumnType(c.type) for c in columns if isinstance(c, PickedColumn) and c.type}


def _column(column: PickedColumn | ConstantColumn) -> Picked | Constant:
    if isinstance(column, ConstantColumn):
        return Constant(column.resolved, ColumnType(column.resolved_type), column.output)
    return Picked(column.name, column.output)


def _full_target(spec: FullExportSpec, run_date: datetime) -> ObjectTarget | TableTarget:
    return target_of(spec.sink, _words(spec, {"run_date": run_date}), spec.timezone)


def _window_target(spec: IncrementalSpec, window: Window) -> ObjectTarget | TableTarget:
    times = {"window_start": window.start, "window_end": window.end}
    return target_of(spec.sink, _words(spec, times), spec.timezone)


Spec = FullExportSpec | IncrementalSpec
Words = Mapping[str, str | datetime]
"""What the placeholders of a sink stand for."""


def _words(spec: Spec, times: Mapping[str, datetime]) -> Words:
    return {**times, "table": spec.source.table, "pipeline": spec.pipeline}


def target_of(sink: OssSink | MaxComputeSink, words: Words, timezone: str) -> ObjectTarget | TableTarget:
    """Where a sink's rows go in one run or window.

    :param timezone: the zone of times in placeholders.
    """
    return _objects(sink, words, timezone) if isinstance(sink, OssSink) else _table(sink, words, timezone)


def _table(sink: MaxComputeSink, words: Words, timezone: str) -> TableTarget:
    parts = split_partition(render(sink.partition, words, timezone)) if sink.partition else ()
    return TableTarget(
        table=sink.table,
        partition=tuple(parts),
        columns=sink.columns,
        truncates=sink.truncate,
        creates=sink.create_table,
        over_length=OverLength(sink.over_length),
        pre_sql=sink.pre_sql,
        post_sql=sink.post_sql,
        compression=BlockCompression(sink.compress),
    )


def _objects(sink: OssSink, words: Words, timezone: str) -> ObjectTarget:
    return ObjectTarget(
        bucket=sink.bucket,
        prefix=render(sink.prefix, words, timezone),
        format=format_of(sink),
        write_mode=WriteMode(sink.write_mode),
        truncates_foreign=sink.truncate_foreign,
        max_object_bytes=(sink.max_file_mb or 0) * MEGABYTE,
    )


def format_of(sink: OssSink) -> Format:
    """How the sink's objects look."""
    compression = Compression(sink.compress)
    match sink.format:
        case "csv":
            csv = sink.csv
            return Csv(csv.delimiter, csv.null, csv.header, csv.quote, csv.encoding, csv.date_format, compression)
        case "text":
            text = sink.text
            return Text(text.delimiter, text.null, text.header, text.encoding, text.date_format, compression)
        case "jsonl":
            return JsonLines(compression)
        case "parquet":
            return Parquet(sink.parquet.compression, sink.parquet.row_group_rows)


def limits_of(limits: LimitsSpec) -> Limits:
    """The engine's limits, where 0 says that there is none."""
    return Limits(
        errors=limits.errors,
        mbps=limits.mbps or 0,
        rows_per_second=limits.rows_per_second or 0,
        workers=limits.workers or 0,
        threads=limits.threads,
        memory_mb=limits.memory_mb or 0,
    )
