"""`source` of the kinds that read a table by key range: which rows, which columns, in how many tasks."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    PlainSerializer,
    PlainValidator,
    Tag,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from airflow_tablestore.spec.common import Part
from airflow_tablestore.spec.problems import Finding, Loc, fault, faults, finding, shown
from airflow_tablestore.spec.values import (
    KEY_SCHEMA,
    ColumnName,
    ConnectionName,
    KeyLiteral,
    TableName,
    base64_bytes,
    folded,
    key_literal,
    key_text,
)
from airflow_tablestore.wire.row import INF_MAX, INF_MIN, INT64_MAX, INT64_MIN, Bound

TypeName = Annotated[
    Literal["integer", "double", "boolean", "string", "binary"],
    folded(
        "integer",
        "double",
        "boolean",
        "string",
        "binary",
        int="integer",
        long="integer",
        bool="boolean",
        float="double",
    ),
]
OTHER_COLUMN = "_other"


class PickedColumn(Part):
    """A column of the table."""

    name: ColumnName = Field(description="Its name in the table.", examples=["uid"])
    to: ColumnName | None = Field(
        default=None, alias="as", description="Its name in the output; the same when absent.", examples=["user"]
    )
    type: TypeName | None = Field(
        default=None,
        description="Its type. When absent it is learnt from the table. Values of another type are converted when"
        " nothing "
        "is lost, else they are dirty records.",
        examples=["integer"],
    )

    @property
    def output(self) -> str:
        """Its name in the output."""
        return self.to or self.name


def _value_text(value: object) -> object:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


class ConstantColumn(Part):
    """A column that holds the same value in every row."""

    value: Annotated[Any, PlainSerializer(_value_text)] = Field(
        description="The value; of a binary column as base64 text; null with a `type`.", examples=["cn-hangzhou"]
    )
    to: ColumnName = Field(alias="as", description="Its name in the output.", examples=["region"])
    type: TypeName | None = Field(
        default=None, description="Its type; that of the value when absent.", examples=["string"]
    )

    @model_validator(mode="after")
    def _value_fits(self) -> Self:
        if self.type is None and not isinstance(self.value, bool | int | float | str | bytes):
            raise faults(
                [
                    finding(
                        ("value",),
                        f"{shown(self.value)} is no value of a column",
                        "write a number, text, true, false, or null with a type",
                    )
                ]
            )
        if isinstance(self.value, bytes) and self.type is None:
            object.__setattr__(self, "type", "binary")
            self.__pydantic_fields_set__.add("type")
        if not _fits(self.value, self.resolved_type):
            raise faults(
                [
                    finding(
                        ("value",), f"{shown(self.value)} is no {self.resolved_type}", _LOOKS_LIKE[self.resolved_type]
                    )
                ]
            )
        return self

    @property
    def output(self) -> str:
        """Its name in the output."""
        return self.to

    @property
    def resolved_type(self) -> str:
        """The type that is written, or that of the value."""
        return self.type or _TYPE_NAMES[type(self.value)]

    @property
    def resolved(self) -> int | float | bool | str | bytes | None:
        """The value in the Python type of its column."""
        if self.value is None or isinstance(self.value, bytes):
            return self.value
        if self.resolved_type == "binary":
            return base64_bytes(self.value)
        if self.resolved_type == "boolean" and isinstance(self.value, str):
            return self.value.lower() == "true"
        convert = {"integer": int, "double": float, "string": str, "boolean": bool}[self.resolved_type]
        return convert(self.value)  # type: ignore[no-any-return]


_TYPE_NAMES: dict[type, str] = {bool: "boolean", int: "integer", float: "double", str: "string", bytes: "binary"}
_LOOKS_LIKE = {
    "integer": "write a whole number of 64 bits",
    "double": "write a number",
    "boolean": "write true or false",
    "string": "put it in quotes",
    "binary": "write base64 text",
}


def _fits(value: object, type_name: str) -> bool:
    """Whether the value, or its usual text (DataX writes every constant as text), is of the type."""
    if value is None:
        return True
    try:
        if type_name == "integer":
            return not isinstance(value, bool | float | bytes) and INT64_MIN <= int(value) <= INT64_MAX  # type: ignore[call-overload]
        if type_name == "double":
            number = not isinstance(value, bool | bytes) and isinstance(float(value), float)  # type: ignore[arg-type]
            return number and not (isinstance(value, str) and "_" in value)
    except (TypeError, ValueError, OverflowError):
        return False
    if type_name == "boolean":
        return isinstance(value, bool) or (isinstance(value, str) and value.lower() in ("true", "false"))
    if type_name == "string":
        return isinstance(value, str)
    return isinstance(value, bytes) or (isinstance(value, str) and _is_base64(value))


def _is_base64(text: str) -> bool:
    try:
        base64_bytes(text)
    except ValueError:
        return False
    return True


def _named(value: str) -> dict[str, str]:
    return {"name": value}


def _form(value: object) -> str:
    """Which form a column is written in. A string has one; a mapping with `value` is a constant."""
    if isinstance(value, str):
        return "<name>"
    if isinstance(value, ConstantColumn) or (isinstance(value, dict) and "value" in value):
        return "<constant>"
    return "<column>"


Column = Annotated[
    Annotated[PickedColumn, BeforeValidator(_named, json_schema_input_type=str), Tag("<name>")]
    | Annotated[PickedColumn, Tag("<column>")]
    | Annotated[ConstantColumn, Tag("<constant>")],
    Discriminator(_form),
]


class KeyRange(Part):
    """From which key to which. `begin` is included, `end` is not; a begin after the end reads backwards."""

    begin: tuple[KeyLiteral, ...] = Field(
        default=(INF_MIN,),
        min_length=1,
        max_length=4,
        description="First key: a value for each key column, or for the first ones only. INF_MIN and INF_MAX are "
        "the ends of the table.",
        examples=[["user_1", 0]],
    )
    end: tuple[KeyLiteral, ...] = Field(
        default=(INF_MAX,),
        min_length=1,
        max_length=4,
        description="Key before which reading stops, written like `begin`. Key columns left out are filled so that all "
        "rows that begin with the values given are included: `{begin: [u10], end: [u12]}` includes u12.",
        examples=[["INF_MAX"]],
    )

    @model_validator(mode="after")
    def _holds_something(self) -> Self:
        for position, (first, last) in enumerate(zip(self.begin, self.end, strict=False)):
            if not _comparable(first, last):
                raise faults(
                    [
                        finding(
                            ("end", position),
                            f"{shown(last)} is of another type than {shown(first)} in 'begin'",
                            "a key column has one type",
                        )
                    ]
                )
            if first != last:
                return self
        if self.begin == self.end and isinstance(self.begin[0], Bound):
            raise fault(
                "the range is empty: it begins and ends at the same place", "write begin: [INF_MIN], end: [INF_MAX]"
            )
        return self

    @property
    def is_backward(self) -> bool:
        """Whether `begin` stands after `end`."""
        for first, last in zip(self.begin, self.end, strict=False):
            if first != last:
                return not _is_before(first, last)
        return False


def _comparable(one: object, other: object) -> bool:
    return isinstance(one, Bound) or isinstance(other, Bound) or type(one) is type(other)


def _is_before(one: Any, other: Any) -> bool:
    """The table's order of two different key parts. Text compares by its UTF-8 bytes, as code points do."""
    if one is INF_MIN or other is INF_MAX:
        return True
    if one is INF_MAX or other is INF_MIN:
        return False
    return bool(one < other)


