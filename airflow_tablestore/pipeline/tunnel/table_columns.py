"""Records that were decoded together as columns for a warehouse's table; the ways of `table_rows`, many at once.

A reader gives None where a record needs a look of its own: a value of another type, several versions of a cell, a row
before the change that cannot be read. Whoever asked then goes record by record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.pipeline.sources.cell_json import cells_before_json, cells_json, json_text
from airflow_tablestore.wire.decode import ARROW_TYPES
from airflow_tablestore.wire.decode.changes import Changes, ChangesDecoder, Done, place_texts
from airflow_tablestore.wire.row import ColumnType
from airflow_tablestore.wire.tunnel_channel import TunnelRecord


@dataclass(frozen=True, slots=True)
class Together:
    """Records, what the decoder made of them, and the names of their cells."""

    records: Sequence[TunnelRecord]
    changes: Changes
    names: pa.DictionaryArray

    @property
    def micros(self) -> pa.Int64Array:
        """When each change was made; null for rows of the table."""
        return self.changes.places.column("time")


ColumnReader: TypeAlias = Callable[[Together], pa.Array | None]


def together(decoder: ChangesDecoder, records: Sequence[TunnelRecord]) -> Together | None:
    """The records; None when one cannot be read, or has another key than the table."""
    try:
        changes = decoder.decode(records)
    except ProtocolError:
        return None
    return None if changes.unlike else Together(records, changes, changes.cells.column("name").dictionary_encode())


def key_part(at: int) -> ColumnReader:
    """That part of the key."""
    return lambda told: told.changes.keys[at]


def attribute(name: str, kind: ColumnType, *, has_any_case: bool) -> ColumnReader:
    """What was put into this column, null where nothing was.

    :param has_any_case: upper and lower case of the name do not matter.
    """

    def read(told: Together) -> pa.Array | None:
        cells, count = told.changes.cells, len(told.records)
        known = told.names.dictionary.to_pylist()
        codes = [
            code
            for code, one in enumerate(known)
            if one == name or (has_any_case and one is not None and one.lower() == name.lower())
        ]
        if not codes:
            return pa.nulls(count, pa.type_for_alias(ARROW_TYPES[kind]))
        if len(codes) > 1:
            return None
        is_put = pc.equal(cells.column("operation"), Done.PUT.value)
        own = pc.and_(pc.equal(told.names.indices, codes[0]), is_put)
        numbers, values = cells.column("record").filter(own).to_numpy(), cells.column(kind.value).filter(own)
        if values.null_count or (numbers[1:] == numbers[:-1]).any():
            return None
        at = np.full(count, -1)
        at[numbers] = np.arange(len(numbers))
        return values.take(pa.array(at, mask=at < 0))

    return read


def _actions(told: Together) -> pa.Array:
    return pa.array([record.action.value for record in told.records], pa.string())


def _millis(told: Together) -> pa.Array:
    return pa.array([None if one is None else one // 1000 for one in told.micros.to_pylist()], pa.int64())


def _cells(told: Together) -> pa.Array:
    return cells_json(told.changes.cells, told.changes.places.column("cells"))


def _before(told: Together) -> pa.Array | None:
    origins = (record.origin for record in told.records)
    try:
        return pa.array([json_text(cells_before_json(one)) if one else None for one in origins], pa.string())
    except ProtocolError:
        return None


ADDED_AT_ONCE: Mapping[str, ColumnReader] = {
    "action": _actions,
    "sequence": lambda told: place_texts(told.changes.places),
    "time": lambda told: told.micros,
    "millis": _millis,
    "cells": _cells,
    "before": _before,
}
"""Of the columns that `sources.tunnel` adds, and `millis` for a time that goes into a DATETIME."""
