"""Output columns as a table's columns: which goes where, and every value in the table's type, or a reason why not.

Nothing is lost silently: a value that a column cannot hold as it is makes its row a dirty record. Texts that are too
long are refused, cut or left out, as the author chose. The rules are a table, `RULES`, which the documentation shows.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from airflow_tablestore.errors import Problem, SpecError
from airflow_tablestore.pipeline.contract import OverLength
from airflow_tablestore.pipeline.sources.conversion import as_string
from airflow_tablestore.pipeline.warehouse import TableColumn

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_BYTES = 8 * 1024 * 1024
"""Of a text or binary value. Source: MaxCompute documentation, "Data type editions"."""

_EPOCH = date(1970, 1, 1)
_FIRST_MILLIS, _LAST_MILLIS = -62_135_596_800_000, 253_402_300_799_999
"""The years 1 to 9999."""


class _Lossy(Exception):
    """The value does not fit; says why, and not what it is: reasons are kept where values may not be."""


Convert = Callable[[Any, "_Target"], Any]


@dataclass(frozen=True, slots=True)
class _Target:
    """A column's type: its name, its numbers, and how the tunnel carries it."""

    name: str
    numbers: tuple[int, ...]
    arrow: pa.DataType

    @property
    def base(self) -> str:
        """The rule that it goes by."""
        return {"smallint": "int", "tinyint": "int", "bigint": "int", "char": "string", "varchar": "string"}.get(
            self.name, {"timestamp_ntz": "timestamp"}.get(self.name, self.name)
        )


