"""A warehouse's table with a primary key as a tunnel's sink: each key has the row that the source has.

Of the changes of a key that are written at once only the last one counts. A put tells the whole row; an update tells
only the cells that it changes, and MaxCompute's upserts replace whole rows, so the row is read from the source's table
as it is by then. Later changes come later; so a repeat after a crash ends in the same rows.

A worker whose channel was taken away must not put old rows over those of its successor: it asks before each commit
whether the channel is still its own. One that was frozen right behind that question finds out when its checkpoint is
refused, and then brings these keys to what the source's table holds, until that stands still.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from airflow_tablestore.consumer.tunnel import Batch
from airflow_tablestore.consumer.tunnel.checkpoint import GONE
from airflow_tablestore.errors import Problem, Rejected, SpecError, Superseded
from airflow_tablestore.pipeline.tunnel.sink import Job, Receipt
from airflow_tablestore.pipeline.tunnel.table_rows import Change, TableRows, only_keys
from airflow_tablestore.pipeline.tunnel.table_sink import TableDoor, as_rows
from airflow_tablestore.pipeline.tunnel.table_target import StreamTable
from airflow_tablestore.pipeline.warehouse import Partition, Upserting, Warehouse
from airflow_tablestore.wire.batch_read import MOST_ROWS, batch_get
from airflow_tablestore.wire.row import PrimaryKey, Row
from airflow_tablestore.wire.stream import Action
from airflow_tablestore.wire.tunnel_channel import Checkpoint, Place, get_checkpoint

log = logging.getLogger(__name__)

REPAIRS = 10
"""How often keys are brought to the source's rows before they are left to whoever reads their channel."""


@dataclass(frozen=True, slots=True)
class UpsertReceipt(Receipt):
    """Rows that are in the table, of a channel that may turn out to be somebody else's."""

    sink: TunnelUpserts = field(kw_only=True)
    keys: tuple[PrimaryKey, ...] = field(kw_only=True)

    def give_up(self) -> None:
        self.sink.repair(self.keys)


class TunnelUpserts:
    """A table as `pipeline.tunnel.sink.TunnelSink` says. Used by one thread.

    :raises SpecError: the table has another primary key than the source, or columns of a change alone.
    """

    def __init__(self, warehouse: Warehouse, target: StreamTable, job: Job):
        self._warehouse, self._target, self._job = warehouse, target, job
        self._door = TableDoor(warehouse, target, job)
        self._place = Partition(target.table, target.partitions.of(None) or ())
        self._deletions = self._checked(self._door)

    @property
    def most_bytes(self) -> int:
        return self._target.max_bytes

    def begin(self) -> int:
        """Makes the partition. Nothing is left by workers before."""
        if self._place.values:
            self._warehouse.add_partition(self._place)
        return 0

    def open(self, at: Place, kept: Checkpoint) -> int:
        """Nothing is left to be settled: what is read again ends in the same rows."""
        return 0

    def write(self, at: Place, batches: Sequence[Batch]) -> Receipt:
        """The rows that the changes lead to, in one commit.

        :raises Superseded: the channel is another worker's; nothing was written.
        """
        last: dict[PrimaryKey, Change] = {}
        for change in self._door.changes(batches):
            last[change.row.key] = change
        if not last:
            return Receipt()
        waiting, rows = self._brought(self._whole(last))
        try:
            self._refuse_lost(at)
        except Superseded:
            waiting.give_up()
            raise
        waiting.commit()
        size = sum(batch.size for batch in batches)
        return UpsertReceipt(rows, 1, size, sink=self, keys=tuple(last))

    def repair(self, keys: Sequence[PrimaryKey]) -> None:
        """Brings these keys to the rows that the source has, until those stay the same meanwhile."""
        seen: dict[PrimaryKey, Row | None] = {}
        for _ in range(REPAIRS):
            found = self._read(keys)
            if found == seen:
                return
            changes = [_as_change(key, row, None) for key, row in found.items()]
            self._brought(changes)[0].commit()
            seen = found
        log.warning("%d key(s) of a lost channel change all the time; its new reader brings them.", len(keys))

    def close(self) -> None:
        """Nothing is held open."""

    # ---- the table

    def _checked(self, door: TableDoor) -> TableRows:
        """How rows are deleted."""
        keys = {key.name for key in self._job.table.keys}
        mapped = sorted(column.to.lower() for column in door.rows.columns if column.told in keys)
        wanted = sorted(name.lower() for name in door.shape.primary_key)
        problems = []
        if mapped != wanted or len(mapped) != len(keys):
            told = (
                f"{door.uri} has the primary key ({', '.join(door.shape.primary_key)}), and the key of table "
                f"{self._job.table.name} ({', '.join(key.name for key in self._job.table.keys)}) does not go into it"
            )
            problems.append(Problem(told, "the two keys must be the same, each column once", "sink.columns"))
        for column in door.rows.columns:
            if column.told in ("cells", "before"):
                told = f"'{column.told}' tells of one change, and an upserted row has no place for it"
                problems.append(Problem(told, "leave it out, or write mode: stream", "sink.columns"))
        if problems:
            raise SpecError(problems)
        return only_keys(door.rows, wanted, door.shape.columns)

    # ---- rows

    def _whole(self, last: dict[PrimaryKey, Change]) -> list[Change]:
        """The changes with whole rows; those of updates are read from the source."""
        found = self._read([key for key, change in last.items() if change.action == Action.UPDATE.value])
        return [_as_change(key, found[key], change) if key in found else change for key, change in last.items()]

    def _read(self, keys: Sequence[PrimaryKey]) -> dict[PrimaryKey, Row | None]:
        found: dict[PrimaryKey, Row | None] = {}
        for first in range(0, len(keys), MOST_ROWS):
            some = keys[first : first + MOST_ROWS]
            rows = self._job.client.send(batch_get(self._job.table.name, some))
            found.update(zip(some, rows, strict=True))
        return found

    def _brought(self, changes: Sequence[Change]) -> tuple[Upserting, int]:
        """All of them, waiting for their commit; and how many fit."""
        delete = Action.DELETE.value
        kept, rows = self._door.fitting(self._door.rows, [one for one in changes if one.action != delete])
        gone, keys = self._door.fitting(self._deletions, [one for one in changes if one.action == delete])
        return self._warehouse.upsert(self._place, as_rows(rows), as_rows(keys)), len(kept) + len(gone)

    def _refuse_lost(self, at: Place) -> None:
        try:
            self._job.client.send(get_checkpoint(at))
        except Rejected as error:
            if error.code == GONE:
                raise Superseded(f"The channel {at.channel_id} is read by somebody else now.") from error
            raise


def _as_change(key: PrimaryKey, row: Row | None, change: Change | None) -> Change:
    """The change that makes the table's row what the source's is."""
    sequence = None if change is None else change.row.sequence
    if row is None:
        return Change(Action.DELETE.value, Row(key, is_delete=True, sequence=sequence))
    action = Action.UPDATE.value if change is None else change.action
    return Change(action, Row(key, row.cells, sequence=sequence))
