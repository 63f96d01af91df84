"""What `doctor` examines of a full export: the rows, how they would be divided, and their columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from airflow_tablestore.cli import doctor_common as common
from airflow_tablestore.cli.doctor_status import RecordedPatient, status_checks
from airflow_tablestore.cli.patient import Patient, Status, Step
from airflow_tablestore.cli.session import Session
from airflow_tablestore.consumer.table import cut_at, full_range
from airflow_tablestore.errors import Rejected, TablestoreError
from airflow_tablestore.pipeline.full_export.division import UNSUPPORTED
from airflow_tablestore.pipeline.full_export.export import FullExport, Services, pinned_schema
from airflow_tablestore.spec import FullExportSpec
from airflow_tablestore.spec.build import full_export
from airflow_tablestore.wire.table import MEBIBYTE, RangeRead, compute_split_points, get_range


@dataclass(slots=True, kw_only=True)
class TablePatient(RecordedPatient):
    """A full export."""

    export: FullExport


def examination(
    spec: FullExportSpec, moment: datetime, session: Session, *, writes: bool
) -> tuple[Patient, tuple[Step, ...]]:
    """The export that a run at this moment would be, and its checks."""
    export = full_export(spec, run_date=moment)
    patient = TablePatient(
        session=session,
        source=spec.source.connection,
        sink=spec.sink.connection,
        table_name=export.source.table,
        pipeline=export.pipeline,
        target=export.target,
        project=getattr(spec.sink, "project", None) or "",
        export=export,
        ledger_at=spec.connections().get("status_table", ""),
        ledger_table=export.status_table,
    )
    own = (_versions, _rows, _split_points)
    return patient, (
        *(partial(check, patient) for check in (common.connections, common.table, common.clock)),
        *(partial(check, patient) for check in own),
        *status_checks(patient, writes=writes),
        partial(_columns, patient),
        *(partial(check, patient) for check in common.place_checks(patient, writes=writes)),
    )


def _versions(patient: TablePatient) -> None:
    if patient.table is not None and patient.table.max_versions != 1:
        patient.found(
            "versions",
            Status.OK,
            f"the table keeps {patient.table.max_versions} versions of a cell; the newest is exported",
        )


def _rows(patient: TablePatient) -> None:
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


def _split_points(patient: TablePatient) -> None:
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


def _columns(patient: TablePatient) -> None:
    client, store = patient.client, patient.store or patient.warehouse
    is_lost = any(
        check.status is Status.FAIL and check.name in ("range", "split points given") for check in patient.checks
    )
    if client is None or store is None or patient.table is None or is_lost:
        return
    pinned = patient.tried(
        "columns",
        lambda: pinned_schema(
            replace(patient.export, instance=patient.instance), Services(client, store, patient.ledger_client)
        ),
        lambda found: (
            f"{len(found.schema.columns)} columns" + (", others in _other" if found.schema.keeps_others else "")
        ),
    )
    for warning in pinned.warnings if pinned else ():
        patient.found("columns", Status.WARN, warning, "declare the column's type in source.columns")
