"""What a spec of kind stream becomes: the drain that the command line and the operators run."""

from __future__ import annotations

from datetime import datetime

from airflow_tablestore.pipeline.contract import OverLength
from airflow_tablestore.pipeline.target import ObjectTarget, WriteMode
from airflow_tablestore.pipeline.tunnel.copy_target import TableCopy, Versions
from airflow_tablestore.pipeline.tunnel.drain import Drain
from airflow_tablestore.pipeline.tunnel.sink import Target
from airflow_tablestore.pipeline.tunnel.table_target import Partitions, Pick, StreamTable, TableMode, Values
from airflow_tablestore.pipeline.tunnel.tunnels import Wanted
from airflow_tablestore.spec.build import MEGABYTE, format_of, limits_of
from airflow_tablestore.spec.kinds.stream import StreamOssSink, StreamSpec
from airflow_tablestore.spec.maxcompute_sink import split_partition
from airflow_tablestore.spec.placeholders import render
from airflow_tablestore.spec.stream_copy_sink import StreamCopySink
from airflow_tablestore.spec.stream_table_sink import TIME, StreamTableSink
from airflow_tablestore.wire.row import ColumnType
from airflow_tablestore.wire.tunnel import StartFlag, TunnelType


def stream(spec: StreamSpec) -> Drain:
    """The drain of one worker. No service is asked."""
    run = spec.run
    return Drain(
        pipeline=spec.pipeline,
        wanted=tunnel_of(spec),
        target=_target(spec),
        creates=spec.source.create_tunnel,
        until_caught_up=run.until == "caught_up",
        at_most_seconds=None if run.at_most is None else run.at_most.total_seconds(),
        flush_seconds=run.flush.total_seconds(),
        limits=limits_of(spec.limits),
    )


def _target(spec: StreamSpec) -> Target:
    sink = spec.sink
    if isinstance(sink, StreamOssSink):
        return _objects(spec, sink)
    return _copy(spec, sink) if isinstance(sink, StreamCopySink) else _table(spec, sink)


def _copy(spec: StreamSpec, sink: StreamCopySink) -> TableCopy:
    return TableCopy(
        table=sink.table,
        columns=None if sink.columns is None else {column.name: column.output for column in sink.columns},
        versions=Versions(sink.versions),
        creates=sink.create_table,
        batch_rows=sink.batch_rows,
        limits=limits_of(spec.limits),
        workers=spec.run.workers,
    )


def _objects(spec: StreamSpec, sink: StreamOssSink) -> ObjectTarget:
    return ObjectTarget(
        bucket=sink.bucket,
        prefix=render(sink.prefix, _words(spec), spec.timezone),
        format=format_of(sink),
        write_mode=WriteMode.APPEND,
        max_object_bytes=(sink.max_file_mb or 0) * MEGABYTE,
    )


def _table(spec: StreamSpec, sink: StreamTableSink) -> StreamTable:
    picks = None
    if sink.columns is not None:
        picks = tuple(Pick(c.name, c.to or _bare(c.name), ColumnType(c.type) if c.type else None) for c in sink.columns)
    return StreamTable(
        table=sink.table,
        mode=TableMode(sink.mode),
        partitions=_partitions(spec, sink),
        columns=picks,
        creates=sink.create_table,
        over_length=OverLength(sink.over_length),
        slots=sink.slots,
        max_bytes=sink.flush_mb * MEGABYTE,
    )


def _partitions(spec: StreamSpec, sink: StreamTableSink) -> Partitions:
    def values(template: str, moment: datetime | None = None) -> Values:
        times = {} if moment is None else {TIME: moment}
        return tuple(split_partition(render(template, {**_words(spec), **times}, spec.timezone)))

    template = sink.partition or ""
    base = None if sink.base_partition is None else values(sink.base_partition)
    if not sink.by_time:
        changes = values(template) if template else ()
        if base is None or base == changes:
            return Partitions(changes)
        return Partitions(base, lambda moment: changes)
    seconds = next((length for mark, length in _STEPS.items() if mark in template), QUARTER_HOUR)
    return Partitions(base, lambda moment: values(template, moment), seconds)


_STEPS = {"%S": 1, "%M": 60}
QUARTER_HOUR = 900
"""No zone's clock differs from UTC by anything finer, so hours and days begin at such times everywhere."""


def _words(spec: StreamSpec) -> dict[str, str | datetime]:
    return {"table": spec.source.table, "pipeline": spec.pipeline}


def _bare(name: str) -> str:
    """The column of an attribute that is written as `cells.name`."""
    return name.removeprefix("cells.")


def tunnel_of(spec: StreamSpec) -> Wanted:
    """The tunnel as it shall be."""
    source = spec.source
    given, start = source.tunnel_start, None
    flag = StartFlag.EARLIEST if given == "earliest" else None
    if not isinstance(given, str):
        start = given
    return Wanted(source.table, source.tunnel, TunnelType(source.tunnel_type), start, source.tunnel_end, flag)
