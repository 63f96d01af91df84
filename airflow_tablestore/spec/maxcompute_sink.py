"""`sink: {type: maxcompute}`: which table the rows go into, and how."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator

from airflow_tablestore.spec.common import Part
from airflow_tablestore.spec.problems import Finding, fault, shown
from airflow_tablestore.spec.values import ConnectionName, folded

_NAME = r"[A-Za-z_][A-Za-z0-9_]{0,127}"


def table_name(value: str) -> str:
    """A table's name alone."""
    if "." in value:
        raise fault("is a table's name alone", "write the project under 'project'")
    if not re.fullmatch(_NAME, value):
        raise fault(f"{shown(value)} is no name of a table", "letters, digits and underscores, a letter first")
    return value


def project_name(value: str) -> str:
    """A project's name."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{2,27}", value):
        raise fault(f"{shown(value)} is no name of a project", "3 to 28 letters, digits and underscores")
    return value


def _column(value: str) -> str:
    if not re.fullmatch(_NAME, value):
        raise fault(f"{shown(value)} is no name of a column", "letters, digits and underscores, a letter first")
    return value


def split_partition(text: str) -> list[tuple[str, str]]:
    """The names and values of a partition, as `pt=20261121,hm=0400` or with slashes; quotes around values are dropped.

    Placeholders stay as they are: a slash or comma within braces divides nothing.
    """
    parts = re.findall(r"(?:\{[^}]*\}|[^,/{])+", text)
    pairs = [part.partition("=") for part in parts]
    return [(name.strip(), value.strip().strip("'\"")) for name, _, value in pairs]


def checked_partition(value: str) -> str:
    """A partition as an author writes it, when it is one."""
    pairs = split_partition(value)
    if not pairs or any(not re.fullmatch(_NAME, name) or not text for name, text in pairs):
        raise fault(
            f"{shown(value)} is no partition", "write pt={run_date:%Y%m%d}, with a comma before each further one"
        )
    names = [name.lower() for name, _ in pairs]
    if len(set(names)) != len(names):
        raise fault("names a partition column twice")
    return value


def _partition(value: str) -> str:
    pairs = split_partition(checked_partition(value))
    if any("event_time" in text for _, text in pairs):
        raise fault("cannot depend on the row: one run loads one partition", "write a time of the run or the window")
    return value


def _one(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Statements = Annotated[tuple[str, ...], BeforeValidator(_one, json_schema_input_type=str | tuple[str, ...])]


class MaxComputeSink(Part):
    """A table of MaxCompute, loaded by one upload session for each run, with one commit."""

    type: Literal["maxcompute"] = Field(description="MaxCompute.", examples=["maxcompute"])
    mode: Literal["batch"] = Field(
        default="batch", description="How it is loaded; a `kind: stream` has other modes.", examples=["batch"]
    )
    connection: ConnectionName = Field(
        default="maxcompute_default",
        description="Airflow connection of type `maxcompute`, as the Alibaba provider has it.",
        examples=["maxcompute_prod"],
    )
    project: Annotated[str, AfterValidator(project_name)] | None = Field(
        default=None, description="The project. The connection's when absent.", examples=["analytics"]
    )
    table: Annotated[str, AfterValidator(table_name)] = Field(description="The table's name.", examples=["person"])
    partition: Annotated[str, AfterValidator(_partition)] | None = Field(
        default=None,
        description="The partition that is loaded; every partition column of the table, in its order. Made when it is "
        "missing. May hold `{table}`, `{pipeline}` and a time, as the prefix of objects may.",
        examples=["pt={run_date:%Y%m%d}", "pt={window_start:%Y%m%d},hm={window_start:%H%M}"],
    )
    columns: Annotated[tuple[Annotated[str, AfterValidator(_column)], ...], Field(min_length=1)] | None = Field(
        default=None,
        description="The table's column for each column of the output, in the output's order. When absent, columns go "
        "where the table has the same name. Columns of the table that are not named are null.",
        examples=[["id", "name"]],
    )
    truncate: bool = Field(
        default=False,
        description="Whether the rows come in the place of what is in the table or the partition, at the commit. Else "
        "they are added.",
        examples=[True],
    )
    create_table: bool = Field(
        default=False, description="Whether a table that is missing is made, from the output.", examples=[True]
    )
    over_length: Annotated[Literal["fail", "truncate", "null"], folded("fail", "truncate", "null")] = Field(
        default="fail",
        description="What becomes of a text or binary value that is too long for its column: its row is a dirty record,"
        " it is cut, or it becomes null.",
        examples=["truncate"],
    )
    compress: Annotated[
        Literal["none", "zlib", "zstd", "lz4", "snappy"], folded("none", "zlib", "zstd", "lz4", "snappy")
    ] = Field(
        default="zstd",
        description="How rows are compressed on their way. `zstd` halves them for a few percent of the time that a run "
        "takes; `zlib` is what older services take.",
        examples=["none"],
    )
    pre_sql: Statements = Field(
        default=(),
        description="SQL that is run before rows are read, by the plan. It may be run again by a retry.",
        examples=["ALTER TABLE person SET LIFECYCLE 30"],
    )
    post_sql: Statements = Field(
        default=(),
        description="SQL that is run after the commit. It may be run again by a retry.",
        examples=["ANALYZE TABLE person COMPUTE STATISTICS"],
    )

    @field_validator("mode", mode="before")
    @classmethod
    def _batch_alone(cls, value: object) -> object:
        if value in ("stream", "upsert"):
            raise fault(f"{shown(value)} takes rows that flow", "write kind: stream, or leave mode out")
        return value

    def warnings(self) -> Iterator[Finding]:
        """Nothing by itself: what adding rows means is for each kind to say."""
        yield from ()
