"""`run` and `plan` of a snapshot."""

from __future__ import annotations

import json
from argparse import Namespace

from airflow_tablestore.cli.report import say_report
from airflow_tablestore.cli.services import opened_snapshot
from airflow_tablestore.cli.session import OK, Session, moment_of
from airflow_tablestore.cli.table import lines, size
from airflow_tablestore.cli.times import refuse_options
from airflow_tablestore.pipeline.contract import Progress
from airflow_tablestore.pipeline.full_export.sink import export_sink
from airflow_tablestore.pipeline.run import run_key
from airflow_tablestore.pipeline.snapshot import snapshot as engine
from airflow_tablestore.spec.build_snapshot import snapshot
from airflow_tablestore.spec.kinds.snapshot import SnapshotSpec


def run_snapshot(arguments: Namespace, spec: SnapshotSpec, session: Session, progress: Progress) -> int:
    """Publish the rows of the moment, and print what was done."""
    refuse_options(arguments, spec.kind, "--window-start", "--window-end", "--force", "--repin")
    moment = moment_of(arguments, session, spec.timezone)
    key = run_key(moment, arguments.run_id or f"manual__{moment.isoformat()}")
    wanted = snapshot(spec, run_date=moment)
    with opened_snapshot(spec, session) as services:
        report = engine.run(wanted, services, run=key, progress=progress)
    before = [("as it was at", wanted.source.to.isoformat())]
    say_report(report, session, as_json=arguments.json, before=before)
    return OK


def plan_snapshot(arguments: Namespace, spec: SnapshotSpec, session: Session) -> int:
    """Print what a run would read. Nothing is written."""
    refuse_options(arguments, spec.kind, "--window-start", "--window-end")
    wanted = snapshot(spec, run_date=moment_of(arguments, session, spec.timezone))
    with opened_snapshot(spec, session) as services:
        found = engine.survey(wanted, services)
        sink = export_sink(wanted.target, services.place, wanted.pipeline)
    changes = sum(one.rows for _, own in found.changes for one in own)
    if arguments.json:
        told = {
            "pipeline": spec.pipeline,
            "to": wanted.source.to.isoformat(),
            "export": found.chain.base.prefix,
            "run": found.base.run,
            "rows": found.base.rows,
            "windows": [str(link.window.window) for link, _ in found.changes],
            "changes": changes,
            "bytes": found.bytes,
            "place": sink.place,
        }
        session.say(json.dumps(told, indent=2, ensure_ascii=False))
        return OK
    for line in lines(
        [
            ("As it was at", wanted.source.to.isoformat()),
            ("Export", f"run {found.base.run} at {found.chain.base.prefix} with {found.base.rows:,} rows"),
            ("Windows", f"{len(found.changes):,}, with {changes:,} changes of cells"),
            ("Reads", size(found.bytes)),
            ("Place", f"{sink.place}, {sink.mode}"),
        ]
    ):
        session.say(line)
    session.say("Nothing was written.")
    return OK
