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

from airflow_tablestore.client import Client, Endpoint
from airflow_tablestore.emulator import DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET, DEMO_INSTANCE
from airflow_tablestore.pipeline.formats.parquet import Parquet
from airflow_tablestore.pipeline.target import ObjectTarget
from airflow_tablestore.pipeline.tunnel.channels import published
from airflow_tablestore.pipeline.tunnel.copy_target import TableCopy
from tests.conformance.folder_store import FolderStore
from tests.kills.promises import Told, Verdict, once, same_end

PREFIX = "events/"


@dataclass(frozen=True, slots=True)
class Where:
    """What a worker in another process needs to know: the emulator's Tablestore, and a folder of the run."""

    tablestore: str
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


SINKS = (
    Judged(
        "objects",
        target=lambda: ObjectTarget("backup", PREFIX, Parquet()),
        place=lambda where: FolderStore(Path(where.folder)),
        told=_objects_told,
        promise=once,
    ),
    Judged("table", lambda: TableCopy("copy", creates=True), _client, _copy_told, same_end),
)
