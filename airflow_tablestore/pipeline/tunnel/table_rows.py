"""A tunnel's records as rows of a warehouse's table: which value goes into which column, in the column's type.

A column of the table takes a column of the key, one of the five that `sources.tunnel` adds, or an attribute of the row.
An attribute's type is what the author says, else what Tablestore's table declares, else what suits the column. A value
that does not fit makes its record dirty; nothing is rounded, cut or left out unless the author chose it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from airflow_tablestore.errors import Problem, ProtocolError, SpecError
from airflow_tablestore.pipeline.contract import OverLength
from airflow_tablestore.pipeline.sinks.table_columns import CREATED, TableMapping, mapping_of
from airflow_tablestore.pipeline.sources.cell_json import cell_json, cells_before_json, json_text, place_text
from airflow_tablestore.pipeline.sources.conversion import converted
from airflow_tablestore.pipeline.sources.tunnel import ADDED
from airflow_tablestore.pipeline.tunnel.table_columns import ADDED_AT_ONCE, ColumnReader, Together, attribute, key_part
from airflow_tablestore.pipeline.tunnel.table_target import Pick
from airflow_tablestore.pipeline.warehouse import TableColumn
from airflow_tablestore.wire.decode import ARROW_TYPES
from airflow_tablestore.wire.row import CellOp, ColumnType, Row, Value, type_of
from airflow_tablestore.wire.table import TableDescription

SUITED = {
    "tinyint": ColumnType.INTEGER,
    "smallint": ColumnType.INTEGER,
    "int": ColumnType.INTEGER,
    "bigint": ColumnType.INTEGER,
    "datetime": ColumnType.INTEGER,
    "float": ColumnType.DOUBLE,
    "double": ColumnType.DOUBLE,
    "boolean": ColumnType.BOOLEAN,
    "binary": ColumnType.BINARY,
}
"""The type of an attribute that suits a column; any other column takes texts, and every value as one."""

NOT_STREAMED = ("timestamp", "timestamp_ntz")
"""pyodps writes these by record only with pandas. Source: pyodps 0.13, odps/tunnel/io/writer.py."""

_ADDED_TYPES = {name: ColumnType.INTEGER if name == "time" else ColumnType.STRING for name in ADDED}
_ATTRIBUTE = "cells."
"""Before a name: the attribute, though a column that is added has the name too."""


@dataclass(frozen=True, slots=True)
class Change:
    """A record as it is written: what was done, and the row with its key and cells."""

    action: str
    row: Row
    origin: bytes | None = None

    @property
    def micros(self) -> int | None:
        """When the change was made; None for a row of the table."""
        return None if self.row.sequence is None else self.row.sequence.timestamp


@dataclass(frozen=True, slots=True)
class _Column:
    """One column of the output: its name in the table, its type, and what it reads, of one record or of many."""

    to: str
    type: ColumnType
    read: Callable[[_Told], Any]
    told: str
    at_once: ColumnReader


@dataclass(frozen=True, slots=True)
class _Told:
    """A change, with its attributes by name, and by name in lower case."""

    change: Change
    key: Mapping[str, Value]
    values: Mapping[str, Value]
    folded: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class TableRows:
    """How changes become rows of the table."""

    columns: tuple[_Column, ...]
    mapping: TableMapping
    folded: frozenset[str] = frozenset()
    """Names in lower case of attributes that are taken whatever their case."""

    def apply(self, changes: Sequence[Change]) -> tuple[pa.RecordBatch, dict[int, str]]:
        """The table's columns, a row for each change; and which of them do not fit, with the first reason."""
        reasons: dict[int, str] = {}
        told = [_told(change, number, self.folded, reasons) for number, change in enumerate(changes)]
        arrays = [_array(column, told, reasons) for column in self.columns]
        schema = _schema(self.columns)
        rows, unfit = self.mapping.apply(pa.RecordBatch.from_arrays(arrays, schema=schema))
        return rows, {**unfit, **reasons}

    def at_once(self, records: Together) -> tuple[pa.RecordBatch, Mapping[int, str]] | None:
        """As `apply`, of records that were decoded together; None where one of them needs a look of its own."""
        arrays = []
        for column in self.columns:
            array = column.at_once(records)
            if array is None:
                return None
            arrays.append(array)
        return self.mapping.apply(pa.RecordBatch.from_arrays(arrays, schema=_schema(self.columns)))


def table_rows(
    source: TableDescription,
    table: Sequence[TableColumn],
    picks: Sequence[Pick] | None,
    over_length: OverLength = OverLength.FAIL,
) -> TableRows:
    """For a table with these columns.

    :raises SpecError: a column that is missing, named twice, or of a type that cannot take what goes into it.
    """
    by_name = {column.name.lower(): column for column in table}
    is_by_name = picks is None
    chosen = tuple(Pick(column.name, column.name) for column in table) if picks is None else tuple(picks)
    columns = tuple(_column(source, pick, by_name.get(pick.to.lower()), is_by_name) for pick in chosen)
    taken = [column.to for column in columns]
    mapping = mapping_of(_schema(columns), table, taken, over_length)
    unable = [c.name for c in table if c.type.partition("(")[0] in NOT_STREAMED and c.name.lower() in by_name]
    named = {name.lower() for name in taken}
    problems = [
        Problem(f"column '{name}' is a TIMESTAMP, which cannot be streamed", "make it DATETIME, BIGINT or STRING")
        for name in unable
        if name.lower() in named
    ]
    if problems:
        raise SpecError(problems)
    attributes = [column for column in columns if column.told not in {*ADDED, *(key.name for key in source.keys)}]
    return TableRows(columns, mapping, frozenset(c.to.lower() for c in attributes if is_by_name))


