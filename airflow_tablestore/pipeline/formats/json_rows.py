"""Rows as JSON objects, whole columns at a time: the work behind jsonl."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.compute as pc

from airflow_tablestore.pipeline.contract import JSON_MARK
from airflow_tablestore.pipeline.formats.dates import ISO, strftime_of
from airflow_tablestore.pipeline.formats.render import as_text

_ESCAPED = r'["\\\x00-\x1f]'
"""Characters that a JSON string cannot hold as they are (RFC 8259, 7)."""


def rows_as_json(records: pa.RecordBatch) -> pa.Array:
    """One JSON object and a newline per row."""
    parts: list[pa.Array | str] = []
    for number, (field, column) in enumerate(zip(records.schema, records.columns, strict=True)):
        parts.append(("{" if number == 0 else ",") + json.dumps(field.name, ensure_ascii=False) + ":")
        parts.append(pc.fill_null(_values(field, column), "null"))
    return pc.binary_join_element_wise(*parts, "}\n", "")


def _values(field: pa.Field, column: pa.Array) -> pa.Array:
    text = as_text(column, strftime_of(ISO))
    if field.metadata and JSON_MARK in field.metadata:
        return text
    if pa.types.is_floating(column.type):
        return pc.if_else(pc.is_finite(column), text, _in_quotes(text))
    if pa.types.is_integer(column.type) or pa.types.is_boolean(column.type):
        return text
    if pa.types.is_string(column.type):
        return _strings(text)
    return _in_quotes(text)


def _strings(text: pa.Array) -> pa.Array:
    special = pc.match_substring_regex(text, _ESCAPED)
    if not pc.any(special).as_py():
        return _in_quotes(text)
    escaped = [json.dumps(s, ensure_ascii=False) for s in text.filter(pc.fill_null(special, False)).to_pylist()]
    return pc.replace_with_mask(_in_quotes(text), special, pa.array(escaped, pa.string()))


def _in_quotes(text: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise('"', text, '"', "")
