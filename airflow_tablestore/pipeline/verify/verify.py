"""A table beside a full export of it that is published in a bucket.

Both sides are read once and every row counts to a key range, whose rows are told by their number and a checksum. Ranges
that differ are read again and compared key by key. So nothing that grows with the table is held in memory, and reading
twice is paid for what differs alone. The table is compared as it is now: what was written since the export differs.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import closing
from pathlib import Path

from airflow_tablestore.pipeline.contract import Progress, Quiet
from airflow_tablestore.pipeline.sources.objects import READ_BYTES
from airflow_tablestore.pipeline.throttle import Throttle
from airflow_tablestore.pipeline.verify.checksums import differing, fingerprint, tallies
from airflow_tablestore.pipeline.verify.job import Verify, VerifyServices
from airflow_tablestore.pipeline.verify.report import Estimate, Found, VerifyReport
from airflow_tablestore.pipeline.verify.second_look import PublishedRows
from airflow_tablestore.pipeline.verify.sides import ObjectSide, TableSide, cells_of, survey
from airflow_tablestore.wire.plainbuffer import decode_rows
from airflow_tablestore.wire.table import MEBIBYTE, RangeRead, get_range

__all__ = ["Verify", "VerifyServices", "estimate", "verify"]

SAMPLED_ROWS = 200
ENOUGH_RANGES = 8
"""With fewer ranges the service's sizes are mostly guesses about the ends of the table."""

PAGE_BYTES, PAGE_ROWS, UNIT_BYTES = 4 * MEBIBYTE, 5000, 4096
"""Of one answer to GetRange, and of a read capacity unit. Source: Tablestore documentation, "Limits" and "Billing"."""


def verify(job: Verify, services: VerifyServices, *, progress: Progress | None = None) -> VerifyReport:
    """Compare.

    :raises SpecError: there is no export, it is not one of a table's rows, or the table has another key.
    :raises ProtocolError: objects are missing, damaged, or not those that the manifest lists.
    """
    began, hears = time.monotonic(), progress or Quiet()
    ready = survey(job, services)
    hears.expect(sum(ready.estimates) + sum(one.bytes for one in ready.found.objects))
    table = TableSide(job, services.client, ready, hears)
    objects = ObjectSide(services.store, ready, Throttle(job.limits), hears)
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
        table=job.table,
        place=ready.place,
        run=ready.found.run,
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


def _look_again(unequal: frozenset[int], table: TableSide, objects: ObjectSide, found: Found) -> None:
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


def estimate(job: Verify, services: VerifyServices) -> Estimate:
    """What `verify` would read. Reads the manifest, the objects' heads and one page of the table.

    :raises SpecError: as `verify`.
    :raises ProtocolError: as `verify`, without a look into objects.
    """
    ready = survey(job, services)
    first, last = ready.ranges[0], ready.ranges[-1]
    read = RangeRead(job.table, first.begin, last.end, first.is_backward, limit=SAMPLED_ROWS)
    page = services.client.send(get_range(read))
    sampled, size = len(decode_rows(page.rows)) if len(page.rows) else 0, len(page.rows)
    is_counted = page.next_key is None
    rows, bytes_ = sampled, size
    if not is_counted:
        by_size = sum(ready.estimates) if len(ready.ranges) >= ENOUGH_RANGES else 0
        rows = max(ready.found.rows, by_size * sampled // size if size else 0, sampled)
        bytes_ = max(by_size, rows * size // sampled if sampled else 0)
    requests = max(-(-bytes_ // PAGE_BYTES), -(-rows // PAGE_ROWS), len(ready.ranges))
    objects = ready.found.objects
    return Estimate(
        table=job.table,
        place=ready.place,
        run=ready.found.run,
        rows=rows,
        bytes=bytes_,
        requests=requests,
        read_units=-(-bytes_ // UNIT_BYTES) + (0 if is_counted else requests),
        is_counted=is_counted,
        objects=len(objects),
        published=ready.found.rows,
        object_bytes=sum(one.bytes for one in objects),
        object_requests=sum(1 + -(-one.bytes // READ_BYTES) for one in objects),
    )
