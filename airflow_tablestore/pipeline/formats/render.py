"""Arrow columns as text, cell by cell, with nothing lost on the way.

Integers are exact, doubles are the shortest digits that read back as the same double (with a dot or an exponent, so
that they stay doubles), NaN and the infinities are written as Java, C and Python read them, binary is base64. Nulls
stay nulls: how they look is each format's own business.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

MAX_SLICE_BYTES = 64 * 1024 * 1024
"""Text of a slice stays far below the 2 GiB that 32 bit string offsets reach, even if every byte is a quote."""


def as_text(column: pa.Array, date_pattern: str) -> pa.Array:
    """The cells as strings; null where the cell is null."""
    kind = column.type
    if pa.types.is_string(kind):
        return column
    if pa.types.is_floating(kind):
        return _doubles(column)
    if pa.types.is_binary(kind):
        return pa.array(
            [None if cell is None else base64.b64encode(cell).decode() for cell in column.to_pylist()], pa.string()
        )
    if pa.types.is_temporal(kind):
        return pc.strftime(pc.cast(column, pa.timestamp("s", getattr(kind, "tz", None)), safe=False), date_pattern)
    return pc.cast(column, pa.string())


def _doubles(column: pa.Array) -> pa.Array:
    text = pc.cast(column, pa.string())
    may_lack_point = pc.fill_null(pc.equal(column, pc.floor(column)), False)
    if pc.any(may_lack_point).as_py():  # few do, and to search in text costs more than to make it
        texts = text.filter(may_lack_point)
        whole = pc.invert(pc.match_substring_regex(texts, "[.enai]"))
        texts = pc.if_else(whole, pc.binary_join_element_wise(texts, ".0", ""), texts)
        text = pc.replace_with_mask(text, may_lack_point, texts)
    if pc.all(pc.is_finite(column)).as_py():
        return text
    for lower, word in (("nan", "NaN"), ("inf", "Infinity"), ("-inf", "-Infinity")):
        if pc.any(pc.equal(text, lower)).as_py():
            text = pc.if_else(pc.equal(text, lower), word, text)
    return text


def alphabet(kind: pa.DataType) -> frozenset[str] | None:
    """The characters that `as_text` can write for a type; None for any."""
    if pa.types.is_integer(kind):
        return frozenset("0123456789-")
    if pa.types.is_floating(kind):
        return frozenset("0123456789+-.eNaInfity")
    if pa.types.is_boolean(kind):
        return frozenset("truefals")
    if pa.types.is_binary(kind):
        return frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
    return None


def sliced(records: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The batch in pieces whose text is sure to fit into Arrow's strings."""
    if records.num_rows > 1 and records.nbytes > MAX_SLICE_BYTES:
        middle = records.num_rows // 2
        yield from sliced(records.slice(0, middle))
        yield from sliced(records.slice(middle))
    elif records.num_rows:
        yield records


def text_bytes(strings: pa.Array) -> memoryview:
    """All strings one after another, without a copy."""
    _, offsets, data = strings.buffers()
    if data is None or not len(strings):
        return memoryview(b"")
    ends = memoryview(offsets).cast("i")
    return memoryview(data)[ends[strings.offset] : ends[strings.offset + len(strings)]]
