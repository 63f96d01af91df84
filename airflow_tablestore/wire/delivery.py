"""The calls of delivery tasks: Tablestore itself writes a table as Parquet into OSS, by a task that is made here.

Values and bytes only; what makes a good task is decided in `pipeline.delivery_checks`. Enum words that this version
does not know are refused when they decide what is delivered, and told as they came when they say what went wrong.
Source: tests/vectors/delivery_messages.json; no client of the service has an update call, its message is from the Java
SDK's .proto.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.wire.call import Call
from airflow_tablestore.wire.message import parse
from airflow_tablestore.wire.proto import delivery_pb2 as pb


class TaskType(enum.StrEnum):
    """What a task delivers: the rows of the table, its changes, or the rows and from then on the changes.

    The Go client's zero value is BaseTask, the documentation's default BaseIncTask; so it is always sent.
    """

    BASE = "BaseTask"
    INC = "IncTask"
    BASE_INC = "BaseIncTask"


class ParquetType(enum.StrEnum):
    """The types of a delivered column."""

    BOOL = "BOOL"
    INT64 = "INT64"
    UTF8 = "UTF8"
    DOUBLE = "DOUBLE"
    DATE = "DATE"
    DECIMAL = "DECIMAL"
    TIME_MILLIS = "TIME_MILLIS"
    TIME_MICROS = "TIME_MICROS"
    TIMESTAMP_MILLIS = "TIMESTAMP_MILLIS"
    TIMESTAMP_MICROS = "TIMESTAMP_MICROS"
    LIST = "LIST"
    MAP = "MAP"
    INTERVAL = "INTERVAL"
    FLOAT = "FLOAT"
    INT32 = "INT32"
    INT96 = "INT96"


class Encoding(enum.StrEnum):
    """How the values of a delivered column are written."""

    PLAIN = "PLAIN"
    PLAIN_DICTIONARY = "PLAIN_DICTIONARY"
    DELTA_BINARY_PACKED = "DELTA_BINARY_PACKED"
    DELTA_BYTE_ARRAY = "DELTA_BYTE_ARRAY"
    DELTA_LENGTH_BYTE_ARRAY = "DELTA_LENGTH_BYTE_ARRAY"


class TimeFormat(enum.StrEnum):
    """How the event time stands in its column."""

    RFC822 = "RFC822"
    RFC850 = "RFC850"
    RFC1123 = "RFC1123"
    RFC3339 = "RFC3339"
    UNIX = "Unix"


class Phase(enum.StrEnum):
    """How far a task is: being made, delivering the rows of the table, following its changes."""

    INIT = "init"
    FULL = "full"
    INCREMENTAL = "incremental"


@dataclass(frozen=True, slots=True)
class DeliveredColumn:
    """One column: its name in the table, its name and type in the files. `extension` is the service's `typeExtend`."""

    name: str
    to: str
    type: ParquetType
    encoding: Encoding = Encoding.PLAIN
    extension: str = ""


@dataclass(frozen=True, slots=True)
class EventTime:
    """The column whose time decides a row's folder."""

    column: str
    format: TimeFormat


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a task writes and what. Columns stand in the files in this order.

    `prefix` may hold $yyyy $MM $dd $HH $mm; without `event_time` these are those of the write to the table.
    """

    prefix: str
    bucket: str
    endpoint: str
    role: str
    columns: tuple[DeliveredColumn, ...] = ()
    event_time: EventTime | None = None


@dataclass(frozen=True, slots=True)
class DeliveryTask:
    """A task as it is asked for, or as the service tells it."""

    table: str
    name: str
    destination: Destination
    type: TaskType = TaskType.BASE_INC

    @property
    def subject(self) -> str:
        """What messages call it."""
        return _subject(self.table, self.name)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a task is. Everything up to `reached_nanos` was delivered; 0: not told.

    `error` is empty while all is well, else the service's word for what stopped it, and `detail` its sentence.
    """

    phase: Phase
    reached_nanos: int = 0
    error: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Described:
    """A task and how far it is."""

    task: DeliveryTask
    progress: Progress


@dataclass(frozen=True, slots=True)
class Listed:
    """A task as a list tells it."""

    table: str
    name: str
    type: TaskType


_TYPES = {TaskType.BASE: pb.BASE, TaskType.INC: pb.INC, TaskType.BASE_INC: pb.BASE_INC}
_PHASES = {Phase.INIT: pb.INIT, Phase.FULL: pb.FULL, Phase.INCREMENTAL: pb.INCR}


# ---- make, change, delete


def create_delivery_task(task: DeliveryTask) -> Call[None]:
    """A new task. Sent twice, the second is refused."""
    request = pb.CreateDeliveryTaskRequest(
        tableName=task.table,
        taskName=task.name,
        taskConfig=_config(task.destination),
        taskType=_TYPES[task.type],
    )
    return _call("CreateDeliveryTask", request, pb.CreateDeliveryTaskResponse, task.subject, is_repeatable=False)


