"""Cells in another type than their column: what may be converted without loss, and how values look as JSON.

Only a type that the author declared asks for a conversion. Any value becomes a string (integers in digits, doubles in
the shortest digits that read back, true and false, binary as base64); an integer becomes a double when it is exact.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from typing import Any

from airflow_tablestore.wire.row import ColumnType, Value


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
