"""The two sides of a comparison with a warehouse: a table, and the rows that an export has loaded from it.

Both are compared as the warehouse's columns hold them: a row of the table is converted as the export converts it, with
the same columns, types and rules for what is too long; a loaded row is read back, and its key columns turned into the
key again. What the export leaves out (dirty records, rows that do not fit) is left out here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pyarrow as pa

from airflow_tablestore.consumer.table import KeyRange, Sender, full_range
from airflow_tablestore.errors import Problem, ProtocolError, Rejected, SpecError
from airflow_tablestore.pipeline.contract import Picked, Progress, Schema, Transform
from airflow_tablestore.pipeline.full_export.export import Services, pinned_schema
from airflow_tablestore.pipeline.full_export.plan import Slice
from airflow_tablestore.pipeline.run import output_schema
from airflow_tablestore.pipeline.selection import TableSelection
from airflow_tablestore.pipeline.sinks.table_columns import TableMapping, mapping_of, source_type
from airflow_tablestore.pipeline.sinks.table_values import KEYS_BACK, target_of
from airflow_tablestore.pipeline.sources.table import TableSlice, arrow_schema
from airflow_tablestore.pipeline.table_upload import TableLoad
from airflow_tablestore.pipeline.target import TableTarget
from airflow_tablestore.pipeline.throttle import Throttle
from airflow_tablestore.pipeline.transforms.columns import Columns
from airflow_tablestore.pipeline.verify.checksums import Spans
from airflow_tablestore.pipeline.verify.job import VerifyLoad, VerifyServices
from airflow_tablestore.pipeline.verify.sides import Metered, divided
from airflow_tablestore.pipeline.warehouse import Download, TableShape, Warehouse
from airflow_tablestore.wire.row import Cell, PrimaryKey, Row, Value
from airflow_tablestore.wire.table import MEBIBYTE, KeyColumn, describe_table

READ_ROWS, READ_BYTES = 8192, 16 * MEBIBYTE
"""Rows of the first request, and bytes that a later one shall have at most, judged by those before it."""


@dataclass(frozen=True, slots=True)
class KeyBack:
    """A key column, and the warehouse's column that holds it: its name and the rule by which it is read back."""

    key: KeyColumn
    column: str
    rule: tuple[str, str]

    def part(self, value: Any) -> int | str | bytes:
        """:raises ProtocolError: no export has written this."""
        try:
            return KEYS_BACK[self.rule](value)
        except (TypeError, ValueError, ArithmeticError) as error:
            told = "is null" if value is None else f"holds no {self.key.type}"
            raise ProtocolError(
                f"key column '{self.column}' of a loaded row {told}: no export has written it"
            ) from error