def doubled_outputs(columns: object, at: Loc) -> Iterator[Finding]:
    """The columns, as data or as models, whose output name is taken by an earlier one."""
    seen: set[str] = set()
    for position, column in enumerate(columns if isinstance(columns, list | tuple) else ()):
        if isinstance(column, dict):
            name = column.get("as", column.get("to")) or column.get("name")
        else:
            name = getattr(column, "output", column)
        if isinstance(name, str) and name in seen:
            yield finding(
                (*at, position), f"a column named '{name}' is already there", "give one of them another name with 'as'"
            )
        elif isinstance(name, str):
            seen.add(name)


MAX_TASKS = 100_000


def _split(value: object) -> int | tuple[Any, ...]:
    """0 for auto, the number of tasks, or the points."""
    if isinstance(value, str) and value.strip().lower() == "auto":
        return 0
    if isinstance(value, int) and not isinstance(value, bool):
        if not 1 <= value <= MAX_TASKS:
            raise fault(f"must be from 1 to {MAX_TASKS}, not {value}", "write auto to split by size")
        return value
    if isinstance(value, list | tuple):
        points = tuple(key_literal(point) for point in value)
        problems = list(_problems_of_points(points))
        if problems:
            raise faults(problems)
        return points or 0
    raise fault(f"must be auto, a number of tasks or a list of points, not {shown(value)}", "write split: auto")


