"""Output columns as a table's columns: which goes where, and every value in the table's type, or a reason why not.

Nothing is lost silently: a value that a column cannot hold as it is makes its row a dirty record. Texts that are too
long are refused, cut or left out, as the author chose. The rules for one value are in `table_values`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from airflow_tablestore.errors import Problem, SpecError
from airflow_tablestore.pipeline.contract import OverLength
from airflow_tablestore.pipeline.sinks.table_values import RULES, Lossy, Target, nulls_of, target_of
from airflow_tablestore.pipeline.warehouse import TableColumn

if TYPE_CHECKING:
    pass

MOST_BYTES = 8 * 1024 * 1024
"""Of a text or binary value. Source: MaxCompute documentation, "Data type editions"."""

CREATED = {"integer": "bigint", "double": "double", "boolean": "boolean", "string": "string", "binary": "binary"}
"""The column that `create_table` makes for each type."""

_SOURCE_TYPES = {
    pa.int64(): "integer",
    pa.float64(): "double",
    pa.bool_(): "boolean",
    pa.string(): "string",
    pa.large_string(): "string",
    pa.binary(): "binary",
    pa.large_binary(): "binary",
}

_CASTS = {("integer", "int"), ("integer", "string"), ("boolean", "int"), ("string", "binary")}
"""Where Arrow's own safe cast does the same as the rule, for a whole column at once."""


def source_type(field: pa.Field) -> str:
    """The Tablestore type whose values an output column holds."""
    return _SOURCE_TYPES[field.type]


# ---- one column


@dataclass(frozen=True, slots=True)
class _Way:
    """How one column of the table gets its values: from the output's column `at`, or none when that is None."""

    column: TableColumn
    target: Target
    at: int | None
    source: str = ""

    def values(self, records: pa.RecordBatch, over: OverLength, most: int, reasons: dict[int, str]) -> pa.Array:
        if self.at is None:
            return pa.nulls(records.num_rows, self.target.arrow)
        array = self._converted(records.column(self.at), reasons)
        if self.target.base in ("string", "binary"):
            array = self._shortened(array, over, most, reasons)
        if not self.column.is_nullable and array.null_count:
            for row in pc.indices_nonzero(pc.is_null(array)).to_pylist():
                reasons.setdefault(row, f"column '{self.column.name}' is NOT NULL and the value is null")
        return array

    def _converted(self, array: pa.Array, reasons: dict[int, str]) -> pa.Array:
        if array.type == self.target.arrow:
            return array
        if (self.source, self.target.base) in _CASTS or pa.types.is_large_string(array.type):
            try:
                return array.cast(self.target.arrow, safe=True)
            except pa.ArrowInvalid:
                pass  # one of the values does not fit; which one is found below
        convert, found = RULES[self.source, self.target.base].convert, []
        for row, value in enumerate(array.to_pylist()):
            try:
                found.append(None if value is None else convert(value, self.target))
            except Lossy as error:
                found.append(None)
                told = f"column '{self.column.name}' is {self.column.type.upper()} and cannot hold the {self.source}"
                reasons.setdefault(row, f"{told}: {error}")
        return pa.array(found, self.target.arrow)

    def _shortened(self, array: pa.Array, over: OverLength, most: int, reasons: dict[int, str]) -> pa.Array:
        longest = self.target.numbers[0] if self.target.numbers else 0
        if longest:
            array = self._limited(array, pc.utf8_length(array), longest, "characters", over, reasons)
        return self._limited(array, pc.binary_length(array), most, "bytes", over, reasons)

    def _limited(
        self, array: pa.Array, lengths: pa.Array, most: int, unit: str, over: OverLength, reasons: dict[int, str]
    ) -> pa.Array:
        if (pc.max(lengths).as_py() or 0) <= most:
            return array
        too_long = pc.fill_null(pc.greater(lengths, most), False)
        if over is OverLength.NULL:
            return pc.if_else(too_long, pa.scalar(None, array.type), array)
        if over is OverLength.TRUNCATE:
            cut = [_cut(value, most, unit) for value in array.filter(too_long).to_pylist()]
            return pc.replace_with_mask(array, too_long, pa.array(cut, array.type))
        for row in pc.indices_nonzero(too_long).to_pylist():
            told = f"column '{self.column.name}' ({self.column.type.upper()}) holds {most} {unit}"
            reasons.setdefault(row, f"{told} and the value has {lengths[row].as_py()}")
        return array


