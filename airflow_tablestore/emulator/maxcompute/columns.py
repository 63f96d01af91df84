"""Columns of a table, and their values between the record stream and Arrow, with the service's limits checked.

Everything is kept as Arrow; the record stream's plain values exist only on the way in and out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from airflow_tablestore.emulator.maxcompute.errors import Refusal
from airflow_tablestore.emulator.maxcompute.kinds import DataType, type_from

MOST_FIELD_BYTES = 8 * 1024 * 1024
"""Bytes of a string or binary value. Source: the service's limits; sessions tell it as MaxFieldSize."""
_NANOS = 1_000_000_000
_RANGES = {"date": (-719_162, 2_932_896), "datetime": (-62_135_596_800_000, 253_402_300_799_999)}
"""Years 1 to 9999, in days and in milliseconds. Source: the service's data types."""
_TEXTS = frozenset({"string", "varchar", "char", "json"})
_PAIRS = frozenset({"timestamp", "timestamp_ntz"})


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table, or of its partitions."""

    name: str
    kind: DataType
    is_nullable: bool = True
    comment: str = ""

    def as_json(self) -> dict[str, Any]:
        """What schemas tell clients, and what the database keeps."""
        told = {"name": self.name, "type": str(self.kind), "isNullable": self.is_nullable, "nullable": self.is_nullable}
        return {**told, "comment": self.comment} if self.comment else told


def column_from(told: Mapping[str, Any]) -> Column:
    """The column that `as_json` told of."""
    return Column(told["name"], type_from(told["type"]), told["isNullable"], told.get("comment", ""))


def arrow_schema(columns: Sequence[Column]) -> Any:
    """The columns as an Arrow schema, as the tunnel's clients make it."""
    import pyarrow as pa

    return pa.schema([pa.field(column.name, column.kind.arrow()) for column in columns])


def batch_of(values: Sequence[Sequence[Any]], columns: Sequence[Column]) -> Any:
    """A record batch of the record stream's values.

    :raises Refusal: MalformedDataStream or InvalidArgument for a value that its column cannot hold.
    """
    import pyarrow as pa

    arrays = []
    for held, column in zip(values, columns, strict=True):
        try:
            arrays.append(pa.array([_to_arrow(value, column.kind) for value in held], column.kind.arrow()))
        except (pa.ArrowException, ValueError, OverflowError, TypeError) as error:
            raise Refusal("MalformedDataStream", f"Column {column.name} ({column.kind}): {error}.") from error
    return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(columns))


def _to_arrow(value: Any, kind: DataType) -> Any:
    name = kind.name
    if value is None:
        return None
    if name == "decimal":
        return _decimal(value, kind)
    if name in _PAIRS:
        return value[0] * _NANOS + value[1]
    if name == "interval_day_time":
        return {"sec": value[0], "nano": value[1]}
    if name == "array":
        return [_to_arrow(one, kind.parts[0]) for one in value]
    if name == "map":
        return [(_to_arrow(key, kind.parts[0]), _to_arrow(held, kind.parts[1])) for key, held in value]
    if name == "struct":
        held = zip(kind.fields, value, kind.parts, strict=True)
        return {field: _to_arrow(one, part) for field, one, part in held}
    return value


def _decimal(raw: bytes, kind: DataType) -> Decimal:
    precision, scale = kind.arguments
    try:
        value = Decimal(raw.decode("ascii")).quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP)
    except (InvalidOperation, UnicodeDecodeError) as error:
        raise ValueError(f"{raw[:50]!r} does not fit") from error
    if len(value.as_tuple().digits) > precision:
        raise ValueError(f"{value} has more than {precision} digits")
    return value


def check(batch: Any, columns: Sequence[Column]) -> None:
    """Checks what the types do not: nulls, lengths of texts, sizes of values, years.

    :raises Refusal: InvalidArgument with the column's name.
    """
    import pyarrow.compute as pc

    for column, array in zip(columns, batch.columns, strict=True):
        if not column.is_nullable and array.null_count:
            raise Refusal("InvalidArgument", f"Column {column.name} is NOT NULL; a value of it is null.")
        if column.kind.name in _RANGES:
            _check_years(array, column)
        if column.kind.name not in _TEXTS and column.kind.name != "binary":
            continue
        longest = pc.max(pc.binary_length(array)).as_py() or 0
        if longest > MOST_FIELD_BYTES:
            raise Refusal("InvalidArgument", f"Column {column.name}: {longest} bytes are more than {MOST_FIELD_BYTES}.")
        if column.kind.name in ("varchar", "char"):
            longest = pc.max(pc.utf8_length(array)).as_py() or 0
            if longest > column.kind.arguments[0]:
                raise Refusal("InvalidArgument", f"Column {column.name}: {longest} characters in a {column.kind}.")


def _check_years(array: Any, column: Column) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    first, last = _RANGES[column.kind.name]
    seen = pc.min_max(array.cast(pa.int32() if column.kind.name == "date" else pa.int64()))
    if array.null_count < len(array) and not first <= seen["min"].as_py() <= seen["max"].as_py() <= last:
        raise Refusal("InvalidArgument", f"Column {column.name}: a {column.kind} is of the years 1 to 9999.")


def values_of(batch: Any, columns: Sequence[Column]) -> list[list[Any]]:
    """The record stream's values of a record batch whose columns are these."""
    return [_from_array(array, column.kind) for array, column in zip(batch.columns, columns, strict=True)]


def _from_array(array: Any, kind: DataType) -> list[Any]:
    import pyarrow as pa

    if kind.name in ("date", "datetime"):
        array = array.cast(pa.int32() if kind.name == "date" else pa.int64())
    elif kind.name in _PAIRS:
        return [None if nanos is None else divmod(nanos, _NANOS) for nanos in array.cast(pa.int64()).to_pylist()]
    elif kind.name in _TEXTS:
        array = array.cast(pa.binary())
    elif kind.parts:
        return [_from_arrow(value, kind) for value in _raw(array, kind).to_pylist()]
    return [_from_arrow(value, kind) for value in array.to_pylist()]


def _raw(array: Any, kind: DataType) -> Any:
    """The array with integers in place of times, so that no value passes through Python's calendar."""
    return array.cast(_raw_type(kind))


def _raw_type(kind: DataType) -> Any:
    import pyarrow as pa

    if kind.name == "date":
        return pa.int32()
    if kind.name in ("datetime", *_PAIRS):
        return pa.int64()
    if kind.name == "array":
        return pa.list_(_raw_type(kind.parts[0]))
    if kind.name == "map":
        return pa.map_(_raw_type(kind.parts[0]), _raw_type(kind.parts[1]))
    if kind.name == "struct":
        return pa.struct([(name, _raw_type(part)) for name, part in zip(kind.fields, kind.parts, strict=True)])
    return kind.arrow()


def _from_arrow(value: Any, kind: DataType) -> Any:
    name = kind.name
    if value is None:
        return None
    if name == "decimal":
        return format(value, "f").encode()
    if name in _TEXTS:
        return value.encode() if isinstance(value, str) else value
    if name in _PAIRS:
        return divmod(value, _NANOS)
    if name == "interval_day_time":
        return value["sec"], value["nano"]
    if name == "array":
        return [_from_arrow(one, kind.parts[0]) for one in value]
    if name == "map":
        return [(_from_arrow(key, kind.parts[0]), _from_arrow(held, kind.parts[1])) for key, held in value]
    if name == "struct":
        return tuple(_from_arrow(value[field], part) for field, part in zip(kind.fields, kind.parts, strict=True))
    return value
