"""A snapshot to be killed, and a fold to be measured, each in a process of its own: python -m … WHAT FOLDER …

`killed FOLDER COUNT`: in FOLDER/n1 … are copies of one store; the n-th snapshot ends by SIGKILL before its n-th change.
`measured FOLDER ROWS BUCKET`: folds a base of so many rows and as many changes; tells the rows and the peak of memory.
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow_tablestore.pipeline.boundaries import Boundary, micros_of
from airflow_tablestore.pipeline.contract import Column, Limits, Schema
from airflow_tablestore.pipeline.fold.chain import chain
from airflow_tablestore.pipeline.fold.moment import PointInTime
from airflow_tablestore.pipeline.fold.rows import FoldedRows, materials
from airflow_tablestore.pipeline.formats.csv import Csv
from airflow_tablestore.pipeline.layout import MANIFEST, SUCCESS
from airflow_tablestore.pipeline.manifest import Manifest, OutputColumn, PublishedObject, PublishedWindow
from airflow_tablestore.pipeline.markers import success_of
from airflow_tablestore.pipeline.snapshot.snapshot import Snapshot, SnapshotServices, run
from airflow_tablestore.pipeline.sources.changes import CELL_COLUMNS, SEQUENCE_COLUMN
from airflow_tablestore.pipeline.store import crc64_of
from airflow_tablestore.pipeline.target import ObjectTarget
from airflow_tablestore.pipeline.window import Window
from airflow_tablestore.wire.row import ColumnType, SequenceInfo
from tests.conformance.folder_store import FolderStore
from tests.integration.exporting import Doomed

START = datetime(2026, 11, 20, 8, tzinfo=UTC)
FIVE = timedelta(minutes=5)
PREFIX = "base/snap/"
KEY, ATTRIBUTE = Column("id", ColumnType.INTEGER, is_key=True), Column("text", ColumnType.STRING)


def moment(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def put_published(store: Any, prefix: str, manifest: Manifest) -> None:
    store.put(prefix + MANIFEST, manifest.to_bytes())
    store.put(prefix + SUCCESS, success_of(manifest))


def put_objects(store: Any, prefix: str, run: str, rows: list[bytes]) -> tuple[PublishedObject, ...]:
    listed = []
    parts = [rows[at : at + 5000] for at in range(0, len(rows), 5000)]
    for number, part in enumerate(parts):
        data, key = b"".join(part), f"{prefix}o-{number:05d}-00-0000.csv"
        store.put(key, data)
        listed.append(PublishedObject(key, len(part), len(data), crc64_of(data), run))
    return tuple(listed)


def put_base(store: Any, rows: list[bytes], *, prefix: str = "base/full/", at: float = 1, **other: Any) -> Manifest:
    """A full export of rows `id,text`, read at that minute."""
    columns = (OutputColumn("id", "integer", "id"), OutputColumn("text", "string", "text"))
    facts: dict[str, Any] = {
        "pipeline": "full",
        "run": "f",
        "claim": 1,
        "table": "t",
        "begin": (),
        "end": (),
        "schema": Schema((KEY, ATTRIBUTE)),
        "columns": columns,
        "format": Csv(header=False).describe(),
        "objects": put_objects(store, prefix, "f", rows),
        "read": (moment(at), moment(at)),
    }
    made = Manifest(**(facts | other))
    put_published(store, prefix, made)
    return made


def put_window(
    store: Any,
    number: int,
    rows: list[bytes],
    *,
    names: tuple[str, ...] = (*CELL_COLUMNS, SEQUENCE_COLUMN),
    **other: Any,
) -> Manifest:
    """The window that begins so many times five minutes after the start; `other` goes to its entry."""
    prefix, key = f"changes/{number}/", f"w{number}"
    window = Window(START + number * FIVE, START + (number + 1) * FIVE)
    sides = [Boundary("s", micros_of(at), {}) for at in (window.start, window.end)]
    facts: dict[str, Any] = {"stream_id": "s", "begin": sides[0], "end": sides[1], "dirty": 0, "loss": None}
    entry = PublishedWindow(run=key, window=window, **(facts | {k: v for k, v in other.items() if k in facts}))
    types = {"version": "integer"}
    made = Manifest(
        pipeline=other.get("pipeline", "changes"),
        run=key,
        claim=1,
        table=other.get("table", "t"),
        begin=(),
        end=(),
        schema=Schema((KEY,)),
        columns=(OutputColumn("id", "integer", "id"), *(OutputColumn(n, types.get(n, "string"), None) for n in names)),
        format=Csv(header=False).describe(),
        objects=put_objects(store, prefix, key, rows),
        windows=(entry,),
    )
    put_published(store, prefix, made)
    return made


def changed(id_: int, text: str, minutes: float) -> bytes:
    """A cell that was put at that minute."""
    micros = micros_of(moment(minutes)) + id_
    place = SequenceInfo(0, micros, 0)
    sequence = f"{place.epoch:010d}_{place.timestamp:020d}_{place.row_index:010d}_shard:0000000000"
    return f"{id_},text,{micros // 1000},{text},U,{sequence}\n".encode()


def put_small_history(store: Any) -> None:
    """A base of ten rows, and three windows in each of which one of them is changed."""
    put_base(store, [f"{n},base\n".encode() for n in range(10)])
    for number in range(3):
        put_window(store, number, [changed(number, f"w{number}", number * 5 + 2)])


def snapshot(minutes: float, prefix: str = PREFIX) -> Snapshot:
    target = ObjectTarget("fake", prefix, Csv(header=False))
    return Snapshot("snap", PointInTime("base/", "changes/", moment(minutes), prefix), target, Limits(threads=1))


def killed(folder: Path, count: int) -> None:
    for nth in range(1, count + 1):  # each is a process of its own, which has nothing to import any more
        child = os.fork()
        if not child:
            store: Any = Doomed(FolderStore(folder / f"n{nth}"), nth, signal.SIGKILL)
            run(snapshot(10), SnapshotServices(store, store), run="r2")
            os._exit(0)
        print(os.WTERMSIG(os.waitpid(child, 0)[1]), flush=True)


def measured(folder: Path, rows: int, bucket_bytes: int) -> None:
    store = FolderStore(folder / "store")
    child = os.fork()
    if not child:  # what it takes to make the objects is not what is measured
        put_base(store, [f"{n},{n:0100d}\n".encode() for n in range(rows)])
        put_window(store, 0, [changed(n, f"{n:0100d}", 2) for n in range(rows // 2)])
        os._exit(0)
    os.waitpid(child, 0)
    found = materials(store, chain(store, PointInTime("base/", "changes/", moment(5))))
    folded = FoldedRows(store, found, lambda key, reason: None, folder, bucket_bytes=bucket_bytes)
    count = sum(1 for _ in folded)
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(count, int(peak.split()[1]) // 1024)


if __name__ == "__main__":
    {"killed": killed, "measured": measured}[sys.argv[1]](Path(sys.argv[2]), *map(int, sys.argv[3:]))
