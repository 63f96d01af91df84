"""A table's changes into objects, window by window: plan, export each part, publish.

A window is what lies between two boundaries of the table's stream. Where those are is found in `bounds` and kept
in the ledger; reading is `reading`; how changes become rows is `sources.stream`; publication is that of a full
export. The three steps are three functions because they are three tasks in Airflow; `export_window` is all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from airflow_tablestore.errors import NotDue, PositionLost, SpecError, StartOver, Superseded, WindowLost
from airflow_tablestore.pipeline.contract import Progress, Quiet
from airflow_tablestore.pipeline.incremental.job import (
    STATUS_TABLE,
    Incremental,
    WindowReport,
    WindowServices,
    ledger_of,
    lost,
    service_time,
)
from airflow_tablestore.pipeline.incremental.ledger import NeighboursChanged, WindowEntry, WindowState
from airflow_tablestore.pipeline.incremental.plan import (
    PartReport,
    ShardPart,
    ShardTask,
    WindowHead,
    WindowPlan,
    window_key,
)
from airflow_tablestore.pipeline.selection import ChangeMode, ChangeSelection
from airflow_tablestore.pipeline.window import Window

if TYPE_CHECKING:
    from airflow_tablestore.consumer.stream import Ahead
    from airflow_tablestore.pipeline.boundaries import Boundary

__all__ = [
    "STATUS_TABLE",
    "ChangeMode",
    "ChangeSelection",
    "Incremental",
    "PartReport",
    "ShardPart",
    "ShardTask",
    "WindowHead",
    "WindowPlan",
    "WindowReport",
    "WindowServices",
    "accept_loss",
    "check_due",
    "export_part",
    "export_range",
    "export_window",
    "ledger_of",
    "plan_window",
    "publish_window",
    "window_key",
]

MOST_ROUNDS = 5
"""So often one run plans a window anew because another one was faster; each time it knows more, so once is the rule."""


def check_due(export: Incremental, services: WindowServices, window: Window) -> None:
    """Nothing when the window may be read now, by the service's clock.

    :raises NotDue: not yet.
    """
    now, due_at = service_time(export, services), window.due(export.lag)
    if now < due_at:
        raise NotDue(
            f"Window {window} of '{export.pipeline}' is due at {due_at:%Y-%m-%d %H:%M:%S} UTC; the service's clock "
            f"says {now:%Y-%m-%d %H:%M:%S} UTC.",
            start=window.start,
            end=window.end,
            due_at=due_at,
        )


def export_window(
    export: Incremental,
    services: WindowServices,
    window: Window,
    *,
    attempt: int = 1,
    progress: Progress | None = None,
    force: bool = False,
    repin: bool = False,
) -> WindowReport:
    """Read and publish one window in this process, its shards side by side.

    :param force: read and publish it again when it stands already.
    :param repin: look at the columns' types again instead of keeping those of the ledger.
    :raises NotDue: see `check_due`.
    :raises WindowLost: the stream no longer keeps all of it; the ledger says so, too.
    :raises Superseded: somebody else exports this window and has taken over.
    """
    return _export_window(export, services, window, attempt, progress or Quiet(), force, repin, None)


def export_range(
    export: Incremental,
    services: WindowServices,
    begin: datetime,
    end: datetime,
    *,
    attempt: int = 1,
    progress: Progress | None = None,
    force: bool = False,
    repin: bool = False,
    stops_at_loss: bool = False,
) -> Iterator[WindowReport]:
    """Each window of the grid between two of its boundaries, in order, under its own key; every record is fetched once.

    :param stops_at_loss: a lost window ends it at once; else those behind it are exported first.
    :raises SpecError: `begin` or `end` is no boundary of the grid, or they hold no window.
    :raises WindowLost: while iterating: some windows are lost; their span is `start` to `end`.
    """
    for name, moment in (("begin", begin), ("end", end)):
        if export.grid.at(moment) is None:
            before, after = export.grid.floor(moment), export.grid.ceil(moment)
            raise SpecError(f"the range's {name}, {moment}, is in the middle of a window; write {before} or {after}")
    windows = list(export.grid.between(begin, end))
    if not windows:
        raise SpecError(f"there is no window from {begin} to {end}")
    ahead: Ahead = {}
    return _each(
        windows,
        lambda window: _export_window(export, services, window, attempt, progress or Quiet(), force, repin, ahead),
        stops_at_loss,
    )


def plan_window(
    export: Incremental,
    services: WindowServices,
    window: Window,
    *,
    most_parts: int = 1024,
    attempts: int = 1,
    force: bool = False,
    repin: bool = False,
) -> WindowPlan:
    """Fix the window's beginning, divide its shards into parts and claim its prefix. Raises what `export_window` does.

    :param most_parts: the most tasks that may be mapped.
    :param attempts: how often a task is tried at most.
    """
    from airflow_tablestore.pipeline.incremental.planning import divided_window, pinned, window_before
    from airflow_tablestore.pipeline.incremental.standing import record, sink_of
    from airflow_tablestore.wire.table import describe_table

    sink, run, ledger = sink_of(export, services, window), window_key(window), ledger_of(export, services)
    standing = sink.standing()
    description = services.client.send(describe_table(export.source.table))
    published = sink.published(standing)
    entry = ledger.window(window.start)
    if published and not force:
        if entry is None or entry.state is not (WindowState.ACCEPTED if published[1].loss else WindowState.PUBLISHED):
            record(export, services, *published)
        return WindowPlan(WindowHead(window, run, published[0].schema, is_published=True), ())
    check_due(export, services, window)
    schema = pinned(export, services, ledger, description, repin)
    before = window_before(export, ledger, window)
    head = WindowHead(window, run, schema, predecessor=before.run if before else None)
    if entry and entry.state is WindowState.ACCEPTED and entry.window == window:
        plan = WindowPlan(replace(head, loss=entry.reason, stream_id=entry.stream_id), ())
    else:
        plan = divided_window(export, services, window, description, standing, head, before, most_parts)
    return WindowPlan(sink.claimed(standing, plan.head, plan.parts, attempts), plan.parts)


def export_part(
    export: Incremental,
    services: WindowServices,
    head: WindowHead,
    part: ShardPart,
    *,
    attempt: int,
    progress: Progress | None = None,
) -> PartReport:
    """Upload the changes of one part; nothing is visible yet.

    :raises WindowLost: the stream no longer keeps all of it; the ledger says so, too.
    """
    return _export_part(export, services, head, part, attempt, progress or Quiet(), None)


def publish_window(
    export: Incremental,
    services: WindowServices,
    head: WindowHead,
    reports: Sequence[PartReport],
    *,
    attempt: int,
) -> WindowReport:
    """Fix the window's end and make all objects visible at once.

    :raises StartOver: another run has fixed the end elsewhere (task "plan"); or as in publishing a full export.
    """
    from airflow_tablestore.pipeline.incremental.manifest import manifest_of
    from airflow_tablestore.pipeline.incremental.standing import record, report_of, sink_of

    sink = sink_of(export, services, head.window)
    published = sink.published(sink.standing())
    if published and (head.is_published or published[0].claim > head.claim):
        sink.drop(reports)
        return report_of(export, services, *published, was_published=True)
    if head.is_published:
        raise StartOver(f"{sink.manifest} does not hold window {head.window} any more.", task="plan")
    began = time.monotonic()
    reports = _of_plan(head, reports)
    bounds = _fixed_bounds(export, services, head, reports)
    made = manifest_of(export, sink.describe(), head, reports, bounds)
    manifest = sink.publish(head, made, reports, attempt, export.limits.errors)
    window = manifest.window_of(head.run) or made.windows[0]
    record(export, services, manifest, window)
    seconds = max((report.seconds for report in reports), default=0.0) + time.monotonic() - began
    return replace(report_of(export, services, manifest, window), seconds=seconds, takeover=head.takeover)


def accept_loss(export: Incremental, services: WindowServices, window: Window, reason: str) -> WindowEntry:
    """Let the pipeline go on without a window; its next run publishes it without rows, and with the reason.

    :raises SpecError: the window is published.
    """
    ledger = ledger_of(export, services)
    entry = ledger.window(window.start)
    if entry is not None and entry.state is WindowState.PUBLISHED:
        raise SpecError(f"window {window} of '{export.pipeline}' is published; there is no loss to accept")
    accepted = WindowEntry(
        window,
        WindowState.ACCEPTED,
        stream_id=entry.stream_id if entry else "",
        reason=reason,
        recorded_at=service_time(export, services),
    )
    ledger.record(accepted)
    return accepted


# ---- windows in one process


def _each(
    windows: Sequence[Window], act: Callable[[Window], WindowReport], stops_at_loss: bool
) -> Iterator[WindowReport]:
    lost: list[WindowLost] = []
    for window in windows:
        try:
            report = act(window)
        except WindowLost as error:
            lost.append(error)
            if stops_at_loss:
                break
        else:
            yield report
    if len(lost) == 1:
        raise lost[0]
    if lost:
        first, last = lost[0], lost[-1]
        raise WindowLost(
            f"{len(lost)} windows are lost between {first.start.isoformat()} and {last.end.isoformat()}; the others "
            f"stand. {first}",
            start=first.start,
            end=last.end,
            reason=first.reason,
        ) from first


def _export_window(
    export: Incremental,
    services: WindowServices,
    window: Window,
    attempt: int,
    progress: Progress,
    force: bool,
    repin: bool,
    ahead: Ahead | None,
) -> WindowReport:
    from airflow_tablestore.pipeline.incremental.standing import report_of, sink_of

    began, sink = time.monotonic(), sink_of(export, services, window)
    for last in (*([False] * (MOST_ROUNDS - 1)), True):
        plan = plan_window(export, services, window, most_parts=1, force=force, repin=repin)
        reports: list[PartReport] = []
        try:
            for part in plan.parts:
                reports.append(_export_part(export, services, plan.head, part, attempt, progress, ahead))
            report = publish_window(export, services, plan.head, reports, attempt=attempt)
            return replace(report, seconds=time.monotonic() - began)
        except StartOver as error:
            sink.drop(reports)
            if error.task != "plan" or last:
                raise
        except Superseded:
            sink.drop(reports)
            published = sink.published(sink.standing())
            if published is None:
                raise
            return report_of(export, services, *published, was_published=True)
    raise StartOver(f"Window {window} could not be fixed.", task="plan")


def _export_part(
    export: Incremental,
    services: WindowServices,
    head: WindowHead,
    part: ShardPart,
    attempt: int,
    progress: Progress,
    ahead: Ahead | None,
) -> PartReport:
    from airflow_tablestore.pipeline.incremental.reading import Reading
    from airflow_tablestore.pipeline.incremental.standing import sink_of

    sink = sink_of(export, services, head.window)
    reading = Reading(export.source, sink, export.limits, services.client, head, attempt, progress, ahead)
    try:
        return reading.part(part)
    except PositionLost as error:
        raise lost(export, services, head.window, head.stream_id, str(error)) from error


# ---- publishing


def _of_plan(head: WindowHead, reports: Sequence[PartReport]) -> list[PartReport]:
    """This plan's reports, in the order of its parts.

    :raises StartOver: some are missing.
    """
    own = {report.part: report for report in reports if report.claim == head.claim}
    missing = [str(number) for number in range(head.parts) if number not in own]
    if missing:
        raise StartOver(
            f"Not exported since the latest plan: part {', '.join(missing[:10])} of {head.parts}.", task="export"
        )
    return [own[number] for number in range(head.parts)]


def _fixed_bounds(
    export: Incremental, services: WindowServices, head: WindowHead, reports: Sequence[PartReport]
) -> tuple[Boundary, Boundary] | None:
    """Both boundaries, of which the end is now on record; None for a loss.

    :raises StartOver: another run has put the end elsewhere, or has put another boundary beside it.
    """
    from airflow_tablestore.consumer.stream import END
    from airflow_tablestore.pipeline.boundaries import Boundary, micros_of

    if head.loss is not None:
        return None
    ledger, end_micros = ledger_of(export, services), micros_of(head.window.end)
    begin = ledger.boundary(head.stream_id, micros_of(head.window.start))
    if head.is_fixed or head.beside is None:
        end = ledger.boundary(head.stream_id, end_micros)
    else:
        ends = dict.fromkeys(head.ended, END) | {s: p for report in reports for s, p in report.ends.items()}
        read = Boundary(head.stream_id, end_micros, ends)
        try:
            end = ledger.put_boundary(read, head.beside)
        except NeighboursChanged as error:
            raise StartOver("Another window was fixed beside this one meanwhile.", task="plan") from error
        if end.positions != read.positions:
            raise StartOver("Another run has fixed where this window ends.", task="plan")
    if begin is None or end is None:
        raise StartOver("The ledger does not know where the window lies any more.", task="plan")
    return begin, end
