"""Cells in another type than their column: what may be converted without loss, and how values look as JSON.

Only a type that the author declared asks for a conversion. Any value becomes a string (integers in digits, doubles in
the shortest digits that read back, true and false, binary as base64); an integer becomes a double when it is exact.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from airflow_tablestore.pipeline.contract import Column
from airflow_tablestore.wire.decode import Stray
from airflow_tablestore.wire.row import ColumnType, Value, type_of


def settled(
    records: pa.RecordBatch, conflicts: Sequence[Stray], columns: Sequence[Column]
) -> tuple[pa.RecordBatch, dict[int, str]]:
    """The records with the conflicting cells that may be converted; and the other rows, with the reason of the first.

    These rows are still in the batch, with null in the place of the cell.
    """
    reasons: dict[int, str] = {}
    by_name = {column.name: column for column in columns}
    found: dict[str, dict[int, Value]] = {}
    for stray in conflicts:
        column = by_name[stray.column]
        value = converted(stray.value, column.type) if column.is_declared else None
        if value is None:
            reasons.setdefault(stray.row, _conflict(column, stray.value))
        else:
            found.setdefault(stray.column, {})[stray.row] = value
    for name, values in found.items():
        at = records.schema.get_field_index(name)
        mask = pa.array([row in values for row in range(records.num_rows)])
        given = pa.array([values[row] for row in sorted(values)], records.schema.field(at).type)
        records = records.set_column(at, name, pc.replace_with_mask(records.column(at), mask, given))
    return records, reasons


def _conflict(column: Column, value: Value) -> str:
    found = type_of(value)
    told = f"column '{column.name}' is {column.type} and the cell is {found}"
    if column.is_declared:
        return f"{told}, which cannot be converted without loss"
    return f"{told}; declare the type to convert, as {{name: {column.name}, type: string}}"


def converted(value: Value, to: ColumnType) -> Value | None:
    """The same value in another type; None when something would be lost."""
    if to is ColumnType.STRING:
        return as_string(value)
    if to is ColumnType.DOUBLE and type(value) is int and int(float(value)) == value:
        return float(value)
    return None


def as_string(value: Value) -> str:
    """A value as text, as csv writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return _name(value)
    return str(value)


def others_as_json(cells: Mapping[str, Value]) -> str:
    """The cells of unknown columns as one JSON object, in the order of their names.

    Strings, integers, finite doubles (always with a point or an exponent) and booleans are JSON's own;
    NaN and the infinities are {"double": "NaN"}, binary is {"binary": base64}: so types and values can be restored.
    """
    document = {name: _as_json(cells[name]) for name in sorted(cells)}
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _as_json(value: Value) -> Any:
    if isinstance(value, bytes):
        return {"binary": base64.b64encode(value).decode()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"double": _name(value)}
    return value


def _name(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
