"""What both ways into a warehouse's table share: looking at the table before rows flow, and turning records into rows.

How rows are written, and what a crash between the write and the checkpoint means, is in `table_stream` and
`table_upsert`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from airflow_tablestore.consumer.table import show_key
from airflow_tablestore.consumer.tunnel import Batch
from airflow_tablestore.consumer.tunnel.records import place_of
from airflow_tablestore.errors import Problem, ProtocolError, SpecError
from airflow_tablestore.pipeline.table_upload import TableLoad
from airflow_tablestore.pipeline.target import TableTarget
from airflow_tablestore.pipeline.tunnel.sink import Job
from airflow_tablestore.pipeline.tunnel.table_columns import together
from airflow_tablestore.pipeline.tunnel.table_rows import Change, TableRows, columns_made, table_rows
from airflow_tablestore.pipeline.tunnel.table_target import StreamTable, TableMode
from airflow_tablestore.pipeline.warehouse import Partition, TableColumn, TableShape, Warehouse
from airflow_tablestore.wire.decode import Wanted
from airflow_tablestore.wire.decode.changes import changes_decoder
from airflow_tablestore.wire.row import Row, type_of
from airflow_tablestore.wire.tunnel import TunnelType


class TableDoor:
    """The table as one worker found it at its beginning."""

    def __init__(self, warehouse: Warehouse, target: StreamTable, job: Job):
        self.warehouse, self.target, self.job = warehouse, target, job
        self.shape = self._looked()
        self.rows: TableRows = table_rows(job.table, self.shape.columns, target.columns, target.over_length)
        keys = [Wanted(key.name, key.type, is_key=True) for key in job.table.keys]
        self._decoder = changes_decoder(keys, of_stream=False)

    @property
    def uri(self) -> str:
        return self.warehouse.uri(Partition(self.target.table))

    def is_changed(self, columns: Sequence[TableColumn]) -> bool:
        """Whether these columns are other ones than those that the rows are made for."""
        return _kinds(columns) != _kinds(self.shape.columns)

    # ---- at the beginning

    def _looked(self) -> TableShape:
        """:raises SpecError: the table is missing, or not such as the tunnel can be drained into."""
        target, warehouse = self.target, self.warehouse
        partitions = target.partitions
        if partitions.base is None and self.job.tunnel.type != TunnelType.STREAM:
            hint = "write base_partition: pt=base"
            told = "the tunnel also tells rows of the table, which have no time and so no partition"
            raise SpecError([Problem(told, hint, "sink.base_partition")])
        names = tuple((name, "") for name in partitions.names)
        sample = TableTarget(target.table, names, creates=target.creates)
        TableLoad(warehouse, sample).check()
        shape = warehouse.shape(target.table)
        if shape is None:
            warehouse.create_table(target.table, self._made())
            shape = warehouse.shape(target.table)
        if shape is None:
            raise SpecError(f"{self.uri} was made and is not there")
        self._refuse_other_mode(shape)
        return shape

    def _made(self) -> TableShape:
        target, source = self.target, self.job.table
        if target.mode is TableMode.UPSERT and target.columns is None:
            hint = "list them in sink.columns, or make the table yourself"
            raise SpecError([Problem("the columns of a table that is made for upserts are not known", hint)])
        columns = columns_made(source, target.columns)
        keys = tuple(pick.to for key in source.keys for pick in target.columns or () if pick.name == key.name)
        return TableShape(columns, target.partitions.names, keys if target.mode is TableMode.UPSERT else ())

    def _refuse_other_mode(self, shape: TableShape) -> None:
        if self.target.mode is TableMode.STREAM and shape.primary_key:
            told = f"{self.uri} has a primary key, and MaxCompute streams into no such table"
            raise SpecError([Problem(told, "write mode: upsert", "sink.mode")])
        if self.target.mode is TableMode.UPSERT and not shape.primary_key:
            hint = "make it with PRIMARY KEY and TBLPROPERTIES ('transactional'='true'), or write mode: stream"
            raise SpecError([Problem(f"{self.uri} has no primary key, so nothing can be upserted", hint, "sink.mode")])

    # ---- records

    def written(self, batches: Sequence[Batch]) -> tuple[pa.RecordBatch, list[int | None]]:
        """The rows of a channel's records, in their order, and the microseconds of each; what does not fit is refused.

        They are read together where no record is odd, which takes a third of the time.
        """
        records = [record for batch in batches for record in batch.records]
        decoded = together(self._decoder, records)
        made = self.rows.at_once(decoded) if decoded else None
        if decoded is None or made is None:
            changes, rows = self.fitting(self.rows, self.changes(batches))
            return rows, [change.micros for change in changes]
        rows, reasons = made
        times: list[int | None] = decoded.micros.to_pylist()
        for number in sorted(reasons):
            self.job.refused.add(show_key(records[number].decoded().key), reasons[number])
        if not reasons:
            return rows, times
        kept = [number for number in range(len(records)) if number not in reasons]
        return rows.take(pa.array(kept, pa.int64())), [times[number] for number in kept]

    def changes(self, batches: Iterable[Batch]) -> list[Change]:
        """The records of a channel, in their order; those that cannot be read are refused."""
        return [change for batch in batches for change in self._changes(batch)]

    def _changes(self, batch: Batch) -> Iterator[Change]:
        for number, record in enumerate(batch.records):
            try:
                row = record.decoded()
            except ProtocolError as error:
                self.job.refused.add(place_of(batch, number), f"it cannot be read: {error}")
                continue
            if self._is_keyed(row):
                yield Change(record.action.value, row, record.origin)
            else:
                self.job.refused.add(show_key(row.key), "its key is not that of the table")

    def fitting(self, rows: TableRows, changes: Sequence[Change]) -> tuple[list[Change], pa.RecordBatch]:
        """The changes that fit into the table, with their rows; the others are refused."""
        records, reasons = rows.apply(changes)
        for number in sorted(reasons):
            self.job.refused.add(show_key(changes[number].row.key), reasons[number])
        if not reasons:
            return list(changes), records
        kept = [number for number in range(len(changes)) if number not in reasons]
        return [changes[number] for number in kept], records.take(pa.array(kept, pa.int64()))

    def _is_keyed(self, row: Row) -> bool:
        found = [(name, type_of(value)) for name, value in row.key if isinstance(value, int | str | bytes)]
        return found == [(key.name, key.type) for key in self.job.table.keys]


def _kinds(columns: Iterable[TableColumn]) -> list[tuple[str, str]]:
    return [(column.name.lower(), column.type) for column in columns]


def as_rows(records: pa.RecordBatch) -> list[tuple[Any, ...]]:
    """The rows as Python values, in the order of the table's columns."""
    return list(zip(*(column.to_pylist() for column in records.columns), strict=True))
