"""`source` and `status_table` of the kinds that read a table's changes: which table, and what a change becomes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from airflow_tablestore.spec.columns import Column, ConstantColumn
from airflow_tablestore.spec.common import Part
from airflow_tablestore.spec.problems import Finding, faults, finding
from airflow_tablestore.spec.values import ConnectionName, Count, TableName, folded

SINGLE_VERSION: Final = "single_version_and_update_only"
MULTI_VERSION: Final = "multi_version"


class StreamSource(Part):
    """Whose changes, and what each of them becomes."""

    connection: ConnectionName = Field(
        default="tablestore_default",
        description="Airflow connection of type `tablestore`.",
        examples=["tablestore_prod"],
    )
    table: TableName = Field(description="The table's name. Its stream must be enabled.", examples=["ots_gps_data"])
    mode: Annotated[
        Literal["single_version_and_update_only", "multi_version"], folded(SINGLE_VERSION, MULTI_VERSION)
    ] = Field(
        default=SINGLE_VERSION,
        description="What a change becomes: `single_version_and_update_only` makes one row of each put and update, with"
        " the columns chosen; `multi_version` one row of each cell that was put or deleted.",
        examples=["multi_version"],
    )
    columns: tuple[Column, ...] | None = Field(
        default=None,
        description="Columns of the output, in order: names, `{name, as, type}`, or constants `{value, type, as}`. "
        "Needed by `single_version_and_update_only`; the columns of `multi_version` are given: the key, colname, "
        "version, colvalue, optype.",
        examples=[["uid", {"name": "ts", "as": "time", "type": "integer"}, {"value": "cn", "as": "region"}]],
    )
    export_sequence_info: bool = Field(
        default=False,
        description="Whether rows of `multi_version` have a last column, sequenceinfo, by which they sort in the order "
        "of writing.",
        examples=[True],
    )
    max_retries: Annotated[Count, Field(ge=0, le=1000)] | None = Field(
        default=None,
        description="How often a request to Tablestore is sent again, within five minutes. 15 times when absent.",
        examples=[30],
    )

    @field_validator("columns", mode="after")
    @classmethod
    def _none_is_absent(cls, columns: tuple[Column, ...] | None) -> tuple[Column, ...] | None:
        return columns or None

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        problems = list(self._problems())
        if problems:
            raise faults(problems)
        return self

    def _problems(self) -> Iterator[Finding]:
        if self.mode == MULTI_VERSION:
            if self.columns:
                yield finding(
                    ("columns",),
                    f"{MULTI_VERSION} has columns of its own: the key, colname, version, colvalue, optype",
                    f"remove it, or choose mode: {SINGLE_VERSION}",
                    is_about_key=True,
                )
            return
        if self.export_sequence_info:
            yield finding(
                ("export_sequence_info",),
                f"goes with mode: {MULTI_VERSION} only",
                f"remove it, or choose mode: {MULTI_VERSION}",
                is_about_key=True,
            )
        if not self.columns:
            yield finding(
                ("columns",),
                f"is missing: {SINGLE_VERSION} exports the columns that it is told",
                f"write columns: [id, name], or choose mode: {MULTI_VERSION}",
            )
        elif all(isinstance(column, ConstantColumn) for column in self.columns):
            yield finding(("columns",), "has constants only", "name a column of the table")


DEFAULT_STATUS_TABLE = "TableStoreStreamReaderStatusTable"


class StatusTable(Part):
    """Where a pipeline keeps its records. A table's name alone is enough."""

    connection: ConnectionName | None = Field(
        default=None,
        description="Airflow connection of type `tablestore` whose instance has the status table. The source's when "
        "absent.",
        examples=["tablestore_status"],
    )
    table: TableName = Field(
        default=DEFAULT_STATUS_TABLE,
        description="The status table's name; made when it does not exist. It may be the one that DataX uses.",
        examples=[DEFAULT_STATUS_TABLE],
    )


def _table_alone(value: object) -> object:
    return {"table": value} if isinstance(value, str) else value


StatusTableOrName = Annotated[StatusTable, BeforeValidator(_table_alone, json_schema_input_type=str | StatusTable)]
