"""`run` and `plan` of a restore."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator
from contextlib import closing, contextmanager

from airflow_tablestore.cli.services import client_of
from airflow_tablestore.cli.session import INTERRUPTED, OK, Session, moment_of
from airflow_tablestore.cli.table import lines, size
from airflow_tablestore.cli.times import refuse_options
from airflow_tablestore.client import OnRetry, RetryPolicy
from airflow_tablestore.errors import Problem, SpecError
from airflow_tablestore.pipeline.connections import oss_endpoint, tablestore_endpoint
from airflow_tablestore.pipeline.contract import Progress
from airflow_tablestore.pipeline.restore import point_in_time
from airflow_tablestore.pipeline.restore import restore as engine
from airflow_tablestore.pipeline.restore.job import Restore
from airflow_tablestore.pipeline.restore.plan import RestorePlan, RestoreReport
from airflow_tablestore.pipeline.restore.point_in_time import PointReport
from airflow_tablestore.pipeline.restore.restore import RestoreServices
from airflow_tablestore.pipeline.sinks.oss import ObjectStore
from airflow_tablestore.spec.build_restore import restore
from airflow_tablestore.spec.kinds.restore import RestoreSpec


def run_restore(arguments: Namespace, spec: RestoreSpec, session: Session, progress: Progress) -> int:
    """Write the rows, and print what was done."""
    refuse_options(arguments, spec.kind, "--window-start", "--window-end", "--force", "--repin")
    wanted = restore(spec, run_date=moment_of(arguments, session, spec.timezone))
    report: RestoreReport | PointReport
    try:
        with _opened(spec, session, progress.retried) as services:
            work = point_in_time.run if spec.to else engine.run
            report = work(wanted, services, progress=progress)
    except KeyboardInterrupt:
        session.tell("Interrupted. Rows that were written stay; the same restore writes them again and goes on.")
        return INTERRUPTED
    if arguments.json:
        session.say(json.dumps(report.to_json(), ensure_ascii=False))
        return OK
    for line in lines(_rows(report) if isinstance(report, RestoreReport) else _rows_at(report)):
        session.say(line)
    return OK


def plan_restore(arguments: Namespace, spec: RestoreSpec, session: Session) -> int:
    """Print what a run would do. No row is written and no table is made."""
    refuse_options(arguments, spec.kind, "--window-start", "--window-end")
    wanted = restore(spec, run_date=moment_of(arguments, session, spec.timezone))
    if spec.to:
        return _plan_at(arguments, spec, session, wanted)
    with _opened(spec, session, session.tell) as services:
        planned = engine.survey(wanted, services)
    if arguments.json:
        session.say(json.dumps(_as_json(spec, planned), indent=2, ensure_ascii=False))
        return OK
    for line in lines(_told(spec, planned)):
        session.say(line)
    session.say("Nothing was written.")
    return OK


def _rows(report: RestoreReport) -> list[tuple[str, str]]:
    return [
        ("pipeline", report.pipeline),
        ("table", report.table),
        ("run of the export", report.run or "-"),
        ("rows read", f"{report.rows:,}"),
        ("rows written", f"{report.written:,}"),
        ("dirty records", f"{report.dirty:,}"),
        ("objects", f"{report.objects:,}"),
        ("bytes", f"{report.bytes_read:,} ({size(report.bytes_read)})"),
        ("seconds", f"{report.seconds:.1f}"),
    ]


def _rows_at(report: PointReport) -> list[tuple[str, str]]:
    return [
        ("pipeline", report.pipeline),
        ("table", report.table),
        ("as it was at", report.to),
        ("run of the export", report.run),
        ("windows", f"{report.windows:,}"),
        ("changes", f"{report.changes:,}"),
        ("rows written", f"{report.written:,}"),
        ("dirty records", f"{report.dirty:,}"),
        ("objects", f"{report.objects:,}"),
        ("bytes", f"{report.bytes_read:,} ({size(report.bytes_read)})"),
        ("seconds", f"{report.seconds:.1f}"),
        ("checksum", f"{report.checksum}, that of the table" if report.checksum else "not compared"),
    ]


def _plan_at(arguments: Namespace, spec: RestoreSpec, session: Session, wanted: Restore) -> int:
    with _opened(spec, session, session.tell) as services:
        planned = point_in_time.survey(wanted, services)
    found = planned.materials
    told = {
        "table": spec.sink.table,
        "makes_table": planned.is_new,
        "to": found.chain.to.isoformat(),
        "export": found.chain.base.prefix,
        "run": found.base.run,
        "rows": found.base.rows,
        "windows": [str(link.window.window) for link, _ in found.changes],
        "changes": sum(one.rows for _, own in found.changes for one in own),
        "bytes": found.bytes,
    }
    if arguments.json:
        session.say(json.dumps(told, indent=2, ensure_ascii=False))
        return OK
    for line in lines(
        [
            ("Table", f"{spec.sink.table}, {'which will be made' if planned.is_new else 'which is there'}"),
            ("As it was at", f"{told['to']}"),
            ("Export", f"run {found.base.run} at {found.chain.base.prefix} with {found.base.rows:,} rows"),
            ("Windows", f"{len(found.changes):,}, with {told['changes']:,} changes of cells"),
            ("Reads", size(found.bytes)),
        ]
    ):
        session.say(line)
    session.say("Nothing was written.")
    return OK


def _told(spec: RestoreSpec, planned: RestorePlan) -> list[tuple[str, str]]:
    found = planned.found
    total = sum(one.bytes for one in found.objects)
    return [
        ("Table", f"{spec.sink.table}, {'which will be made' if planned.is_new else 'which is there'}"),
        ("Key", ", ".join(f"{key.name} ({key.type.value})" for key in planned.keys)),
        ("Export", f"run {found.run} of table {found.table}" if found.run else "objects without a manifest"),
        ("Rows", f"{found.rows:,}" if found.rows >= 0 else "not known before they are read"),
        ("Requests", f"about {-(-found.rows // spec.sink.batch_rows):,}" if found.rows >= 0 else "not known"),
        ("Objects", f"{len(found.objects):,} with {size(total)}, in {len(planned.parts):,} parts"),
        ("Format", found.format.kind),
        ("Write", spec.sink.write),
    ]


def _as_json(spec: RestoreSpec, planned: RestorePlan) -> dict[str, object]:
    found = planned.found
    return {
        "pipeline": spec.pipeline,
        "table": spec.sink.table,
        "makes_table": planned.is_new,
        "key": [{"name": key.name, "type": key.type.value} for key in planned.keys],
        "run": found.run,
        "rows": found.rows if found.rows >= 0 else None,
        "bytes": sum(one.bytes for one in found.objects),
        "format": found.format.kind,
        "write": spec.sink.write,
        "parts": [part.to_json() for part in planned.parts],
    }


@contextmanager
def _opened(spec: RestoreSpec, session: Session, on_retry: OnRetry) -> Iterator[RestoreServices]:
    """The services of both ends.

    :raises SpecError: a connection is missing or cannot be right; holds the problems of both.
    """
    problems: list[Problem] = []
    instance = place = None
    try:
        instance = tablestore_endpoint(session.connection(spec.sink.connection))
    except SpecError as error:
        problems += error.problems
    try:
        place = oss_endpoint(session.connection(spec.source.connection), spec.source.bucket)
    except SpecError as error:
        problems += error.problems
    if instance is None or place is None:
        raise SpecError(problems)
    most = spec.sink.max_retries
    retry = RetryPolicy() if most is None else RetryPolicy(attempts=most + 1)
    with (
        client_of(session, spec.sink.connection, retry=retry, on_retry=on_retry) as client,
        closing(ObjectStore(place, spec.source.bucket)) as store,
    ):
        yield RestoreServices(client, store)
