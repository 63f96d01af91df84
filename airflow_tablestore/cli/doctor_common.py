"""What `doctor` examines of every export: connections, table, clock, bucket, and the place of the objects."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import urlsplit

from airflow_tablestore.cli.patient import Patient, Status
from airflow_tablestore.client import NO_RETRY, Client
from airflow_tablestore.errors import Rejected
from airflow_tablestore.pipeline.connections import oss_endpoint, tablestore_endpoint
from airflow_tablestore.pipeline.layout import PENDING
from airflow_tablestore.pipeline.manifest import read_manifest
from airflow_tablestore.pipeline.sinks.oss import ObjectStore
from airflow_tablestore.wire.table import describe_table

SKEW_ODD, SKEW_REFUSED = timedelta(seconds=30), timedelta(minutes=15)
"""The service refuses requests whose date is more than 15 minutes off. Source: Tablestore documentation, x-ots-date."""


def place_checks(*, writes: bool) -> tuple[Callable[[Patient], None], ...]:
    """What comes last: the bucket, what stands at the place, and the rights to write there."""
    return bucket, place, probe if writes else no_probe


def connections(patient: Patient) -> None:
    session = patient.session
    source = patient.tried(
        "source connection",
        lambda: tablestore_endpoint(session.connection(patient.source)),
        lambda at: f"{patient.source}: instance {at.instance} at {at.url}, V{4 if at.region else 2} signatures",
    )
    sink = patient.tried(
        "sink connection",
        lambda: oss_endpoint(session.connection(patient.sink), patient.target.bucket),
        lambda at: f"{patient.sink}: {at.url}",
    )
    for endpoint in (source, sink):
        if endpoint is not None and _is_open(endpoint.url):
            patient.found(
                "encryption", Status.WARN, f"{endpoint.url} is not encrypted", "write https:// into the connection"
            )
    if source is not None:
        patient.instance = source.instance
        patient.client = Client(source, retry=NO_RETRY)
    if sink is not None:
        patient.store = ObjectStore(sink, patient.target.bucket)


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
    store, target = patient.store, patient.target
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
    store, target = patient.store, patient.target
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
    store, prefix = patient.store, patient.target.prefix
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
