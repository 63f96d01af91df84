"""`kind: full_export`: all rows of a table, or of a key range, into a sink."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field, field_validator

from airflow_tablestore.spec.columns import doubled_outputs
from airflow_tablestore.spec.common import PipelineSpec, within
from airflow_tablestore.spec.oss_sink import OssSink, only_oss, prefix_problems, sink_warnings
from airflow_tablestore.spec.problems import Finding, finding
from airflow_tablestore.spec.table_source import TableSource

PLACEHOLDERS = ("run_date", "table", "pipeline")
"""What the prefix may hold. `{split}` may not: one prefix serves a whole run, and each object's name has its split."""


class FullExportSpec(PipelineSpec):
    """A full export: reads a table once per run and publishes its rows, all or nothing."""

    kind: Literal["full_export"] = Field(
        default="full_export", description="What the pipeline does.", examples=["full_export"]
    )
    source: TableSource = Field(description="Which table, and what of it.")
    sink: OssSink = Field(description="Where the rows go.")

    @field_validator("sink", mode="before")
    @classmethod
    def _known_sink(cls, value: object) -> object:
        return only_oss(value, "a full export")

    @classmethod
    def disagreements(cls, data: Mapping[str, Any]) -> Iterator[Finding]:
        yield from super().disagreements(data)
        yield from doubled_outputs(within(data, "source", "columns"), ("source", "columns"))
        yield from prefix_problems(within(data, "sink", "prefix"), PLACEHOLDERS)

    def warnings(self) -> Iterator[Finding]:
        yield from super().warnings()
        yield from sink_warnings(self.sink)
        if self.schedule and self.sink.write_mode == "non_conflict" and "{run_date" not in self.sink.prefix:
            yield finding(
                ("sink", "write_mode"),
                "the second scheduled run will fail: the first one's objects stand under the same prefix",
                "put {run_date:%Y%m%d} into the prefix",
                is_warning=True,
            )

    def connections(self) -> Mapping[str, str]:
        return {"source": self.source.connection, "sink": self.sink.connection}
