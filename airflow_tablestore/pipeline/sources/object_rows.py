"""The rows of one object, as rows or as columns.

An object is brought to this machine and its CRC64 compared before the first of its rows goes on, so no row of a damaged
object is ever written.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from airflow_tablestore.consumer.table import show_key
from airflow_tablestore.errors import ProtocolError, RecordError, StartOver
from airflow_tablestore.pipeline.formats.reading import FieldType, Unread, Values, columns_of, rows_of
from airflow_tablestore.pipeline.sources.objects import Found, ListedObject, ReadColumn
from airflow_tablestore.pipeline.sources.retyped import retyped
from airflow_tablestore.pipeline.store import ObjectReader, crc64_of
from airflow_tablestore.wire.row import Cell, CellOp, PrimaryKey, Row, Value, type_of
from airflow_tablestore.wire.table import KeyColumn

READ_BYTES = 8 * 1024 * 1024

BATCH_ROWS = 16_384
"""Of a batch of columns."""


@dataclass(slots=True)
class ObjectRows:
    """The rows of one object, once its bytes are proven. `rows` counts those read, dirty ones too.

    :param keys: the table's key columns, in order.
    :param refuse: hears of dirty records, and may raise to end the run.
    :param folder: where the object is kept while it is read.
    :param deletes_nulls: whether a null is the deletion of its cell, or no cell.
    """

    store: ObjectReader
    found: Found
    listed: ListedObject
    keys: tuple[KeyColumn, ...]
    refuse: Callable[[str, str], None]
    folder: Path
    deletes_nulls: bool = False
    rows: int = field(default=0, init=False)
    dirty: int = field(default=0, init=False)

    def __iter__(self) -> Iterator[Row]:
        """:raises StartOver: the object is another one than when the work was planned.

        :raises ProtocolError: its bytes are not in the format, or it has not as many rows as its manifest says.
        """
        with self._whole() as path:
            for values in rows_of(path, self.found.format, self._fields, self._place):
                self.rows += 1
                row = self._row(values, f"row {self.rows}")
                if row is not None:
                    yield row

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows as columns, named as in the table. Only where `found.is_columnar`; raises as iterating does."""
        names = [column.to or column.field.name for column in self.found.columns]
        with self._whole() as path:
            for batch in columns_of(path, self._fields, self._place, BATCH_ROWS):
                yield self._with_keys(batch.rename_columns(names))

    def rows_in(self, batch: pa.RecordBatch) -> Iterator[Row]:
        """The rows of one of the `batches`, or of a part of it."""
        for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            row = self._row(values, "")
            if row is not None:
                yield row

    @property
    def _place(self) -> str:
        return self.store.uri(self.listed.key)

    @property
    def _fields(self) -> tuple[FieldType, ...]:
        return tuple(column.field for column in self.found.columns)

    @contextmanager
    def _whole(self) -> Iterator[Path]:
        """The object in a file. Who has read it must have counted as many rows as its manifest says."""
        path = self.folder / "object"
        try:
            fetch(self.store, self.listed, path)
            yield path
        finally:
            path.unlink(missing_ok=True)
        if self.listed.rows not in (-1, self.rows):
            raise ProtocolError(f"{self._place} has {self.rows} rows, and its manifest says {self.listed.rows}")

    def _with_keys(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Counts the rows, and leaves out those without a whole key, which are dirty."""
        keys, before = [batch.column(key.name) for key in self.keys], self.rows
        self.rows += batch.num_rows
        lacking = sorted({int(at) for key in keys if key.null_count for at in np.flatnonzero(key.is_null())})
        for at in lacking:
            self._row(tuple(column[at].as_py() for column in batch.columns), f"row {before + at + 1}")
        return batch.take(np.delete(np.arange(batch.num_rows), lacking)) if lacking else batch

    def _row(self, values: Values | Unread, place: str) -> Row | None:
        """:param place: of the row in its object; "" when nobody knows."""
        cells: dict[str, Value] = {one.to: one.value for one in self.found.constants if one.value is not None}
        nulls: list[str] = []
        try:
            if isinstance(values, Unread):
                raise RecordError(values.reason)
            for column, value in zip(self.found.columns, values, strict=True):
                if column.to is None:
                    for name, other in others_of(value).items():
                        cells.setdefault(name, other)
                elif column.to and value is not None:
                    cells[column.to] = value if column.type is None else _retyped(column, value)
                elif column.to and self.deletes_nulls:
                    nulls.append(column.to)
            key = tuple((one.name, _key_part(one, cells.pop(one.name, None))) for one in self.keys)
        except RecordError as error:
            self.dirty += 1
            known = tuple((one.name, cells[one.name]) for one in self.keys if one.name in cells)
            self.refuse(" ".join(filter(None, (self._place, place, _shown(known)))), str(error))
            return None
        gone = (Cell(name, None, op=CellOp.DELETE_ALL_VERSIONS) for name in nulls if name not in cells)
        return Row(key, (*(Cell(name, value) for name, value in cells.items()), *gone))


def _retyped(column: ReadColumn, value: Any) -> Value:
    try:
        return retyped(value, column.type or column.field.type)
    except RecordError as error:
        raise RecordError(f"column '{column.to}': {error}") from error


def _shown(known: Sequence[tuple[str, Value]]) -> str:
    parts: PrimaryKey = tuple((name, value) for name, value in known if not isinstance(value, float | bool))
    return show_key(parts) if parts else ""


def _key_part(key: KeyColumn, value: Value | None) -> int | str | bytes:
    if value is None:
        raise RecordError(f"key column '{key.name}' is null")
    if type_of(value) is not key.type or isinstance(value, float | bool):
        raise RecordError(f"key column '{key.name}' is {type_of(value)}, not {key.type}")
    return value


def fetch(store: ObjectReader, listed: ListedObject, path: Path) -> None:
    """Bring an object here and compare its bytes with what was listed.

    :raises StartOver: it is gone or another one.
    """
    crc = place = 0
    with path.open("wb") as file:
        while place < listed.bytes:
            data = store.read(listed.key, place, min(READ_BYTES, listed.bytes - place))
            if not data:
                break
            file.write(data)
            crc, place = crc64_of(data, crc), place + len(data)
    if place != listed.bytes or listed.crc64 not in (None, crc):
        told = f"{store.uri(listed.key)} has changed since the restore was planned, or its bytes are damaged."
        raise StartOver(told, task="plan")


def others_of(document: object) -> dict[str, Value]:
    """The cells of a JSON document of `_other`: what `conversion.others_as_json` made it from.

    :raises RecordError: it is no such document.
    """
    if document is None:
        return {}
    try:
        found = json.loads(document) if isinstance(document, str) else document
    except (ValueError, RecursionError) as error:
        raise RecordError(f"column '_other' is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise RecordError("column '_other' is no JSON object")
    return {name: _other(name, value) for name, value in found.items()}


def _other(name: str, value: object) -> Value:
    if isinstance(value, bool | int | float | str) and not (isinstance(value, float) and not math.isfinite(value)):
        return value
    try:
        match value:
            case {"binary": str(text)}:
                return base64.b64decode(text, validate=True)
            case {"double": "NaN" | "Infinity" | "-Infinity" as word}:
                return float(word)
    except ValueError as error:
        raise RecordError(f"column '_other': '{name}' is no base64") from error
    raise RecordError(f"column '_other': '{name}' holds what no cell can hold")
