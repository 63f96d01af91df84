"""`verify`: a table beside what was published from it, or restored into it."""

from __future__ import annotations

import json
from argparse import Namespace
from contextlib import closing

from airflow_tablestore.cli.services import client_of, opened
from airflow_tablestore.cli.session import FAILED, OK, Session, moment_of
from airflow_tablestore.errors import Problem, SpecError
from airflow_tablestore.pipeline.connections import oss_endpoint, tablestore_endpoint
from airflow_tablestore.pipeline.sinks.oss import ObjectStore
from airflow_tablestore.pipeline.verify.report import Estimate, VerifyReport
from airflow_tablestore.pipeline.verify.verify import VerifyServices, estimate
from airflow_tablestore.pipeline.verify.verify import verify as compared
from airflow_tablestore.spec import load
from airflow_tablestore.spec.build_verify import Verification, of_export, verification
from airflow_tablestore.spec.kinds.full_export import FullExportSpec
from airflow_tablestore.spec.maxcompute_sink import MaxComputeSink


def verify(arguments: Namespace, session: Session) -> int:
    """Compare, or tell what that would cost; exits with 1 when something differs."""
    spec = load(arguments.spec)
    moment = moment_of(arguments, session, spec.timezone)
    most, run = _most(arguments.most), arguments.export_run or ""
    if isinstance(spec, FullExportSpec) and isinstance(spec.sink, MaxComputeSink):
        with opened(spec, moment, session, session.tell) as export:
            job = of_export(export.export, run=run, most_named=most)
            services = VerifyServices(export.services.client, export.services.store, export.services.ledger)
            found = estimate(job, services) if arguments.dry_run else compared(job, services)
    else:
        wanted = verification(spec, run_date=moment, run=run, most_named=most)
        found = _done(wanted, session, is_dry=arguments.dry_run)
    if arguments.json:
        session.say(json.dumps(found.to_json(), ensure_ascii=False))
    else:
        for line in found.lines():
            session.say(line)
    return OK if isinstance(found, Estimate) or found.is_same else FAILED


def _done(wanted: Verification, session: Session, *, is_dry: bool) -> VerifyReport | Estimate:
    """:raises SpecError: a connection is missing or cannot be right; holds the problems of both."""
    problems: list[Problem] = []
    instance = place = None
    try:
        instance = tablestore_endpoint(session.connection(wanted.connection))
    except SpecError as error:
        problems += error.problems
    try:
        place = oss_endpoint(session.connection(wanted.store_connection), wanted.bucket)
    except SpecError as error:
        problems += error.problems
    if instance is None or place is None:
        raise SpecError(problems)
    opened_client = client_of(session, wanted.connection, on_retry=session.tell)
    with opened_client as client, closing(ObjectStore(place, wanted.bucket)) as store:
        services = VerifyServices(client, store)
        return estimate(wanted.job, services) if is_dry else compared(wanted.job, services)


def _most(given: str) -> int:
    try:
        most = int(given)
    except ValueError as error:
        raise SpecError([Problem(f"--most: '{given}' is no number", "write 20")]) from error
    if most < 0:
        raise SpecError([Problem("--most: must be 0 or more", "write 20")])
    return most
