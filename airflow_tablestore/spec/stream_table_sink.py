"""`sink: {type: maxcompute}` of a stream: a table that takes each change as a row, or is kept up to date by key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, field_validator

from airflow_tablestore.spec.columns import PickedColumn
from airflow_tablestore.spec.common import Part
from airflow_tablestore.spec.maxcompute_sink import checked_partition, project_name, split_partition, table_name
from airflow_tablestore.spec.problems import Finding, fault, finding
from airflow_tablestore.spec.values import ConnectionName, Count, folded

BASE_PLACEHOLDERS = ("table", "pipeline")
TIME = "event_time"
OF_ONE_CHANGE = ("cells", "before")
"""Added columns that tell of one change, for which a row that is kept up to date has no place."""


def _named(value: object) -> object:
    return {"name": value}


def _form(value: object) -> str:
    return "<name>" if isinstance(value, str) else "<column>"


StreamedColumn = Annotated[
    Annotated[PickedColumn, BeforeValidator(_named, json_schema_input_type=str), Tag("<name>")]
    | Annotated[PickedColumn, Tag("<column>")],
    Discriminator(_form),
]


class StreamTableSink(Part):
    """A table of MaxCompute. `mode: stream` adds a row for each change, which readers see at once; after a crash some
    come twice, and `sequence` tells them apart. `mode: upsert` keeps a table with a primary key as the source is."""

    type: Literal["maxcompute"] = Field(description="MaxCompute.", examples=["maxcompute"])
    mode: Annotated[Literal["stream", "upsert"], folded("stream", "upsert")] = Field(
        default="stream",
        description="`stream`: each change is a row that is added. `upsert`: each key has one row, which changes; the "
        "table needs the source's key as its primary key.",
        examples=["upsert"],
    )
    connection: ConnectionName = Field(
        default="maxcompute_default",
        description="Airflow connection of type `maxcompute`, as the Alibaba provider has it.",
        examples=["maxcompute_prod"],
    )
    project: Annotated[str, AfterValidator(project_name)] | None = Field(
        default=None, description="The project. The connection's when absent.", examples=["analytics"]
    )
    table: Annotated[str, AfterValidator(table_name)] = Field(description="The table's name.", examples=["events"])
    partition: Annotated[str, AfterValidator(checked_partition)] | None = Field(
        default=None,
        description="The partition of a change; every partition column of the table, in its order. Made when it is "
        "missing. May hold `{table}`, `{pipeline}` and, with `mode: stream`, `{event_time:%Y%m%d}`: when the change "
        "was made, in the spec's timezone.",
        examples=["pt={event_time:%Y%m%d}"],
    )
    base_partition: Annotated[str, AfterValidator(checked_partition)] | None = Field(
        default=None,
        description="The partition of the table's rows, which a BaseData or BaseAndStream tunnel tells and which have "
        "no time. That of changes when absent.",
        examples=["pt=base"],
    )
    columns: Annotated[tuple[StreamedColumn, ...], Field(min_length=1)] | None = Field(
        default=None,
        description="What goes into the table: columns of the key, the added `action`, `sequence`, `time`, `cells`, "
        "`before`, and attributes, by name; `as` names the table's column. `cells.time` is an attribute that is named "
        "as an added column. When absent each column of the table takes what has its name.",
        examples=[["id", "sequence", {"name": "v", "as": "value", "type": "integer"}]],
    )
    create_table: bool = Field(
        default=False,
        description="Whether a table that is missing is made: from `columns`, else with the key and the five added "
        "columns.",
        examples=[True],
    )
    over_length: Annotated[Literal["fail", "truncate", "null"], folded("fail", "truncate", "null")] = Field(
        default="fail",
        description="What becomes of a text or binary value that is too long for its column: its record is dirty, it "
        "is cut, or it becomes null.",
        examples=["truncate"],
    )
    slots: Annotated[Count, Field(ge=1, le=128)] = Field(
        default=1, description="Slots of each stream session, with `mode: stream`.", examples=[4]
    )
    flush_mb: Annotated[Count, Field(ge=1, le=16)] = Field(
        default=16,
        description="Megabytes of records, as they were read, after which those of a channel are written, whatever "
        "`run.flush` says.",
        examples=[4],
    )

    @field_validator("mode", mode="before")
    @classmethod
    def _no_batch(cls, value: object) -> object:
        if value == "batch":
            raise fault("a stream is not loaded in batches", "write mode: stream or mode: upsert")
        return value

    @property
    def by_time(self) -> bool:
        """Whether changes go into partitions by their time."""
        return f"{{{TIME}" in (self.partition or "")

    @property
    def placeholders(self) -> tuple[str, ...]:
        """What `partition` may hold."""
        return BASE_PLACEHOLDERS if self.mode == "upsert" else (*BASE_PLACEHOLDERS, TIME)

    def conflicts(self, tunnel_type: str) -> Iterator[Finding]:
        """What does not go together, here and with the tunnel."""
        if self.base_partition is not None:
            if self.partition is None:
                yield finding(("sink", "partition"), "is missing beside base_partition", "write both, or neither")
            elif _names(self.partition) != _names(self.base_partition):
                yield finding(("sink", "base_partition"), "names other partition columns than partition does")
        elif self.by_time and tunnel_type != "Stream":
            told = "is missing: the rows of the table have no time and so no partition"
            yield finding(("sink", "base_partition"), told, "write base_partition: pt=base")
        if self.mode == "upsert":
            yield from self._upsert_conflicts()

    def _upsert_conflicts(self) -> Iterator[Finding]:
        if self.by_time:
            told = "cannot depend on the time of a change: a key has one row, in one partition"
            yield finding(("sink", "partition"), told, "leave {event_time} out, or write mode: stream")
        for name in ("base_partition", "slots"):
            if name in self.model_fields_set:
                yield finding(("sink", name), "has no meaning with mode: upsert", "remove it", is_about_key=True)
        for number, column in enumerate(self.columns or ()):
            if column.name in OF_ONE_CHANGE:
                told = f"'{column.name}' tells of one change, and an upserted row has no place for it"
                yield finding(("sink", "columns", number), told, "remove it, or write mode: stream")
        if self.create_table and self.columns is None:
            told = "is missing: a table that is made for upserts needs its columns named"
            yield finding(("sink", "columns"), told, "write columns: [id, {name: v, type: integer}]")

    def warnings(self) -> Iterator[Finding]:
        if self.mode == "stream" and self.columns and "sequence" not in {column.name for column in self.columns}:
            told = "has no 'sequence': what comes twice after a crash cannot be told apart"
            yield finding(("columns",), told, "add sequence", is_warning=True)


def _names(partition: str) -> list[str]:
    return [name.lower() for name, _ in split_partition(partition)]