_PLAIN = {
    "tinyint": pa.int8(),
    "smallint": pa.int16(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "string": pa.string(),
    "varchar": pa.string(),
    "char": pa.string(),
    "binary": pa.binary(),
    "date": pa.date32(),
    "datetime": pa.timestamp("ms"),
    "timestamp": pa.timestamp("ns"),
    "timestamp_ntz": pa.timestamp("ns"),
}


def _target(column: TableColumn) -> _Target | None:
    match = re.fullmatch(r"([a-z_]+)(?:\((\d+)(?:,\s*(\d+))?\))?", column.type)
    if match is None:
        return None
    name, numbers = match[1], tuple(int(number) for number in match.groups()[1:] if number)
    if name == "decimal":
        precision, scale = (*(numbers or (38, 18)), 0)[:2]
        return _Target(name, (precision, scale), pa.decimal128(precision, scale))
    return _Target(name, numbers, _PLAIN[name]) if name in _PLAIN else None


# ---- one value


def _whole(value: Any, target: _Target) -> int:
    bits = target.arrow.bit_width - 1
    if not -(1 << bits) <= value < 1 << bits:
        raise _Lossy("it is out of range")
    return int(value)


def _whole_of_double(value: float, target: _Target) -> int:
    if value != value or value in (float("inf"), float("-inf")) or value != int(value):
        raise _Lossy("it is no whole number")
    return _whole(int(value), target)


def _whole_of_text(value: str, target: _Target) -> int:
    if not re.fullmatch(r"[+-]?\d{1,40}", value.strip(), re.ASCII):
        raise _Lossy("the text is no whole number")
    return _whole(int(value), target)


def _floating(value: float, target: _Target) -> float:
    held: float = pa.scalar(float(value), pa.float64()).cast(target.arrow, safe=False).as_py()
    if held != value and value == value:
        raise _Lossy("it has more digits than fit")
    return held


def _floating_of_text(value: str, target: _Target) -> float:
    try:
        found = float(value)
    except ValueError:
        raise _Lossy("the text is no number") from None
    return _floating(found, target)


def _decimal(value: Any, target: _Target) -> Decimal:
    try:
        number = Decimal(as_string(value).strip())
    except InvalidOperation:
        raise _Lossy("it is no number") from None
    precision, scale = target.numbers
    if not number.is_finite():
        raise _Lossy("it is no finite number")
    _, digits, exponent = number.normalize().as_tuple()
    after = max(0, -int(exponent))
    if after > scale or len(digits) + int(exponent) > precision - scale:
        raise _Lossy("it has more digits than fit")
    return number


def _truth(value: Any, target: _Target) -> bool:
    if value in (0, 1):
        return bool(value)
    raise _Lossy("it is neither 0 nor 1")


def _truth_of_text(value: str, target: _Target) -> bool:
    word = value.strip().lower()
    if word in ("true", "false"):
        return word == "true"
    raise _Lossy("the text is neither true nor false")


def _text(value: Any, target: _Target) -> str:
    return as_string(value)


def _bytes_of_text(value: str, target: _Target) -> bytes:
    return value.encode()


def _millis(value: int, target: _Target) -> int:
    if not _FIRST_MILLIS <= value <= _LAST_MILLIS:
        raise _Lossy("as milliseconds it is outside of the years 1 to 9999")
    return _in_unit(value * 1_000_000, target)


def _moment_of_text(value: str, target: _Target) -> int:
    """ISO 8601, to the microsecond; without a zone it is UTC."""
    try:
        found = datetime.fromisoformat(value.strip())
    except ValueError:
        raise _Lossy("the text is no time such as 2026-11-21 04:22:12") from None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    since = found - datetime(1970, 1, 1, tzinfo=UTC)
    return _in_unit(((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1000, target)


def _in_unit(nanos: int, target: _Target) -> int:
    if target.name != "datetime":
        return _whole(nanos, _Target("bigint", (), pa.int64()))
    if nanos % 1_000_000:
        raise _Lossy("it is finer than a millisecond")
    return nanos // 1_000_000


def _day_of_text(value: str, target: _Target) -> int:
    try:
        return (date.fromisoformat(value.strip()) - _EPOCH).days
    except ValueError:
        raise _Lossy("the text is no date such as 2026-11-21") from None


def _bytes_of_base64(value: str, target: _Target) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise _Lossy("the text is no base64") from None


@dataclass(frozen=True, slots=True)
class Rule:
    """How values of one type go into columns of another. `told` is for people."""

    convert: Convert
    told: str


RULES: Mapping[tuple[str, str], Rule] = {
    ("integer", "int"): Rule(_whole, "as it is, if in range"),
    ("integer", "double"): Rule(_floating, "if exact"),
    ("integer", "float"): Rule(_floating, "if exact"),
    ("integer", "decimal"): Rule(_decimal, "if its digits fit"),
    ("integer", "string"): Rule(_text, "its digits"),
    ("integer", "boolean"): Rule(_truth, "0 or 1"),
    ("integer", "datetime"): Rule(_millis, "milliseconds since 1970 UTC"),
    ("integer", "timestamp"): Rule(_millis, "milliseconds since 1970 UTC"),
    ("double", "double"): Rule(_floating, "as it is"),
    ("double", "float"): Rule(_floating, "if exact"),
    ("double", "int"): Rule(_whole_of_double, "if a whole number in range"),
    ("double", "decimal"): Rule(_decimal, "its shortest digits, if they fit"),
    ("double", "string"): Rule(_text, "its shortest digits"),
    ("boolean", "boolean"): Rule(_truth, "as it is"),
    ("boolean", "int"): Rule(_whole, "0 or 1"),
    ("boolean", "string"): Rule(_text, "true or false"),
    ("string", "string"): Rule(_text, "as it is"),
    ("string", "binary"): Rule(_bytes_of_text, "its UTF-8 bytes"),
    ("string", "int"): Rule(_whole_of_text, "if it reads as a whole number in range"),
    ("string", "double"): Rule(_floating_of_text, "if it reads as a number"),
    ("string", "float"): Rule(_floating_of_text, "if it reads as a number, and exact"),
    ("string", "decimal"): Rule(_decimal, "if it reads as a number whose digits fit"),
    ("string", "boolean"): Rule(_truth_of_text, "`true` or `false`"),
    ("string", "datetime"): Rule(_moment_of_text, "ISO 8601 to the millisecond; UTC without a zone"),
    ("string", "timestamp"): Rule(_moment_of_text, "ISO 8601; UTC without a zone"),
    ("string", "date"): Rule(_day_of_text, "`2026-11-21`"),
    ("binary", "binary"): Rule(lambda value, target: value, "as it is"),
    ("binary", "string"): Rule(_text, "base64"),
}
"""By the type in Tablestore and the rule of the column's type: `int` is BIGINT, INT, SMALLINT and TINYINT, `string`
STRING, VARCHAR and CHAR, `timestamp` also TIMESTAMP_NTZ."""

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
    target: _Target
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
            except _Lossy as error:
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
    target = _target(column)
    if at is None and not column.is_nullable:
        problems.append(Problem(f"nothing goes into '{column.name}', which is NOT NULL", path="sink.columns"))
        return None
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
