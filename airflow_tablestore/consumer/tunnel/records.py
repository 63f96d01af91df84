"""A batch's records as rows, or as columns of Arrow; and what becomes of one that cannot be read.

A record whose bytes are no row is never left out in silence: without a `refuse` it is an error, with one it is told
there and left out. Nothing else of the batch, nor of its channel, depends on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from airflow_tablestore.errors import ProtocolError, RecordError
from airflow_tablestore.wire.row import ColumnType, PrimaryKey, Row, type_of
from airflow_tablestore.wire.tunnel_channel import TunnelRecord

if TYPE_CHECKING:
    import pyarrow as pa

    from airflow_tablestore.consumer.tunnel.batch import Batch
    from airflow_tablestore.wire.decode.changes import Changes

Refuse = Callable[[RecordError], None]
"""Hears of a record that is left out. May raise to leave the batch undone."""

VALUE_FIELDS = {
    ColumnType.INTEGER: "integer",
    ColumnType.DOUBLE: "double",
    ColumnType.BOOLEAN: "boolean",
    ColumnType.STRING: "string",
    ColumnType.BINARY: "binary",
}
"""The field of a cell that holds its value, by the value's type; the others of that cell are null."""

_TOKEN_CHARACTERS = 60


def rows_of(batch: Batch, refuse: Refuse | None = None) -> Iterator[tuple[TunnelRecord, Row]]:
    """Each record with the row that it is about, in their order.

    :raises RecordError: without `refuse`: a record that cannot be read.
    """
    for number, record in enumerate(batch.records):
        try:
            row = record.decoded()
        except ProtocolError as error:
            _leave_out(batch, number, error, refuse)
        else:
            yield record, row


def _leave_out(batch: Batch, number: int, error: ProtocolError, refuse: Refuse | None) -> None:
    told = RecordError(f"{place_of(batch, number)} cannot be read: {error}")
    if refuse is None:
        raise told from error
    refuse(told)


def place_of(batch: Batch, number: int) -> str:
    """Where a record stands that has no key to name it by; `number` counts from 0 in the batch."""
    token = batch.before if len(batch.before) <= _TOKEN_CHARACTERS else batch.before[:_TOKEN_CHARACTERS] + "…"
    return f"record {number + 1} of {len(batch.records)} behind token {token!r} of channel {batch.channel}"


def arrow_of(batch: Batch, refuse: Refuse | None = None) -> pa.RecordBatch:
    """The records as columns: `action`, `sequence`, `time`, those of the key by their names, `cells` and `before`.

    `sequence` is text that sorts as the changes of a channel do; `time` is in microseconds; both are null for rows of
    base data. A cell has `name`, `op`, `version` (milliseconds) and its value in the field of its type. `before`
    are the cells of the row as it was before the change, in the columns that the stream keeps of it; it is null where
    the service tells none: of base data, and of a stream that keeps no earlier rows.
    :raises RecordError: without `refuse`: a record that cannot be read, or with another key than those before it.
    """
    quick = at_once(batch)
    return one_by_one(batch, refuse) if quick is None else quick


def at_once(batch: Batch) -> pa.RecordBatch | None:
    """All records, when every one can be read and has the key of the first; else None."""
    import pyarrow as pa

    from airflow_tablestore.wire.decode import Wanted
    from airflow_tablestore.wire.decode.changes import changes_decoder, place_texts

    if not batch.records:
        return None
    try:
        first = batch.records[0].decoded().key
        key = [(name, type_of(value)) for name, value in first if isinstance(value, int | str | bytes)]
        wanted = [Wanted(name, kind, is_key=True) for name, kind in key]
        decoder = changes_decoder(wanted, of_stream=False)
        changes = decoder.decode(batch.records)
        earlier = decoder.decode([TunnelRecord(one.action, one.origin) for one in batch.records if one.origin])
    except ProtocolError:
        return None
    if changes.unlike or earlier.unlike or len(key) != len(first):
        return None
    schema = _schema(key)
    kept = pa.array([bool(record.origin) for record in batch.records])
    return pa.RecordBatch.from_arrays(
        [
            pa.array([record.action.value for record in batch.records], pa.string()),
            place_texts(changes.places),
            changes.places.column("time"),
            *changes.keys,
            _cells_at_once(changes, changes.places.column("cells"), schema),
            _cells_at_once(earlier, _spread(earlier.places.column("cells"), kept), schema),
        ],
        schema=schema,
    )


