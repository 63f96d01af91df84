"""What a change of one table becomes in another one: a write that leaves the same row however often it is done.

A put replaces the row as a whole, a delete takes it away, an update changes the cells that it names: each cell is put,
or one version or all of them are deleted. With the source's versions the target holds the same cells under the same
versions; without, the service gives each cell the time of its writing, and then a single version cannot be named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from airflow_tablestore.errors import RecordError
from airflow_tablestore.pipeline.tunnel.copy_target import Versions
from airflow_tablestore.wire.batch_write import Action as Write
from airflow_tablestore.wire.batch_write import RowWrite
from airflow_tablestore.wire.plainbuffer import encode_delete, encode_put, encode_update
from airflow_tablestore.wire.row import Cell, CellOp, Row
from airflow_tablestore.wire.stream import Action

SOON_MILLIS = 5000
"""A cell that is to expire so soon is not written: the service refuses the row when it does on the way."""


@dataclass(frozen=True, slots=True)
class CopyChanges:
    """Makes the writes.

    :param columns: which attributes, with their names in the target; None: all.
    :param ttl_seconds: how long the target keeps a cell; -1: for good. What is older is not written: it is as good as
        expired there, as it is in a source that keeps cells as long.
    """

    columns: Mapping[str, str] | None
    versions: Versions
    ttl_seconds: int = -1

    def write(self, action: Action, row: Row, now_millis: int | None) -> RowWrite | None:
        """None: the change is about nothing that is copied.

        :param now_millis: the service's time, where it is known.
        :raises RecordError: the target cannot hold it.
        """
        if action is Action.DELETE:
            return RowWrite(Write.DELETE, encode_delete(row.key))
        cells = tuple(self._cells(row))
        alive = tuple(cell for cell in cells if not self._is_expired(cell, now_millis))
        if action is Action.UPDATE:
            return RowWrite(Write.UPDATE, encode_update(row.key, alive)) if alive else None
        if cells and not alive:
            return RowWrite(Write.DELETE, encode_delete(row.key))
        return RowWrite(Write.PUT, encode_put(row.key, alive))

    def _cells(self, row: Row) -> Iterator[Cell]:
        for cell in row.cells:
            name = cell.name if self.columns is None else self.columns.get(cell.name)
            if name is None:
                continue
            if cell.op is CellOp.INCREMENT:
                raise RecordError(f"column '{cell.name}': an increment, which done twice is not the same as once")
            if self.versions is Versions.KEEP:
                yield replace(cell, name=name)
            elif cell.op is CellOp.DELETE_ONE_VERSION:
                raise RecordError(f"column '{cell.name}': one version is deleted, and versions: new keeps none to name")
            else:
                yield replace(cell, name=name, timestamp=None)

    def _is_expired(self, cell: Cell, now_millis: int | None) -> bool:
        if cell.op is not CellOp.PUT or cell.timestamp is None or self.ttl_seconds < 0 or now_millis is None:
            return False
        return cell.timestamp < now_millis - self.ttl_seconds * 1000 + SOON_MILLIS
