"""Objects back into a table: plan, write each part, finish.

Three functions, because they can be three tasks. A restore is repeatable rather than all or nothing: a table has no
transaction over many rows, so a restore that ended half-way leaves the rows that it wrote, and the same restore begun
again writes them again as they are and goes on. Whatever came before `plan` returned has changed nothing but, when it
was asked for, made the table.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from airflow_tablestore.consumer.table import Sender
from airflow_tablestore.errors import DirtyLimitExceeded, ProtocolError, SpecError, StartOver
from airflow_tablestore.pipeline.contract import Progress, Quiet
from airflow_tablestore.pipeline.dirty import DirtyRecords
from airflow_tablestore.pipeline.fold.moment import PointInTime
from airflow_tablestore.pipeline.restore.job import Nulls, Restore
from airflow_tablestore.pipeline.restore.plan import PartReport, RestorePart, RestorePlan, RestoreReport
from airflow_tablestore.pipeline.run import stopped_by
from airflow_tablestore.pipeline.sinks.tablestore import RowWriter, make_table, target_keys
from airflow_tablestore.pipeline.sources.chosen import chosen
from airflow_tablestore.pipeline.sources.object_rows import ObjectRows
from airflow_tablestore.pipeline.sources.objects import ListedObject, find
from airflow_tablestore.pipeline.store import ObjectReader
from airflow_tablestore.pipeline.throttle import Throttle

PART_BYTES = 256 * 1024 * 1024
"""About so many bytes of objects make one part; a single object is never divided."""


@dataclass(frozen=True, slots=True)
class RestoreServices:
    """What a restore talks to: the instance of its table, and the bucket of its objects."""

    client: Sender
    store: ObjectReader


def survey(restore: Restore, services: RestoreServices, *, most_parts: int = 0) -> RestorePlan:
    """What a restore would do, with everything looked at that can be. Changes nothing.

    :param most_parts: what the executor takes; 0: as many as it takes.
    :raises SpecError: there is no export, or the table is not one that its rows fit.
    :raises ProtocolError: objects are missing, cut or others than the manifest lists.
    """
    if isinstance(restore.source, PointInTime):
        raise SpecError("A restore to a point in time is one piece of work: use restore.point_in_time.")
    found = chosen(find(services.store, restore.source), restore.target)
    keys, is_there = target_keys(services.client, restore.target, found.keys)
    most = min((limit for limit in (restore.limits.workers, most_parts) if limit), default=0)
    return RestorePlan(found, keys, not is_there, _divided(found.objects, most))


def plan(restore: Restore, services: RestoreServices, *, most_parts: int = 0) -> RestorePlan:
    """The same, and the table is made if it is missing and shall be."""
    planned = survey(restore, services, most_parts=most_parts)
    if planned.is_new:
        make_table(services.client, restore.target, planned.keys)
    return planned


def write_part(
    restore: Restore,
    services: RestoreServices,
    planned: RestorePlan,
    part: RestorePart,
    *,
    progress: Progress | None = None,
    tasks: int = 1,
) -> PartReport:
    """Write the rows of a part's objects. Done again it leaves the same rows.

    :param tasks: how many tasks share the limits.
    :raises DirtyLimitExceeded: this part alone has more dirty records than the run may have.
    :raises StartOver: an object is not the one that was planned.
    """
    began, stop, told = time.monotonic(), threading.Event(), progress or Quiet()
    told.expect(sum(one.bytes for one in part.objects))
    dirty = DirtyRecords(restore.limits.errors)
    throttle = Throttle(restore.limits, tasks, sleep=stop.wait)
    client, store = stopped_by(stop, services.client), stopped_by(stop, services.store)
    writer = RowWriter(
        client,
        restore.target,
        dirty.add,
        in_flight=restore.limits.threads,
        paced=throttle.took,
        stop=stop,
        tasks=tasks,
    )
    deletes = restore.target.nulls is Nulls.DELETE
    rows = unread = 0
    try:
        with tempfile.TemporaryDirectory(prefix="tablestore-restore-") as folder:
            for listed in part.objects:
                source = ObjectRows(store, planned.found, listed, planned.keys, dirty.add, Path(folder), deletes)
                for row in source:
                    writer.write(row)
                rows, unread = rows + source.rows, unread + source.dirty
                told.advance(source.rows, listed.bytes)
        writer.finish()
    except BaseException:  # also Ctrl-C: rows on their way land, no further ones are sent
        writer.abort()
        raise
    return PartReport(
        part=part.number,
        objects=tuple(one.key for one in part.objects),
        rows=rows,
        written=writer.written,
        dirty=writer.dirty + unread,
        bytes_read=sum(one.bytes for one in part.objects),
        seconds=time.monotonic() - began,
    )


def finish(restore: Restore, planned: RestorePlan, reports: Iterable[PartReport]) -> RestoreReport:
    """Compare what was written with what was planned.

    :raises StartOver: a part has no report.
    :raises DirtyLimitExceeded: the parts together have more dirty records than the run may have.
    :raises ProtocolError: the numbers do not agree.
    """
    by_part = {report.part: report for report in reports}
    missing = [str(part.number) for part in planned.parts if _report_of(part, by_part) is None]
    if missing:
        raise StartOver(f"Not written since the latest plan: part {', '.join(missing[:10])}.", task="write")
    own = [by_part[part.number] for part in planned.parts]
    rows, written, dirty = (sum(getattr(one, name) for one in own) for name in ("rows", "written", "dirty"))
    expected = planned.found.rows if planned.found.rows >= 0 else rows
    if rows != expected or written + dirty != rows:
        raise ProtocolError(
            f"{expected} rows were to be restored into {restore.target.table}; {rows} were read, {written} written and "
            f"{dirty} dirty. Run the restore again: rows that are there are written again as they are."
        )
    if dirty > restore.limits.errors:
        told = (
            f"{dirty} dirty records, more than limits.errors allows ({restore.limits.errors}); the others are written"
        )
        raise DirtyLimitExceeded(told)
    return RestoreReport(
        pipeline=restore.pipeline,
        table=restore.target.table,
        run=planned.found.run,
        rows=rows,
        written=written,
        dirty=dirty,
        objects=len(planned.found.objects),
        bytes_read=sum(one.bytes_read for one in own),
        seconds=max((one.seconds for one in own), default=0.0),
    )


def run(restore: Restore, services: RestoreServices, *, progress: Progress | None = None) -> RestoreReport:
    """Plan, write and finish in this process, part by part."""
    planned = plan(restore, services)
    reports = [write_part(restore, services, planned, part, progress=progress) for part in planned.parts]
    return finish(restore, planned, reports)


def _report_of(part: RestorePart, reports: dict[int, PartReport]) -> PartReport | None:
    report = reports.get(part.number)
    return report if report and report.objects == tuple(one.key for one in part.objects) else None


def _divided(objects: Sequence[ListedObject], workers: int) -> tuple[RestorePart, ...]:
    """The objects in parts of about PART_BYTES, at most `workers` of them (0: as many as it takes)."""
    total = sum(one.bytes for one in objects)
    size = max(PART_BYTES, -(-total // workers) if workers else 0)
    parts: list[list[ListedObject]] = []
    filled = 0
    for one in objects:
        if not parts or (filled + one.bytes > size and (not workers or len(parts) < workers)):
            parts.append([])
            filled = 0
        parts[-1].append(one)
        filled += one.bytes
    return tuple(RestorePart(number, tuple(part)) for number, part in enumerate(parts))
