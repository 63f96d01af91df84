"""Delivery tasks that are asked for twice, stand already, go away, and answers that are lost."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from airflow_tablestore.client import Endpoint
from airflow_tablestore.errors import DeliveryError, Rejected, RetryLater, SpecError
from airflow_tablestore.pipeline.delivery import task as tasks
from airflow_tablestore.pipeline.delivery.progress import Standing, Wanted, check_not_stuck, is_met
from airflow_tablestore.pipeline.delivery.task import Action, OnDrift, Wish
from airflow_tablestore.wire import delivery as wire
from airflow_tablestore.wire.delivery import (
    DeliveredColumn,
    DeliveryTask,
    Destination,
    EventTime,
    ParquetType,
    Phase,
    TaskType,
    TimeFormat,
)
from airflow_tablestore.wire.proto import delivery_pb2 as pb

ROLE = "acs:ram::1234567890123456:role/aliyunserviceroleforotsdatadelivery"
COLUMNS = (DeliveredColumn("id", "id", ParquetType.INT64), DeliveredColumn("v", "v", ParquetType.UTF8))
TASK = DeliveryTask("t", "my-task", Destination("a/$yyyy", "bucket", "oss-cn-hangzhou.aliyuncs.com", ROLE, COLUMNS))


class FakeService:
    """A service that keeps tasks, and loses what it is told to lose."""

    endpoint = Endpoint("https://mine.cn-hangzhou.ots.aliyuncs.com", "mine", "id", "secret")

    def __init__(self, *standing):
        self.kept = {one.name: one for one in standing}
        self.done = []
        self.loses = []  # operation, and whether it is carried out before its answer is lost
        self.before = {}  # operation: what happens just before it
        self.ignores_updates = False

    def send(self, call):
        self.before.pop(call.operation, lambda: None)()
        lost = next((one for one in self.loses if one[0] == call.operation), None)
        if lost is not None:
            self.loses.remove(lost)
            if lost[1]:
                self._perform(call)
            raise RetryLater("lost", operation=call.operation, code="ConnectionLost")
        return call.read(self._perform(call))

    def _perform(self, call):
        self.done.append(call.operation)
        return getattr(self, f"_{call.operation}")(call.body)

    def _ListDeliveryTask(self, body):
        answer = pb.ListDeliveryTaskResponse()
        for one in self.kept.values():
            answer.tasks.add(tableName=one.table, taskName=one.name, taskType=wire._TYPES[one.type])
        return answer.SerializeToString()

    def _DescribeDeliveryTask(self, body):
        name = pb.DescribeDeliveryTaskRequest.FromString(body).taskName
        if name not in self.kept:
            raise Rejected("no such task", code="Whatever")
        asked = pb.CreateDeliveryTaskRequest.FromString(wire.create_delivery_task(self.kept[name]).body)
        return pb.DescribeDeliveryTaskResponse(taskConfig=asked.taskConfig, taskType=asked.taskType).SerializeToString()

    def _CreateDeliveryTask(self, body):
        asked = pb.CreateDeliveryTaskRequest.FromString(body)
        if asked.taskName in self.kept:
            raise Rejected("exists", code="Whatever")
        type_ = next(word for word, number in wire._TYPES.items() if number == asked.taskType)
        self.kept[asked.taskName] = DeliveryTask(
            asked.tableName, asked.taskName, wire._destination(asked.taskConfig), type_
        )
        return b""

    def _UpdateDeliveryTask(self, body):
        asked = pb.UpdateDeliveryTaskRequest.FromString(body)
        if not self.ignores_updates:
            known = self.kept[asked.taskName]
            self.kept[asked.taskName] = replace(known, destination=wire._destination(asked.taskConfig))
        return b""

    def _DeleteDeliveryTask(self, body):
        name = pb.DeleteDeliveryTaskRequest.FromString(body).taskName
        if self.kept.pop(name, None) is None:
            raise Rejected("no such task", code="Whatever")
        return b""


def wish(task=TASK, on_drift=OnDrift.FAIL):
    return Wish(task, on_drift, checks_table=False, sleep=lambda seconds: None)


def other(**settings):
    return replace(TASK, destination=replace(TASK.destination, **settings))


def test_a_task_is_made_once_however_often_it_is_asked_for():
    service = FakeService()

    actions = [tasks.ensure(service, wish()).action for _ in range(3)]

    assert actions == [Action.CREATED, Action.UNCHANGED, Action.UNCHANGED]
    assert service.kept == {"my-task": TASK}


def test_a_slash_behind_the_prefix_makes_no_other_task():
    service = FakeService(other(prefix="a/$yyyy/"))

    assert tasks.ensure(service, wish()).action is Action.UNCHANGED


def test_a_task_with_another_definition_is_told_difference_by_difference():
    columns = (COLUMNS[1], replace(COLUMNS[0], type=ParquetType.INT32))
    service = FakeService(other(prefix="b", columns=columns, event_time=EventTime("at", TimeFormat.UNIX)))

    with pytest.raises(DeliveryError) as error:
        tasks.ensure(service, wish())

    told = str(error.value)
    assert "prefix: wanted a/$yyyy, is b" in told
    assert "event_time: wanted none, is at (Unix)" in told
    assert "schema 'id': wanted id as INT64, PLAIN, is id as INT32, PLAIN" in told
    assert service.done == ["ListDeliveryTask", "DescribeDeliveryTask"]


def test_columns_in_another_order_are_another_definition():
    service = FakeService(other(columns=COLUMNS[::-1]))

    with pytest.raises(DeliveryError, match="order of schema: wanted id, v, is v, id"):
        tasks.ensure(service, wish())


@pytest.mark.parametrize(("on_drift", "action"), [(OnDrift.UPDATE, "updated"), (OnDrift.RECREATE, "recreated")])
def test_a_difference_is_removed_as_its_author_chose(on_drift, action):
    service = FakeService(other(prefix="b"))

    outcome = tasks.ensure(service, wish(on_drift=on_drift))

    assert outcome.action == action
    assert [str(one) for one in outcome.differences] == ["prefix: wanted a/$yyyy, is b"]
    assert service.kept == {"my-task": TASK}


def test_no_update_changes_the_type():
    service = FakeService(replace(TASK, type=TaskType.INC))

    with pytest.raises(DeliveryError, match="recreate"):
        tasks.ensure(service, wish(on_drift=OnDrift.UPDATE))

    assert tasks.ensure(service, wish(on_drift=OnDrift.RECREATE)).action is Action.RECREATED


def test_an_update_that_the_service_did_not_do_is_no_success():
    service = FakeService(other(prefix="b"))
    service.ignores_updates = True

    with pytest.raises(DeliveryError, match="and yet: prefix"):
        tasks.ensure(service, wish(on_drift=OnDrift.UPDATE))


@pytest.mark.parametrize("is_done", [True, False])
def test_a_lost_answer_to_a_create_is_settled_by_looking(is_done):
    service = FakeService()
    service.loses = [("CreateDeliveryTask", is_done)]

    assert tasks.ensure(service, wish()).action is Action.CREATED

    assert service.kept == {"my-task": TASK}
    assert service.done.count("CreateDeliveryTask") == 1


def test_a_create_that_is_lost_for_good_says_so_and_may_be_repeated():
    service = FakeService()
    service.loses = [("CreateDeliveryTask", False)] * tasks.ATTEMPTS

    with pytest.raises(RetryLater):
        tasks.ensure(service, wish())

    assert tasks.ensure(service, wish()).action is Action.CREATED


def test_who_is_faster_with_the_same_task_has_made_it_for_both():
    service = FakeService()
    service.before["CreateDeliveryTask"] = lambda: service.kept.update({"my-task": TASK})

    assert tasks.ensure(service, wish()).action is Action.CREATED


def test_who_is_faster_with_another_task_is_told():
    service = FakeService()
    service.before["CreateDeliveryTask"] = lambda: service.kept.update({"my-task": other(prefix="b")})

    with pytest.raises(DeliveryError, match="Somebody else"):
        tasks.ensure(service, wish())


def test_a_refusal_of_the_service_is_told_as_it_is():
    service = FakeService()

    def refuse():
        raise Rejected("no permission", code="OTSNoPermissionAccess")

    service.before["CreateDeliveryTask"] = refuse

    with pytest.raises(Rejected, match="no permission"):
        tasks.ensure(service, wish())


@pytest.mark.parametrize("is_done", [True, False])
def test_a_lost_answer_to_a_delete_is_settled_by_looking(is_done):
    service = FakeService(TASK)
    service.loses = [("DeleteDeliveryTask", is_done)]

    assert tasks.delete(service, "t", "my-task", lambda seconds: None)

    assert service.kept == {}


def test_deleting_what_is_not_there_is_no_failure():
    assert not tasks.delete(FakeService(), "t", "my-task")


def test_a_task_that_is_deleted_behind_our_back_counts_as_deleted():
    service = FakeService(TASK)
    service.before["DeleteDeliveryTask"] = service.kept.clear

    assert tasks.delete(service, "t", "my-task")


def test_a_task_that_goes_away_while_it_is_looked_at_is_none():
    service = FakeService(TASK)
    service.before["DescribeDeliveryTask"] = service.kept.clear

    assert tasks.find(service, "t", "my-task") is None


def test_updating_what_was_deleted_says_so():
    with pytest.raises(DeliveryError, match="somebody has deleted it"):
        tasks.update(FakeService(), wish())


def test_nothing_is_sent_for_a_task_that_cannot_be_right():
    service = FakeService()

    with pytest.raises(SpecError) as error:
        tasks.ensure(service, wish(other(prefix="$day", bucket="B")))

    assert len(error.value.problems) == 2
    assert service.done == []


def test_a_bucket_in_another_region_is_refused_before_anything_is_sent():
    service = FakeService()

    with pytest.raises(SpecError, match="the region cn-beijing, and the instance is in cn-hangzhou"):
        tasks.ensure(service, wish(other(endpoint="oss-cn-beijing.aliyuncs.com")))

    assert service.done == []


# ---- waiting

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def at(phase=Phase.INCREMENTAL, behind=timedelta(minutes=1), type_=TaskType.BASE_INC, **more):
    return Standing("t", "my-task", type_, phase, NOW, None if behind is None else NOW - behind, **more)


@pytest.mark.parametrize(
    ("wanted", "standing", "is_there"),
    [
        (Wanted(), at(Phase.INIT, None), False),
        (Wanted(), at(Phase.FULL, None), True),
        (Wanted(phase=Phase.FULL), at(Phase.INIT, None), False),
        (Wanted(phase=Phase.FULL), at(), True),
        (Wanted(phase=Phase.INCREMENTAL), at(Phase.FULL), False),
        (Wanted(phase=Phase.INCREMENTAL), at(), True),
        (Wanted(reached=NOW - timedelta(minutes=2)), at(), True),
        (Wanted(reached=NOW - timedelta(minutes=1)), at(), True),
        (Wanted(reached=NOW), at(), False),
        (Wanted(reached=NOW - timedelta(hours=1)), at(Phase.FULL), False),
        (Wanted(reached=NOW - timedelta(hours=1)), at(behind=None), False),
        (Wanted(max_lag=timedelta(minutes=1)), at(), True),
        (Wanted(max_lag=timedelta(seconds=59)), at(), False),
        (Wanted(max_lag=timedelta(days=1)), at(behind=None), False),
        (Wanted(phase=Phase.INCREMENTAL, max_lag=timedelta(seconds=1)), at(), False),
        (Wanted(), at(Phase.FULL, type_=TaskType.BASE), False),
        (Wanted(phase=Phase.FULL), at(Phase.FULL, type_=TaskType.BASE), False),
        (Wanted(phase=Phase.FULL), at(behind=None, type_=TaskType.BASE), True),
        (Wanted(phase=Phase.INCREMENTAL), at(type_=TaskType.BASE), True),
        (Wanted(reached=NOW - timedelta(minutes=2)), at(Phase.FULL, type_=TaskType.BASE), False),
        (Wanted(reached=NOW - timedelta(minutes=2)), at(type_=TaskType.BASE), True),
    ],
)
def test_what_is_waited_for_is_there_or_not(wanted, standing, is_there):
    assert is_met(wanted, standing) is is_there


@pytest.mark.parametrize(
    ("wanted", "standing", "words"),
    [
        (Wanted(), at(error="UNAUTHORIZED", detail="no right to write"), "UNAUTHORIZED: no right to write"),
        (Wanted(), at(Phase.INIT, None, error="INVALID_OSS_BUCKET"), "INVALID_OSS_BUCKET"),
        (Wanted(), at(error="code 9"), "code 9"),
        (Wanted(max_lag=timedelta(hours=1)), at(Phase.FULL, type_=TaskType.BASE), "is never behind"),
        (Wanted(reached=NOW), at(type_=TaskType.BASE), "never comes"),
        (Wanted(reached=NOW), at(behind=None, type_=TaskType.BASE), "does not tell up to when"),
    ],
)
def test_what_will_never_be_there_fails_at_once(wanted, standing, words):
    with pytest.raises(DeliveryError, match=words):
        is_met(wanted, standing)


def test_a_task_that_never_leaves_init_is_told_after_a_while():
    standing = at(Phase.INIT, None, detail="waiting")

    check_not_stuck(standing, NOW - timedelta(minutes=14))
    check_not_stuck(at(), NOW - timedelta(days=1))
    with pytest.raises(DeliveryError, match=r"not left the phase init.*waiting"):
        check_not_stuck(standing, NOW - timedelta(minutes=15))


def test_what_is_waited_for_survives_json():
    wanted = Wanted(Phase.FULL, NOW, timedelta(minutes=3))

    assert Wanted.from_json(wanted.to_json()) == wanted
    assert Wanted.from_json(Wanted().to_json()) == Wanted()
