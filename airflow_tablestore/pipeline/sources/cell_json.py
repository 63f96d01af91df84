"""Cells of a change as JSON, for lines of text and for the column `cells`.

Nothing is lost or guessed: integers are whole, and what is not JSON's own (bytes, doubles that are no number) is an
object that names its kind.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from airflow_tablestore.wire.decode.changes import op_names
from airflow_tablestore.wire.plainbuffer import decode_rows
from airflow_tablestore.wire.row import Cell, ColumnType, SequenceInfo, Value


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


# ---- many at once


def cells_json(cells: pa.RecordBatch, counts: pa.Int64Array) -> pa.StringArray:
    """A JSON list of its cells for each record, as `cell_json` writes each.

    :param cells: of `wire.decode.changes`, in the order of their records; `counts`: how many of them each record has.
    """
    parts = [
        pa.scalar('{"name":'),
        _for_each(cells.column("name"), json_text),
        pa.scalar(',"op":"'),
        op_names(cells.column("operation")),
        _with_key('","value":', _values(cells), or_else='"'),
        _with_key(',"version":', cells.column("version").cast(pa.string()), or_else=""),
        pa.scalar("}"),
    ]
    texts = pc.binary_join_element_wise(*parts, "")
    ends = pc.cumulative_sum(counts).cast(pa.int32())
    lists = pa.ListArray.from_arrays(pa.concat_arrays([pa.array([0], pa.int32()), ends]), texts)
    return pc.binary_join_element_wise(pa.scalar("["), pc.binary_join(lists, ","), pa.scalar("]"), "")


def json_text(value: Any) -> str:
    """A value of JSON as short text."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _values(cells: pa.RecordBatch) -> pa.StringArray:
    """Each value as JSON; null where a cell has none."""
    texts = _quoted(cells.column(ColumnType.STRING.value))
    for kind in (ColumnType.INTEGER, ColumnType.BOOLEAN, ColumnType.DOUBLE, ColumnType.BINARY):
        values = cells.column(kind.value)
        if values.null_count == len(values):
            continue
        if kind in (ColumnType.INTEGER, ColumnType.BOOLEAN):
            told = values.cast(pa.string())
        else:
            told = _array(None if one is None else json_text(value_json(one)) for one in values.to_pylist())
        texts = pc.coalesce(texts, told)
    return texts


def _quoted(texts: pa.StringArray) -> pa.StringArray:
    """Texts in quotes. Few have a character that JSON writes in another way."""
    if pc.any(pc.match_substring_regex(texts, r'["\\\x00-\x1f]')).as_py():
        return _for_each(texts, json_text)
    return pc.binary_join_element_wise(pa.scalar('"'), texts, pa.scalar('"'), "")


def _for_each(texts: pa.StringArray, told: Callable[[str], str]) -> pa.StringArray:
    """What is told of each different text."""
    distinct = texts.dictionary_encode()
    return _array(told(one) for one in distinct.dictionary.to_pylist()).take(distinct.indices)


def _with_key(key: str, values: pa.StringArray, *, or_else: str) -> pa.StringArray:
    return pc.fill_null(pc.binary_join_element_wise(pa.scalar(key), values, ""), or_else)


def _array(texts: Iterable[str | None]) -> pa.StringArray:
    return pa.array(list(texts), pa.string())
