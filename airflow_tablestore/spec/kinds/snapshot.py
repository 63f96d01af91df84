"""`kind: snapshot`: a full export of a moment, made of an earlier one and the changes after it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator

from airflow_tablestore.spec.common import Part, PipelineSpec, within
from airflow_tablestore.spec.oss_sink import Prefix
from airflow_tablestore.spec.placeholders import problems
from airflow_tablestore.spec.problems import Finding, finding
from airflow_tablestore.spec.sinks import MAXCOMPUTE, OSS, Sink, known_sink, place_problems, sink_warnings
from airflow_tablestore.spec.values import BucketName, ConnectionName, Duration, Moment

PLACEHOLDERS = ("run_date", "pipeline")
"""What the prefix of the sink may hold."""


class PublicationsSource(Part):
    """Where a full export and the windows of changes after it are published."""

    type: Literal["oss"] = Field(description="Object Storage Service.", examples=["oss"])
    connection: ConnectionName = Field(
        default="oss_default", description="Airflow connection of type `oss`.", examples=["oss_prod"]
    )
    bucket: BucketName = Field(description="The bucket's name, without an endpoint.", examples=["backup"])
    base: Prefix = Field(
        description="Where full exports, or earlier snapshots, are published, at any depth. Without placeholders.",
        examples=["gps/full/"],
    )
    changes: Prefix = Field(
        description="Where an incremental export publishes its windows, at any depth. Without placeholders.",
        examples=["gps/changes/"],
    )


class SnapshotSpec(PipelineSpec):
    """A snapshot: folds the windows of changes into a full export and publishes the rows of a moment as a new one."""

    kind: Literal["snapshot"] = Field(default="snapshot", description="What the pipeline does.", examples=["snapshot"])
    source: PublicationsSource = Field(description="Which publications.")
    sink: Sink = Field(
        description="Where the rows go. What goes into a table is no base of a further snapshot.",
        examples=[{"type": "oss", "bucket": "backup", "prefix": "gps/snapshots/{run_date:%Y%m%d}/"}],
    )
    to: Moment | None = Field(
        default=None,
        description="The moment of the rows; when absent it lies `lag` before the time that the run is about.",
        examples=["2026-11-20T12:00:00+08:00"],
    )
    lag: Duration = Field(
        default=timedelta(minutes=15),
        description="How long the windows up to a moment need to be published; without `to` the moment lies that much "
        "before its run.",
        examples=["1h"],
        json_schema_extra={"default": "15m"},
    )

    @field_validator("sink", mode="before")
    @classmethod
    def _known_sink(cls, value: object) -> object:
        return known_sink(value, "a snapshot", (OSS, MAXCOMPUTE))

    def moment(self, run_date: datetime) -> datetime:
        """`to` with its zone; without it what lies `lag` before the time that the run is about."""
        if self.to is None:
            return run_date - self.lag
        return self.to if self.to.tzinfo else self.to.replace(tzinfo=ZoneInfo(self.timezone))

    @classmethod
    def disagreements(cls, data: Mapping[str, Any]) -> Iterator[Finding]:
        yield from super().disagreements(data)
        yield from place_problems(within(data, "sink"), PLACEHOLDERS)
        if within(data, "sink", "type") == MAXCOMPUTE and within(data, "sink", "truncate") is not True:
            told = "a snapshot is the whole table, so its rows cannot be added to those of another"
            yield finding(("sink", "truncate"), told, "write truncate: true, and a partition if others are to stay")
        if within(data, "sink", "write_mode") == "append":
            told = "snapshots that are added to each other are no base for the next one"
            yield finding(("sink", "write_mode"), told, "put the run's time into the prefix: {run_date:%Y%m%d}")
        for name in ("base", "changes"):
            prefix = within(data, "source", name)
            if isinstance(prefix, str):
                for one in problems(prefix, ()):
                    yield finding(("source", name), one.message, one.hint)

    def warnings(self) -> Iterator[Finding]:
        yield from super().warnings()
        yield from sink_warnings(self.sink)

    def connections(self) -> Mapping[str, str]:
        return {"source": self.source.connection, "sink": self.sink.connection}