def update_delivery_task(table: str, name: str, destination: Destination) -> Call[None]:
    """Gives a task another destination; its type stays."""
    request = pb.UpdateDeliveryTaskRequest(table=table, taskName=name, taskConfig=_config(destination))
    return _call("UpdateDeliveryTask", request, pb.UpdateDeliveryTaskResponse, _subject(table, name))


def delete_delivery_task(table: str, name: str) -> Call[None]:
    """Deletes a task; what it has delivered stays."""
    request = pb.DeleteDeliveryTaskRequest(tableName=table, taskName=name)
    answer = pb.DeleteDeliveryTaskResponse
    return _call("DeleteDeliveryTask", request, answer, _subject(table, name), is_repeatable=False)


def _call(
    operation: str, request: Message, answer: type[Message], subject: str, *, is_repeatable: bool = True
) -> Call[None]:
    def read(body: bytes) -> None:
        parse(answer, body)

    return Call(f"/{operation}", request.SerializeToString(), read, is_repeatable, subject=subject)


def _subject(table: str, name: str) -> str:
    return f"the delivery task {name!r} of table {table!r}"


def _config(to: Destination) -> pb.OSSTaskConfig:
    event = to.event_time
    return pb.OSSTaskConfig(
        ossPrefix=to.prefix,
        ossBucket=to.bucket,
        ossEndpoint=to.endpoint,
        ossStsRole=to.role,
        eventTimeColumn=None if event is None else pb.EventColumn(columnName=event.column, timeFormat=event.format),
        format=pb.Parquet,
        schema=[
            pb.ParquetSchema(
                columnName=one.name,
                ossColumnName=one.to,
                type=one.type,
                encode=one.encoding,
                typeExtend=one.extension or None,
            )
            for one in to.columns
        ],
    )


# ---- list and describe


def list_delivery_tasks(table: str) -> Call[tuple[Listed, ...]]:
    """The tasks of a table."""

    def read(body: bytes) -> tuple[Listed, ...]:
        tasks = parse(pb.ListDeliveryTaskResponse, body).tasks
        return tuple(Listed(one.tableName or table, one.taskName, _type(one)) for one in tasks)

    body = pb.ListDeliveryTaskRequest(tableName=table).SerializeToString()
    return Call("/ListDeliveryTask", body, read, subject=f"table {table!r}")


def describe_delivery_task(table: str, name: str) -> Call[Described]:
    """A task's definition and how far it is."""

    def read(body: bytes) -> Described:
        answer = parse(pb.DescribeDeliveryTaskResponse, body)
        task = DeliveryTask(table, name, _destination(answer.taskConfig), _type(answer))
        return Described(task, _progress(answer.task_sync_stat))

    body = pb.DescribeDeliveryTaskRequest(tableName=table, taskName=name).SerializeToString()
    return Call("/DescribeDeliveryTask", body, read, subject=_subject(table, name))


def _destination(told: pb.OSSTaskConfig) -> Destination:
    event = None
    if told.HasField("eventTimeColumn"):
        word = pb.eventTimeFormat.Name(_number(told.eventTimeColumn, "timeFormat"))
        event = EventTime(told.eventTimeColumn.columnName, TimeFormat(word))
    columns = tuple(
        DeliveredColumn(
            one.columnName,
            one.ossColumnName,
            ParquetType(pb.DataType.Name(_number(one, "type"))),
            Encoding(pb.Encoding.Name(_number(one, "encode"))),
            one.typeExtend,
        )
        for one in told.schema
    )
    return Destination(told.ossPrefix, told.ossBucket, told.ossEndpoint, told.ossStsRole, columns, event)


def _type(told: pb.DeliveryTaskInfo | pb.DescribeDeliveryTaskResponse) -> TaskType:
    return _word(_TYPES, _number(told, "taskType"))


def _progress(told: pb.TaskSyncStat) -> Progress:
    phase = _word(_PHASES, _number(told, "task_sync_phase"))
    strange = _strange(told, "error_code")
    error = pb.ErrorType.Name(told.error_code) if told.error_code != pb.OK else ""
    return Progress(phase, told.current_sync_timestamp, error if strange is None else f"code {strange}", told.detail)


E = TypeVar("E", bound=enum.StrEnum)


def _word(words: Mapping[E, int], number: int) -> E:
    return next(word for word, known in words.items() if known == number)


def _number(told: Message, field: str) -> int:
    """The value of an enum.

    :raises ProtocolError: one that this version does not know; protobuf would tell the first one instead.
    """
    strange = _strange(told, field)
    if strange is not None:
        raise ProtocolError(f"the service tells {field} {strange}, which this version does not know")
    number: int = getattr(told, field)
    return number


def _strange(told: Message, field: str) -> int | None:
    """The number of an enum that is not in our messages, or None. Protobuf puts it aside, among unknown fields."""
    number = told.DESCRIPTOR.fields_by_name[field].number
    unknown = cast(Iterable[Any], UnknownFieldSet(told))  # the type stubs lack its __iter__
    return next((int(one.data) for one in unknown if one.field_number == number), None)
