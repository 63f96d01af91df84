"""Changes of a table, written by hand: stream records from values, and a shard's span of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from airflow_tablestore.wire.plainbuffer import encode_rows
from airflow_tablestore.wire.row import Cell, CellOp, PrimaryKey, Row, SequenceInfo, Value
from airflow_tablestore.wire.stream import Action, StreamRecord

NOW = 1704067200000000
"""The record time of the first change, in microseconds."""


def key(number: int) -> PrimaryKey:
    return (("id", number),)


def put_cell(name: str, value: Value, version: int = 7) -> Cell:
    return Cell(name, value, version)


def deleted(name: str) -> Cell:
    return Cell(name, None, None, CellOp.DELETE_ALL_VERSIONS)


def deleted_version(name: str, version: int) -> Cell:
    return Cell(name, None, version, CellOp.DELETE_ONE_VERSION)


def record(action: Action, row_key: PrimaryKey, *cells: Cell, at: int = NOW, index: int = 0) -> StreamRecord:
    row = Row(row_key, cells, action is Action.DELETE, SequenceInfo(1, at, index))
    return StreamRecord(action, encode_rows([row]))


def put(number: int, **cells: Value) -> StreamRecord:
    return record(Action.PUT, key(number), *(put_cell(name, value) for name, value in cells.items()))


def update(number: int, *more: Cell, **cells: Value) -> StreamRecord:
    return record(Action.UPDATE, key(number), *(put_cell(name, value) for name, value in cells.items()), *more)


def delete(number: int) -> StreamRecord:
    return record(Action.DELETE, key(number))


@dataclass(frozen=True)
class Span:
    """Pages of one shard."""

    pages: Sequence[Sequence[StreamRecord]]
    shard: str = "s0"

    def __iter__(self) -> Iterator[Sequence[StreamRecord]]:
        return iter(self.pages)
