"""What a change does to a stored row, and which cells of a row are alive.

Pure: cells in, cells out; `storage` keeps them and `writes` decides whether the change may happen. Cells are kept
sorted as answers want them: columns by name, each column's versions from new to old.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from airflow_tablestore.emulator.tablestore.cells import (
    DELETE_ALL,
    DELETE_ONE,
    INCREMENT,
    PUT,
    ChangedCell,
    StoredCell,
    integer_cell,
    stored_cell,
    value_of,
)
from airflow_tablestore.emulator.tablestore.errors import invalid
from airflow_tablestore.emulator.tablestore.keys import INTEGER, show

FOREVER = -1
MAX_TIMESTAMP = (2**63 - 1) // 1000
_INT64 = struct.Struct("<q")


class Versions(NamedTuple):
    """A table's rules for the versions of a cell."""

    most: int = 1
    ttl_seconds: int = FOREVER
    deviation_seconds: int = 86400

    def oldest_alive(self, now_millis: int) -> int:
        """Cells older than this (milliseconds) are gone."""
        return 0 if self.ttl_seconds == FOREVER else now_millis - self.ttl_seconds * 1000

    def check(self, cell: ChangedCell, now_millis: int) -> None:
        """Refuses a version given by the writer that is out of the table's time window."""
        stamp = cell.timestamp
        if stamp is None:
            return
        if not 0 <= stamp < MAX_TIMESTAMP:
            raise invalid("Timestamp must be in range [0, INT64_MAX/1000).")
        deviation = self.deviation_seconds * 1000
        if cell.op in (PUT, INCREMENT) and not (
            max(now_millis - deviation, self.oldest_alive(now_millis)) <= stamp < now_millis + deviation
        ):
            raise invalid(f"Invalid timestamp. Cell:'{show(cell.name)}'.")


def put_row(cells: Sequence[ChangedCell], versions: Versions, now_millis: int) -> list[StoredCell]:
    """The row that a put leaves, whatever was there before."""
    kept: dict[tuple[bytes, int], StoredCell] = {}
    for cell in cells:
        if cell.timestamp is None:
            stamp = now_millis
        else:
            versions.check(cell, now_millis)
            stamp = cell.timestamp
        kept[cell.name, -stamp] = stored_cell(cell, stamp)
    return _newest([kept[place] for place in sorted(kept)], versions.most)


def update_row(
    before: Iterable[StoredCell], cells: Sequence[ChangedCell], versions: Versions, now_millis: int
) -> list[StoredCell]:
    """The row that an update leaves; its cells act one after the other, in the order given."""
    kept = {(cell.name, -cell.timestamp): cell for cell in before}
    for cell in cells:
        versions.check(cell, now_millis)
        stamp = now_millis if cell.timestamp is None else cell.timestamp
        if cell.op == PUT:
            kept[cell.name, -stamp] = stored_cell(cell, stamp)
        elif cell.op == DELETE_ONE:
            kept.pop((cell.name, -stamp), None)
        elif cell.op == DELETE_ALL:
            for place in [place for place in kept if place[0] == cell.name]:
                del kept[place]
        else:
            kept[cell.name, -stamp] = _incremented(kept, cell, stamp)
    return _newest([kept[place] for place in sorted(kept)], versions.most)


def only_deletes(cells: Iterable[ChangedCell]) -> bool:
    """Whether an update asks for nothing but deletions, which make no row where there is none.

    Source: the service's page on single-row operations.
    """
    return all(cell.op in (DELETE_ONE, DELETE_ALL) for cell in cells)


def _incremented(kept: dict[tuple[bytes, int], StoredCell], cell: ChangedCell, stamp: int) -> StoredCell:
    newest = min((place for place in kept if place[0] == cell.name), default=None)
    base = 0
    if newest is not None:
        value = value_of(kept[newest])
        if value[0] != INTEGER:
            raise invalid(f"Column '{show(cell.name)}' is not an integer, so it cannot be incremented.")
        base = _INT64.unpack_from(value, 1)[0]
    total = base + _INT64.unpack_from(cell.value, 1)[0]
    if not -(2**63) <= total < 2**63:
        raise invalid(f"Column '{show(cell.name)}' would leave the range of INTEGER.")
    return integer_cell(cell.name, total, stamp)


def _newest(cells: list[StoredCell], most: int) -> list[StoredCell]:
    out: list[StoredCell] = []
    name, count = b"", 0
    for cell in cells:
        if cell.name == name and out:
            count += 1
        else:
            name, count = cell.name, 1
        if count <= most:
            out.append(cell)
    return out


def alive(cells: list[StoredCell], versions: Versions, now_millis: int) -> list[StoredCell] | None:
    """What of a stored row has not outlived the table's TTL; None when the row itself is gone.

    A row that never had a cell, or whose columns were deleted, is there until it is deleted. Source: the service's page
    on UpdateRow says that deleting all columns is not deleting the row.
    """
    if versions.ttl_seconds == FOREVER:
        return cells
    oldest = versions.oldest_alive(now_millis)
    kept = [cell for cell in cells if cell.timestamp >= oldest]
    return None if cells and not kept else kept


def latest(cells: Iterable[StoredCell], most: int) -> list[StoredCell]:
    """The newest versions of each column."""
    return _newest(list(cells), most)
