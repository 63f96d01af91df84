"""What `doctor` examines of the status table: its connection, its key, and whether its rows can be read and written."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from airflow_tablestore.cli.patient import Patient, Status, Step
from airflow_tablestore.client import NO_RETRY, Client
from airflow_tablestore.errors import Rejected
from airflow_tablestore.pipeline.connections import tablestore_endpoint
from airflow_tablestore.pipeline.loads import Loads
from airflow_tablestore.pipeline.status_table import KEYS, StatusTable
from airflow_tablestore.wire.table import describe_table

MISSING = "OTSObjectNotExist"


@dataclass(slots=True, kw_only=True)
class RecordedPatient(Patient):
    """A pipeline that keeps records. `ledger_client` is the source's own client when they are in its instance.

    `ledger_at` is the connection that leads to them; empty when there are none.
    """

    ledger_at: str = ""
    ledger_table: str = ""
    ledger_client: Client | None = None

    def close(self) -> None:
        if self.ledger_client is not None and self.ledger_client is not self.client:
            self.ledger_client.close()
        Patient.close(self)


def status_checks(patient: RecordedPatient, *, writes: bool) -> tuple[Step, ...]:
    """The checks, in order; none when the pipeline keeps no records."""
    if not patient.ledger_at:
        return ()
    return partial(_connection, patient), partial(_table, patient), partial(_write, patient, writes=writes)


def _connection(patient: RecordedPatient) -> None:
    named = patient.ledger_at
    if named == patient.source:
        patient.ledger_client = patient.client
        return
    at = patient.tried(
        "status connection",
        lambda: tablestore_endpoint(patient.session.connection(named)),
        lambda at: f"{named}: instance {at.instance} at {at.url}",
    )
    if at is not None:
        patient.ledger_client = Client(at, retry=NO_RETRY)


def _table(patient: RecordedPatient) -> None:
    """Whether the table is one that records can be kept in, and its rows can be read."""
    client, name = patient.ledger_client, patient.ledger_table
    if client is None:
        return
    try:
        found = client.send(describe_table(name))
    except Rejected as error:
        if error.code == MISSING:
            patient.found("status table", Status.OK, f"{name} does not exist; the first run makes it")
        else:
            patient.found("status table", Status.FAIL, str(error), "grant the key's user rights to this table")
            patient.ledger_client = None
        return
    if found.keys != KEYS:
        keys = ", ".join(f"{key.name} ({key.type.value})" for key in found.keys)
        patient.found("status table", Status.FAIL, f"{name} is another table: its key is {keys}", "name another table")
        patient.ledger_client = None
        return
    loads = Loads(client, name, patient.instance, patient.table_name, patient.pipeline)
    known = patient.tried("status table", loads.schema, lambda _: f"{name} can be read")
    if known is None and patient.checks[-1].status is Status.FAIL:
        patient.ledger_client = None


def _write(patient: RecordedPatient, *, writes: bool) -> None:
    client, name = patient.ledger_client, patient.ledger_table
    if client is None:
        return
    if not writes:
        patient.found("status writing", Status.SKIPPED, "not tried; --write-probe writes a small row of its own")
        return
    table = StatusTable(client, name)
    patient.tried(
        "status writing",
        lambda: table.put("airflow/doctor", "AirflowProbe", "0", {"pipeline": patient.pipeline}),
        lambda _: f"rows of {name} can be written; the probe's own stays",
    )
