"""`tunnel drain SPEC`: a worker of a stream, in this process."""

from __future__ import annotations

import json
import threading
from argparse import Namespace
from contextlib import AbstractContextManager, closing
from typing import Any

from airflow_tablestore.cli.run import told_on_stderr
from airflow_tablestore.cli.session import OK, Session
from airflow_tablestore.cli.stream import stopped_by_signals
from airflow_tablestore.cli.table import lines, size
from airflow_tablestore.errors import Problem, SpecError
from airflow_tablestore.pipeline.connections import maxcompute_endpoint, oss_endpoint, tablestore_client
from airflow_tablestore.pipeline.sinks.oss import ObjectStore
from airflow_tablestore.pipeline.tunnel.drain import drain
from airflow_tablestore.spec import load
from airflow_tablestore.spec.build_stream import stream
from airflow_tablestore.spec.kinds.stream import StreamOssSink, StreamSpec
from airflow_tablestore.spec.stream_copy_sink import StreamCopySink


def drain_tunnel(arguments: Namespace, session: Session) -> int:
    """Drain the tunnel and print what was done."""
    spec = load(arguments.spec)
    if not isinstance(spec, StreamSpec):
        hint = f"airflow-tablestore run {arguments.spec}"
        raise SpecError([Problem(f"a pipeline of kind '{spec.kind}' drains no tunnel", hint, file=arguments.spec)])
    client = tablestore_client(lambda: session.connection(spec.source.connection))
    opened = _place(spec, session)
    stop = threading.Event()
    with (
        told_on_stderr(session),
        stopped_by_signals(stop),
        client,
        opened as place,
    ):
        report = drain(stream(spec), client, place, stop=stop)
    if arguments.json:
        session.say(json.dumps(report.to_json()))
        return OK
    rows = [
        ("pipeline", report.pipeline),
        ("rows", f"{report.rows:,}"),
        ("objects" if isinstance(spec.sink, StreamOssSink) else "writes", f"{report.objects:,}"),
        ("bytes", f"{report.bytes:,} ({size(report.bytes)})"),
        ("channels", f"{report.channels:,}"),
        ("settled for others", f"{report.settled:,}"),
        ("read units (about)", f"{report.read_units:,}"),
        ("dirty records", f"{report.dirty:,}"),
        ("seconds", f"{report.seconds:.1f}"),
        ("ended", "caught up" if report.is_caught_up else "in time, or told to"),
    ]
    for line in lines(rows):
        session.say(line)
    if report.gap:
        session.say(f"  lost: {report.gap}")
    for sample in report.samples:
        session.say(f"  dirty: {sample.key}: {sample.reason}")
    return OK


def _place(spec: StreamSpec, session: Session) -> AbstractContextManager[Any]:
    """What the sink's connection leads to.

    :raises SpecError: the connection is missing or cannot be right.
    """
    sink = spec.sink
    fields = session.connection(sink.connection)
    if isinstance(sink, StreamOssSink):
        return closing(ObjectStore(oss_endpoint(fields, sink.bucket), sink.bucket))
    if isinstance(sink, StreamCopySink):
        return tablestore_client(lambda: session.connection(sink.connection))
    from airflow_tablestore.pipeline.sinks.maxcompute import MaxCompute

    return closing(MaxCompute(maxcompute_endpoint(fields, sink.project or "")))
