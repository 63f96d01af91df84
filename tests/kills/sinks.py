"""The sinks that are judged. One joins by an entry in `SINKS`: where it writes, how it is read, what it promises."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import tablestore as sdk
from odps import ODPS

from airflow_tablestore.client import Client, Endpoint
from airflow_tablestore.emulator import DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET, DEMO_INSTANCE, DEMO_PROJECT
from airflow_tablestore.pipeline.formats.parquet import Parquet
from airflow_tablestore.pipeline.sinks.maxcompute import MaxCompute, MaxComputeEndpoint
from airflow_tablestore.pipeline.target import ObjectTarget
from airflow_tablestore.pipeline.tunnel.channels import published
from airflow_tablestore.pipeline.tunnel.copy_target import TableCopy
from airflow_tablestore.pipeline.tunnel.table_target import Partitions, Pick, StreamTable, TableMode
from airflow_tablestore.wire.row import ColumnType
from tests.conformance.folder_store import FolderStore
from tests.kills.promises import Told, Verdict, at_least_once, once, same_end

PREFIX = "events/"


@dataclass(frozen=True, slots=True)
class Where:
    """What a worker in another process needs to know: the emulator's services, and a folder of the run."""

    tablestore: str
    maxcompute: str
    folder: str


@dataclass(frozen=True, slots=True)
class Judged:
    """A sink under kills.

    :param target: what a drain is told of it.
    :param place: opens it, in the worker's process.
    :param told: what a reader finds, each channel's records in the order in which the sink tells them.
    :param promise: compares that with the writer's journal.
    """

    name: str
    target: Callable[[], Any]
    place: Callable[[Where], Any]
    told: Callable[[Where], Iterable[Told]]
    promise: Callable[[dict[int, int], Sequence[Told]], Verdict]


def _objects_told(where: Where) -> Iterable[Told]:
    store = FolderStore(Path(where.folder))
    for entry in published(store, PREFIX):
        data = store.get(entry.key)
        assert data is not None, f"{entry.key} is listed and not there"
        rows = pq.read_table(io.BytesIO(data)).to_pylist()
        assert len(rows) == entry.rows, entry.key
        for row in rows:
            yield Told(row["id"], json.loads(row["cells"])[0]["value"], row["sequence"], entry.channel)


def _client(where: Where) -> Client:
    return Client(Endpoint(where.tablestore, DEMO_INSTANCE, DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET))


def _copy_told(where: Where) -> Iterable[Told]:
    client = sdk.OTSClient(where.tablestore, DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET, DEMO_INSTANCE)
    begin: Any = [("id", sdk.INF_MIN)]
    while begin:
        _, begin, rows, _ = client.get_range("copy", "FORWARD", begin, [("id", sdk.INF_MAX)], None, 5000, max_version=1)
        for row in rows:
            yield Told(row.primary_key[0][1], row.attribute_columns[0][1])


WHOLE = (Pick("id", "id"), Pick("v", "v", ColumnType.INTEGER), Pick("w", "w", ColumnType.INTEGER))


def _streamed() -> StreamTable:
    by_minute = Partitions(None, lambda moment: (("pt", f"{moment:%H%M}"),))
    return StreamTable("streamed", TableMode.STREAM, by_minute, creates=True)


def _upserted() -> StreamTable:
    return StreamTable("upserted", TableMode.UPSERT, columns=WHOLE, creates=True)


def _warehouse(where: Where) -> MaxCompute:
    return MaxCompute(MaxComputeEndpoint(where.maxcompute, DEMO_PROJECT, DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET))


def _rows(where: Where, name: str) -> Iterable[dict[str, Any]]:
    odps = ODPS(DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET, project=DEMO_PROJECT, endpoint=where.maxcompute)
    table = odps.get_table(name)
    columns = [column.name for column in table.table_schema.columns]
    for place in [str(one) for one in table.partitions] if table.table_schema.partitions else [None]:
        with table.open_reader(partition=place) as reader:
            for record in reader:
                yield dict(zip(columns, record.values, strict=True))


def _streamed_told(where: Where) -> Iterable[Told]:
    for row in _rows(where, "streamed"):
        yield Told(row["id"], json.loads(row["cells"])[0]["value"], row["sequence"])


def _upserted_told(where: Where) -> Iterable[Told]:
    for row in _rows(where, "upserted"):
        assert row["w"] == last_put(row["v"]), f"half a row: {row}"
        yield Told(row["id"], row["v"])


def last_put(version: int) -> int:
    """The version that wrote a whole row: every third one is an update of `v` alone, and leaves `w` as it was."""
    return version - (version % 3 == 0)


SINKS = (
    Judged(
        "objects",
        target=lambda: ObjectTarget("backup", PREFIX, Parquet()),
        place=lambda where: FolderStore(Path(where.folder)),
        told=_objects_told,
        promise=once,
    ),
    Judged("table", lambda: TableCopy("copy", creates=True), _client, _copy_told, same_end),
    Judged("streamed", _streamed, _warehouse, _streamed_told, at_least_once),
    Judged("upserted", _upserted, _warehouse, _upserted_told, same_end),
)
