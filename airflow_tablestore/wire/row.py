"""Rows, cells and keys as values: what PlainBuffer bytes mean, whichever service carries them.

Values of the five types of Tablestore are the Python ones (int, float, bool, str, bytes), so the type is never
written beside the value; a bool is never an int here.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

Value = int | float | bool | str | bytes


class Bound(enum.Enum):
    """A key part that stands outside every value. Only requests hold them, stored rows never."""

    INF_MIN = "INF_MIN"
    INF_MAX = "INF_MAX"


class AutoIncrement(enum.Enum):
    """The key part that the service fills in on a put."""

    AUTO_INCREMENT = "AUTO_INCREMENT"


INF_MIN, INF_MAX = Bound.INF_MIN, Bound.INF_MAX
AUTO_INCREMENT = AutoIncrement.AUTO_INCREMENT

KeyValue = int | str | bytes | Bound | AutoIncrement
PrimaryKey = tuple[tuple[str, KeyValue], ...]
"""Names and values of a row's key, in the table's key order."""


class CellOp(enum.Enum):
    """What a cell of a change does."""

    PUT = "put"
    DELETE_ONE_VERSION = "delete_one_version"
    DELETE_ALL_VERSIONS = "delete_all_versions"
    INCREMENT = "increment"


@dataclass(frozen=True, slots=True)
class Cell:
    """One version of one attribute. `value` is None where the op carries none; `timestamp` is in milliseconds."""

    name: str
    value: Value | None
    timestamp: int | None = None
    op: CellOp = CellOp.PUT


@dataclass(frozen=True, slots=True)
class SequenceInfo:
    """Where a change stands in its shard's log: `timestamp` is the service's record time in microseconds."""

    epoch: int
    timestamp: int
    row_index: int


@dataclass(frozen=True, slots=True)
class Row:
    """A row, or a change of one. `is_delete` is the delete marker; only stream records have a `sequence`."""

    key: PrimaryKey
    cells: tuple[Cell, ...] = ()
    is_delete: bool = False
    sequence: SequenceInfo | None = None


class ColumnType(enum.StrEnum):
    """The value types of Tablestore, in the words of the spec."""

    INTEGER = "integer"
    DOUBLE = "double"
    BOOLEAN = "boolean"
    STRING = "string"
    BINARY = "binary"


def type_of(value: Value) -> ColumnType:
    """The Tablestore type of a value."""
    return _TYPES[type(value)]


_TYPES = {
    int: ColumnType.INTEGER,
    float: ColumnType.DOUBLE,
    bool: ColumnType.BOOLEAN,
    str: ColumnType.STRING,
    bytes: ColumnType.BINARY,
}
