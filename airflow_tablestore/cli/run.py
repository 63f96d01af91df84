"""`run`: a pipeline from its start to its publication, in this process."""

from __future__ import annotations

import logging
import signal
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType

from airflow_tablestore.cli.report import say_report
from airflow_tablestore.cli.services import export_spec, opened
from airflow_tablestore.cli.session import INTERRUPTED, OK, Session, moment_of
from airflow_tablestore.cli.times import refuse_options
from airflow_tablestore.errors import Problem, SpecError
from airflow_tablestore.pipeline.full_export import export as full_export
from airflow_tablestore.pipeline.progress import progress_for
from airflow_tablestore.pipeline.run import run_key
from airflow_tablestore.spec import FullExportSpec, IncrementalSpec, load
from airflow_tablestore.spec.kinds.restore import RestoreSpec
from airflow_tablestore.spec.kinds.snapshot import SnapshotSpec

log = logging.getLogger("airflow_tablestore")


def run(arguments: Namespace, session: Session) -> int:
    """Run the pipeline and print its report; progress goes to stderr."""
    if arguments.run_id is not None and not arguments.run_id.strip():
        raise SpecError([Problem("--run-id: must not be empty", "leave it out, or write the id of a run in Airflow")])
    spec = load(arguments.spec)
    if isinstance(spec, RestoreSpec):
        return _stoppable(session, partial(_restore, arguments, spec, session))
    if isinstance(spec, SnapshotSpec):
        return _stoppable(session, partial(_snapshot, arguments, spec, session))
    spec = export_spec(arguments.spec)
    if isinstance(spec, IncrementalSpec):
        return _stoppable(session, partial(_windows, arguments, spec, session))
    refuse_options(arguments, spec.kind, "--window-start", "--window-end", "--force")
    return _stoppable(session, partial(_full_export, arguments, spec, session))


def _stoppable(session: Session, work: Callable[[], int]) -> int:
    try:
        with told_on_stderr(session), _interrupted_by_sigterm():
            return work()
    except KeyboardInterrupt:
        session.tell("Interrupted. What was uploaded is not published; the next run clears it.")
        return INTERRUPTED


def _restore(arguments: Namespace, spec: RestoreSpec, session: Session) -> int:
    from airflow_tablestore.cli.restore import run_restore

    with progress_for(spec.pipeline, log) as progress:
        return run_restore(arguments, spec, session, progress)


def _snapshot(arguments: Namespace, spec: SnapshotSpec, session: Session) -> int:
    from airflow_tablestore.cli.snapshot import run_snapshot

    with progress_for(spec.pipeline, log) as progress:
        return run_snapshot(arguments, spec, session, progress)


def _windows(arguments: Namespace, spec: IncrementalSpec, session: Session) -> int:
    from airflow_tablestore.cli.windows import run_windows

    with progress_for(spec.pipeline, log) as progress:
        return run_windows(arguments, spec, session, progress)


def _full_export(arguments: Namespace, spec: FullExportSpec, session: Session) -> int:
    moment = moment_of(arguments, session, spec.timezone)
    key = run_key(moment, arguments.run_id or f"manual__{moment.isoformat()}")
    with (
        progress_for(spec.pipeline, log) as progress,
        opened(spec, moment, session, progress.retried) as ready,
    ):
        report = full_export.run(ready.export, ready.services, run=key, progress=progress, repin=arguments.repin)
    say_report(report, session, as_json=arguments.json)
    return OK


@contextmanager
def told_on_stderr(session: Session) -> Iterator[None]:
    """What the engine logs goes to stderr while the command runs."""
    handler = logging.StreamHandler(session.err)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    before = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before[0])
        log.propagate = before[1]


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the run as Ctrl-C does, so that its uploads are aborted. Only the main thread may arrange that."""

    def told(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, told)
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
