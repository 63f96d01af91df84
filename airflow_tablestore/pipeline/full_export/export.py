"""A table's rows into objects: plan, export each split, publish.

The three steps are three functions because they are three tasks in Airflow; `run` calls them one after another in one
process. What passes between them is in `plan`; who publishes and when is in `publish`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from airflow_tablestore.errors import StartOver
from airflow_tablestore.pipeline.contract import OTHER_COLUMN, Constant, Limits, Progress, Quiet, Report
from airflow_tablestore.pipeline.dirty import DirtyRecords, samples_of
from airflow_tablestore.pipeline.full_export.plan import Plan, PlanHead, Split, SplitReport, key_to_json
from airflow_tablestore.pipeline.full_export.sink import ExportSink, export_sink
from airflow_tablestore.pipeline.manifest import Manifest, OutputColumn, PublishedObject
from airflow_tablestore.pipeline.selection import TableSelection, Unknown
from airflow_tablestore.pipeline.store import Store
from airflow_tablestore.pipeline.target import ObjectTarget, TableTarget, WriteMode
from airflow_tablestore.wire.row import KeyValue

if TYPE_CHECKING:
    import pyarrow as pa

    from airflow_tablestore.consumer.table import Sender
    from airflow_tablestore.pipeline.contract import Schema
    from airflow_tablestore.pipeline.run import Receipt
    from airflow_tablestore.pipeline.sources.pinning import Pinned
    from airflow_tablestore.pipeline.warehouse import Warehouse

__all__ = [
    "FullExport",
    "ObjectTarget",
    "Services",
    "TableSelection",
    "Unknown",
    "WriteMode",
    "export_split",
    "pinned_schema",
    "plan",
    "publish",
    "run",
]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FullExport:
    """One full export, ready to run once its services are given.

    `instance` names the source's Tablestore instance in the records of a table's loads, which are in `status_table`.
    """

    pipeline: str
    source: TableSelection
    target: ObjectTarget | TableTarget
    limits: Limits = field(default_factory=Limits)
    instance: str = ""
    status_table: str = ""


@dataclass(frozen=True, slots=True)
class Services:
    """What an export talks to: the instance of its table, and the bucket of its objects or the project of its table.

    `ledger` is the instance of the status table (often the same client); without it no record is kept of a table's
    loads, and each run looks at the columns anew. Objects keep their own.
    """

    client: Sender
    store: Store | Warehouse
    ledger: Sender | None = None


def plan(
    export: FullExport,
    services: Services,
    *,
    run: str,
    most_splits: int = 1024,
    attempts: int = 1,
    repin: bool = False,
) -> Plan:
    """Divide the table, pin the columns and claim the place. Nothing is read but a few sample rows.

    :param run: the run's key, see `run.run_key`.
    :param most_splits: the most tasks that may be mapped.
    :param attempts: how often a task is tried at most.
    :param repin: look at the table again instead of keeping the columns that an earlier run has pinned.
    :raises SpecError: a range, column, prefix or table that does not fit what stands there.
    """
    sink = sink_of(export, services)
    standing = sink.standing()
    sink.check()
    known = sink.pinned(standing, export.source.table)
    pinned, splits = _pinned_and_divided(export, services, None if repin else known, most_splits)
    for warning in pinned.warnings:
        log.warning("%s", warning)
    sink.fits(_output(export, pinned.schema))
    head = PlanHead(run, 0, sink.pin(pinned.schema, known), len(splits), "", begun=_now(services.client))
    return Plan(sink.claimed(standing, head, _output(export, head.schema), splits, attempts), splits)


def pinned_schema(export: FullExport, services: Services, *, repin: bool = False) -> Pinned:
    """The columns that the next run would have, with what its author should know. Changes nothing."""
    sink = sink_of(export, services)
    known = None if repin else sink.pinned(sink.standing(), export.source.table)
    pinned = _pinned_and_divided(export, services, known, 1024)[0]
    sink.fits(_output(export, pinned.schema))
    return pinned


def sink_of(export: FullExport, services: Services) -> ExportSink:
    """Where the export goes."""
    loads = None
    if services.ledger is not None and isinstance(export.target, TableTarget):
        from airflow_tablestore.pipeline.loads import Loads

        loads = Loads(services.ledger, export.status_table, export.instance, export.source.table, export.pipeline)
    return export_sink(export.target, services.store, export.pipeline, loads)


def export_split(
    export: FullExport,
    services: Services,
    head: PlanHead,
    split: Split,
    *,
    attempt: int,
    progress: Progress | None = None,
) -> SplitReport:
    """Upload the rows of one split; nothing is visible yet.

    :param attempt: counts from 1; what lower attempts have uploaded is aborted.
    :raises DirtyLimitExceeded: this split alone has more dirty records than the run may have.
    :raises Superseded: a higher attempt has begun, or a later run has published.
    """
    return _export(export, services, head, (split,), attempt, progress or Quiet(), tasks=head.splits)[0]


def publish(
    export: FullExport, services: Services, head: PlanHead, reports: Sequence[SplitReport], *, attempt: int
) -> Report:
    """Make all rows visible at once. See `publish.publish_objects` and `table` for what it raises.

    :param reports: one for every split of the plan; those that an earlier plan of the run has left are passed over.
    """
    began, sink = time.monotonic(), sink_of(export, services)
    reports = _of_plan(head, reports)
    made = _manifest(export, sink, head, reports)
    manifest = sink.publish(head, made, reports, attempt, export.limits.errors)
    objects = manifest.of_run(head.run)
    return Report(
        pipeline=export.pipeline,
        run=head.run,
        rows=sum(o.rows for o in objects),
        bytes=sum(o.bytes for o in objects),
        objects=len(objects),
        seconds=max((report.seconds for report in reports), default=0.0) + time.monotonic() - began,
        dirty=manifest.dirty,
        others=manifest.others,
        manifest=sink.manifest,
        samples=manifest.samples,
    )


def run(
    export: FullExport,
    services: Services,
    *,
    run: str,
    progress: Progress | None = None,
    repin: bool = False,
) -> Report:
    """Plan, export and publish in this process: the same objects as the three tasks of Airflow make.

    :raises TablestoreError: as the three do. Until publishing has begun, what was uploaded is aborted and what stood at
        the prefix still stands; after that `publish` says what holds, and the next run aborts the rest.
    """
    began = time.monotonic()
    planned = plan(export, services, run=run, repin=repin)
    reports = _export(export, services, planned.head, planned.splits, 1, progress or Quiet(), tasks=1)
    report = publish(export, services, planned.head, reports, attempt=1)
    return replace(report, seconds=time.monotonic() - began)


def _pinned_and_divided(
    export: FullExport, services: Services, earlier: Schema | None, most_splits: int
) -> tuple[Pinned, tuple[Split, ...]]:
    from airflow_tablestore.pipeline.full_export.division import divide
    from airflow_tablestore.pipeline.sources.pinning import pin_schema
    from airflow_tablestore.wire.table import describe_table

    source = export.source
    description = services.client.send(describe_table(source.table))
    splits = divide(services.client, source, description, limits=export.limits, most_splits=most_splits)
    ranges = [part.range for split in splits for part in split.slices]
    pinned = pin_schema(services.client, source, description, ranges, earlier)
    _output(export, pinned.schema)
    return pinned, splits


def _output(export: FullExport, schema: Schema) -> pa.Schema:
    """The columns that are written.

    :raises SpecError: a column that the schema lacks, or two of one name.
    """
    from airflow_tablestore.pipeline.run import output_schema
    from airflow_tablestore.pipeline.sources.table import arrow_schema

    return output_schema(arrow_schema(schema), _transforms(export.source))


def _transforms(source: TableSelection) -> Sequence[Any]:
    from airflow_tablestore.pipeline.transforms.columns import Columns

    return () if source.columns is None else (Columns(source.columns),)


@dataclass(frozen=True, slots=True)
class _Job:
    """One slice of one split, and how to carry it; `counts` gives its dirty records and cells of unknown columns.

    `abort` drops what it has uploaded, finished or not.
    """

    split: int
    carry: Callable[[], Receipt]
    counts: Callable[[], tuple[int, int]]
    abort: Callable[[], None]


def _export(
    export: FullExport,
    services: Services,
    head: PlanHead,
    splits: Sequence[Split],
    attempt: int,
    progress: Progress,
    tasks: int,
) -> tuple[SplitReport, ...]:
    """Upload the rows of some splits, their slices side by side."""
    from airflow_tablestore.pipeline.full_export.division import threads_for
    from airflow_tablestore.pipeline.run import keep_memory_flat, side_by_side, stopped_by

    began = time.monotonic()
    keep_memory_flat()
    progress.expect(sum(part.estimated_bytes for split in splits for part in split.slices))
    stop = threading.Event()
    services = replace(services, client=stopped_by(stop, services.client), store=stopped_by(stop, services.store))
    dirty = DirtyRecords(export.limits.errors)
    jobs = _jobs(export, services, head, splits, attempt, progress, tasks, stop, dirty)
    try:
        receipts = side_by_side((job.carry for job in jobs), threads_for(export.limits), stop)
    except BaseException:  # also Ctrl-C: the slices that were finished already are of no use without the others
        for job in jobs:
            job.abort()
        raise
    done = list(zip(jobs, receipts, strict=True))
    reports = [_report(head.claim, split.number, done, time.monotonic() - began) for split in splits]
    ended = _now(services.client)
    reports = [replace(report, ended=ended) for report in reports]
    return (replace(reports[0], samples=dirty.samples), *reports[1:])  # they are those of all these splits together


def _jobs(
    export: FullExport,
    services: Services,
    head: PlanHead,
    splits: Sequence[Split],
    attempt: int,
    progress: Progress,
    tasks: int,
    stop: threading.Event,
    dirty: DirtyRecords,
) -> list[_Job]:
    from airflow_tablestore.pipeline.run import Work, carry
    from airflow_tablestore.pipeline.sources.table import TableSlice, forms_for
    from airflow_tablestore.pipeline.throttle import Throttle

    sink, transforms, output = sink_of(export, services), _transforms(export.source), _output(export, head.schema)
    throttle = Throttle(export.limits, tasks, sleep=stop.wait)
    keys = tuple(column.name for column in head.schema.columns if column.is_key)
    forms = forms_for(export.source)
    jobs = []
    for split in splits:
        opened = sink.part(head, split.number, attempt)
        format = opened.format(output)
        for number, part in enumerate(split.slices):
            source = TableSlice(services.client, export.source, head.schema, part, dirty.add, forms)
            writer = opened.writer(number, output, format)
            work = Work(source, transforms, format, writer, dirty, throttle, progress, stop, keys)
            jobs.append(_Job(split.number, partial(carry, work), partial(_counts, source), writer.abort))
    return jobs


def _counts(source: Any) -> tuple[int, int]:
    return source.dirty, source.others


def _report(claim: int, split: int, done: Sequence[tuple[_Job, Receipt]], seconds: float) -> SplitReport:
    own = [(job, receipt) for job, receipt in done if job.split == split]
    return SplitReport(
        claim=claim,
        split=split,
        objects=tuple(upload for _, receipt in own for upload in receipt.objects),
        rows=sum(receipt.rows for _, receipt in own),
        bytes_read=sum(receipt.bytes_read for _, receipt in own),
        dirty=sum(job.counts()[0] + receipt.unfit for job, receipt in own),
        others=sum(job.counts()[1] for job, _ in own),
        seconds=seconds,
    )


def _of_plan(head: PlanHead, reports: Sequence[SplitReport]) -> list[SplitReport]:
    """This plan's reports, in the order of its splits.

    Airflow keeps what a mapped task has returned when a plan that was made anew maps fewer of them.
    :raises StartOver: some are missing.
    """
    own = {report.split: report for report in reports if report.claim == head.claim}
    missing = [str(number) for number in range(head.splits) if number not in own]
    if missing:
        few = ", ".join(missing[:10]) + (" …" if len(missing) > 10 else "")
        raise StartOver(f"Not exported since the latest plan: split {few} of {head.splits}.", task="export")
    return [own[number] for number in range(head.splits)]


def _manifest(export: FullExport, sink: ExportSink, head: PlanHead, reports: Sequence[SplitReport]) -> Manifest:
    """The manifest of this run's objects alone."""
    return Manifest(
        pipeline=export.pipeline,
        run=head.run,
        claim=head.claim,
        table=export.source.table,
        begin=tuple(_bound_to_json(part) for part in export.source.begin),
        end=tuple(_bound_to_json(part) for part in export.source.end),
        schema=head.schema,
        columns=_output_columns(export.source, head.schema),
        format=sink.describe(),
        objects=tuple(
            PublishedObject(o.key, o.rows, o.bytes, o.crc64, head.run) for report in reports for o in report.objects
        ),
        dirty=sum(report.dirty for report in reports),
        others=sum(report.others for report in reports),
        samples=samples_of(report.samples for report in reports),
        read=_read(head, reports),
    )