@dataclass(frozen=True, slots=True)
class LoadReady:
    """Both sides, known to fit each other. `columns`: those of the warehouse's table that are loaded, in its order."""

    place: str
    schema: Schema
    mapping: TableMapping
    columns: tuple[str, ...]
    keys: tuple[KeyBack, ...]
    download: Download
    ranges: tuple[KeyRange, ...]
    estimates: tuple[int, ...]
    run: str = ""
    objects: int = 0
    object_bytes: int = 0

    @property
    def published(self) -> int:
        """Rows there."""
        return self.download.rows

    @property
    def reads(self) -> int:
        """Requests that bring all of them, if rows are not wide."""
        return 1 + -(-self.download.rows // READ_ROWS)


def survey_load(job: VerifyLoad, services: VerifyServices) -> LoadReady:
    """Both sides looked at; nothing is compared yet.

    :raises SpecError: the warehouse has no such table or partition, or not the key of the rows.
    """
    export, warehouse = job.export, cast("Warehouse", services.store)
    load = TableLoad(warehouse, cast("TableTarget", export.target))
    shape = warehouse.shape(load.target.table)
    if shape is None:
        raise SpecError([Problem(f"{load.uri} does not exist: no export is loaded there", path="sink.table")])
    load.check()
    schema = pinned_schema(export, Services(services.client, services.store, services.ledger)).schema
    output = output_schema(arrow_schema(schema), transforms(export.source))
    mapping = mapping_of(output, shape.columns, load.target.columns, load.target.over_length)
    loaded = {name.lower() for name in load.target.columns or output.names}
    columns = tuple(column.name for column in shape.columns if column.name.lower() in loaded)
    keys = _keys_back(export.source, schema, output, load.target, shape)
    try:
        download = warehouse.begin_reading(load.place)
    except Rejected as error:
        if error.code != "NoSuchPartition":
            raise
        told = f"{load.uri} does not exist: no export is loaded there"
        raise SpecError([Problem(told, path="sink.partition")]) from error
    table = services.client.send(describe_table(export.source.table))
    spans = divided(services.client, table, full_range(table, export.source.begin, export.source.end))
    ranges, estimates = tuple(one[0] for one in spans), tuple(one[1] for one in spans)
    return LoadReady(load.uri, schema, mapping, columns, keys, download, ranges, estimates)


def transforms(source: TableSelection) -> Sequence[Transform]:
    """What an export does to the rows that it reads."""
    return () if source.columns is None else (Columns(source.columns),)


def _keys_back(
    source: TableSelection, schema: Schema, output: pa.Schema, target: TableTarget, shape: TableShape
) -> tuple[KeyBack, ...]:
    """:raises SpecError: a key column is not in the warehouse, or in a type from which it cannot be read back."""
    columns = {column.name.lower(): column for column in shape.columns}
    found, problems = [], []
    for key in (column for column in schema.columns if column.is_key):
        at = _place_of(key.name, source, output)
        if at is None:
            told = f"key column '{key.name}' is not loaded, so no row there can be told from another"
            problems.append(Problem(told, "verify an export with all key columns", "source.columns"))
            continue
        column = columns[(target.columns or tuple(output.names))[at].lower()]
        kept = target_of(column)
        rule = (source_type(output.field(at)), kept.base if kept else "")
        if rule not in KEYS_BACK:
            told = f"key column '{key.name}' is loaded into '{column.name}', which is {column.type.upper()}"
            problems.append(Problem(told, "a key cannot be read back from that type", "sink.columns"))
            continue
        found.append(KeyBack(KeyColumn(key.name, key.type), column.name, rule))
    if problems:
        raise SpecError(problems)
    return tuple(found)


def _place_of(key: str, source: TableSelection, output: pa.Schema) -> int | None:
    if source.columns is None:
        return int(output.get_field_index(key))
    places = [at for at, one in enumerate(source.columns) if isinstance(one, Picked) and one.name == key]
    return places[0] if places else None


class ConvertedSide:
    """The rows of the table as the export would load them. `dirty` counts those that it would not."""

    def __init__(self, job: VerifyLoad, sender: Sender, ready: LoadReady, progress: Progress):
        self.sender, self.dirty = Metered(sender), 0
        self._export, self._ready, self._progress = job.export, ready, progress
        self._throttle = Throttle(job.export.limits)
        self._transforms = transforms(job.export.source)

    def rows(self, number: int) -> Iterator[tuple[PrimaryKey, dict[str, Value]]]:
        """Those of one range, in the order of their keys."""
        ready, keys = self._ready, [one.key.name for one in self._ready.keys]
        source = TableSlice(self.sender, self._export.source, ready.schema, Slice(ready.ranges[number]), self._refuse)
        for batch in source.batches():
            records = batch.records
            for transform in self._transforms:
                records = transform.apply(records)
            rows, reasons = ready.mapping.apply(records)
            self.dirty += len(reasons)
            self._throttle.took(records.num_rows, batch.bytes_read)
            self._progress.advance(records.num_rows, batch.bytes_read)
            parts = zip(*(batch.records.column(name).to_pylist() for name in keys), strict=True)
            for at, (part, cells) in enumerate(zip(parts, _cells(rows, ready), strict=True)):
                if at not in reasons:
                    yield tuple(zip(keys, part, strict=True)), cells

    def _refuse(self, key: str, reason: str) -> None:
        self.dirty += 1


class LoadedSide:
    """The loaded rows, each with the number of its range."""

    def __init__(self, warehouse: Warehouse, job: VerifyLoad, ready: LoadReady, progress: Progress):
        self._warehouse, self._ready, self._progress = warehouse, ready, progress
        self._place = TableLoad(warehouse, cast("TableTarget", job.export.target)).place
        self._throttle, self._spans = Throttle(job.export.limits), Spans(ready.ranges)
        self._schema = pa.schema([ready.mapping.schema.field(name) for name in ready.columns])
        self.bytes_read = 0

    def rows(self, wanted: frozenset[int] | None = None) -> Iterator[tuple[int, Row]]:
        """All, or those of these ranges.

        :raises ProtocolError: a row that no export has written.
        """
        keys = self._ready.keys
        for records in self._batches():
            parts = zip(*(records.column(one.column).to_pylist() for one in keys), strict=True)
            for part, cells in zip(parts, _cells(records, self._ready), strict=True):
                key = tuple((one.key.name, one.part(value)) for one, value in zip(keys, part, strict=True))
                number = self._spans.of(key)
                if wanted is None or number in wanted:
                    yield number, Row(key, tuple(Cell(name, value) for name, value in cells.items()))

    def _batches(self) -> Iterator[pa.RecordBatch]:
        at, step, total = 0, READ_ROWS, self._ready.download.rows
        while at < total:
            count = min(step, total - at)
            body = self._warehouse.read(self._place, self._ready.download.id, self._ready.columns, at, count)
            batches = self._decoded(body)
            if sum(one.num_rows for one in batches) != count:
                raise ProtocolError(f"{self._ready.place}: {count} rows were asked for, and other rows came")
            yield from batches
            at += count
            step = max(1, min(READ_ROWS, READ_BYTES * count // max(len(body), 1)))
            self.bytes_read += len(body)
            self._throttle.took(count, len(body))
            self._progress.advance(count, len(body))

    def _decoded(self, body: bytes) -> list[pa.RecordBatch]:
        found, source = [], pa.BufferReader(body)
        try:
            while source.tell() < len(body):
                found.append(pa.ipc.read_record_batch(pa.ipc.read_message(source), self._schema))
        except (pa.ArrowInvalid, OSError, EOFError) as error:
            raise ProtocolError(f"{self._ready.place}: what was read is no Arrow record batch: {error}") from error
        return found


def _cells(records: pa.RecordBatch, ready: LoadReady) -> Iterator[dict[str, Value]]:
    """What each row holds but nulls. Times are numbers of their column's unit: Python's own could not hold them all."""
    columns = [_plain(records.column(name)).to_pylist() for name in ready.columns]
    for values in zip(*columns, strict=True):
        yield {name: value for name, value in zip(ready.columns, values, strict=True) if value is not None}


def _plain(array: pa.Array) -> pa.Array:
    if pa.types.is_timestamp(array.type):
        return array.view(pa.int64())
    return array.view(pa.int32()) if pa.types.is_date32(array.type) else array
