"""What `doctor` examines of an export into a table of MaxCompute: the table, its partitions, the right to load it."""

from __future__ import annotations

from airflow_tablestore.cli.patient import Patient, Status
from airflow_tablestore.pipeline.sinks.arrow_body import empty
from airflow_tablestore.pipeline.table_upload import TableLoad
from airflow_tablestore.pipeline.target import TableTarget
from airflow_tablestore.pipeline.warehouse import TableShape


def _load(patient: Patient) -> TableLoad | None:
    if patient.warehouse is None or not isinstance(patient.target, TableTarget):
        return None
    return TableLoad(patient.warehouse, patient.target)


def target_table(patient: Patient) -> None:
    """Whether the table is there, or may be made, and is partitioned as the spec says."""
    load = _load(patient)
    if load is None:
        return
    name = load.target.table
    patient.tried(
        "target table",
        lambda: _shape(load),
        lambda found: f"{name}: {len(found.columns)} columns" if found else f"{name}: made by the first run",
    )
    if patient.checks[-1].status is Status.FAIL:
        patient.warehouse = None


def _shape(load: TableLoad) -> TableShape | None:
    load.check()
    return load.warehouse.shape(load.target.table)


def no_load_probe(patient: Patient) -> None:
    if patient.warehouse is not None:
        patient.found("loading", Status.SKIPPED, "not tried; --write-probe begins an upload and gives it up")


def load_probe(patient: Patient) -> None:
    """The right to load: a session that gets an empty block and is never committed."""
    load = _load(patient)
    if load is None or load.warehouse.shape(load.target.table) is None:
        return

    def begun() -> None:
        upload = load.warehouse.begin(load.place, replaces=load.target.truncates)
        load.warehouse.put_block(load.place, upload.id, 0, empty)

    patient.tried("loading", begun, lambda _: f"{load.uri} can be loaded; the probe was given up")
