"""`kind: delivery`: the service itself writes a table as Parquet into OSS, by a task that the pipeline owns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, WithJsonSchema

from airflow_tablestore.pipeline.delivery.checks import ColumnDraft, Draft, Fault, text_faults, wait_faults
from airflow_tablestore.pipeline.delivery.prefix import skipped
from airflow_tablestore.spec.common import Part, PipelineSpec, within
from airflow_tablestore.spec.problems import Finding, finding
from airflow_tablestore.spec.values import ColumnName, ConnectionName, Duration, TableName, Timezone, folded
from airflow_tablestore.wire.delivery import Encoding, ParquetType, TaskType, TimeFormat


def _words(kind: type[StrEnum]) -> WithJsonSchema:
    """An enum is its words; pydantic would make it a part of its own."""
    return WithJsonSchema({"type": "string", "enum": [word.value for word in kind]})


class DeliverySource(Part):
    """Which table."""

    connection: ConnectionName = Field(
        default="tablestore_default", description="Airflow connection of the instance.", examples=["tablestore_default"]
    )
    table: TableName = Field(description="The table that is delivered.", examples=["sampleTable"])


class DeliveredField(Part):
    """One delivered column. Columns stand in the files in the order in which they are named."""

    column: ColumnName = Field(description="Its name in the table.", examples=["PK1"])
    to: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="Its name in the files; that in the table when left out.", examples=["PK1"]
    )
    type: Annotated[ParquetType, folded(*ParquetType), _words(ParquetType)] = Field(
        description="Its type in the files. Values of another type are dropped by the service, without a word.",
        examples=["INT64"],
    )
    encoding: Annotated[Encoding, folded(*Encoding), _words(Encoding)] = Field(
        default=Encoding.PLAIN, description="How its values are written.", examples=["PLAIN_DICTIONARY"]
    )
    extension: str = Field(
        default="", description="The service's `typeExtend`, handed over as it is.", examples=["10,2"]
    )
    optional: bool = Field(
        default=False,
        description="Rows may lack it or hold another type, which is then not delivered. Otherwise that is an error.",
        examples=[True],
    )

    @property
    def output(self) -> str:
        """Its name in the files."""
        return self.to or self.column


class EventTimeField(Part):
    """The column whose time decides a row's folder."""

    column: ColumnName = Field(description="Its name in the table.", examples=["event_time"])
    format: Annotated[TimeFormat, folded(*TimeFormat), _words(TimeFormat)] = Field(
        description="How the time is written there. Unix: a whole number.", examples=["RFC3339"]
    )


class DeliverySettings(Part):
    """The task as the service has it."""

    task: str = Field(
        description="The task's name: 3 to 16 lower-case letters, digits and '-', a letter or digit at both ends.",
        examples=["sampledelivery"],
    )
    type: Annotated[TaskType, folded(*TaskType), _words(TaskType)] = Field(
        default=TaskType.BASE_INC,
        description="BaseTask: the rows once. IncTask: the changes from now on. BaseIncTask: both.",
        examples=["IncTask"],
    )
    bucket: str = Field(description="The bucket, in the region of the instance.", examples=["datadeliverytest"])
    endpoint: str = Field(description="Endpoint of the bucket's region.", examples=["oss-cn-hangzhou.aliyuncs.com"])
    prefix: str = Field(
        description="Folder of the files. The service fills in $yyyy, $MM, $dd, $HH and $mm.",
        examples=["sample/year=$yyyy/month=$MM"],
    )
    timezone: Timezone | None = Field(
        default=None,
        description="Zone in which the service fills in the time variables, which it does not document. That of the "
        "spec when left out.",
        examples=["Asia/Shanghai"],
    )
    role: str = Field(
        description="ARN of the role AliyunServiceRoleForOTSDataDelivery, by which Tablestore may write to the bucket.",
        examples=["acs:ram::1234567890123456:role/aliyunserviceroleforotsdatadelivery"],
    )
    event_time: EventTimeField | None = Field(
        default=None,
        description="Folders go by this column's time. When left out, by the time of the write.",
        examples=[{"column": "event_time", "format": "RFC3339"}],
    )
    fields: tuple[DeliveredField, ...] = Field(
        alias="schema", description="What is delivered.", examples=[[{"column": "PK1", "to": "PK1", "type": "INT64"}]]
    )
    on_drift: Literal["fail", "update", "recreate"] = Field(
        default="fail", description="What happens to a task that stands with another definition.", examples=["update"]
    )


class Wait(Part):
    """What a run waits for, in the triggerer. All that is named must hold."""

    phase: Literal["full", "incremental"] | None = Field(
        default=None,
        description="The task is in this phase or in a later one. A BaseTask is always awaited until it is done.",
        examples=["incremental"],
    )
    max_lag: Duration | None = Field(default=None, description="Delivery is behind by at most this.", examples=["10m"])
    partition: bool = Field(
        default=False,
        description="The folder of the run's data interval is complete; its asset event says which one that is.",
        examples=[True],
    )
    timeout: Duration = Field(
        default="1d", validate_default=True, description="How long a run waits at most.", examples=["6h"]
    )
    stuck_after: Duration = Field(
        default="15m",
        validate_default=True,
        description="How long the task may be in its first phase. The service needs a minute.",
        examples=["30m"],
    )
    poll: Duration = Field(
        default="30s", validate_default=True, description="From one question to the next.", examples=["1m"]
    )