def only_keys(rows: TableRows, keys: Iterable[str], table: Sequence[TableColumn]) -> TableRows:
    """The rows of deletions: the columns of the key, and null in all others."""
    names = {name.lower() for name in keys}
    columns = tuple(column for column in rows.columns if column.to.lower() in names)
    loose = [column if column.name.lower() in names else replace(column, is_nullable=True) for column in table]
    return TableRows(columns, mapping_of(_schema(columns), loose, [column.to for column in columns]))


def columns_made(source: TableDescription, picks: Sequence[Pick] | None) -> tuple[TableColumn, ...]:
    """The columns of a table that is made: those picked, else the key and the five that are added.

    :raises SpecError: the type of an attribute is not known.
    """
    if picks is None:
        picks = [Pick(name, name) for name in (*(key.name for key in source.keys), *ADDED)]
    problems, made = [], []
    keys = {key.name for key in source.keys}
    for pick in picks:
        kind = _kind(source, pick, is_by_name=False)
        found = pick.type or _declared(source, kind)
        if found is None:
            hint = f"write {{name: {pick.name}, type: string}}"
            problems.append(Problem(f"the type of '{pick.name}' is not known for a table that is made", hint))
        else:
            made.append(TableColumn(pick.to, CREATED[found], kind not in keys))
    if problems:
        raise SpecError(problems)
    return tuple(made)


# ---- one column


def _kind(source: TableDescription, pick: Pick, *, is_by_name: bool) -> str:
    """The key column or the added one that is meant; else the name of an attribute behind `cells.`."""
    for key in source.keys:
        if key.name == pick.name or (is_by_name and key.name.lower() == pick.name.lower()):
            return key.name
    if pick.name in ADDED or (is_by_name and pick.name.lower() in ADDED):
        return pick.name.lower()
    return _ATTRIBUTE + pick.name.removeprefix(_ATTRIBUTE)


def _declared(source: TableDescription, kind: str) -> ColumnType | None:
    keys = {key.name: key.type for key in source.keys}
    if kind in keys:
        return keys[kind]
    return _ADDED_TYPES.get(kind) or dict(source.defined).get(kind.removeprefix(_ATTRIBUTE))


def _column(source: TableDescription, pick: Pick, column: TableColumn | None, is_by_name: bool) -> _Column:
    kind = _kind(source, pick, is_by_name=is_by_name)
    base = column.type.partition("(")[0] if column else ""
    keys = [key.name for key in source.keys]
    if kind in keys:
        type_ = _declared(source, kind) or ColumnType.STRING
        return _Column(pick.to, type_, lambda told: told.key.get(kind), kind, key_part(keys.index(kind)))
    if kind in ADDED:
        way = "millis" if kind == "time" and base == "datetime" else kind
        return _Column(pick.to, _ADDED_TYPES[kind], _READ[way], kind, ADDED_AT_ONCE[way])
    name = kind.removeprefix(_ATTRIBUTE)
    type_ = pick.type or _declared(source, kind) or SUITED.get(base, ColumnType.STRING)
    many = attribute(name, type_, has_any_case=is_by_name)
    if is_by_name:
        return _Column(pick.to, type_, lambda told: told.folded.get(name.lower()), name, many)
    return _Column(pick.to, type_, lambda told: told.values.get(name), name, many)


def _sequence(told: _Told) -> str | None:
    sequence = told.change.row.sequence
    return None if sequence is None else place_text(sequence)


def _before(told: _Told) -> str | None:
    return json_text(cells_before_json(told.change.origin)) if told.change.origin else None


def _millis(told: _Told) -> int | None:
    return None if told.change.micros is None else told.change.micros // 1000


_READ: Mapping[str, Callable[[_Told], Any]] = {
    "action": lambda told: told.change.action,
    "sequence": _sequence,
    "time": lambda told: told.change.micros,
    "millis": _millis,
    "cells": lambda told: json_text([cell_json(cell) for cell in told.change.row.cells]),
    "before": _before,
}


# ---- values


def _told(change: Change, number: int, wanted: frozenset[str], reasons: dict[int, str]) -> _Told:
    newest: dict[str, tuple[int, Value]] = {}
    for cell in change.row.cells:
        if cell.op is CellOp.PUT and cell.value is not None:
            version = cell.timestamp or 0
            if cell.name not in newest or version >= newest[cell.name][0]:
                newest[cell.name] = version, cell.value
    values = {name: value for name, (_, value) in newest.items()}
    folded: dict[str, Value] = {}
    for name, value in values.items():
        if name.lower() in folded and name.lower() in wanted:
            reasons.setdefault(number, f"it has two columns named '{name.lower()}' but for upper and lower case")
        folded[name.lower()] = value
    key = {name: value for name, value in change.row.key if isinstance(value, int | str | bytes)}
    return _Told(change, key, values, folded)


def _array(column: _Column, told: Sequence[_Told], reasons: dict[int, str]) -> pa.Array:
    values: list[Value | None] = []
    for number, one in enumerate(told):
        try:
            value = column.read(one)
        except ProtocolError as error:  # of the row before the change; the record itself was read
            value = None
            reasons.setdefault(number, f"'{column.told}' cannot be read: {error}")
        if value is not None and type_of(value) is not column.type:
            found, value = type_of(value), converted(value, column.type)
            if value is None:
                reasons.setdefault(number, f"column '{column.told}' is taken as {column.type} and the cell is {found}")
        values.append(value)
    return pa.array(values, pa.type_for_alias(ARROW_TYPES[column.type]))


def _schema(columns: Sequence[_Column]) -> pa.Schema:
    return pa.schema([pa.field(column.to, pa.type_for_alias(ARROW_TYPES[column.type])) for column in columns])