def _split_text(split: int | tuple[Any, ...]) -> object:
    if isinstance(split, int):
        return split or "auto"
    return [key_text(point) for point in split]


def _problems_of_points(points: Sequence[Any]) -> Iterator[Finding]:
    for position, point in enumerate(points):
        if isinstance(point, Bound):
            yield finding((position,), f"{point.value} is no split point", "write a value of the first key column")
        elif position and not isinstance(points[0], Bound) and type(point) is not type(points[0]):
            yield finding(
                (position,), f"{shown(point)} is of another type than {shown(points[0])}", "a key column has one type"
            )


class TableSource(Part):
    """Which table, and what of it."""

    connection: ConnectionName = Field(
        default="tablestore_default",
        description="Airflow connection of type `tablestore`.",
        examples=["tablestore_prod"],
    )
    table: TableName = Field(description="The table's name.", examples=["ots_gps_data"])
    columns: tuple[Column, ...] | None = Field(
        default=None,
        description="Columns of the output, in order: names, `{name, as, type}`, or constants `{value, type, "
        "as}`. All when absent or empty.",
        examples=[["uid", {"name": "ts", "as": "time", "type": "integer"}, {"value": "cn", "as": "region"}]],
    )
    unknown_columns: Literal["other", "fail", "drop"] = Field(
        default="other",
        description="What happens to cells of columns that the pinned schema does not know: `other` keeps them, "
        "counted, in a JSON "
        "column `_other`; `fail` ends the run; `drop` leaves them out, counted.",
        examples=["fail"],
    )
    range: KeyRange | None = Field(
        default=None,
        description="Part of the table, by primary key. All of it when absent.",
        examples=[{"begin": ["a"], "end": ["b"]}],
    )
    split: Annotated[
        Any,
        PlainValidator(_split),
        PlainSerializer(_split_text),
        WithJsonSchema(
            {"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1}, {"type": "array", "items": KEY_SCHEMA}]}
        ),
    ] = Field(
        default=0,
        description="How the rows are divided into tasks: `auto` by size, a number of tasks, or the points of the"
        " first key column at which "
        "a new task begins.",
        examples=["auto", 16, ["g", "n", "t"]],
        json_schema_extra={"default": "auto"},
    )

    @field_validator("columns", mode="after")
    @classmethod
    def _none_is_all(cls, columns: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
        return columns or None

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        problems = list(self._problems())
        if problems:
            raise faults(problems)
        return self

    def _problems(self) -> Iterator[Finding]:
        if self.unknown_columns == "other":
            for position, column in enumerate(self.columns or ()):
                if column.output == OTHER_COLUMN:
                    yield finding(
                        ("columns", position),
                        f"'{OTHER_COLUMN}' is the column for unknown ones",
                        "give it another name, or set unknown_columns",
                    )
        if self.columns and all(isinstance(c, ConstantColumn) for c in self.columns) and self.unknown_columns == "fail":
            yield finding(
                ("columns",),
                "has constants only, so every cell would be unknown",
                "name a column, or set unknown_columns: drop",
            )
        yield from self._problems_of_order()

    def _problems_of_order(self) -> Iterator[Finding]:
        points = self.points
        first, last = (self.range.begin[0], self.range.end[0]) if self.range else (INF_MIN, INF_MAX)
        is_backward = self.range is not None and self.range.is_backward
        chain = [first, *points, last]
        for position, point in enumerate(points):
            before = chain[position]
            if not _comparable(before, point) or not _comparable(point, last):
                yield finding(
                    ("split", position),
                    f"{shown(point)} is of another type than the range",
                    "a key column has one type",
                )
                return
            ordered = before != point and _is_before(before, point) != is_backward
            inside = point != last and _is_before(point, last) != is_backward
            if not ordered or not inside:
                where = f"between {_word(first)} and {_word(last)}, {'falling' if is_backward else 'rising'}"
                yield finding(("split", position), f"{shown(point)} is out of order", f"points stand {where}")

    @property
    def tasks(self) -> int:
        """The number of tasks asked for; 0 leaves it to the plan."""
        return self.split if isinstance(self.split, int) else 0

    @property
    def points(self) -> tuple[int | str | bytes, ...]:
        """The author's own split points."""
        return () if isinstance(self.split, int) else tuple(self.split)


def _word(part: object) -> str:
    return part.value if isinstance(part, Bound) else shown(part)


__all__ = ["Column", "ConstantColumn", "KeyRange", "PickedColumn", "TableSource"]
