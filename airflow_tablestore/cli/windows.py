"""`run` and `plan` of an incremental pipeline: windows exported here, or what there would be to export."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_tablestore.cli.services import OpenWindows, opened_windows
from airflow_tablestore.cli.session import OK, Session
from airflow_tablestore.cli.table import lines, size
from airflow_tablestore.cli.times import asked_span, refuse_options
from airflow_tablestore.errors import Problem, SpecError
from airflow_tablestore.pipeline.incremental.export import WindowReport, export_range
from airflow_tablestore.pipeline.incremental.history import (
    LOOK_BACK,
    Fate,
    Line,
    Stretch,
    history,
    readable_from,
    stretches,
)
from airflow_tablestore.pipeline.incremental.standing import sink_of
from airflow_tablestore.pipeline.incremental.takeover import Takeover, takeover_at
from airflow_tablestore.pipeline.window import EPOCH, Window
from airflow_tablestore.spec import IncrementalSpec
from airflow_tablestore.wire.table import StreamDetails, describe_table

if TYPE_CHECKING:
    from airflow_tablestore.pipeline.contract import Progress


def run_windows(arguments: Namespace, spec: IncrementalSpec, session: Session, progress: Progress) -> int:
    """Export the windows from `--window-start` to `--window-end`, and print a report of each as it is published."""
    refuse_options(arguments, spec.kind, "--run-date", "--run-id")
    span = asked_span(arguments, spec.grid, spec.timezone)
    if span is None:
        raise SpecError(
            [
                Problem(
                    "--window-start: is missing", f"airflow-tablestore plan {arguments.spec} tells what is not exported"
                )
            ]
        )
    with opened_windows(spec, session, progress.retried) as ready:
        reports = export_range(
            ready.export,
            ready.services,
            span.start,
            span.end,
            progress=progress,
            force=arguments.force,
            repin=arguments.repin,
            stops_at_loss=spec.self_dependent,
        )
        for number, report in enumerate(reports):
            _tell(report, session, number, as_json=arguments.json)
    return OK


def _tell(report: WindowReport, session: Session, number: int, *, as_json: bool) -> None:
    if as_json:
        session.say(json.dumps(report.to_json(), ensure_ascii=False))
        return
    if number:
        session.say()
    for line in lines(_rows(report)):
        session.say(line)


def _rows(report: WindowReport) -> list[tuple[str, str]]:
    told = "published"
    if report.loss:
        told = f"accepted as lost: {report.loss}"
    elif report.was_published:
        told = "was published already; nothing was read"
    return [
        ("window", str(report.window)),
        ("result", told),
        ("rows", f"{report.rows:,}"),
        ("bytes", f"{report.bytes:,} ({size(report.bytes)})"),
        ("objects", f"{report.objects:,}"),
        ("seconds", f"{report.seconds:.1f}"),
        ("late records", f"{report.late:,}"),
        ("partial rows", f"{report.partial_rows:,}"),
        ("dirty records", f"{report.dirty:,}"),
        ("manifest", report.manifest),
        *([("from DataX", report.takeover)] if report.takeover else []),
    ]


# ---- plan


@dataclass(frozen=True, slots=True)
class _Outlook:
    """What is there, and what of it is done. `rows` is an estimate from the windows that are; None without any."""

    stream: StreamDetails | None
    now: datetime
    lines: list[Line]
    rows: int | None
    takeover: Takeover | None = None

    @property
    def open(self) -> list[Line]:
        return [line for line in self.lines if line.fate is Fate.MISSING]


def plan_windows(arguments: Namespace, spec: IncrementalSpec, session: Session) -> int:
    """Print which windows are due and which of them are not exported. Nothing is written."""
    refuse_options(arguments, spec.kind, "--run-date")
    span = asked_span(arguments, spec.grid, spec.timezone)
    with opened_windows(spec, session, session.tell) as ready:
        outlook = _outlook(ready, span)
        if arguments.json:
            session.say(json.dumps(_as_json(ready, outlook), indent=2, ensure_ascii=False))
        else:
            _print(ready, outlook, session)
    return OK


def _outlook(ready: OpenWindows, asked: Window | None) -> _Outlook:
    known = ready.known
    now = known.now()
    stream = known.client.send(describe_table(known.export.source.table)).stream
    readable = readable_from(stream, now)
    span = asked or due_span(known.spec, readable, now)
    takeover = _takeover(ready, stream)
    if span is None:
        return _Outlook(stream, now, [], None, takeover)
    entries = list(known.ledger.windows(max(EPOCH, span.start - LOOK_BACK), span.end))
    done = [entry.rows for entry in entries if entry.manifest]
    found = list(history(entries, known.spec.grid, span, readable))
    missing = sum(line.fate is Fate.MISSING for line in found)
    return _Outlook(stream, now, found, sum(done) * missing // len(done) if done else None, takeover)


def _takeover(ready: OpenWindows, stream: StreamDetails | None) -> Takeover | None:
    """What DataX has left at the beginning of the pipeline's first window."""
    spec, known = ready.known.spec, ready.known
    if stream is None:
        return None
    first = spec.grid.ceil(spec.starts)
    return takeover_at(known.ledger, stream.stream_id, known.export.source.table, first, spec.grid)


