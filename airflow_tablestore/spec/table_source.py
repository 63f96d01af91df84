"""`source` of the kinds that read a table by key range: which rows, which columns, in how many tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema, field_validator, model_validator

from airflow_tablestore.spec.columns import Column, ConstantColumn
from airflow_tablestore.spec.common import Part
from airflow_tablestore.spec.problems import Finding, fault, faults, finding, shown
from airflow_tablestore.spec.values import KEY_SCHEMA, ConnectionName, KeyLiteral, TableName, key_literal, key_text
from airflow_tablestore.wire.row import INF_MAX, INF_MIN, Bound

OTHER_COLUMN = "_other"


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

    compact: bool = Field(
        default=False,
        description="Ask for rows in a form with a third of the bytes (SimpleRowMatrix, by BulkExport or GetRange), "
        "where `columns` names what is wanted. The service may send plain rows all the same; where it refuses, plain "
        "rows are asked for.",
        examples=[True],
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