@runtime_checkable
class _Clocked(Protocol):
    """A sender that knows the service's clock."""

    def service_time(self) -> datetime | None: ...


def _now(client: Sender) -> str:
    told = client.service_time() if isinstance(client, _Clocked) else None
    return told.isoformat() if told else ""


def _read(head: PlanHead, reports: Sequence[SplitReport]) -> tuple[datetime, datetime] | None:
    """From when to when the rows were read."""
    if not head.begun or not all(report.ended for report in reports):
        return None
    begun = datetime.fromisoformat(head.begun)
    return begun, max((datetime.fromisoformat(report.ended) for report in reports), default=begun)


def _output_columns(source: TableSelection, schema: Schema) -> tuple[OutputColumn, ...]:
    types = {column.name: column.type.value for column in schema.columns}
    if source.columns is None:
        columns = tuple(OutputColumn(c.name, c.type.value, c.name) for c in schema.columns)
        return (*columns, OutputColumn(OTHER_COLUMN, "json", None)) if schema.keeps_others else columns
    return tuple(
        OutputColumn(c.to, c.type.value, None) if isinstance(c, Constant) else OutputColumn(c.to, types[c.name], c.name)
        for c in source.columns
    )


def _bound_to_json(part: KeyValue) -> Any:
    return key_to_json((("", part),))[0][1]
