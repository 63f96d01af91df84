"""`doctor`: everything that a run will need, checked one by one, each with what to do about it.

Only reads, unless it is asked to write a probe. A check that cannot be made because an earlier one failed is left out,
so what is printed last is what to repair first.
"""

from __future__ import annotations

import enum
import json
import secrets
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar
from urllib.parse import urlsplit

from airflow_tablestore.cli.services import full_export_spec
from airflow_tablestore.cli.session import FAILED, OK, Session, moment_of
from airflow_tablestore.cli.table import lines
from airflow_tablestore.client import NO_RETRY, Client
from airflow_tablestore.consumer.table import cut_at, full_range
from airflow_tablestore.errors import Rejected, SpecError, TablestoreError
from airflow_tablestore.pipeline.connections import oss_endpoint, tablestore_endpoint
from airflow_tablestore.pipeline.division import UNSUPPORTED
from airflow_tablestore.pipeline.full_export import FullExport, Services, pinned_schema
from airflow_tablestore.pipeline.layout import PENDING
from airflow_tablestore.pipeline.manifest import read_manifest
from airflow_tablestore.pipeline.sinks.oss import ObjectStore
from airflow_tablestore.pipeline.store import UploadGone
from airflow_tablestore.spec import FullExportSpec
from airflow_tablestore.spec.build import full_export
from airflow_tablestore.wire.table import (
    MEBIBYTE,
    RangeRead,
    TableDescription,
    compute_split_points,
    describe_table,
    get_range,
)

T = TypeVar("T")

SKEW_ODD, SKEW_REFUSED = timedelta(seconds=30), timedelta(minutes=15)
"""The service refuses requests whose date is more than 15 minutes off. Source: Tablestore documentation, x-ots-date."""


