"""`kind: incremental`: what was written to a table, window of time by window of time, into a sink."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema, field_validator

from airflow_tablestore.pipeline.window import CalendarGrid, FixedGrid, Grid, Unit
from airflow_tablestore.spec.columns import doubled_outputs
from airflow_tablestore.spec.common import Part, PipelineSpec, within
from airflow_tablestore.spec.oss_sink import OssSink
from airflow_tablestore.spec.problems import Finding, fault, finding, shown
from airflow_tablestore.spec.sinks import MAXCOMPUTE, OSS, Sink, known_sink, place_problems, sink_warnings
from airflow_tablestore.spec.stream_source import StatusTable, StatusTableOrName, StreamSource
from airflow_tablestore.spec.values import DURATION, Duration, Moment, duration, duration_text
from airflow_tablestore.spec.window_prefixes import Shared, shared_prefix

PLACEHOLDERS = ("window_start", "window_end", "table", "pipeline")

LEAST_LAG = timedelta(minutes=5)
"""What was written may show up in the stream this much later. Source: OTSStreamReader refuses an end nearer to now."""

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


def _every(value: object) -> timedelta | Unit:
    """A length, or a unit of the calendar."""
    word = value.strip().lower() if isinstance(value, str) else ""
    if word in tuple(Unit):
        return Unit(word)
    if word in ("week", "weekly", "@weekly", "month", "monthly", "@monthly", "year"):
        raise fault(f"a window cannot be a {word.strip('@').removesuffix('ly')}: a stream forgets sooner", _SHORTER)
    if word in ("daily", "@daily", "hourly", "@hourly"):
        raise fault(f"must be a duration, hour or day, not {shown(value)}", "write every: hour, or every: day")
    length = duration(value)
    if length > DAY:
        raise fault(f"a window cannot last {duration_text(length)}: a day is the longest", _SHORTER)
    return length


_SHORTER = "write every: 5m, 1h, hour or day"


def _every_text(every: timedelta | Unit) -> str:
    return every.value if isinstance(every, Unit) else duration_text(every)


Every = Annotated[
    timedelta | Unit,
    PlainValidator(_every),
    PlainSerializer(_every_text),
    WithJsonSchema({"anyOf": [{"enum": [unit.value for unit in Unit]}, {"type": "string", "pattern": DURATION}]}),
]


def _enough(lag: timedelta) -> timedelta:
    if lag < LEAST_LAG:
        raise fault(
            f"must be at least 5m, not {duration_text(lag)}: changes show up in the stream with a delay",
            "write lag: 5m; a shorter one would lose what shows up late",
        )
    return lag


class WindowSettings(Part):
    """How time is divided. The run at T exports the newest window that has ended `lag` before T, or earlier."""

    every: Every = Field(
        default=timedelta(minutes=5),
        description="Length of a window, counted from midnight UTC; or `hour` or `day`: those of the spec's timezone,"
        " as long as its clock makes them.",
        examples=["5m", "1h", "day"],
        json_schema_extra={"default": "5m"},
    )
    lag: Annotated[Duration, AfterValidator(_enough)] = Field(
        default=LEAST_LAG,
        description="How long after a window's end it is read; at least 5m.",
        examples=["10m"],
        json_schema_extra={"default": "5m"},
    )


class IncrementalSpec(PipelineSpec):
    """An incremental export: reads what was written to a table in a window of time, and publishes each window by
    itself, all or nothing. No change is lost and none comes twice."""

    WORDS: ClassVar[Mapping[str, str]] = {
        "date": "no key: each run has its own window, and by hand it is run --window-start --window-end",
        "dataTable": "source.table",
        "enableSeekIterator": "always so",
        "endTimeString": "no key: each run has its own window, and by hand it is run --window-end",
        "endTimestampMillis": "no key: each run has its own window, and by hand it is run --window-end",
        "isExportSequenceInfo": "source.export_sequence_info",
        "maxRetries": "source.max_retries",
        "schedule": "window: {every: 5m, lag: 5m}",
        "startTimeString": "no key: each run has its own window, and by hand it is run --window-start",
        "startTimestampMillis": "no key: each run has its own window, and by hand it is run --window-start",
        "statusTable": "status_table",
        "threadNum": "limits.threads",
    }
    """Keys of other tools and kinds, and where their meaning lives here."""

    kind: Literal["incremental"] = Field(
        default="incremental", description="What the pipeline does.", examples=["incremental"]
    )
    schedule: ClassVar[None] = None  # type: ignore[misc]
    start: Moment = Field(
        description="No window before this is exported; the first begins at the first boundary from here on.",
        examples=["2026-11-20T00:00:00+08:00"],
    )
    catchup: bool = Field(
        default=True, description="Whether windows that were missed since `start` are made up for.", examples=[False]
    )
    window: WindowSettings = Field(
        default_factory=WindowSettings, description="How time is divided, and when a window is read."
    )
    source: StreamSource = Field(description="Whose changes, and what each of them becomes.")
    status_table: StatusTableOrName = Field(
        default_factory=StatusTable,
        description="Where it is kept which windows are done, and where each begins. A table's name alone is enough.",
        examples=["TableStoreStreamReaderStatusTable"],
    )
    sink: Sink = Field(
        description="Where the rows go.", examples=[{"type": "maxcompute", "table": "person", "truncate": True}]
    )

    @field_validator("sink", mode="before")
    @classmethod
    def _known_sink(cls, value: object) -> object:
        return known_sink(value, "an incremental export", (OSS, MAXCOMPUTE))

    @classmethod
    def disagreements(cls, data: Mapping[str, Any]) -> Iterator[Finding]:
        yield from doubled_outputs(within(data, "source", "columns"), ("source", "columns"))
        yield from place_problems(within(data, "sink"), PLACEHOLDERS)

    @property
    def grid(self) -> Grid:
        """How time is divided."""
        every = self.window.every
        return CalendarGrid(every, self.timezone) if isinstance(every, Unit) else FixedGrid(every)

    @property
    def starts(self) -> datetime:
        """`start` with its zone."""
        return self.start if self.start.tzinfo else self.start.replace(tzinfo=ZoneInfo(self.timezone))

    def conflicts(self) -> Iterator[Finding]:
        sink = self.sink
        replaces = sink.write_mode != "append" if isinstance(sink, OssSink) else sink.truncate
        if replaces and (shared := self._shared()):
            yield self._told(shared)

    def warnings(self) -> Iterator[Finding]:
        yield from sink_warnings(self.sink)
        yield from self._warnings_of_windows()

    def _warnings_of_windows(self) -> Iterator[Finding]:
        every = self.window.every
        if every in (Unit.DAY, DAY):
            yield finding(
                ("window", "every"),
                "a day of changes is incomplete when the stream keeps 24 hours: the first are gone before it is due",
                "write 1h or less, or keep the stream's records for 48 hours and more",
                is_warning=True,
            )
        if isinstance(every, timedelta) and every < MINUTE:
            told = f"a run every {duration_text(every)} is more than Airflow keeps up with"
            yield finding(("window", "every"), told, "write 1m or more", is_warning=True)
        first = self.grid.ceil(self.starts)
        if first != self.starts:
            yield finding(
                ("start",),
                f"is not where a window begins: the first one begins at {first.astimezone(ZoneInfo(self.timezone))}",
                "what is written before that is not exported",
                is_warning=True,
            )
        if not self.catchup:
            told = "windows that are missed, as while Airflow is stopped, will never be exported"
            yield finding(("catchup",), told, "leave it out to make up for them", is_warning=True)

    def _shared(self) -> Shared | None:
        words = {"table": self.source.table, "pipeline": self.pipeline}
        sink = self.sink
        template = sink.prefix if isinstance(sink, OssSink) else sink.partition or ""
        return shared_prefix(template, words, self.grid, self.starts, self.timezone)

    def _told(self, shared: Shared) -> Finding:
        sink = self.sink
        is_objects = isinstance(sink, OssSink)
        is_refused = isinstance(sink, OssSink) and sink.write_mode == "non_conflict"
        replaced = f"so the second would {'be refused' if is_refused else 'replace the first'}"
        hint = "put {window_start:%Y%m%d%H%M} into it"
        if shared.is_fold:
            hint = "the clock is moved back between them: put {window_start:%z} into it, or set timezone: UTC"
        what = f"the {'prefix' if is_objects else 'partition'} '{shared.prefix}'" if shared.prefix else "the table"
        return finding(
            ("sink", "prefix" if is_objects else "partition"),
            f"windows such as {shared.first} and {shared.second} share {what}, {replaced}",
            hint,
        )

    def connections(self) -> Mapping[str, str]:
        ledger = self.status_table.connection or self.source.connection
        return {"source": self.source.connection, "status_table": ledger, "sink": self.sink.connection}
