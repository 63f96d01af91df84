"""Filters of reads and column conditions of writes: parsed once, then asked row by row.

A filter sees the cells that the read has selected (so a column that is not read is missing), and the key. Values of
different types are never equal and never in order. Source: the service's pages on filters; what they leave open is
listed in the docs as not verified.
"""

from __future__ import annotations

import operator
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from airflow_tablestore.emulator.tablestore.cells import StoredCell, value_of
from airflow_tablestore.emulator.tablestore.errors import invalid
from airflow_tablestore.emulator.tablestore.keys import BINARY, BOOLEAN, DOUBLE, INTEGER, STRING, KeyPart
from airflow_tablestore.emulator.tablestore.messages import read
from airflow_tablestore.wire.proto import table_pb2 as pb

MAX_FILTERS = 32
"""Source: tests of the Java SDK, 'The count of filter exceeds the max: 32.'"""

Typed: TypeAlias = tuple[int, int | float | bool | bytes]
"""A value beside its type on the wire, so that True is not 1."""

_COMPARE: dict[int, Callable[[Any, Any], bool]] = {
    pb.CT_EQUAL: operator.eq,
    pb.CT_NOT_EQUAL: operator.ne,
    pb.CT_GREATER_THAN: operator.gt,
    pb.CT_GREATER_EQUAL: operator.ge,
    pb.CT_LESS_THAN: operator.lt,
    pb.CT_LESS_EQUAL: operator.le,
}


@dataclass(frozen=True, slots=True)
class Single:
    """A comparison of one column; `passes_if_missing` decides for rows that lack it."""

    comparator: int
    column: bytes
    value: Typed | None
    passes_if_missing: bool
    is_latest_only: bool
    pattern: re.Pattern[str] | None = None
    cast: int = STRING

    def passes(self, row: RowValues) -> bool:
        """Whether the row stays."""
        found = row.values(self.column, 1 if self.is_latest_only else None)
        if self.pattern is not None:
            found = [value for value in map(self._transferred, found) if value is not None]
        if self.comparator == pb.CT_EXIST:
            return bool(found)
        if self.comparator == pb.CT_NOT_EXIST:
            return not found
        if not found:
            return self.passes_if_missing
        return any(self._compares(value) for value in found)

    def _compares(self, value: Typed) -> bool:
        if self.value is None or value[0] != self.value[0]:
            return self.comparator == pb.CT_NOT_EQUAL
        return _COMPARE[self.comparator](value[1], self.value[1])

    def _transferred(self, value: Typed) -> Typed | None:
        if self.pattern is None or value[0] != STRING or not isinstance(value[1], bytes):
            return None
        match = self.pattern.search(value[1].decode("utf-8"))
        if match is None:
            return None
        text = match.group(1) if self.pattern.groups else match.group(0)
        try:
            if self.cast == INTEGER:
                return INTEGER, int(text)
            if self.cast == DOUBLE:
                return DOUBLE, float(text)
        except (TypeError, ValueError):
            return None
        return STRING, (text or "").encode()


