"""A warehouse's table as a tunnel's sink: every change is added as a row, in the partition of its time.

Rows are there for every reader as soon as they are written, and a checkpoint is sent behind them: so a worker that dies
between the two leaves rows that its successor writes again. Nothing is lost, and what is repeated has the same key and
`sequence`. Streams keep their partition to themselves, so only few are open, and all are closed at the end.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence

import pyarrow as pa

from airflow_tablestore.consumer.tunnel import Batch
from airflow_tablestore.errors import RetryLater
from airflow_tablestore.pipeline.tunnel.sink import Job, Receipt
from airflow_tablestore.pipeline.tunnel.table_sink import TableDoor, as_rows
from airflow_tablestore.pipeline.tunnel.table_target import StreamTable, Values
from airflow_tablestore.pipeline.warehouse import Partition, RowStream, Warehouse
from airflow_tablestore.wire.tunnel_channel import Checkpoint, Place

log = logging.getLogger(__name__)

MOST_OPEN = 16
"""Streams of one worker. A change of the day closes none of those that are still written."""

GONE = frozenset({"NoSuchUpload", "StatusConflict", "StreamSessionNotFound"})


class TunnelStream:
    """A table as `pipeline.tunnel.sink.TunnelSink` says. Used by one thread."""

    def __init__(self, warehouse: Warehouse, target: StreamTable, job: Job):
        self._warehouse, self._target, self._job = warehouse, target, job
        self._door = TableDoor(warehouse, target, job)
        self._open: OrderedDict[Values, RowStream] = OrderedDict()

    @property
    def most_bytes(self) -> int:
        return self._target.max_bytes

    def begin(self) -> int:
        """Nothing is left by workers before; what they wrote stays."""
        door = self._door
        if not any(column.told == "sequence" for column in door.rows.columns):
            log.warning("%s takes no column 'sequence': what comes twice after a crash cannot be told apart.", door.uri)
        return 0

    def open(self, at: Place, kept: Checkpoint) -> int:
        """Nothing is left to be settled: what the last owner wrote stays."""
        return 0

    def write(self, at: Place, batches: Sequence[Batch]) -> Receipt:
        """Rows of one channel, partition by partition, each in the channel's order."""
        records, times = self._door.written(batches)
        done = Receipt()
        for values, numbers in self._by_partition(times).items():
            rows = as_rows(records.take(pa.array(numbers, pa.int64())))
            size = self._write(values, rows)
            done = Receipt(done.rows + len(rows), done.objects + 1, done.size + size)
        return done

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1].close()

    def _by_partition(self, times: Sequence[int | None]) -> dict[Values, list[int]]:
        found: dict[Values, list[int]] = {}
        for number, micros in enumerate(times):
            found.setdefault(self._target.partitions.of(micros) or (), []).append(number)
        return found

    def _write(self, values: Values, rows: Sequence[tuple[object, ...]]) -> int:
        is_new = values not in self._open
        try:
            return self._stream(values).write(rows)
        except RetryLater as error:
            self._drop(values)
            if is_new or error.code not in GONE:
                raise
        return self._stream(values).write(rows)  # a session lives a day; its successor goes on

    def _drop(self, values: Values) -> None:
        if values in self._open:
            self._open.pop(values).close()

    def _stream(self, values: Values) -> RowStream:
        if values in self._open:
            self._open.move_to_end(values)
            return self._open[values]
        if len(self._open) >= MOST_OPEN:
            self._open.popitem(last=False)[1].close()
        stream = self._open[values] = self._warehouse.stream(Partition(self._target.table, values), self._target.slots)
        if self._door.is_changed(stream.columns):
            told = f"the columns of {self._door.uri} were changed since this worker began; the next attempt looks again"
            raise RetryLater(told, operation="OpenStream", code="SchemaModified")
        return stream