class AuditSettings(Part):
    """Reads the delivered files of the run's folder back and lays them beside the table, of which it reads all."""

    connection: ConnectionName = Field(
        default="oss_default", description="Airflow connection with which the files are read.", examples=["oss_default"]
    )
    fails: bool = Field(default=True, description="Whether a loss fails the run.", examples=[False])


class DeliverySpec(PipelineSpec):
    """A delivery: the service writes the table as Parquet into OSS. A run makes the task, waits for it, and looks at
    what came."""

    WORDS: ClassVar[Mapping[str, str]] = {
        "eventTimeColumn": "delivery.event_time",
        "ossBucket": "delivery.bucket",
        "ossEndpoint": "delivery.endpoint",
        "ossPrefix": "delivery.prefix",
        "ossRoleName": "delivery.role",
        "ossStsRole": "delivery.role",
        "sink": "delivery",
        "taskName": "delivery.task",
        "taskType": "delivery.type",
        "typeExtend": "delivery.schema[].extension",
    }
    """Keys of the service's own clients, and where their meaning lives here."""

    kind: Literal["delivery"] = Field(default="delivery", description="What the pipeline does.", examples=["delivery"])
    source: DeliverySource = Field(description="Which table.")
    delivery: DeliverySettings = Field(description="The task as the service has it.")
    wait: Wait | None = Field(
        default=None,
        description="What a run waits for. Nothing when left out.",
        examples=[{"phase": "incremental", "max_lag": "10m"}],
    )
    audit: AuditSettings | None = Field(
        default=None,
        description="Whether what was delivered is compared with the table. Not when left out.",
        examples=[{"fails": False}],
    )

    @property
    def folder_zone(self) -> str:
        """The zone of the folders' names."""
        return self.delivery.timezone or self.timezone

    @classmethod
    def disagreements(cls, data: Mapping[str, Any]) -> Iterator[Finding]:
        yield from super().disagreements(data)
        faults = list(text_faults(_draft(data)))
        yield from (_finding(("delivery",), one) for one in faults if not one.is_warning)

    def conflicts(self) -> Iterator[Finding]:
        is_by_folder = self.audit is not None or (self.wait is not None and self.wait.partition)
        if is_by_folder and (lacking := skipped(self.delivery.prefix)):
            told = f"has no ${', $'.join(lacking)}: the same folder comes back later, so none can be awaited or audited"
            yield finding(("delivery", "prefix"), told, "put that in too")
        if self.wait is None:
            return
        yield from (
            _finding(("wait",), one)
            for one in wait_faults(self.delivery.type, has_max_lag=self.wait.max_lag is not None)
        )
        if self.wait.partition and "$" not in self.delivery.prefix:
            hint = "put $yyyy, $MM and $dd into it"
            yield finding(("delivery", "prefix"), "has no time variable, so no partition is ever complete", hint)

    def warnings(self) -> Iterator[Finding]:
        yield from super().warnings()
        faults = text_faults(_draft({"delivery": self.delivery}))
        yield from (_finding(("delivery",), one) for one in faults if one.is_warning)
        if self.wait is not None and self.wait.partition and self.delivery.event_time is not None:
            told = (
                "goes by the time of writing; rows with an earlier event time may still come into the folder afterwards"
            )
            yield finding(
                ("wait", "partition"), told, "leave out event_time, or read late folders again", is_warning=True
            )

    def connections(self) -> Mapping[str, str]:
        files = {} if self.audit is None else {"files": self.audit.connection}
        return {"source": self.source.connection, **files}


def _finding(place: tuple[str, ...], fault: Fault) -> Finding:
    return finding((*place, *fault.place), fault.message, fault.hint, is_warning=fault.is_warning)


def _draft(data: Mapping[str, Any]) -> Draft:
    """The task as far as the raw data tell it; what is of a wrong kind is told by the models."""
    its = within(data, "delivery")
    texts = {key: _text(within(its, key)) for key in ("prefix", "bucket", "endpoint", "role")}
    fields = within(its, "schema") if isinstance(its, Mapping) else within(its, "fields")
    columns = [_column(one) for one in fields] if isinstance(fields, list | tuple) else None
    has_event_time = within(its, "event_time") is not None
    return Draft(_text(within(its, "task")), **texts, columns=columns, has_event_time=has_event_time)


def _column(given: Any) -> ColumnDraft:
    name = _text(within(given, "column"))
    to = _text(within(given, "to")) if within(given, "to") is not None else name
    type_, encoding = (str(within(given, key)).upper() for key in ("type", "encoding"))
    return ColumnDraft(
        name,
        to,
        ParquetType(type_) if type_ in list(ParquetType) else None,
        Encoding(encoding) if encoding in list(Encoding) else None,
    )


def _text(given: object) -> str | None:
    return given if isinstance(given, str) else None
