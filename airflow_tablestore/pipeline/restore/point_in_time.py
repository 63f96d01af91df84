"""A table as it was at a moment: a full export and the changes after it, folded, written, and read back.

As every restore it is repeatable: done again it writes the same rows. At its end the table is read once and compared
with the fold by count and checksum, so rows that something else has left there are found too.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from airflow_tablestore.consumer.table import Sender, full_range, pages
from airflow_tablestore.errors import ProtocolError, SpecError
from airflow_tablestore.pipeline.contract import Progress, Quiet
from airflow_tablestore.pipeline.dirty import DirtyRecords
from airflow_tablestore.pipeline.fold.anew import begun_anew_by_the_next_attempt
from airflow_tablestore.pipeline.fold.chain import chain
from airflow_tablestore.pipeline.fold.moment import PointInTime
from airflow_tablestore.pipeline.fold.rows import FoldedRows, Materials, materials
from airflow_tablestore.pipeline.restore.job import Restore
from airflow_tablestore.pipeline.restore.restore import RestoreServices
from airflow_tablestore.pipeline.run import stopped_by
from airflow_tablestore.pipeline.sinks.tablestore import RowWriter, make_table, target_keys
from airflow_tablestore.pipeline.throttle import Throttle
from airflow_tablestore.pipeline.verify.checksums import Tally, fingerprint
from airflow_tablestore.wire.plainbuffer import decode_rows
from airflow_tablestore.wire.row import Row
from airflow_tablestore.wire.table import RangeRead, describe_table


@dataclass(frozen=True, slots=True)
class PointPlan:
    """What a restore to a moment will do. `is_new`: the table is not there yet."""

    materials: Materials
    is_new: bool


@dataclass(frozen=True, slots=True)
class PointReport:
    """What it did, in numbers. `run` is that of the full export, `checksum` that of the rows, "" when not compared."""

    pipeline: str
    table: str
    to: str
    run: str
    windows: int
    changes: int
    rows: int
    written: int
    dirty: int
    objects: int
    bytes_read: int
    seconds: float
    checksum: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"seconds": round(self.seconds, 3)}


def survey(restore: Restore, services: RestoreServices) -> PointPlan:
    """What would be done, with everything looked at that can be. Changes nothing.

    :raises SpecError: no export, a hole between windows, or a table that the rows do not fit.
    :raises ProtocolError: objects are missing, cut or others than their manifests list.
    """
    found = materials(services.store, chain(services.store, _moment(restore)))
    _, is_there = target_keys(services.client, restore.target, found.keys)
    return PointPlan(found, not is_there)


def run(restore: Restore, services: RestoreServices, *, progress: Progress | None = None) -> PointReport:
    """Write the rows of the moment and compare the table with them.

    :raises ProtocolError: the table is not what was written: something else has written into it.
    """
    began, planned = time.monotonic(), survey(restore, services)
    if planned.is_new:
        make_table(services.client, restore.target, planned.materials.keys)
    tally, dirty = Tally(), DirtyRecords(restore.limits.errors)
    told, found = progress or Quiet(), planned.materials
    told.expect(found.bytes)
    with begun_anew_by_the_next_attempt():
        folded, writer = _written(restore, services, found, tally, dirty, told)
    checksum = ""
    if not writer.dirty:
        _compare(tally, services.client, restore.target.table)
        checksum = f"{tally.sum:032x}"
    return PointReport(
        pipeline=restore.pipeline,
        table=restore.target.table,
        to=found.chain.to.isoformat(),
        run=found.base.run,
        windows=len(found.changes),
        changes=folded.changes,
        rows=tally.rows,
        written=writer.written,
        dirty=writer.dirty + folded.dirty,
        objects=len(found.base.objects) + sum(len(own) for _, own in found.changes),
        bytes_read=found.bytes,
        seconds=time.monotonic() - began,
        checksum=checksum,
    )


def _moment(restore: Restore) -> PointInTime:
    if not isinstance(restore.source, PointInTime):
        raise SpecError("This restore names no moment: write to: and source.changes.")
    return restore.source


def _written(
    restore: Restore, services: RestoreServices, found: Materials, tally: Tally, dirty: DirtyRecords, told: Progress
) -> tuple[FoldedRows, RowWriter]:
    stop = threading.Event()
    throttle = Throttle(restore.limits, sleep=stop.wait)
    client, store = stopped_by(stop, services.client), stopped_by(stop, services.store)
    writer = RowWriter(
        client, restore.target, dirty.add, in_flight=restore.limits.threads, paced=throttle.took, stop=stop
    )
    try:
        with tempfile.TemporaryDirectory(prefix="tablestore-restore-") as folder:
            folded = FoldedRows(store, found, dirty.add, Path(folder), lambda size: told.advance(0, size))
            for row in folded:
                writer.write(row)
                tally.add(_mark(row))
                told.advance(1, 0)
        writer.finish()
    except BaseException:  # also Ctrl-C: rows on their way land, no further ones are sent
        writer.abort()
        raise
    return folded, writer


def _mark(row: Row) -> bytes:
    return fingerprint(row.key, {cell.name: cell.value for cell in row.cells if cell.value is not None})


def _compare(expected: Tally, client: Sender, table: str) -> None:
    """:raises ProtocolError: the table holds other rows than were written."""
    found = Tally()
    for row in _rows_of(client, table):
        found.add(_mark(row))
    if found != expected:
        what = f"{found.rows} rows instead of {expected.rows}" if found.rows != expected.rows else "other values"
        raise ProtocolError(
            f"Table {table} holds {what} than the export and the changes give: it was not empty before, or something "
            "else writes into it. Restore into a table of its own."
        )


def _rows_of(client: Sender, table: str) -> Iterator[Row]:
    """All rows; one that is wider than a page comes as a whole."""
    whole = full_range(client.send(describe_table(table)))
    held: Row | None = None
    for page in pages(client, RangeRead(table, whole.begin, whole.end)):
        for row in decode_rows(page.rows):
            if held is not None and held.key == row.key:
                held = Row(row.key, (*held.cells, *row.cells))
                continue
            if held is not None:
                yield held
            held = row
    if held is not None:
        yield held
