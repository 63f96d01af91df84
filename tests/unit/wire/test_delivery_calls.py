"""The calls of delivery tasks, against official bytes in both directions."""

import json
from pathlib import Path

import pytest

from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.wire import delivery as wire
from airflow_tablestore.wire.delivery import (
    DeliveredColumn,
    DeliveryTask,
    Described,
    Destination,
    Encoding,
    EventTime,
    Listed,
    ParquetType,
    Phase,
    Progress,
    TaskType,
    TimeFormat,
)
from airflow_tablestore.wire.proto import delivery_pb2 as pb

ENTRIES = {
    entry["name"]: entry
    for entry in json.loads((Path(__file__).parents[2] / "vectors" / "delivery_messages.json").read_text())
}
PLACE = (
    "sample/year=$yyyy/month=$MM",
    "datadeliverytest",
    "oss-cn-hangzhou.aliyuncs.com",
    "acs:ram::17************45:role/aliyunserviceroleforotsdatadelivery",
)
SEED = DeliveryTask(
    "sampleTable",
    "sampledeliverytask",
    Destination(
        *PLACE,
        (
            DeliveredColumn("PK1", "PK1", ParquetType.INT64),
            DeliveredColumn("PK2", "PK2", ParquetType.UTF8),
            DeliveredColumn("Col1", "Col1", ParquetType.DOUBLE),
        ),
    ),
)
BY_EVENT = DeliveryTask(
    "sampleTable",
    "inc-task",
    Destination(
        *PLACE,
        (
            DeliveredColumn("PK1", "pk_1", ParquetType.INT64, Encoding.DELTA_BINARY_PACKED),
            DeliveredColumn("flag", "flag", ParquetType.BOOL),
            DeliveredColumn("day", "day", ParquetType.DATE),
            DeliveredColumn("amount", "amount", ParquetType.DECIMAL),
            DeliveredColumn("at", "at", ParquetType.TIMESTAMP_MICROS, Encoding.PLAIN_DICTIONARY),
        ),
        EventTime("event_time", TimeFormat.RFC3339),
    ),
    TaskType.INC,
)
EMPTY = DeliveryTask("sampleTable", "base", Destination("", "b", "", ""), TaskType.BASE)
NAMES = ("sampleTable", "sampledeliverytask")


def content(name: str) -> bytes:
    return bytes.fromhex(ENTRIES[name]["hex"])


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("create_delivery_task_request", wire.create_delivery_task(SEED)),
        ("create_delivery_task_event_column_request", wire.create_delivery_task(BY_EVENT)),
        ("create_delivery_task_zero_values_request", wire.create_delivery_task(EMPTY)),
        ("delete_delivery_task_request", wire.delete_delivery_task(*NAMES)),
        ("list_delivery_task_request", wire.list_delivery_tasks("sampleTable")),
        ("describe_delivery_task_request", wire.describe_delivery_task(*NAMES)),
    ],
)
def test_a_call_asks_as_the_official_client_does(name, call):
    assert (call.uri, call.body) == (ENTRIES[name]["uri"], content(name))
    assert call.api_version == "2015-12-31"


def test_an_update_has_fields_of_its_own():
    call = wire.update_delivery_task(*NAMES, SEED.destination)

    asked = pb.UpdateDeliveryTaskRequest.FromString(call.body)
    created = pb.CreateDeliveryTaskRequest.FromString(content("create_delivery_task_request"))
    assert call.uri == "/UpdateDeliveryTask"
    assert (asked.table, asked.taskName, asked.taskConfig) == (*NAMES, created.taskConfig)


@pytest.mark.parametrize(
    "call", [wire.create_delivery_task(SEED), wire.delete_delivery_task(*NAMES)], ids=lambda call: call.operation
)
def test_what_is_refused_the_second_time_is_not_repeated_blindly(call):
    assert not call.is_repeatable


def test_a_description_is_the_task_that_was_asked_for():
    described = wire.describe_delivery_task(*NAMES).read(content("describe_response"))

    assert described == Described(SEED, Progress(Phase.INCREMENTAL, 1704067200000000000))


def test_tasks_are_listed_with_their_types():
    assert wire.list_delivery_tasks("sampleTable").read(content("list_response")) == (
        Listed("sampleTable", "sampledeliverytask", TaskType.BASE_INC),
        Listed("sampleTable", "inc-task", TaskType.INC),
        Listed("sampleTable", "base", TaskType.BASE),
    )


@pytest.mark.parametrize(
    ("name", "call"),
    [("create_response", wire.create_delivery_task(SEED)), ("delete_response", wire.delete_delivery_task(*NAMES))],
)
def test_an_empty_answer_is_read(name, call):
    call.read(content(name))


@pytest.mark.parametrize("type_", ParquetType)
@pytest.mark.parametrize("encoding", Encoding)
def test_every_type_and_encoding_comes_back(type_, encoding):
    column = DeliveredColumn("c", "d", type_, encoding, "10,2")
    created = pb.CreateDeliveryTaskRequest.FromString(
        wire.create_delivery_task(DeliveryTask("t", "abc", Destination(*PLACE, (column,)))).body
    )
    answer = pb.DescribeDeliveryTaskResponse(taskConfig=created.taskConfig, taskType=created.taskType)

    described = wire.describe_delivery_task("t", "abc").read(answer.SerializeToString())

    assert described.task.destination.columns == (column,)


@pytest.mark.parametrize("format_", TimeFormat)
def test_every_time_format_comes_back(format_):
    event = EventTime("at", format_)
    created = pb.CreateDeliveryTaskRequest.FromString(
        wire.create_delivery_task(DeliveryTask("t", "abc", Destination(*PLACE, (), event))).body
    )
    answer = pb.DescribeDeliveryTaskResponse(taskConfig=created.taskConfig, taskType=created.taskType)

    described = wire.describe_delivery_task("t", "abc").read(answer.SerializeToString())

    assert described.task.destination.event_time == event


def test_what_stopped_a_task_is_told():
    stat = pb.TaskSyncStat(task_sync_phase=pb.INIT, error_code=pb.UNAUTHORIZED, detail="no right")
    answer = pb.DescribeDeliveryTaskResponse(task_sync_stat=stat)

    told = wire.describe_delivery_task("t", "abc").read(answer.SerializeToString()).progress

    assert told == Progress(Phase.INIT, 0, "UNAUTHORIZED", "no right")


def test_an_error_code_that_nobody_knows_is_an_error_all_the_same():
    answer = b"\x12\x06\x08\x02\x18\x09\x22\x00"  # task_sync_stat {phase INCR, error_code 9, detail ""}

    assert wire.describe_delivery_task("t", "abc").read(answer).progress.error == "code 9"


@pytest.mark.parametrize(
    ("answer", "field"),
    [
        (b"\x18\x09", "taskType"),
        (b"\x12\x02\x08\x09", "task_sync_phase"),
        (b"\x0a\x04\x5a\x02\x18\x63", "type"),
        (b"\x0a\x04\x5a\x02\x20\x63", "encode"),
        (b"\x0a\x04\x3a\x02\x10\x09", "timeFormat"),
    ],
)
def test_a_word_that_nobody_knows_is_never_taken_for_another(answer, field):
    with pytest.raises(ProtocolError, match=field):
        wire.describe_delivery_task("t", "abc").read(answer)


def test_an_answer_that_is_no_message_is_refused():
    with pytest.raises(ProtocolError):
        wire.list_delivery_tasks("t").read(b"\xff\xff")