def _cut(value: str | bytes, most: int, unit: str) -> str | bytes:
    if unit == "characters" or isinstance(value, bytes):
        return value[:most]
    return value.encode()[:most].decode(errors="ignore")


# ---- all columns


@dataclass(frozen=True, slots=True)
class TableMapping:
    """How an output becomes rows of a table."""

    schema: pa.Schema
    ways: tuple[_Way, ...]
    over_length: OverLength
    most_bytes: int

    def apply(self, records: pa.RecordBatch) -> tuple[pa.RecordBatch, dict[int, str]]:
        """The table's columns; and the rows that do not fit, with the first reason, for which it holds nonsense."""
        reasons: dict[int, str] = {}
        arrays = [way.values(records, self.over_length, self.most_bytes, reasons) for way in self.ways]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema), reasons


def mapping_of(
    output: pa.Schema,
    columns: Sequence[TableColumn],
    names: Sequence[str] | None,
    over_length: OverLength = OverLength.FAIL,
    most_bytes: int = 0,
) -> TableMapping:
    """Which output column goes into which column of the table.

    :param names: the table's column for each output column, in the output's order; None: those of the same name.
    :raises SpecError: a column that is missing, named twice or of a type that cannot take the values; holds all.
    """
    problems: list[Problem] = []
    if names is not None and len(names) != len(output):
        told = f"{len(names)} columns are named and the output has {len(output)}: {', '.join(output.names)}"
        raise SpecError([Problem(told, "name one for each, in this order", path="sink.columns")])
    taken: dict[str, int] = {}
    known = {column.name.lower(): column for column in columns}
    for at, name in enumerate(names or output.names):
        if name.lower() not in known:
            problems.append(_missing(name, columns))
        elif taken.setdefault(name.lower(), at) != at:
            problems.append(Problem(f"two columns go into '{name}'", "names differ by more than case", "sink.columns"))
    ways = [_way(column, taken.get(column.name.lower()), output, problems) for column in columns]
    if problems:
        raise SpecError(problems)
    found = tuple(way for way in ways if way is not None)
    schema = pa.schema([pa.field(way.column.name, way.target.arrow) for way in found])
    return TableMapping(schema, found, over_length, most_bytes or MOST_BYTES)


def _missing(name: str, columns: Sequence[TableColumn]) -> Problem:
    hint = f"it has {', '.join(column.name for column in columns)}"
    if name == "_other":
        hint += "; add a column _other STRING, choose source.columns, or write source.unknown_columns: drop"
    return Problem(f"the table has no column '{name}'", hint, "sink.columns")


def _way(column: TableColumn, at: int | None, output: pa.Schema, problems: list[Problem]) -> _Way | None:
    if at is None and not column.is_nullable:
        problems.append(Problem(f"nothing goes into '{column.name}', which is NOT NULL", path="sink.columns"))
        return None
    target = target_of(column) or (nulls_of(column) if at is None else None)
    if target is None:
        told = f"column '{column.name}' is {column.type.upper()}, which cannot be written"
        problems.append(Problem(told, "the types are those of docs/reference/maxcompute.md", "sink.columns"))
        return None
    if at is None:
        return _Way(column, target, None)
    source = source_type(output.field(at))
    if (source, target.base) not in RULES:
        told = f"column '{column.name}' is {column.type.upper()}, which cannot take values of type {source}"
        problems.append(Problem(told, "the types that can are in docs/reference/maxcompute.md", "sink.columns"))
        return None
    return _Way(column, target, at, source)