def due_span(spec: IncrementalSpec, readable: datetime, now: datetime) -> Window | None:
    """From the first window that can still be read, or the pipeline's first, to the newest that is due."""
    grid = spec.grid
    begin = grid.ceil(max(spec.starts, readable))
    end = grid.last_due(now, spec.window.lag).end
    return Window(begin, end) if begin < end else None


def _print(ready: OpenWindows, outlook: _Outlook, session: Session) -> None:
    export, stream = ready.export, outlook.stream
    told = f"kept for {stream.expiration_hours} hours, {stream.stream_id}" if stream else "is not enabled"
    session.say(f"Table     {export.source.table}: its stream {told}")
    for stretch in stretches(outlook.lines):
        session.say(f"Windows   {told_stretch(stretch)}")
    if not outlook.lines:
        session.say(f"Windows   {'none is due yet' if stream else 'none can be read before it is switched on'}")
    if outlook.takeover is not None:
        session.say(f"DataX     {outlook.takeover.told}")
    due = outlook.open
    if outlook.rows is not None:
        session.say(f"Rows      about {outlook.rows:,}, if these are like those before")
    if due:
        sink = sink_of(export, ready.services, due[0].window)
        session.say(f"First     {due[0].window} to {sink.place}, {sink.mode}")
    session.say(f"To do     {len(due):,} of {len(outlook.lines):,} windows. Nothing was written.")


def told_stretch(stretch: Stretch) -> str:
    """Some windows of one fate, in a line."""
    count = f"{stretch.windows:,} window{'s' * (stretch.windows != 1)}"
    rows = f", {stretch.rows:,} rows" if stretch.fate is Fate.PUBLISHED else ""
    reason = f": {stretch.reason}" if stretch.reason else ""
    return f"{stretch.span}  {count} {stretch.fate.value}{rows}{reason}"


def _as_json(ready: OpenWindows, outlook: _Outlook) -> dict[str, Any]:
    stream = outlook.stream
    return {
        "pipeline": ready.export.pipeline,
        "table": ready.export.source.table,
        "stream": {"id": stream.stream_id, "hours": stream.expiration_hours} if stream else None,
        "now": outlook.now.isoformat(),
        "estimated_rows": outlook.rows,
        "takeover": _told_takeover(outlook.takeover),
        "windows": [
            line_as_json(line) | {"place": sink_of(ready.export, ready.services, line.window).place}
            for line in outlook.lines
        ],
    }


def _told_takeover(takeover: Takeover | None) -> dict[str, Any] | None:
    if takeover is None:
        return None
    reached = takeover.reached.isoformat() if takeover.reached else None
    return {"meeting": takeover.meeting.value, "reached": reached, "told": takeover.told}


def line_as_json(line: Line) -> dict[str, Any]:
    """A window with what became of it, for programs."""
    told = (
        line.entry.to_json()
        if line.entry
        else {"start": line.window.start.isoformat(), "end": line.window.end.isoformat()}
    )
    return told | {"state": line.fate.value}
