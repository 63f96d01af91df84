"""`kind: full_export`: all rows of a table, or of a key range, into a sink."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field, field_validator

from airflow_tablestore.spec.columns import doubled_outputs
from airflow_tablestore.spec.common import PipelineSpec, within
from airflow_tablestore.spec.oss_sink import OssSink
from airflow_tablestore.spec.problems import Finding, finding
from airflow_tablestore.spec.sinks import MAXCOMPUTE, OSS, Sink, known_sink, place_problems, sink_warnings
from airflow_tablestore.spec.stream_source import StatusTable, StatusTableOrName
from airflow_tablestore.spec.table_source import TableSource

PLACEHOLDERS = ("run_date", "table", "pipeline")
"""What the prefix or the partition may hold. `{split}` may not: one prefix serves a whole run, and each object's name
has its split."""


class FullExportSpec(PipelineSpec):
    """A full export: reads a table once per run and publishes its rows, all or nothing."""

    kind: Literal["full_export"] = Field(
        default="full_export", description="What the pipeline does.", examples=["full_export"]
    )
    source: TableSource = Field(description="Which table, and what of it.")
    sink: Sink = Field(
        description="Where the rows go.", examples=[{"type": "maxcompute", "table": "gps", "truncate": True}]
    )

    status_table: StatusTableOrName | None = Field(
        default=None,
        description="Where the pinned columns and a manifest of each run are kept, when the rows go into a MaxCompute "
        "table: DataX's status table in the source's instance when absent. Objects have their manifest beside them. A "
        "table's name alone is enough.",
        examples=[{"connection": "tablestore_status"}],
    )

    @field_validator("sink", mode="before")
    @classmethod
    def _known_sink(cls, value: object) -> object:
        return known_sink(value, "a full export", (OSS, MAXCOMPUTE))

    @classmethod
    def disagreements(cls, data: Mapping[str, Any]) -> Iterator[Finding]:
        yield from super().disagreements(data)
        yield from doubled_outputs(within(data, "source", "columns"), ("source", "columns"))
        yield from place_problems(within(data, "sink"), PLACEHOLDERS)
        if data.get("status_table") is not None and within(data, "sink", "type") == OSS:
            yield finding(("status_table",), "is for tables; objects have their manifest beside them", "leave it out")

    def warnings(self) -> Iterator[Finding]:
        yield from super().warnings()
        yield from sink_warnings(self.sink)
        sink = self.sink
        if not isinstance(sink, OssSink):
            if not sink.truncate:
                told = "each run adds its rows to those of the runs before it"
                hint = "write truncate: true and the run's time into the partition"
                yield finding(("sink", "truncate"), told, hint, is_warning=True)
            return
        if self.schedule and sink.write_mode == "non_conflict" and "{run_date" not in sink.prefix:
            yield finding(
                ("sink", "write_mode"),
                "the second scheduled run will fail: the first one's objects stand under the same prefix",
                "put {run_date:%Y%m%d} into the prefix",
                is_warning=True,
            )

    def connections(self) -> Mapping[str, str]:
        named = {"source": self.source.connection, "sink": self.sink.connection}
        if self.ledger is not None:
            named["status_table"] = self.ledger.connection or self.source.connection
        return named

    @property
    def ledger(self) -> StatusTable | None:
        """Where a table's loads are on record; None for objects."""
        return None if isinstance(self.sink, OssSink) else self.status_table or StatusTable()