@dataclass(frozen=True, slots=True)
class Composite:
    """NOT of one filter, AND or OR of several."""

    combinator: int
    parts: tuple[Single | Composite, ...]

    def passes(self, row: RowValues) -> bool:
        """Whether the row stays."""
        if self.combinator == pb.LO_NOT:
            return not self.parts[0].passes(row)
        if self.combinator == pb.LO_AND:
            return all(part.passes(row) for part in self.parts)
        return any(part.passes(row) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Page:
    """Some columns of each row, counted from 0 in the order of their names; every row stays."""

    offset: int
    limit: int


Filter: TypeAlias = Single | Composite | Page


class RowValues:
    """A row as filters see it: values of a column, newest first."""

    def __init__(self, key: Sequence[KeyPart], cells: Sequence[StoredCell]):
        self._key, self._cells = key, cells

    def values(self, column: bytes, most: int | None) -> list[Typed]:
        """The column's values, decoded; at most `most` of them."""
        for name, kind, payload in self._key:
            if name == column:
                return [typed(bytes((kind,)) + (b"\0\0\0\0" if kind in (STRING, BINARY) else b"") + payload)]
        found = [cell for cell in self._cells if cell.name == column]
        return [typed(value_of(cell)) for cell in found[:most]]


def typed(value: bytes) -> Typed:
    """A PlainBuffer value (type, payload) as a Python one; strings stay UTF-8, which sorts as the service sorts."""
    kind = value[0]
    try:
        if kind == INTEGER:
            return kind, struct.unpack_from("<q", value, 1)[0]
        if kind == DOUBLE:
            return kind, struct.unpack_from("<d", value, 1)[0]
        if kind == BOOLEAN:
            return kind, value[1] != 0
    except (struct.error, IndexError):
        raise invalid("data format is invalid.") from None
    if kind in (STRING, BINARY):
        return kind, value[5:]
    raise invalid("data format is invalid, unknown variant type occured.")


def read_filter(data: bytes) -> Filter:
    """The filter of a read.

    :raises ServiceError: it cannot be parsed, or combines filters as the service does not.
    """
    message = read(pb.Filter, data, "Deserialize filter failed.")
    if message.type == pb.FT_COLUMN_PAGINATION:
        page = read(pb.ColumnPaginationFilter, message.filter, "Deserialize column pagination filter failed.")
        if page.offset < 0:
            raise invalid("Offset in ColumnPaginationFilter must be greater than or equal to 0.")
        if page.limit <= 0:
            raise invalid("Limit in ColumnPaginationFilter must be greater than 0.")
        return Page(page.offset, page.limit)
    counter = [0]
    return _condition(message, counter)


def read_condition(data: bytes) -> Single | Composite:
    """The column condition of a write."""
    found = read_filter(data)
    if isinstance(found, Page):
        raise invalid("Invalid condition: ColumnPaginationFilter.")
    return found


def _condition(message: pb.Filter, counter: list[int]) -> Single | Composite:
    counter[0] += 1
    if counter[0] > MAX_FILTERS:
        raise invalid(f"The count of filter exceeds the max: {MAX_FILTERS}.")
    if message.type == pb.FT_SINGLE_COLUMN_VALUE:
        return _single(read(pb.SingleColumnValueFilter, message.filter, "Deserialize relation filter failed."))
    if message.type != pb.FT_COMPOSITE_COLUMN_VALUE:
        raise invalid(f"Invalid type of sub-filter: {pb.FilterType.Name(message.type)}.")
    composite = read(pb.CompositeColumnValueFilter, message.filter, "Deserialize composite filter failed.")
    parts = tuple(_condition(part, counter) for part in composite.sub_filters)
    if composite.combinator == pb.LO_NOT and len(parts) != 1:
        raise invalid("Invalid NOT operator: the number of sub-filters must be 1.")
    if composite.combinator != pb.LO_NOT and len(parts) < 2:
        raise invalid("Invalid AND/OR operator: the number of sub-filters must be 2.")
    return Composite(composite.combinator, parts)


def _single(message: pb.SingleColumnValueFilter) -> Single:
    needs_value = message.comparator not in (pb.CT_EXIST, pb.CT_NOT_EXIST)
    if needs_value and not message.column_value:
        raise invalid("Deserialize relation filter failed.")
    pattern = None
    cast = STRING
    if message.HasField("value_trans_rule"):
        rule = message.value_trans_rule
        try:
            pattern = re.compile(rule.regex)
        except (re.error, OverflowError, RecursionError):
            raise invalid(f"Invalid regex of filter: {rule.regex}.") from None
        cast = rule.cast_type if rule.HasField("cast_type") else STRING
    return Single(
        message.comparator,
        message.column_name.encode(),
        typed(message.column_value) if needs_value else None,
        not message.filter_if_missing,
        message.latest_version_only,
        pattern,
        cast,
    )
