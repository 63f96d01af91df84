"""The columns that an author may list under `source.columns`: of the table, and constants.

Shared by the sources that read a table's rows and those that read its changes.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, PlainSerializer, Tag, model_validator

from airflow_tablestore.spec.common import Part
from airflow_tablestore.spec.problems import Finding, Loc, faults, finding, shown
from airflow_tablestore.spec.values import ColumnName, base64_bytes, folded
from airflow_tablestore.wire.row import INT64_MAX, INT64_MIN

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


def named(value: str) -> dict[str, str]:
    """A column that is written as its name alone."""
    return {"name": value}


def form_of(value: object) -> str:
    """Which form a column is written in. A string has one; a mapping with `value` is a constant."""
    if isinstance(value, str):
        return "<name>"
    if isinstance(value, ConstantColumn) or (isinstance(value, dict) and "value" in value):
        return "<constant>"
    return "<column>"


Column = Annotated[
    Annotated[PickedColumn, BeforeValidator(named, json_schema_input_type=str), Tag("<name>")]
    | Annotated[PickedColumn, Tag("<column>")]
    | Annotated[ConstantColumn, Tag("<constant>")],
    Discriminator(form_of),
]


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
