"""What `doctor` examines of an incremental export: the stream, how long it keeps records, and the status table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from airflow_tablestore.cli import doctor_common as common
from airflow_tablestore.cli.doctor_status import RecordedPatient, status_checks
from airflow_tablestore.cli.patient import Patient, Status, Step
from airflow_tablestore.cli.session import Session
from airflow_tablestore.client import Client
from airflow_tablestore.pipeline.incremental.coverage import MARGIN
from airflow_tablestore.pipeline.incremental.history import LOOK_BACK, Fate, history, readable_from, stretches
from airflow_tablestore.pipeline.incremental.ledger import Ledger
from airflow_tablestore.pipeline.incremental.takeover import Meeting, takeover_at
from airflow_tablestore.pipeline.sources.stream import pin_changes
from airflow_tablestore.pipeline.window import EPOCH, Window
from airflow_tablestore.spec import IncrementalSpec
from airflow_tablestore.spec.build import incremental
from airflow_tablestore.spec.values import duration_text
from airflow_tablestore.wire.stream import describe_stream, get_shard_iterator, get_stream_records

SHORT_OUTAGE = timedelta(hours=12)
"""An outage that ends before a person has seen it on the next morning; retention should survive it."""


@dataclass(slots=True, kw_only=True)
class StreamPatient(RecordedPatient):
    """An incremental export."""

    spec: IncrementalSpec
    path: str

    def ledger(self, client: Client) -> Ledger:
        table, source = self.spec.status_table.table, self.spec.source.table
        return Ledger(client, table, self.instance, source, self.pipeline)


def examination(
    spec: IncrementalSpec, path: str, session: Session, *, writes: bool
) -> tuple[Patient, tuple[Step, ...]]:
    """The export and its checks; its place is that of the newest window that is due."""
    newest = spec.grid.last_due(session.now(), spec.window.lag)
    patient = StreamPatient(
        session=session,
        source=spec.source.connection,
        sink=spec.sink.connection,
        table_name=spec.source.table,
        pipeline=spec.pipeline,
        target=incremental(spec, instance="").target(newest),
        project=getattr(spec.sink, "project", None) or "",
        spec=spec,
        path=path,
        ledger_at=spec.connections()["status_table"],
        ledger_table=spec.status_table.table,
    )
    return patient, (
        *(partial(check, patient) for check in (common.connections, common.table, common.clock)),
        *(partial(check, patient) for check in (_stream, _retention, _records)),
        *status_checks(patient, writes=writes),
        *(partial(check, patient) for check in (_windows, _takeover, _columns)),
        *(partial(check, patient) for check in common.place_checks(patient, writes=writes)),
    )


def _stream(patient: StreamPatient) -> None:
    if patient.table is None:
        return
    stream = patient.table.stream
    if stream is None:
        patient.found(
            "stream",
            Status.FAIL,
            f"the stream of table {patient.table_name} is not enabled",
            f"airflow-tablestore stream enable {patient.table_name} --hours 72",
        )
        return
    since = EPOCH + timedelta(microseconds=stream.last_enable_micros)
    patient.found("stream", Status.OK, f"enabled since {since:%Y-%m-%d %H:%M:%S} UTC: {stream.stream_id}")


def _retention(patient: StreamPatient) -> None:
    """Whether a window can be read at all before it is forgotten, and what outage may come between."""
    if patient.table is None or patient.table.stream is None:
        return
    kept = timedelta(hours=patient.table.stream.expiration_hours)
    window = patient.spec.grid.last_due(patient.session.now(), patient.spec.window.lag)
    spare = kept - window.length - patient.spec.window.lag - MARGIN
    advice = f"airflow-tablestore stream enable {patient.table_name} --hours 72"
    if spare <= timedelta(0):
        told = f"records are kept for {duration_text(kept)}, too short for a window of {duration_text(window.length)}"
        patient.found("retention", Status.FAIL, told, f"{advice}, or shorter windows")
        return
    told = f"records are kept for {duration_text(kept)}: an outage of {duration_text(spare)} loses nothing"
    patient.found("retention", Status.WARN if spare < SHORT_OUTAGE else Status.OK, told, advice)


def _records(patient: StreamPatient) -> None:
    """The rights to read shards."""
    client = patient.client
    if client is None or patient.table is None or patient.table.stream is None:
        return
    stream_id = patient.table.stream.stream_id

    def read() -> str:
        shards = client.send(describe_stream(stream_id, limit=1)).shards
        if not shards:
            return "the stream is still being made"
        at = client.send(get_shard_iterator(stream_id, shards[0].id))
        client.send(get_stream_records(at.iterator, 1))
        return "allowed"

    patient.tried("reading changes", read, str)


def _windows(patient: StreamPatient) -> None:
    """Which windows since the start are not exported, and whether any of them is gone."""
    client, ledger_client, now = patient.client, patient.ledger_client, None
    if client is not None:
        now = client.service_time()
    if ledger_client is None or patient.table is None or now is None:
        return
    spec = patient.spec
    begin, end = spec.grid.ceil(spec.starts), spec.grid.last_due(now, spec.window.lag).end
    if begin >= end:
        patient.found("windows", Status.OK, f"the first one begins at {begin.isoformat()}")
        return
    span, readable = Window(begin, end), readable_from(patient.table.stream, now)
    found = patient.tried("windows", lambda: _told(patient.ledger(ledger_client), spec, span, readable), lambda f: f[0])
    if found is None or not found[1]:
        return
    gone = found[1]
    patient.checks.pop()
    patient.found(
        "windows",
        Status.FAIL,
        f"{found[0]}; those of {gone} are gone and will fail",
        f"let 'start' be later, or: airflow-tablestore ledger accept-loss {patient.path} "
        f"--from {gone.start.isoformat()} --to {gone.end.isoformat()} --reason ...",
    )


def _takeover(patient: StreamPatient) -> None:
    """Whether the first window begins where DataX has stopped, when a status table of DataX is there."""
    client, table = patient.ledger_client, patient.table
    if client is None or table is None or table.stream is None:
        return
    spec, stream = patient.spec, table.stream.stream_id
    first = spec.grid.ceil(spec.starts)
    found = patient.tried(
        "DataX",
        lambda: (takeover_at(patient.ledger(client), stream, spec.source.table, first, spec.grid),),
        lambda found: found[0].told if found[0] else "",
    )
    if found is None:
        return
    patient.checks.pop()
    if found[0] is not None:
        is_met = found[0].meeting is Meeting.MEETS
        patient.found("DataX", Status.OK if is_met else Status.WARN, found[0].told)


def _told(ledger: Ledger, spec: IncrementalSpec, span: Window, readable: datetime) -> tuple[str, Window | None]:
    """How many windows there are of each fate, and the first stretch of those that are gone."""
    entries = ledger.windows(max(EPOCH, span.start - LOOK_BACK), span.end)
    found = list(stretches(history(entries, spec.grid, span, readable)))
    counts = {fate: sum(one.windows for one in found if one.fate is fate) for fate in Fate}
    told = ", ".join(f"{count:,} {fate.value}" for fate, count in counts.items() if count)
    gone = next((one.span for one in found if one.fate in (Fate.LOST, Fate.EXPIRED)), None)
    return told, gone


def _columns(patient: StreamPatient) -> None:
    client, ledger_client, table = patient.client, patient.ledger_client, patient.table
    if client is None or ledger_client is None or table is None:
        return
    source = incremental(patient.spec, instance=patient.instance).source
    pinned = patient.tried(
        "columns",
        lambda: pin_changes(client, source, table, patient.ledger(ledger_client).schema()),
        lambda found: f"{len(found.schema.columns)} columns are read",
    )
    for warning in pinned.warnings if pinned else ():
        patient.found("columns", Status.WARN, warning, "declare the column's type in source.columns")
