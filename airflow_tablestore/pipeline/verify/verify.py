"""A table beside a full export of it that is published in a bucket, or loaded into a warehouse's table.

Both sides are read once and every row counts to a key range, whose rows are told by their number and a checksum. Ranges
that differ are read again and compared key by key. So nothing that grows with the table is held in memory, and reading
twice is paid for what differs alone. The table is compared as it is now: what was written since the export differs.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from airflow_tablestore.pipeline.contract import Progress, Quiet
from airflow_tablestore.pipeline.store import Store
from airflow_tablestore.pipeline.throttle import Throttle
from airflow_tablestore.pipeline.verify.checksums import differing, fingerprint, tallies
from airflow_tablestore.pipeline.verify.job import Verify, VerifyLoad, VerifyServices
from airflow_tablestore.pipeline.verify.report import Estimate, Found, VerifyReport
from airflow_tablestore.pipeline.verify.second_look import PublishedRows
from airflow_tablestore.pipeline.verify.sides import Metered, ObjectSide, Ready, TableSide, cells_of, survey
from airflow_tablestore.wire.plainbuffer import decode_rows
from airflow_tablestore.wire.row import PrimaryKey, Row, Value
from airflow_tablestore.wire.table import MEBIBYTE, RangeRead, get_range

if TYPE_CHECKING:
    from airflow_tablestore.pipeline.verify.load_sides import LoadReady
    from airflow_tablestore.pipeline.warehouse import Warehouse

__all__ = ["Verify", "VerifyLoad", "VerifyServices", "estimate", "verify"]

SAMPLED_ROWS = 200
ENOUGH_RANGES = 8
"""With fewer ranges the service's sizes are mostly guesses about the ends of the table."""

PAGE_BYTES, PAGE_ROWS, UNIT_BYTES = 4 * MEBIBYTE, 5000, 4096
"""Of one answer to GetRange, and of a read capacity unit. Source: Tablestore documentation, "Limits" and "Billing"."""


class _TableRows(Protocol):
    """The table's side: rows of a range in the form in which they were published."""

    dirty: int
    sender: Metered

    def rows(self, number: int) -> Iterator[tuple[PrimaryKey, dict[str, Value]]]: ...


class _Published(Protocol):
    """The other side: rows with the number of their range; all, or those of some ranges."""

    bytes_read: int

    def rows(self, wanted: frozenset[int] | None = None) -> Iterator[tuple[int, Row]]: ...


def _sides(
    job: Verify | VerifyLoad, services: VerifyServices, hears: Progress
) -> tuple[Ready | LoadReady, _TableRows, _Published]:
    if isinstance(job, VerifyLoad):
        from airflow_tablestore.pipeline.verify.load_sides import ConvertedSide, LoadedSide, survey_load

        loaded = survey_load(job, services)
        rows = LoadedSide(cast("Warehouse", services.store), job, loaded, hears)
        return loaded, ConvertedSide(job, services.client, loaded, hears), rows
    ready = survey(job, services)
    objects = ObjectSide(cast("Store", services.store), ready, Throttle(job.limits), hears)
    return ready, TableSide(job, services.client, ready, hears), objects


def _table_of(job: Verify | VerifyLoad) -> str:
    return job.table if isinstance(job, Verify) else job.export.source.table


def verify(job: Verify | VerifyLoad, services: VerifyServices, *, progress: Progress | None = None) -> VerifyReport:
    """Compare.

    :raises SpecError: there is no export, it is not one of a table's rows, or the table has another key.
    :raises ProtocolError: objects are missing, damaged, or not those that the manifest lists; or a loaded row is none
        that an export has written.
    """
    began, hears = time.monotonic(), progress or Quiet()
    ready, table, objects = _sides(job, services, hears)
    hears.expect(sum(ready.estimates) + ready.object_bytes)
    there, published = tallies(len(ready.ranges)), tallies(len(ready.ranges))
    for number in range(len(ready.ranges)):
        for key, cells in table.rows(number):
            there[number].add(fingerprint(key, cells))
    dirty = table.dirty
    for number, row in objects.rows():
        published[number].add(fingerprint(row.key, cells_of(row)))
    unequal, found = differing(there, published), Found(job.most_named)
    if unequal:
        _look_again(unequal, table, objects, found)
    return VerifyReport(
        table=_table_of(job),
        place=ready.place,
        run=ready.run,
        rows=sum(one.rows for one in there),
        published=sum(one.rows for one in published),
        dirty=dirty,
        ranges=len(ready.ranges),
        differing=len(unequal),
        counts=dict(found.counts),
        named=tuple(found.named),
        read_units=table.sender.read_units,
        bytes_read=objects.bytes_read,
        seconds=time.monotonic() - began,
    )


def _look_again(unequal: frozenset[int], table: _TableRows, objects: _Published, found: Found) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="tablestore-verify-") as folder,
        closing(PublishedRows(Path(folder), found)) as published,
    ):
        published.add(row for _, row in objects.rows(unequal))
        published.sort()
        for number in sorted(unequal):
            for key, cells in table.rows(number):
                published.meet(key, cells)
        published.tell_the_rest()


def estimate(job: Verify | VerifyLoad, services: VerifyServices) -> Estimate:
    """What `verify` would read. Reads the manifest, the objects' heads and one page of the table.

    :raises SpecError: as `verify`.
    :raises ProtocolError: as `verify`, without a look into objects.
    """
    ready, _, _ = _sides(job, services, Quiet())
    first, last = ready.ranges[0], ready.ranges[-1]
    read = RangeRead(_table_of(job), first.begin, last.end, first.is_backward, limit=SAMPLED_ROWS)
    page = services.client.send(get_range(read))
    sampled, size = len(decode_rows(page.rows)) if len(page.rows) else 0, len(page.rows)
    is_counted = page.next_key is None
    rows, bytes_ = sampled, size
    if not is_counted:
        by_size = sum(ready.estimates) if len(ready.ranges) >= ENOUGH_RANGES else 0
        rows = max(ready.published, by_size * sampled // size if size else 0, sampled)
        bytes_ = max(by_size, rows * size // sampled if sampled else 0)
    requests = max(-(-bytes_ // PAGE_BYTES), -(-rows // PAGE_ROWS), len(ready.ranges))
    return Estimate(
        table=_table_of(job),
        place=ready.place,
        run=ready.run,
        rows=rows,
        bytes=bytes_,
        requests=requests,
        read_units=-(-bytes_ // UNIT_BYTES) + (0 if is_counted else requests),
        is_counted=is_counted,
        objects=ready.objects,
        published=ready.published,
        object_bytes=ready.object_bytes,
        object_requests=ready.reads,
    )
