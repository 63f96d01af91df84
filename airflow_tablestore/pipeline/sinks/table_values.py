"""One value of Tablestore as a value of a warehouse's column, or the reason why it does not fit.

The rules are a table, `RULES`, which the documentation shows. All go through Arrow; docs/decisions/0010 says why.
A reason never holds the value, since reasons are kept where values may not be.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from airflow_tablestore.pipeline.sources.conversion import as_string
from airflow_tablestore.pipeline.warehouse import TableColumn

if TYPE_CHECKING:
    from collections.abc import Mapping

OLD_DECIMAL = (54, 18)
"""Of a column that is DECIMAL without numbers, as tables of the first edition of types have it. Source: pyodps."""

_EPOCH = date(1970, 1, 1)
_FIRST_MILLIS, _LAST_MILLIS = -62_135_596_800_000, 253_402_300_799_999
"""The years 1 to 9999."""


class Lossy(Exception):
    """The value does not fit; says why."""


Convert = Callable[[Any, "Target"], Any]


@dataclass(frozen=True, slots=True)
class Target:
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


def target_of(column: TableColumn) -> Target | None:
    """The type of a column that rows can go into; None when there is no rule for it."""
    match = re.fullmatch(r"([a-z_]+)(?:\((\d+)(?:,\s*(\d+))?\))?", column.type)
    if match is None:
        return None
    name, numbers = match[1], tuple(int(number) for number in match.groups()[1:] if number)
    if name == "decimal":
        precision, scale = (*(numbers or OLD_DECIMAL), 0)[:2]
        made = pa.decimal128 if precision <= 38 else pa.decimal256
        return Target(name, (precision, scale), made(precision, scale))
    return Target(name, numbers, _PLAIN[name]) if name in _PLAIN else None


def nulls_of(column: TableColumn) -> Target | None:
    """How the tunnel carries a column of a nested type, which can only be null here; None when Arrow cannot."""
    from odps.tunnel.io.types import odps_type_to_arrow_type
    from odps.types import validate_data_type

    try:
        return Target("nested", (), odps_type_to_arrow_type(validate_data_type(column.type)))
    except (TypeError, ValueError, AttributeError):
        return None


# ---- one value


def _whole(value: Any, target: Target) -> int:
    bits = target.arrow.bit_width - 1
    if not -(1 << bits) <= value < 1 << bits:
        raise Lossy("it is out of range")
    return int(value)


def _whole_of_double(value: float, target: Target) -> int:
    if value != value or value in (float("inf"), float("-inf")) or value != int(value):
        raise Lossy("it is no whole number")
    return _whole(int(value), target)


def _whole_of_text(value: str, target: Target) -> int:
    if not re.fullmatch(r"[+-]?\d{1,40}", value.strip(), re.ASCII):
        raise Lossy("the text is no whole number")
    return _whole(int(value), target)


def _floating(value: float, target: Target) -> float:
    held: float = pa.scalar(float(value), pa.float64()).cast(target.arrow, safe=False).as_py()
    if held != value and value == value:
        raise Lossy("it has more digits than fit")
    return held


def _floating_of_text(value: str, target: Target) -> float:
    try:
        found = float(value)
    except ValueError:
        raise Lossy("the text is no number") from None
    return _floating(found, target)


def _decimal(value: Any, target: Target) -> Decimal:
    try:
        number = Decimal(as_string(value).strip())
    except InvalidOperation:
        raise Lossy("it is no number") from None
    precision, scale = target.numbers
    if not number.is_finite():
        raise Lossy("it is no finite number")
    _, digits, exponent = number.normalize().as_tuple()
    after = max(0, -int(exponent))
    if after > scale or len(digits) + int(exponent) > precision - scale:
        raise Lossy("it has more digits than fit")
    return number


def _truth(value: Any, target: Target) -> bool:
    if value in (0, 1):
        return bool(value)
    raise Lossy("it is neither 0 nor 1")


def _truth_of_text(value: str, target: Target) -> bool:
    word = value.strip().lower()
    if word in ("true", "false"):
        return word == "true"
    raise Lossy("the text is neither true nor false")


def _text(value: Any, target: Target) -> str:
    return as_string(value)


def _bytes_of_text(value: str, target: Target) -> bytes:
    return value.encode()


def _millis(value: int, target: Target) -> int:
    if not _FIRST_MILLIS <= value <= _LAST_MILLIS:
        raise Lossy("as milliseconds it is outside of the years 1 to 9999")
    return _in_unit(value * 1_000_000, target)


def _moment_of_text(value: str, target: Target) -> int:
    """ISO 8601, to the microsecond; without a zone it is UTC."""
    try:
        found = datetime.fromisoformat(value.strip())
    except ValueError:
        raise Lossy("the text is no time such as 2026-11-21 04:22:12") from None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    since = found - datetime(1970, 1, 1, tzinfo=UTC)
    return _in_unit(((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1000, target)


def _in_unit(nanos: int, target: Target) -> int:
    if target.name != "datetime":
        return _whole(nanos, Target("bigint", (), pa.int64()))
    if nanos % 1_000_000:
        raise Lossy("it is finer than a millisecond")
    return nanos // 1_000_000


def _day_of_text(value: str, target: Target) -> int:
    try:
        return (date.fromisoformat(value.strip()) - _EPOCH).days
    except ValueError:
        raise Lossy("the text is no date such as 2026-11-21") from None


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

KEYS_BACK: Mapping[tuple[str, str], Callable[[Any], int | str | bytes]] = {
    ("integer", "int"): int,
    ("integer", "double"): int,
    ("integer", "float"): int,
    ("integer", "decimal"): int,
    ("integer", "string"): int,
    ("string", "string"): str,
    ("string", "binary"): lambda value: bytes(value).decode(),
    ("binary", "binary"): bytes,
    ("binary", "string"): lambda value: base64.b64decode(value, validate=True),
}
"""How a key column is read back from the table's column; from other types it cannot be. May raise ValueError."""
