"""Every sink against the pack."""

from __future__ import annotations

import csv
import io
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_tablestore.emulator.maxcompute.beside import rows_of
from airflow_tablestore.pipeline.contract import Format, Limits
from airflow_tablestore.pipeline.formats.csv import Csv
from airflow_tablestore.pipeline.formats.parquet import Parquet
from airflow_tablestore.pipeline.full_export.export import FullExport, Services, export_split, plan, publish
from airflow_tablestore.pipeline.full_export.plan import Plan, SplitReport
from airflow_tablestore.pipeline.manifest import read_manifest
from airflow_tablestore.pipeline.selection import TableSelection, Unknown
from airflow_tablestore.pipeline.store import Store
from airflow_tablestore.pipeline.target import ObjectTarget, TableTarget, WriteMode
from airflow_tablestore.wire.row import ColumnType
from tests.conformance.folder_store import FolderStore
from tests.conformance.memory_stream import MemoryStream
from tests.conformance.memory_table import MemoryTable, row
from tests.conformance.sink_pack import CLAIMS, Begun, Given, Sink
from tests.integration.loading import warehouse

PREFIX = "pack/"
DEFINED = (("n", ColumnType.INTEGER), ("text", ColumnType.STRING))


@dataclass
class BegunExport:
    """A full export whose splits are written."""

    export: FullExport
    services: Services
    planned: Plan
    attempt: int = 0
    published: int = 0
    reports: list[SplitReport] = field(default_factory=list)

    def again(self) -> None:
        self.attempt += 1
        splits = self.planned.splits
        self.reports = [
            export_split(self.export, self.services, self.planned.head, split, attempt=self.attempt) for split in splits
        ]

    def publish(self) -> Any:
        self.published += 1
        report = publish(self.export, self.services, self.planned.head, self.reports, attempt=self.published)
        return report.rows, report.dirty, report.samples


@dataclass
class Exported:
    """A sink of full exports.

    :param target: by whether rows are added.
    :param read: what a reader finds.
    """

    place: Any
    target: Callable[[bool], ObjectTarget | TableTarget]
    read: Callable[[], list[Given]]
    ledger: MemoryStream = field(default_factory=lambda: MemoryStream(now=datetime(2026, 11, 21, tzinfo=UTC)))

    def begin(self, rows: Sequence[Given], run: str, *, adds: bool = False, errors: int = 0) -> Begun:
        source = TableSelection("t", tasks=2, unknown=Unknown.DROP)
        limits = Limits(threads=1, errors=errors)
        export = FullExport("pack", source, self.target(adds), limits, "demo", "status")
        made = [row((("id", key),), n=number, text=text) for key, number, text in rows]
        table = MemoryTable(made, defined=DEFINED, points=[(("id", 5),)], page_rows=10)
        services = Services(table, self.place, self.ledger)
        begun = BegunExport(export, services, plan(export, services, run=run, attempts=3))
        begun.again()
        return begun

    def rows(self) -> list[Given]:
        return sorted(self.read())


def objects(store: Store, format: Format, parse: Callable[[bytes], list[Given]]) -> Exported:
    """Objects, as a reader takes them: those that the manifest lists."""

    def target(adds: bool) -> ObjectTarget:
        return ObjectTarget("fake", PREFIX, format, WriteMode.APPEND if adds else WriteMode.TRUNCATE)

    def read() -> list[Given]:
        manifest = read_manifest(store, PREFIX)
        return [one for listed in (manifest.objects if manifest else ()) for one in parse(store.get(listed.key) or b"")]

    return Exported(store, target, read)


def of_csv(data: bytes) -> list[Given]:
    return [(int(key), int(number), text) for key, number, text in csv.reader(io.StringIO(data.decode()))]


def of_parquet(data: bytes) -> list[Given]:
    return [(one["id"], one["n"], one["text"]) for one in pq.read_table(pa.BufferReader(data)).to_pylist()]


def a_table(emulator: Any, **settings: Any) -> Exported:
    """A table of MaxCompute, read beside the network."""
    at, name = emulator.maxcompute, f"pack_{uuid.uuid4().hex[:12]}"
    store = emulator.maxcompute_store()
    place = warehouse(at.endpoint, at.project)
    whole = TableTarget(name, creates=True, **settings)

    def read() -> list[Given]:
        if place.shape(name) is None:
            return []
        return [(one["id"], one["n"], one["text"]) for one in rows_of(store, at.project, name, None)]

    return Exported(place, lambda adds: replace(whole, truncates=not adds), read)


SINKS: dict[str, Callable[[Path, Callable[[], Any]], Sink]] = {
    "oss, csv": lambda folder, emulator: objects(FolderStore(folder), Csv(header=False), of_csv),
    "oss, parquet": lambda folder, emulator: objects(FolderStore(folder), Parquet(), of_parquet),
    "maxcompute": lambda folder, emulator: a_table(emulator()),
    "maxcompute, partition": lambda folder, emulator: a_table(emulator(), partition=(("pt", "1"), ("hm", "2"))),
}


@pytest.fixture(params=SINKS)
def sink(request: pytest.FixtureRequest, tmp_path: Path) -> Sink:
    return SINKS[request.param](tmp_path, lambda: request.getfixturevalue("emulator"))


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.__name__)
def test_sink(sink: Sink, claim: Any) -> None:
    claim(sink)
