"""Records of a change log as columns: the one interface of the decoders of changes.

Changes differ too much for a column of each name: a row of `cells` is one cell that was put or deleted, its value in
the column of its type. A record whose key is not the table's has no cells; whoever asked decides what becomes of it.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.wire.decode import ARROW_TYPES, Wanted, backend
from airflow_tablestore.wire.decode.change import ChangedCell, ChangeReader
from airflow_tablestore.wire.row import CellOp, ColumnType, PrimaryKey, SequenceInfo, type_of
from airflow_tablestore.wire.stream import Action, StreamRecord
from airflow_tablestore.wire.tunnel_channel import TunnelRecord

Record = StreamRecord | TunnelRecord


class Done(enum.IntEnum):
    """What a row of `cells` says was done. The first three are the operations of the log's own bytes."""

    PUT = 0
    DELETED_ALL_VERSIONS = 1
    DELETED_ONE_VERSION = 3
    DELETED_ROW = 4


CELLS = pa.schema(
    [
        pa.field("record", pa.int64()),
        pa.field("number", pa.int64()),
        pa.field("name", pa.string()),
        pa.field("operation", pa.int64()),
        pa.field("version", pa.int64()),
        *(pa.field(kind.value, pa.type_for_alias(ARROW_TYPES[kind])) for kind in ColumnType),
    ]
)
"""Of `cells`. `record` counts from 0 within the page, `number` from 0 within the record; `operation` is a `Done`.
A value is in the column that is named after its type."""

PLACES = pa.schema([pa.field(name, pa.int64()) for name in ("epoch", "time", "index", "cells")])
"""Where each record stands in its log, null for a row of base data; the time is in microseconds. And how many rows of
`cells` it has."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Records of one page. `keys` has a column for each part of the table's key, `places` and it a row per record.

    Of a stream, a record that put or deleted its row begins with a cell DELETED_ROW, which has neither name nor value;
    one that deleted it has no other. Of a tunnel, the cells are those that a record has.
    `unlike` are the records with another key than the table's, by their numbers: what is in `keys` for these is null.
    """

    keys: tuple[pa.Array, ...]
    places: pa.RecordBatch
    cells: pa.RecordBatch
    unlike: Mapping[int, PrimaryKey] = field(default_factory=dict)


class ChangesDecoder(Protocol):
    """Turns records into columns; keep one, it remembers the names of columns. Not for several threads."""

    def decode(self, records: Sequence[Record]) -> Changes:
        """The records of one page, in their order.

        :raises ProtocolError: the bytes of one are no valid record.
        """
        ...


def changes_decoder(keys: Sequence[Wanted], *, of_stream: bool = True) -> ChangesDecoder:
    """A decoder for a table with this key: in C where that is, else in Python. See `decode.backend`.

    :param of_stream: the records are those of a stream; False: of a tunnel, rows of base data among them.
    """
    if backend() == "native":
        from airflow_tablestore.wire.decode.native_changes import NativeChanges

        return NativeChanges(keys, of_stream=of_stream)
    return PlainChanges(keys, of_stream=of_stream)


class PlainChanges:
    """Reads record by record: correct everywhere, and the judge of the faster one."""

    def __init__(self, keys: Sequence[Wanted], *, of_stream: bool = True):
        self._keys = tuple(keys)
        self._of_stream = of_stream
        self._reader = ChangeReader()

    def decode(self, records: Sequence[Record]) -> Changes:
        """See `ChangesDecoder`."""
        keys: list[Sequence[Any]] = []
        places: list[tuple[int | None, ...]] = []
        cells: list[tuple[Any, ...]] = []
        unlike: dict[int, PrimaryKey] = {}
        for number, record in enumerate(records):
            key, found, sequence = self._read(record)
            told: list[tuple[Any, ...]] = []
            if self._is_unlike(key):
                unlike[number] = key
                keys.append([None] * len(self._keys))
            else:
                keys.append([value for _, value in key])
                told = list(_told(record.action, found) if self._of_stream else map(_cell, found))
            cells += [(number, at, *cell) for at, cell in enumerate(told)]
            place = (None,) * 3 if sequence is None else (sequence.epoch, sequence.timestamp, sequence.row_index)
            places.append((*place, len(told)))
        types = [pa.type_for_alias(ARROW_TYPES[key.type]) for key in self._keys]
        return Changes(
            keys=tuple(pa.array([row[at] for row in keys], kind) for at, kind in enumerate(types)),
            places=_batch(PLACES, places),
            cells=_batch(CELLS, cells),
            unlike=unlike,
        )

    def _read(self, record: Record) -> tuple[PrimaryKey, Sequence[ChangedCell], SequenceInfo | None]:
        if self._of_stream:
            return self._reader.read(record.row)
        row = record.decoded()
        return row.key, [(cell.name, cell.value, cell.timestamp, cell.op) for cell in row.cells], row.sequence

    def _is_unlike(self, key: PrimaryKey) -> bool:
        found = [(name, type_of(value)) for name, value in key if isinstance(value, int | str | bytes)]
        return found != [(wanted.name, wanted.type) for wanted in self._keys]


def _told(action: Action, cells: Sequence[ChangedCell]) -> Iterator[tuple[Any, ...]]:
    """The rows of `cells` for one record, from the name on."""
    if action is not Action.UPDATE:
        yield (None, Done.DELETED_ROW, None, *_NO_VALUE)
    if action is Action.DELETE:
        return
    yield from map(_cell, cells)


def _cell(cell: ChangedCell) -> tuple[Any, ...]:
    name, value, version, op = cell
    done = _DONE.get(op)
    if done is None:
        raise ProtocolError(f"column {name!r}: {op.value} in a stream record")
    kind = None if value is None else type_of(value)
    return (name, done, version, *(value if one is kind else None for one in ColumnType))


_NO_VALUE = (None,) * len(ColumnType)

_DONE = {
    CellOp.PUT: Done.PUT,
    CellOp.DELETE_ALL_VERSIONS: Done.DELETED_ALL_VERSIONS,
    CellOp.DELETE_ONE_VERSION: Done.DELETED_ONE_VERSION,
}


def _batch(schema: pa.Schema, rows: Sequence[tuple[Any, ...]]) -> pa.RecordBatch:
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrays = [pa.array(values, one.type) for values, one in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


# ---- columns of changes as text


def place_texts(places: pa.RecordBatch) -> pa.StringArray:
    """Where records stand, as text that sorts as they do: epoch, microseconds, row index; null for base data."""
    parts = [digits(places.column(name), width) for name, width in (("epoch", 10), ("time", 20), ("index", 10))]
    return pc.binary_join_element_wise(*parts, "_")


def digits(numbers: pa.Int64Array, width: int) -> pa.StringArray:
    """Whole numbers as text of so many characters, filled with zeros as `format` does; null stays null."""
    least = pc.min(numbers).as_py()
    if least is not None and least < 0:
        texts = [None if one is None else f"{one:0{width}d}" for one in numbers.to_pylist()]
        return pa.array(texts, pa.string())
    return pc.utf8_lpad(numbers.cast(pa.string()), width, "0")


def op_names(operations: pa.Int64Array) -> pa.StringArray:
    """The words of `CellOp` for a column of operations; null for DELETED_ROW."""
    return _OP_NAMES.take(operations)


_OPS: dict[int, str] = {done: op.value for op, done in _DONE.items()}
_OP_NAMES = pa.array([_OPS.get(code) for code in range(max(Done) + 1)], pa.string())
