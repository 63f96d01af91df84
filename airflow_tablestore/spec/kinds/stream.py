"""`kind: stream`: a tunnel drained into a sink, by one worker or several; each record counts once for its readers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    Discriminator,
    Field,
    PlainSerializer,
    PlainValidator,
    Tag,
    TypeAdapter,
    WithJsonSchema,
    field_validator,
)

from airflow_tablestore.spec.common import Part, PipelineSpec, within
from airflow_tablestore.spec.oss_sink import OssSink, prefix_problems
from airflow_tablestore.spec.problems import Finding, finding
from airflow_tablestore.spec.sinks import MAXCOMPUTE, OSS, TABLESTORE, known_sink, place_problems, sink_warnings
from airflow_tablestore.spec.stream_copy_sink import StreamCopySink
from airflow_tablestore.spec.stream_table_sink import BASE_PLACEHOLDERS, TIME, StreamTableSink
from airflow_tablestore.spec.values import (
    CONTINUOUS,
    ON_DATA,
    ConnectionName,
    Count,
    Duration,
    Moment,
    StreamSchedule,
    TableName,
    folded,
)

PLACEHOLDERS = ("table", "pipeline")
TYPES = ("BaseData", "Stream", "BaseAndStream")
QUIET = timedelta(minutes=10)
"""With `schedule: continuous` and no `run.at_most` a run waits so long for data."""

NOT_HONOURED = ("mbps", "rows_per_second", "workers", "threads", "memory_mb")
"""Limits that this kind does not keep to, and so refuses."""

OF_A_COPY = ("mbps", "rows_per_second", "threads")
"""Limits that a table of Tablestore as the sink keeps to."""


def _start(value: object) -> Any:
    return value if value in ("earliest", "latest") else _MOMENT.validate_python(value)


_MOMENT: TypeAdapter[datetime] = TypeAdapter(Moment)


class TunnelSource(Part):
    """Which tunnel of which table."""

    connection: ConnectionName = Field(
        default="tablestore_default",
        description="Airflow connection of type `tablestore`.",
        examples=["tablestore_prod"],
    )
    table: TableName = Field(description="The table's name.", examples=["events"])
    tunnel: Annotated[str, Field(min_length=1, max_length=255)] = Field(
        description="The tunnel's name.", examples=["events_tunnel"]
    )
    tunnel_type: Annotated[Literal["BaseData", "Stream", "BaseAndStream"], folded(*TYPES)] = Field(
        default="Stream",
        description="What it carries: the rows, the changes, or first the rows and then the changes. A tunnel that "
        "stands and is of another type is an error where `create_tunnel` is set.",
        examples=["BaseAndStream"],
    )
    create_tunnel: bool = Field(
        default=False, description="Whether the tunnel is made when it is absent.", examples=[True]
    )
    tunnel_start: Annotated[
        datetime | Literal["earliest", "latest"],
        PlainValidator(_start),
        PlainSerializer(lambda value: value if isinstance(value, str) else value.isoformat()),
        WithJsonSchema({"type": "string"}),
    ] = Field(
        default="latest",
        description="From when on a tunnel that is made carries changes: `earliest`, `latest` or a time with its zone.",
        examples=["earliest", "2026-11-20T00:00:00+08:00"],
    )
    tunnel_end: Moment | None = Field(
        default=None,
        description="Until when a tunnel that is made carries changes, with its zone. It goes on when absent.",
        examples=["2026-11-21T00:00:00+08:00"],
    )


class RunSettings(Part):
    """How long a run works, and with how many workers."""

    until: Annotated[Literal["caught_up", "at_most"], folded("caught_up", "at_most")] = Field(
        default="caught_up",
        description="`caught_up` ends when everything is taken that was there when the run began; `at_most` goes on "
        "for that time. Either ends when a bounded tunnel does.",
        examples=["at_most"],
    )
    at_most: Duration | None = Field(
        default=None,
        description="Longest time of a run's work. No limit when absent. With `schedule: continuous` a run also waits "
        "for data so long at most.",
        examples=["10m"],
    )
    workers: Annotated[Count, Field(ge=1, le=256)] = Field(
        default=1,
        description="Mapped tasks; the service shares the tunnel's channels between them.",
        examples=[2],
    )
    flush: Duration = Field(
        default=timedelta(seconds=5),
        description="A record waits at most so long for others to share an object with.",
        examples=["30s"],
        json_schema_extra={"default": "5s"},
    )


class StreamOssSink(OssSink):
    """Objects in OSS, each of which counts once its checkpoint is kept. Readers take those that the channels' manifests
    under `_channels/done/` list."""

    write_mode: Annotated[Literal["append"], folded("append")] = Field(
        default="append", description="Objects are added; none is replaced.", examples=["append"]
    )
    truncate_foreign: ClassVar[bool] = False  # type: ignore[misc]
    max_file_mb: Annotated[Count, Field(ge=1, le=16)] | None = Field(
        default=None,
        description="Megabytes of records, as they were read, after which an object is ended. 16 when absent.",
        examples=[4],
    )


def _type(value: Any) -> str:
    """Which sink is meant; objects when it does not say, so that the missing key is told."""
    return _TAGS.get(str(within(value, "type")), "<oss>")


_TAGS = {MAXCOMPUTE: "<maxcompute>", TABLESTORE: "<tablestore>"}


StreamSink = Annotated[
    Annotated[StreamOssSink, Tag("<oss>")]
    | Annotated[StreamTableSink, Tag("<maxcompute>")]
    | Annotated[StreamCopySink, Tag("<tablestore>")],
    Discriminator(_type),
]


class StreamSpec(PipelineSpec):
    """A stream: a tunnel is drained into objects or a table, by one worker or several. Nothing is lost. For readers of
    the channels' manifests nothing comes twice; what it means for a table is said by the sink's `mode`."""

    WORDS: ClassVar[Mapping[str, str]] = {
        "tunnel": "source.tunnel",
        "tunnelName": "source.tunnel",
        "tunnelType": "source.tunnel_type",
        "workers": "run.workers",
        "window": "schedule: a cron expression",
    }
    """Keys of other tools and kinds, and where their meaning lives here."""

    kind: Literal["stream"] = Field(default="stream", description="What the pipeline does.", examples=["stream"])
    schedule: StreamSchedule = Field(
        default=None,
        description="`on_data`: a run begins when the tunnel has something that nobody has read. `continuous`: runs "
        "follow each other, and each first waits for data, or for `run.at_most` (10m when absent). Or a cron "
        "expression of five fields, a preset such as @daily, or none.",
        examples=["on_data", "continuous", "*/10 * * * *"],
    )
    source: TunnelSource = Field(description="Which tunnel is drained.")
    run: RunSettings = Field(default_factory=RunSettings, description="How long a run works, and with how many.")
    sink: StreamSink = Field(
        description="Where the records go.",
        examples=[{"type": "maxcompute", "mode": "stream", "table": "events", "partition": "pt={event_time:%Y%m%d}"}],
    )

    @field_validator("sink", mode="before")
    @classmethod
    def _known_sink(cls, value: object) -> object:
        return known_sink(value, "a stream", (OSS, MAXCOMPUTE, TABLESTORE))

    @classmethod
    def disagreements(cls, data: Mapping[str, Any]) -> Iterator[Finding]:
        yield from super().disagreements(data)
        sink = within(data, "sink")
        if within(sink, "type") == TABLESTORE:
            return
        if within(sink, "type") != MAXCOMPUTE:
            yield from place_problems(sink, PLACEHOLDERS)
            return
        yield from prefix_problems(within(sink, "partition"), (*BASE_PLACEHOLDERS, TIME), "partition")
        yield from prefix_problems(within(sink, "base_partition"), BASE_PLACEHOLDERS, "base_partition")

    def conflicts(self) -> Iterator[Finding]:
        source, run = self.source, self.run
        if isinstance(self.sink, StreamTableSink):
            yield from self.sink.conflicts(source.tunnel_type)
        is_copy = isinstance(self.sink, StreamCopySink)
        if isinstance(self.sink, StreamCopySink):
            yield from self.sink.conflicts(source.connection, source.table)
        for name in NOT_HONOURED:
            if name in self.limits.model_fields_set and not (is_copy and name in OF_A_COPY):
                hint = "write run.workers" if name == "workers" else "leave it out"
                told = "a stream does not keep to it in this version"
                yield finding(("limits", name), told, hint, is_about_key=True)
        if run.until == "at_most" and run.at_most is None:
            yield finding(
                ("run", "at_most"), "is missing: until: at_most says nothing without it", "write at_most: 10m"
            )
        begins = None if isinstance(source.tunnel_start, str) else source.tunnel_start
        for name, moment in (("tunnel_start", begins), ("tunnel_end", source.tunnel_end)):
            if moment is not None and moment.tzinfo is None:
                yield finding(("source", name), "has no zone", "write 2026-11-20T00:00:00+08:00")
        has_range = {"tunnel_start", "tunnel_end"} & source.model_fields_set
        if has_range and source.tunnel_type == "BaseData":
            for name in sorted(has_range):
                told = "a BaseData tunnel carries no changes"
                yield finding(("source", name), told, "remove it", is_about_key=True)
        elif (
            begins and source.tunnel_end and begins.tzinfo and source.tunnel_end.tzinfo and source.tunnel_end <= begins
        ):
            yield finding(("source", "tunnel_end"), "is not after tunnel_start")

    def warnings(self) -> Iterator[Finding]:
        yield from super().warnings()
        yield from sink_warnings(self.sink)
        if not self.source.create_tunnel:
            for name in ("tunnel_type", "tunnel_start", "tunnel_end"):
                if name in self.source.model_fields_set:
                    yield finding(("source", name), "has no effect without create_tunnel", is_warning=True)
        if self.schedule == ON_DATA and self.start is not None:
            yield finding(("start",), "has no effect with schedule: on_data", "leave it out", is_warning=True)
        if self.schedule == CONTINUOUS and (self.source.tunnel_type == "BaseData" or self.source.tunnel_end):
            told = "the tunnel comes to an end, and runs go on that find nothing"
            yield finding(("schedule",), told, "write on_data, or none", is_warning=True)
        if self.catchup:
            told = "a run takes what is there, whatever time it is for"
            yield finding(("catchup",), told, "leave it out", is_warning=True)

    def connections(self) -> Mapping[str, str]:
        return {"source": self.source.connection, "sink": self.sink.connection}