def _cells_at_once(changes: Changes, counts: pa.Int64Array, schema: pa.Schema) -> pa.ListArray:
    """A list of its cells for each record, null where its count is."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from airflow_tablestore.wire.decode.changes import op_names

    rows = changes.cells
    values = [rows.column(kind.value) for kind in VALUE_FIELDS]
    parts = [rows.column("name"), op_names(rows.column("operation")), rows.column("version"), *values]
    cells = pa.StructArray.from_arrays(parts, fields=list(schema.types[-1].value_type))
    ends = pc.cumulative_sum(counts.fill_null(0)).cast(pa.int32())
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
    return pa.ListArray.from_arrays(offsets, cells, mask=counts.is_null() if counts.null_count else None)


def _spread(counts: pa.Int64Array, kept: pa.BooleanArray) -> pa.Int64Array:
    """The counts at the places where something is kept, null at the others."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not len(counts):
        return pa.nulls(len(kept), pa.int64())
    at = pc.subtract(pc.cumulative_sum(kept.cast(pa.int64())), 1)
    return counts.take(pc.if_else(kept, at, pa.scalar(None, pa.int64())))


def one_by_one(batch: Batch, refuse: Refuse | None) -> pa.RecordBatch:
    """As `arrow_of`, by way of rows: for a batch with a record that is to be refused."""
    import pyarrow as pa

    columns: dict[str, list[Any]] = {"action": [], "sequence": [], "time": [], "cells": [], "before": []}
    key: list[tuple[str, ColumnType]] = []
    parts: list[PrimaryKey] = []
    for number, record in enumerate(batch.records):
        try:
            row, earlier = record.decoded(), record.decoded_origin()
        except ProtocolError as error:
            _leave_out(batch, number, error, refuse)
            continue
        found = [(name, type_of(value)) for name, value in row.key if isinstance(value, int | str | bytes)]
        key = key or found
        if found != key or len(found) != len(row.key):
            told = RecordError(f"{row.key} of channel {batch.channel} has another key than the records before it")
            if refuse is None:
                raise told
            refuse(told)
            continue
        place = row.sequence
        columns["action"].append(record.action.value)
        columns["sequence"].append(
            None if place is None else f"{place.epoch:010d}_{place.timestamp:020d}_{place.row_index:010d}"
        )
        columns["time"].append(None if place is None else place.timestamp)
        columns["cells"].append(_cells(row))
        columns["before"].append(None if earlier is None else _cells(earlier))
        parts.append(row.key)
    schema = _schema(key)
    arrays = [
        *(pa.array(columns[name], schema.field(at).type) for at, name in enumerate(("action", "sequence", "time"))),
        *(pa.array([part[at][1] for part in parts], schema.field(3 + at).type) for at in range(len(key))),
        *(pa.array(columns[name], schema.types[-1]) for name in ("cells", "before")),
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _cells(row: Row) -> list[dict[str, Any]]:
    return [
        {"name": cell.name, "op": cell.op.value, "version": cell.timestamp}
        | ({} if cell.value is None else {VALUE_FIELDS[type_of(cell.value)]: cell.value})
        for cell in row.cells
    ]


def _schema(key: list[tuple[str, ColumnType]]) -> pa.Schema:
    import pyarrow as pa

    from airflow_tablestore.wire.decode import ARROW_TYPES

    def arrow(kind: ColumnType) -> pa.DataType:
        return pa.type_for_alias(ARROW_TYPES[kind])

    values = [pa.field(name, arrow(kind)) for kind, name in VALUE_FIELDS.items()]
    cell = pa.struct(
        [pa.field("name", pa.string()), pa.field("op", pa.string()), pa.field("version", pa.int64()), *values]
    )
    return pa.schema(
        [
            pa.field("action", pa.string()),
            pa.field("sequence", pa.string()),
            pa.field("time", pa.int64()),
            *(pa.field(name, arrow(kind)) for name, kind in key),
            pa.field("cells", pa.list_(cell)),
            pa.field("before", pa.list_(cell)),
        ]
    )
