"""What a spec of kind stream becomes: the drain that the command line and the operators run."""

from __future__ import annotations

from airflow_tablestore.pipeline.target import ObjectTarget, WriteMode
from airflow_tablestore.pipeline.tunnel.drain import Drain
from airflow_tablestore.pipeline.tunnel.tunnels import Wanted
from airflow_tablestore.spec.build import MEGABYTE, format_of, limits_of
from airflow_tablestore.spec.kinds.stream import StreamSpec
from airflow_tablestore.spec.placeholders import render
from airflow_tablestore.wire.tunnel import StartFlag, TunnelType


def stream(spec: StreamSpec) -> Drain:
    """The drain of one worker. No service is asked."""
    sink, run = spec.sink, spec.run
    prefix = render(sink.prefix, {"table": spec.source.table, "pipeline": spec.pipeline}, spec.timezone)
    return Drain(
        pipeline=spec.pipeline,
        wanted=tunnel_of(spec),
        target=ObjectTarget(
            bucket=sink.bucket,
            prefix=prefix,
            format=format_of(sink),
            write_mode=WriteMode.APPEND,
            max_object_bytes=(sink.max_file_mb or 0) * MEGABYTE,
        ),
        creates=spec.source.create_tunnel,
        until_caught_up=run.until == "caught_up",
        at_most_seconds=None if run.at_most is None else run.at_most.total_seconds(),
        flush_seconds=run.flush.total_seconds(),
        limits=limits_of(spec.limits),
    )


def tunnel_of(spec: StreamSpec) -> Wanted:
    """The tunnel as it shall be."""
    source = spec.source
    given, start = source.tunnel_start, None
    flag = StartFlag.EARLIEST if given == "earliest" else None
    if not isinstance(given, str):
        start = given
    return Wanted(source.table, source.tunnel, TunnelType(source.tunnel_type), start, source.tunnel_end, flag)
