"""What `doctor` examines of a stream: the tunnel, its channels, what nobody has read, and whose the prefix is."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from airflow_tablestore.cli import doctor_common as common
from airflow_tablestore.cli.patient import Patient, Status, Step
from airflow_tablestore.cli.session import Session
from airflow_tablestore.cli.stream_plan import behind_of, holders, told_of
from airflow_tablestore.client import NO_RETRY, Client
from airflow_tablestore.errors import Problem, Rejected, SpecError, TablestoreError
from airflow_tablestore.pipeline.connections import tablestore_endpoint
from airflow_tablestore.pipeline.target import ObjectTarget, TableTarget
from airflow_tablestore.pipeline.tunnel.channels import claimed_by
from airflow_tablestore.pipeline.tunnel.copy_target import TableCopy
from airflow_tablestore.pipeline.tunnel.table_target import StreamTable
from airflow_tablestore.pipeline.tunnel.tunnels import (
    Looked,
    Wanted,
    ensure_tunnel,
    forgotten,
    look,
    refuse_drift,
    remove_tunnel,
)
from airflow_tablestore.pipeline.tunnel.unread import Found, unread_of
from airflow_tablestore.spec.build_stream import stream, tunnel_of
from airflow_tablestore.spec.kinds.stream import StreamSpec
from airflow_tablestore.spec.values import duration_text
from airflow_tablestore.wire.table import describe_table
from airflow_tablestore.wire.tunnel import TunnelType, list_tunnels

MISSING = "OTSObjectNotExist"

MOST_SEEN = 100
"""Changes that are counted; the rest is "or more"."""


@dataclass(slots=True, kw_only=True)
class TunnelPatient(Patient):
    """A stream. `looked` is its tunnel, once it was found."""

    spec: StreamSpec
    looked: Looked | None = None


def examination(spec: StreamSpec, session: Session, *, writes: bool) -> tuple[Patient, tuple[Step, ...]]:
    """The stream, and its checks."""
    target = stream(spec).target
    patient = TunnelPatient(
        session=session,
        source=spec.source.connection,
        sink=spec.sink.connection,
        table_name=spec.source.table,
        pipeline=spec.pipeline,
        target=_target(target),
        project=getattr(spec.sink, "project", None) or "",
        spec=spec,
    )
    own = (_tunnel, _retention, _channels, _unread, partial(_creating, writes=writes))
    if isinstance(target, TableCopy):
        copied = (partial(_instances, patient, target), partial(common.table, patient), partial(common.clock, patient))
        return patient, (*copied, *(partial(check, patient) for check in own))
    return patient, (
        *(partial(check, patient) for check in (common.connections, common.table, common.clock)),
        *(partial(check, patient) for check in own),
        *(partial(check, patient) for check in common.place_checks(patient, writes=writes)),
        partial(_claim, patient),
    )


def _target(target: ObjectTarget | StreamTable | TableCopy) -> ObjectTarget | TableTarget:
    """The place as other exports have one: of a table the partition that a change of this moment goes into."""
    if isinstance(target, ObjectTarget):
        return target
    if isinstance(target, TableCopy):
        return TableTarget(target.table, creates=target.creates)
    now = round(datetime.now(UTC).timestamp() * 1_000_000)
    return TableTarget(target.table, target.partitions.of(now) or (), creates=target.creates)


def _instances(patient: TunnelPatient, target: TableCopy) -> None:
    """Both connections, where the target is a table of Tablestore too, and that table."""
    session = patient.session
    source, sink = (
        patient.tried(
            f"{name} connection",
            lambda conn=conn: tablestore_endpoint(session.connection(conn)),  # type: ignore[misc]
            lambda at, conn=conn: f"{conn}: instance {at.instance} at {at.url}",  # type: ignore[misc]
        )
        for name, conn in (("source", patient.source), ("sink", patient.sink))
    )
    if source is not None:
        patient.instance = source.instance
        patient.client = Client(source, retry=NO_RETRY)
    if sink is None:
        return
    with Client(sink, retry=NO_RETRY) as client:
        try:
            found = client.send(describe_table(target.table))
        except Rejected as error:
            is_made = target.creates and error.code == MISSING
            advice = "set create_table, or make it" if error.code == MISSING else ""
            told = f"{target.table}: made by the first run" if is_made else str(error)
            patient.found("target table", Status.OK if is_made else Status.FAIL, told, advice)
            return
        except TablestoreError as error:
            patient.found("target table", Status.FAIL, str(error))
            return
    keys = ", ".join(f"{key.name} ({key.type.value})" for key in found.keys)
    patient.found("target table", Status.OK, f"{target.table}: key {keys}")


def _tunnel(patient: TunnelPatient) -> None:
    client, source = patient.client, patient.spec.source
    if client is None or patient.table is None:
        return
    listed = patient.tried(
        "reading tunnels",
        lambda: client.send(list_tunnels(source.table)),
        lambda all_: f"allowed; there are {len(all_)}",
    )
    if listed is None:
        return
    if not any(one.name == source.tunnel for one in listed):
        if source.create_tunnel:
            patient.found("tunnel", Status.OK, f"there is no {source.tunnel}; the first run makes it")
            return
        advice = f"set create_tunnel, or: airflow-tablestore tunnel create {source.table} {source.tunnel}"
        patient.found("tunnel", Status.FAIL, f"table {source.table} has no tunnel {source.tunnel}", advice)
        return

    def stands() -> Looked:
        looked = look(client, source.table, source.tunnel)
        if source.create_tunnel:
            refuse_drift(looked.tunnel, tunnel_of(patient.spec))
        if looked.tunnel.is_expired:
            advice = "delete it and create it again; what it had not told yet is not in the new one"
            raise SpecError([Problem(f"tunnel {source.tunnel} is expired: nobody can read it any more", advice)])
        return looked

    patient.looked = patient.tried("tunnel", stands, lambda its: f"{its.tunnel.type}, {its.tunnel.stage}")


def _retention(patient: TunnelPatient) -> None:
    """Whether what nobody has read will still be there when somebody comes."""
    table = patient.table
    if patient.client is None or table is None or tunnel_of(patient.spec).type is TunnelType.BASE:
        return
    if table.stream is None:
        if patient.looked is None:
            patient.found("stream", Status.OK, "not enabled; making the tunnel enables it")
        return
    kept = timedelta(hours=table.stream.expiration_hours)
    behind = patient.looked.behind_seconds if patient.looked else None
    told = f"changes are kept for {duration_text(kept)}"
    gap = forgotten(patient.looked.description, kept, patient.looked.now) if patient.looked else ""
    if gap:
        patient.found(
            "retention", Status.WARN, gap, "export the table anew, or delete the tunnel and begin with its rows"
        )
        return
    if behind is not None and behind > kept.total_seconds() / 2:
        told = f"{told}, and the tunnel is {duration_text(timedelta(seconds=round(behind)))} behind"
        patient.found("retention", Status.WARN, told, "let a run begin before they are forgotten")
        return
    patient.found("retention", Status.OK, told)


def _channels(patient: TunnelPatient) -> None:
    looked = patient.looked
    if looked is None:
        return
    held = holders(looked)
    by = f"{len(held)} worker(s) hold some" if held else "nobody holds any"
    count = len(looked.description.channels)
    patient.found("channels", Status.OK, f"{count:,}; {by}; behind: {behind_of(looked)}")


def _unread(patient: TunnelPatient) -> None:
    """The right to peek at the stream, which `schedule: on_data` and `continuous` need."""
    client, looked = patient.client, patient.looked
    if client is None or looked is None:
        return
    unread = patient.tried("unread", lambda: unread_of(client, looked, most=MOST_SEEN), told_of)
    if unread is not None and unread.found is Found.UNKNOWN:
        patient.checks.pop()
        advice = "grant the key's user DescribeStream, GetShardIterator and GetStreamRecord"
        patient.found("unread", Status.WARN, f"{unread.told} Runs then look every ten minutes.", advice)


def _creating(patient: TunnelPatient, *, writes: bool) -> None:
    """The right to make the tunnel: one of another name is made and deleted again."""
    client, source = patient.client, patient.spec.source
    if client is None or patient.table is None or patient.looked is not None or not source.create_tunnel:
        return
    if not writes or patient.table.stream is None:
        why = "--write-probe makes and deletes one" if not writes else "it would enable the table's stream"
        patient.found("making tunnels", Status.SKIPPED, f"not tried; {why}")
        return
    name = f"doctor-{secrets.token_hex(4)}"

    def made() -> None:
        ensure_tunnel(client, Wanted(source.table, name))
        remove_tunnel(client, source.table, name)

    patient.tried("making tunnels", made, lambda _: "allowed; the probe is deleted")


def _claim(patient: TunnelPatient) -> None:
    """Whose the prefix is."""
    store, target = patient.store, patient.target
    if store is None or not isinstance(target, ObjectTarget):
        return
    owner = patient.tried(
        "claim",
        lambda: claimed_by(store, target.prefix),
        lambda found: f"{target.prefix} is claimed by '{found}'" if found else f"{target.prefix} is nobody's yet",
    )
    if owner is not None and owner != patient.pipeline:
        patient.checks.pop()
        told = f"{target.prefix} holds the stream of pipeline '{owner}'"
        patient.found("claim", Status.FAIL, told, f"give '{patient.pipeline}' a prefix of its own")
