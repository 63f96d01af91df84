"""What `doctor` examines of every export: connections, table, clock, bucket, and the place of the objects."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import urlsplit

from airflow_tablestore.cli.patient import Patient, Status
from airflow_tablestore.client import NO_RETRY, Client
from airflow_tablestore.errors import Rejected
from airflow_tablestore.pipeline.connections import maxcompute_endpoint, oss_endpoint, tablestore_endpoint
from airflow_tablestore.pipeline.layout import PENDING
from airflow_tablestore.pipeline.manifest import read_manifest
from airflow_tablestore.pipeline.sinks.oss import ObjectStore
from airflow_tablestore.pipeline.target import ObjectTarget, TableTarget
from airflow_tablestore.wire.table import describe_table

SKEW_ODD, SKEW_REFUSED = timedelta(seconds=30), timedelta(minutes=15)
"""The service refuses requests whose date is more than 15 minutes off. Source: Tablestore documentation, x-ots-date."""


def place_checks(patient: Patient, *, writes: bool) -> tuple[Callable[[Patient], None], ...]:
    """What comes last: the bucket or the table, what stands at the place, and the rights to write there."""
    if isinstance(patient.target, TableTarget):
        from airflow_tablestore.cli.doctor_warehouse import load_probe, no_load_probe, target_table

        return target_table, load_probe if writes else no_load_probe
    return bucket, place, probe if writes else no_probe


def connections(patient: Patient) -> None:
    session = patient.session
    source = patient.tried(
        "source connection",
        lambda: tablestore_endpoint(session.connection(patient.source)),
        lambda at: f"{patient.source}: instance {at.instance} at {at.url}, V{4 if at.region else 2} signatures",
    )
    sink_url = _warehouse_url(patient) if isinstance(patient.target, TableTarget) else _bucket_url(patient)
    for url in (source.url if source else None, sink_url):
        if url is not None and _is_open(url):
            patient.found("encryption", Status.WARN, f"{url} is not encrypted", "write https:// into the connection")
    if source is not None:
        patient.instance = source.instance
        patient.client = Client(source, retry=NO_RETRY)


def _bucket_url(patient: Patient) -> str | None:
    name = _objects(patient).bucket
    sink = patient.tried(
        "sink connection",
        lambda: oss_endpoint(patient.session.connection(patient.sink), name),
        lambda at: f"{patient.sink}: {at.url}",
    )
    if sink is None:
        return None
    patient.store = ObjectStore(sink, name)
    return sink.url


def _warehouse_url(patient: Patient) -> str | None:
    from airflow_tablestore.pipeline.sinks.maxcompute import MaxCompute

    sink = patient.tried(
        "sink connection",
        lambda: maxcompute_endpoint(patient.session.connection(patient.sink), patient.project),
        lambda at: f"{patient.sink}: project {at.project} at {at.url}",
    )
    if sink is None:
        return None
    patient.warehouse = MaxCompute(sink, is_patient=False)
    return sink.url


def _objects(patient: Patient) -> ObjectTarget:
    if not isinstance(patient.target, ObjectTarget):
        raise TypeError("this check is about objects")
    return patient.target


def _is_open(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1")


def table(patient: Patient) -> None:
    client, name = patient.client, patient.table_name
    if client is None:
        return
    patient.table = patient.tried(
        "table",
        lambda: client.send(describe_table(name)),
        lambda table: f"{name}: key {', '.join(f'{key.name} ({key.type.value})' for key in table.keys)}",
    )


def clock(patient: Patient) -> None:
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


def bucket(patient: Patient) -> None:
    store, target = patient.store, _objects(patient)
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


def place(patient: Patient) -> None:
    """What stands at the prefix, and whether this pipeline may publish there."""
    store, target = patient.store, _objects(patient)
    if store is None:
        return
    standing = patient.tried(
        "earlier export",
        lambda: read_manifest(store, target.prefix),
        lambda found: "none" if found is None else f"run {found.run} of {found.pipeline}, {found.rows:,} rows",
    )
    if standing is not None and standing.pipeline != patient.pipeline:
        patient.found(
            "earlier export",
            Status.FAIL,
            f"the prefix belongs to the pipeline '{standing.pipeline}'",
            "give this pipeline a prefix of its own",
        )


def no_probe(patient: Patient) -> None:
    if patient.store is not None:
        patient.found("writing", Status.SKIPPED, "not tried; --write-probe writes and removes a small object")


def probe(patient: Patient) -> None:
    """The rights that publishing needs: put without overwriting, get, multipart, delete. All is removed again."""
    store, prefix = patient.store, _objects(patient).prefix
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
