"""Split points: keys that cut a table into pieces of about one size, counted from the stored bytes."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from itertools import groupby

from airflow_tablestore.emulator.tablestore.cells import (
    key_block,
    key_parts,
    key_section,
    read_change,
    stored_key,
)
from airflow_tablestore.emulator.tablestore.errors import invalid
from airflow_tablestore.emulator.tablestore.keys import KeyPart, sort_key
from airflow_tablestore.emulator.tablestore.storage import Store
from airflow_tablestore.emulator.tablestore.table import Table
from airflow_tablestore.emulator.tablestore.validation import Limits, check_table_name
from airflow_tablestore.wire.proto import table_pb2 as pb

DEFAULT_UNIT_BYTES = 100 * 1024 * 1024


class Splits:
    """The operation that computes split points."""

    def __init__(self, store: Store, limits: Limits):
        self._store, self._limits = store, limits

    def compute(
        self, instance: str, request: pb.ComputeSplitPointsBySizeRequest
    ) -> pb.ComputeSplitPointsBySizeResponse:
        """Points in key order; a point is the shortest prefix of a key that separates the rows beside it.

        With `split_point_limit`, pieces grow until there are no more points than that.
        """
        check_table_name(request.table_name)
        if request.split_size <= 0:
            raise invalid("The split_size should be greater than 0.")
        unit = request.split_size_unit_in_byte if request.HasField("split_size_unit_in_byte") else DEFAULT_UNIT_BYTES
        if unit < self._limits.split_unit_bytes:
            raise invalid(f"The split_size_unit_in_byte should be greater equal than: {self._limits.split_unit_bytes}")
        if request.HasField("split_point_limit") and request.split_point_limit <= 0:
            raise invalid("The value of SplitPointLimit must be greater than 0.")
        table = self._store.table(instance, request.table_name)
        described = pb.DescribeTableResponse.FromString(table.description)
        points = self._points(table, request.split_size * unit, request.split_point_limit)
        answer = pb.ComputeSplitPointsBySizeResponse(schema=described.table_meta.primary_key)
        answer.consumed.capacity_unit.read = 1
        answer.consumed.capacity_unit.write = 0
        answer.split_points.extend(key_block(key_section(point)) for point in points)
        for location, pieces in groupby(_locations(table, list(described.shard_splits), points)):
            answer.locations.add(location=location, repeat=len(list(pieces)))
        return answer

    def _points(self, table: Table, piece_bytes: int, most: int) -> list[tuple[KeyPart, ...]]:
        if most:
            piece_bytes = max(piece_bytes, -(-self._store.size(table) // (most + 1)))
        points: list[tuple[KeyPart, ...]] = []
        filled = 0
        before = b""
        for place, size in self._store.sizes(table):
            if filled >= piece_bytes:
                point = self._point(table, before, place)
                if point:
                    points.append(point)
                    filled = 0
            filled += size
            before = place
        return points

    def _point(self, table: Table, before: bytes, after: bytes) -> tuple[KeyPart, ...]:
        rows = [self._store.row(table, place) for place in (before, after)]
        if rows[0] is None or rows[1] is None:
            return ()  # deleted meanwhile: the piece grows to the next row
        low, high = (key_parts(stored_key(row)) for row in rows if row is not None)
        same = 0
        while low[same] == high[same]:
            same += 1
        return high[: same + 1]


def _locations(table: Table, shard_splits: list[bytes], points: list[tuple[KeyPart, ...]]) -> list[str]:
    """Where each piece lies: 32 letters that say nothing, the same for pieces of one partition."""
    partitions = [sort_key(read_change(block).parts) for block in shard_splits]
    starts = [b"", *(sort_key(point) for point in points)]
    return [
        hashlib.md5(f"{table.instance}/{table.id}/{bisect_right(partitions, start)}".encode()).hexdigest()  # noqa: S324
        for start in starts
    ]