class Status(enum.StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; `advice` says what to do unless it is ok."""

    name: str
    status: Status
    told: str
    advice: str = ""


@dataclass(slots=True)
class Patient:
    """What is examined, and what has been found so far. A part that could not be had stays None."""

    spec: FullExportSpec
    export: FullExport
    session: Session
    checks: list[Check] = field(default_factory=list)
    client: Client | None = None
    store: ObjectStore | None = None
    table: TableDescription | None = None

    def found(self, name: str, status: Status, told: str, advice: str = "") -> None:
        self.checks.append(Check(name, status, told, advice))

    def tried(self, name: str, act: Callable[[], T], told: Callable[[T], str]) -> T | None:
        """What the act gives, noted as ok; None when it raised one of our errors, noted as a failure."""
        try:
            value = act()
        except SpecError as error:
            for problem in error.problems:
                self.found(name, Status.FAIL, problem.message, problem.hint)
            return None
        except UploadGone as error:
            self.found(name, Status.FAIL, str(error), "is another program removing uploads under this prefix?")
            return None
        except TablestoreError as error:
            self.found(name, Status.FAIL, str(error))
            return None
        self.found(name, Status.OK, told(value))
        return value


def doctor(arguments: Namespace, session: Session) -> int:
    """Print every check; 1 when one fails."""
    spec = full_export_spec(arguments.spec)
    patient = Patient(spec, full_export(spec, run_date=moment_of(arguments, session, spec.timezone)), session)
    try:
        for check in _examined(patient, writes=arguments.write_probe):
            if not arguments.json:
                _print(check, session)
    finally:
        if patient.client:
            patient.client.close()
    has_failed = any(check.status is Status.FAIL for check in patient.checks)
    if arguments.json:
        told = [{"check": c.name, "status": c.status.value, "told": c.told, "advice": c.advice} for c in patient.checks]
        session.say(json.dumps({"ok": not has_failed, "checks": told}, indent=2, ensure_ascii=False))
    else:
        session.say("A run would fail." if has_failed else "A run can begin.")
    return FAILED if has_failed else OK


def _examined(patient: Patient, *, writes: bool) -> Iterator[Check]:
    """The checks in their order, each as soon as it is made."""
    steps = [_connections, _table, _clock, _rows, _split_points, _columns, _bucket, _place]
    steps += [_probe] if writes else [_no_probe]
    for step in steps:
        before = len(patient.checks)
        step(patient)
        yield from patient.checks[before:]


def _print(check: Check, session: Session) -> None:
    for line in lines([(f"{check.status.value:7}", f"{check.name:18}", check.told)]):
        session.say(line)
    if check.advice and check.status is not Status.OK:
        session.say(f"{'':27}-> {check.advice}")


def _connections(patient: Patient) -> None:
    spec, session = patient.spec, patient.session
    source = patient.tried(
        "source connection",
        lambda: tablestore_endpoint(session.connection(spec.source.connection)),
        lambda at: f"{spec.source.connection}: instance {at.instance} at {at.url}, V{4 if at.region else 2} signatures",
    )
    sink = patient.tried(
        "sink connection",
        lambda: oss_endpoint(session.connection(spec.sink.connection), spec.sink.bucket),
        lambda at: f"{spec.sink.connection}: {at.url}",
    )
    for endpoint in (source, sink):
        if endpoint is not None and _is_open(endpoint.url):
            patient.found(
                "encryption", Status.WARN, f"{endpoint.url} is not encrypted", "write https:// into the connection"
            )
    if source is not None:
        patient.client = Client(source, retry=NO_RETRY)
    if sink is not None:
        patient.store = ObjectStore(sink, spec.sink.bucket)


def _is_open(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1")


def _table(patient: Patient) -> None:
    client, name = patient.client, patient.export.source.table
    if client is None:
        return
    patient.table = patient.tried(
        "table",
        lambda: client.send(describe_table(name)),
        lambda table: f"{name}: key {', '.join(f'{key.name} ({key.type.value})' for key in table.keys)}",
    )
    if patient.table is not None and patient.table.max_versions != 1:
        patient.found(
            "versions",
            Status.OK,
            f"the table keeps {patient.table.max_versions} versions of a cell; the newest is exported",
        )


def _clock(patient: Patient) -> None:
    skew = patient.client.clock_skew() if patient.client else None
    if skew is None:
        return
    seconds = abs(skew.total_seconds())
    side = "behind" if skew > timedelta(0) else "ahead of"
    told = f"this machine's clock is {seconds:.1f} s {side} the service's"
    if seconds < 1:
        told = "this machine's clock agrees with the service's"
    advice = "set this machine's clock, best by NTP; at 15 minutes the service refuses requests"
    if seconds > SKEW_REFUSED.total_seconds():
        patient.found("clock", Status.FAIL, told, advice)
    elif seconds > SKEW_ODD.total_seconds():
        patient.found("clock", Status.WARN, told, advice)
    else:
        patient.found("clock", Status.OK, told)


def _rows(patient: Patient) -> None:
    """The right to read rows, and whether the range and the points fit the key."""
    client, table, source = patient.client, patient.table, patient.export.source
    if client is None or table is None:
        return
    whole = patient.tried("range", lambda: full_range(table, source.begin, source.end), lambda _: "fits the key")
    if whole is None:
        return
    if source.points:
        patient.tried("split points given", lambda: cut_at(table, whole, source.points), lambda _: "fit the key")
    read = RangeRead(table.name, whole.begin, whole.end, whole.is_backward, limit=1)
    patient.tried(
        "reading rows",
        lambda: client.send(get_range(read)),
        lambda page: "allowed" if page.rows else "allowed; the range holds no row now",
    )


def _split_points(patient: Patient) -> None:
    client, table = patient.client, patient.table
    if client is None or table is None:
        return
    try:
        client.send(compute_split_points(table.name, 256 * MEBIBYTE, limit=1))
    except Rejected as error:
        if error.code not in UNSUPPORTED:
            patient.found("split points", Status.FAIL, str(error))
            return
        advice = "grant ots:ComputeSplitPointsBySize to the key's user, or give points with source.split"
        patient.found("split points", Status.WARN, f"one task will read the whole range: {error}", advice)
    except TablestoreError as error:
        patient.found("split points", Status.FAIL, str(error))
    else:
        patient.found("split points", Status.OK, "the service tells where to divide the table")


def _columns(patient: Patient) -> None:
    client, store = patient.client, patient.store
    is_lost = any(
        check.status is Status.FAIL and check.name in ("range", "split points given") for check in patient.checks
    )
    if client is None or store is None or patient.table is None or is_lost:
        return
    pinned = patient.tried(
        "columns",
        lambda: pinned_schema(patient.export, Services(client, store)),
        lambda found: (
            f"{len(found.schema.columns)} columns" + (", others in _other" if found.schema.keeps_others else "")
        ),
    )
    for warning in pinned.warnings if pinned else ():
        patient.found("columns", Status.WARN, warning, "declare the column's type in source.columns")


def _bucket(patient: Patient) -> None:
    store, target = patient.store, patient.export.target
    if store is None:
        return
    is_reached = patient.tried(
        "bucket",
        lambda: [found.key for found, _ in zip(store.list(target.prefix), range(1000), strict=False)],
        lambda keys: (
            f"{target.bucket}: may be listed; {'nothing' if not keys else f'{_many(len(keys))} objects'} "
            f"under {target.prefix}"
        ),
    )
    if is_reached is None:
        patient.store = None


def _many(count: int) -> str:
    return f"{count}" if count < 1000 else "1000 or more"


def _place(patient: Patient) -> None:
    """What stands at the prefix, and whether this pipeline may publish there."""
    store, target = patient.store, patient.export.target
    if store is None:
        return
    standing = patient.tried(
        "earlier export",
        lambda: read_manifest(store, target.prefix),
        lambda found: "none" if found is None else f"run {found.run} of {found.pipeline}, {found.rows:,} rows",
    )
    if standing is not None and standing.pipeline != patient.export.pipeline:
        patient.found(
            "earlier export",
            Status.FAIL,
            f"the prefix belongs to the pipeline '{standing.pipeline}'",
            "give this pipeline a prefix of its own",
        )


def _no_probe(patient: Patient) -> None:
    if patient.store is not None:
        patient.found("writing", Status.SKIPPED, "not tried; --write-probe writes and removes a small object")


def _probe(patient: Patient) -> None:
    """The rights that publishing needs: put without overwriting, get, multipart, delete. All is removed again."""
    store, prefix = patient.store, patient.export.target.prefix
    if store is None:
        return
    key, data = f"{prefix}{PENDING}doctor-{secrets.token_hex(8)}", secrets.token_bytes(32)

    def write() -> None:
        try:
            store.put_if_absent(key, data)
            if store.get(key) != data:
                raise Rejected(f"{store.uri(key)} does not hold what was written", operation="GetObject")
            upload = store.initiate(key)
            store.upload_part(key, upload, 1, data)
            store.abort(key, upload)
        finally:
            store.delete([key])

    patient.tried("writing", write, lambda _: f"objects under {prefix}{PENDING} can be written and removed")
