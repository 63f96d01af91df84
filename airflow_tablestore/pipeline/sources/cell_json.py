"""Cells of a change as JSON, for lines of text and for the column `cells`.

Nothing is lost or guessed: integers are whole, and what is not JSON's own (bytes, doubles that are no number) is an
object that names its kind.
"""

from __future__ import annotations

import base64
import math
from typing import Any

from airflow_tablestore.wire.plainbuffer import decode_rows
from airflow_tablestore.wire.row import Cell, SequenceInfo, Value


def cell_json(cell: Cell) -> dict[str, Any]:
    """A cell: its name, what was done to it, its value and version where it has them."""
    told: dict[str, Any] = {"name": cell.name, "op": cell.op.value}
    if cell.value is not None:
        told["value"] = value_json(cell.value)
    if cell.timestamp is not None:
        told["version"] = cell.timestamp
    return told


def cells_before_json(origin: bytes) -> list[dict[str, Any]]:
    """The cells of the row before a change."""
    return [cell_json(cell) for row in decode_rows(origin) for cell in row.cells]


def value_json(value: object) -> Any:
    """A value as JSON can hold it."""
    if isinstance(value, bytes | bytearray):
        return {"base64": base64.b64encode(value).decode("ascii")}
    if isinstance(value, float) and not math.isfinite(value):
        return {"double": str(value)}
    return value if isinstance(value, Value) else str(value)


def place_text(sequence: SequenceInfo) -> str:
    """Where a change stands in its channel, as text that sorts as the changes do."""
    return f"{sequence.epoch:010d}_{sequence.timestamp:020d}_{sequence.row_index:010d}"
