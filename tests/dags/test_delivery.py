"""Delivery tasks in Airflow: made, waited for, audited and deleted against the emulator; failures told at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from airflow.exceptions import TaskDeferred
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_tablestore.emulator.tablestore.delivery_worker import Cut
from airflow_tablestore.errors import SpecError
from airflow_tablestore.factory import import_spec
from airflow_tablestore.hooks.tablestore import TablestoreHook
from airflow_tablestore.operators.delivery import (
    AuditDeliveryOperator,
    CreateDeliveryTaskOperator,
    DeleteDeliveryTaskOperator,
    DescribeDeliveryTaskOperator,
    ListDeliveryTasksOperator,
    UpdateDeliveryTaskOperator,
)
from airflow_tablestore.sensors.delivery import DeliveryTaskSensor
from airflow_tablestore.wire.delivery import list_delivery_tasks
from tests.dags.waiting import first_word

TABLE, TASK = "orders", "orders-task"
SPEC = """\
pipeline: orders_delivery
kind: delivery
source: {{table: orders}}
delivery:
  task: orders-task
  bucket: {bucket}
  endpoint: oss-cn-hangzhou.aliyuncs.com
  prefix: {prefix}$yyyy/$MM/$dd
  role: acs:ram::1234567890123456:role/aliyunserviceroleforotsdatadelivery
  schema:
    - {{column: id, type: INT64}}
    - {{column: city, to: town, type: UTF8}}
"""


@pytest.fixture
def cloud(tablestore_cloud):
    cloud = tablestore_cloud
    cloud.make_table(TABLE, key={"id": int}, rows=[{"id": 1, "city": "Oslo"}, {"id": 2, "city": "Köln"}])
    cloud.emulator.tablestore_service().deliveries.cut = Cut(seconds=0)
    return cloud


@pytest.fixture
def definition(cloud):
    return {
        "source": {"table": TABLE},
        "delivery": {
            "task": TASK,
            "bucket": cloud.bucket,
            "endpoint": "oss-cn-hangzhou.aliyuncs.com",
            "prefix": f"{cloud.prefix}$yyyy/$MM/$dd",
            "role": "acs:ram::1234567890123456:role/aliyunserviceroleforotsdatadelivery",
            "schema": [
                {"column": "id", "type": "INT64"},
                {"column": "city", "to": "town", "type": "UTF8"},
            ],
        },
    }


def with_(definition, **changes):
    return {**definition, "delivery": {**definition["delivery"], **changes}}


class TaskInstance:
    """What operators and sensors use of a task instance."""

    def __init__(self, first_asked=None):
        self.start_date, self.first_asked = datetime.now(UTC), first_asked
        self.pushed = {}

    def get_first_reschedule_date(self, context):
        return self.first_asked

    def xcom_push(self, key, value):
        self.pushed[key] = value


def context():
    return {"ti": TaskInstance(), "outlet_events": OutletEventAccessors()}


def execute(operator, given=None):
    return operator.execute(given or context())


def waited(sensor):
    """Runs a deferrable sensor as the triggerer would."""
    given = context()
    try:
        return sensor.execute(given), given
    except TaskDeferred as deferred:
        return getattr(sensor, deferred.method_name)(given, first_word(deferred.trigger)), given


def sensor(**arguments):
    return DeliveryTaskSensor(task_id="wait", table=TABLE, task_name=TASK, poke_interval=0.1, **arguments)


def names():
    with TablestoreHook().get_conn() as client:
        return [one.name for one in client.send(list_delivery_tasks(TABLE))]


@pytest.mark.slow
def test_a_task_is_made_described_listed_and_deleted_and_again(cloud, definition):
    create = CreateDeliveryTaskOperator(task_id="create", **definition)

    assert [execute(create)["action"] for _ in range(2)] == ["created", "unchanged"]
    described = execute(DescribeDeliveryTaskOperator(task_id="describe", table=TABLE, task_name=TASK))
    assert (described["task"], described["type"], described["error"]) == (TASK, "BaseIncTask", "")
    assert execute(ListDeliveryTasksOperator(task_id="list", table=TABLE)) == [
        {"table": TABLE, "task": TASK, "type": "BaseIncTask"}
    ]
    delete = DeleteDeliveryTaskOperator(task_id="delete", table=TABLE, task_name=TASK)
    assert [execute(delete) for _ in range(2)] == [True, False]
    assert names() == []


@pytest.mark.slow
def test_a_task_with_another_definition_fails_or_is_changed_as_asked(cloud, definition):
    execute(CreateDeliveryTaskOperator(task_id="create", **definition))
    other = with_(definition, prefix=f"{cloud.prefix}elsewhere")

    with pytest.raises(AirflowFailException, match="prefix: wanted"):
        execute(CreateDeliveryTaskOperator(task_id="fails", **other))
    assert execute(UpdateDeliveryTaskOperator(task_id="update", **other))["action"] == "updated"
    again = CreateDeliveryTaskOperator(task_id="again", **with_(definition, type="IncTask", on_drift="recreate"))
    assert execute(again)["action"] == "recreated"


@pytest.mark.slow
def test_what_the_service_would_drop_is_refused_before_anything_is_sent(cloud, definition):
    schema = [{"column": "id", "type": "UTF8"}, {"column": "citi", "type": "UTF8"}]

    with pytest.raises(AirflowFailException) as error:
        execute(CreateDeliveryTaskOperator(task_id="create", **with_(definition, schema=schema)))

    assert "every value of it would be dropped" in str(error.value)
    assert "did you mean 'city'?" in str(error.value)
    assert cloud.requests("CreateDeliveryTask") == []


@pytest.mark.slow
def test_a_sensor_waits_for_a_phase_and_tells_how_far_the_task_is(cloud, definition):
    execute(CreateDeliveryTaskOperator(task_id="create", **definition))

    told, _ = waited(sensor(phase="incremental", max_lag=timedelta(minutes=10)))

    assert (told["phase"], told["error"]) == ("incremental", "")
    assert told["lag_seconds"] < 600


@pytest.mark.slow
def test_a_complete_partition_is_an_asset_event(cloud, definition):
    execute(CreateDeliveryTaskOperator(task_id="create", **definition))
    to, yesterday = definition["delivery"], datetime.now(UTC) - timedelta(days=1)
    wait = sensor(partition=yesterday.isoformat(), bucket=to["bucket"], prefix=to["prefix"])

    told, given = waited(wait)

    (asset,) = wait.outlets
    assert asset.uri == f"oss://{cloud.bucket}/{cloud.prefix.rstrip('/')}"
    assert given["outlet_events"][asset].extra == told
    assert told["partition"]["prefix"] == f"{cloud.prefix}{yesterday:%Y/%m/%d}/"


@pytest.mark.slow
@pytest.mark.parametrize("deferrable", [True, False])
def test_a_task_in_error_fails_the_sensor_at_once_with_the_services_words(cloud, definition, deferrable):
    execute(CreateDeliveryTaskOperator(task_id="create", **with_(definition, bucket="no-such-bucket")))

    with pytest.raises(AirflowFailException, match="INVALID_OSS_BUCKET: The bucket 'no-such-bucket' does not exist"):
        waited(sensor(deferrable=deferrable))


@pytest.mark.slow
def test_a_task_that_stops_after_a_while_ends_the_wait(cloud, definition):
    execute(CreateDeliveryTaskOperator(task_id="create", **definition))
    waited(sensor(phase="incremental"))
    cloud.emulator.tablestore_service().deliveries.fail(cloud.instance, TABLE, TASK, "UNAUTHORIZED", "revoked")

    with pytest.raises(AirflowFailException, match="UNAUTHORIZED: revoked"):
        waited(sensor(reached=(datetime.now(UTC) + timedelta(days=1)).isoformat()))


@pytest.mark.slow
def test_a_task_that_never_begins_ends_the_wait(cloud, definition):
    cloud.emulator.tablestore_service().deliveries.hold(cloud.instance, TABLE, TASK)
    execute(CreateDeliveryTaskOperator(task_id="create", **definition))

    with pytest.raises(AirflowFailException, match="has not left the phase init"):
        waited(sensor(stuck_after=timedelta(seconds=-1)))


@pytest.mark.slow
def test_a_sensor_that_is_rescheduled_knows_when_it_first_asked(cloud, definition):
    cloud.emulator.tablestore_service().deliveries.hold(cloud.instance, TABLE, TASK)
    execute(CreateDeliveryTaskOperator(task_id="create", **definition))
    given = {**context(), "ti": TaskInstance(first_asked=datetime.now(UTC) - timedelta(hours=1))}

    with pytest.raises(AirflowFailException, match="has not left the phase init"):
        sensor(deferrable=False, mode="reschedule").execute(given)


@pytest.mark.slow
def test_a_base_task_is_awaited_until_all_rows_are_delivered(cloud, definition):
    execute(CreateDeliveryTaskOperator(task_id="create", **with_(definition, type="BaseTask")))

    told, _ = waited(sensor(phase="full"))

    assert (told["phase"], told["lag_seconds"]) == ("incremental", None)
    assert len(cloud.objects()) == 1


@pytest.mark.slow
def test_a_task_that_was_never_made_ends_the_wait(cloud):
    with pytest.raises(AirflowFailException, match="somebody has deleted it"):
        waited(sensor())


@pytest.mark.slow
def test_a_task_that_is_deleted_behind_our_back_ends_the_wait(cloud, definition):
    execute(CreateDeliveryTaskOperator(task_id="create", **definition))
    wait, given = sensor(reached=(datetime.now(UTC) + timedelta(days=1)).isoformat()), context()
    with pytest.raises(TaskDeferred) as deferred:
        wait.execute(given)
    execute(DeleteDeliveryTaskOperator(task_id="delete", table=TABLE, task_name=TASK))

    event = first_word(deferred.value.trigger)

    with pytest.raises(AirflowFailException, match="somebody has deleted it"):
        wait.execute_complete(given, event)


@pytest.fixture
def now(tablestore_cloud):
    """The time of data, before anything is written: never so late in a day that the next one begins in the test."""
    now, a_while = datetime.now(UTC), timedelta(minutes=10)
    ahead = a_while if (now + a_while).date() != now.date() else timedelta(0)
    tablestore_cloud.advance(ahead.total_seconds())
    return lambda: datetime.now(UTC) + ahead


@pytest.mark.slow
def test_an_audit_tells_what_was_dropped_and_fails(now, cloud, definition):
    execute(CreateDeliveryTaskOperator(task_id="create", **definition))
    waited(sensor(phase="incremental"))
    today = now().isoformat()

    whole = execute(AuditDeliveryOperator(task_id="whole", partition=today, **definition))
    cloud.put_rows(TABLE, [{"id": 3, "city": 3}])
    after = now() + timedelta(seconds=1)
    cloud.advance(2)
    waited(sensor(reached=after.isoformat()))

    assert (whole["is_whole"], whole["rows"]) == (True, 2)
    with pytest.raises(AirflowFailException, match="integer, which is not delivered as UTF8"):
        execute(AuditDeliveryOperator(task_id="lossy", partition=today, **definition))
    told = execute(AuditDeliveryOperator(task_id="told", partition=today, fails=False, **definition))
    assert (told["is_whole"], told["columns"][1]["lost"]) == (False, 1)


@pytest.mark.parametrize(
    "arguments",
    [
        {"phase": "soon"},
        {"reached": "tomorrow"},
        {"partition": "2026-11-21"},
        {"partition": "2026-11-21", "bucket": "b", "prefix": "a"},
        {"partition": "2026-11-21", "bucket": "b", "prefix": "a/$HH"},
    ],
)
def test_a_sensor_that_can_wait_for_nothing_says_so(arguments):
    with pytest.raises(SpecError):
        sensor(**arguments).wanted()


@pytest.mark.slow
def test_a_spec_is_a_dag_that_makes_waits_and_audits(cloud, tmp_path, run_dag):
    file = tmp_path / "orders.yaml"
    text = SPEC.format(bucket=cloud.bucket, prefix=cloud.prefix)
    file.write_text(text + "wait: {phase: incremental, poll: 1s}\naudit: {}\n")

    ((dag,), errors) = import_spec(file)
    run = run_dag(dag)

    assert errors == []
    assert [one.task_id for one in dag.topological_sort()] == ["create", "wait", "audit"]
    assert run.state == "success"
    assert names() == [TASK]


@pytest.mark.slow
def test_a_complete_partition_starts_the_dags_behind_it(cloud, tmp_path, run_dag, keep_dag):
    from airflow.models.asset import AssetDagRunQueue, AssetEvent
    from airflow.models.dag import DagModel
    from airflow.sdk import DAG
    from airflow.utils.session import create_session
    from sqlalchemy import select

    file = tmp_path / "orders.yaml"
    text = SPEC.format(bucket=cloud.bucket, prefix=cloud.prefix)
    file.write_text(text + "wait: {partition: true, poll: 1s}\n")
    ((dag,), _) = import_spec(file)
    (asset,) = dag.task_dict["wait"].outlets
    keep_dag(dag)
    with DAG("reads_orders", schedule=[asset], is_paused_upon_creation=False) as behind:
        EmptyOperator(task_id="read")
    keep_dag(behind)

    yesterday = datetime.now(UTC) - timedelta(days=1)
    run = run_dag(dag, logical_date=yesterday)

    with create_session() as session:
        queued = list(session.scalars(select(AssetDagRunQueue.target_dag_id)))
        _, due, *_ = DagModel.dags_needing_dagruns(session)
        (event,) = session.scalars(select(AssetEvent).where(AssetEvent.source_run_id == run.run_id))
    assert (run.state, queued) == ("success", ["reads_orders"])
    assert "reads_orders" in due
    assert event.extra["partition"]["prefix"] == f"{cloud.prefix}{yesterday:%Y/%m/%d}/"


def test_a_dag_needs_no_more_than_the_first_task(tmp_path):
    file = tmp_path / "orders.yaml"
    file.write_text(SPEC.format(bucket="backup", prefix="a/"))

    ((dag,), errors) = import_spec(file)

    assert (errors, list(dag.task_dict)) == ([], ["create"])
    assert "repin" not in dag.params


def test_prefixes_reach_the_operators_as_they_are(tmp_path, serialised):
    file = tmp_path / "orders.yaml"
    file.write_text(SPEC.format(bucket="backup", prefix="a/") + "wait: {partition: true}\n")

    ((dag,), _) = import_spec(file)

    assert "a/$yyyy/$MM/$dd" in serialised(dag)
    assert dag.task_dict["wait"].prefix == "a/$yyyy/$MM/$dd"


def test_folders_may_have_another_zone_than_the_schedule(tmp_path):
    file = tmp_path / "orders.yaml"
    text = SPEC.format(bucket="backup", prefix="a/").replace("  role:", "  timezone: Asia/Shanghai\n  role:")
    file.write_text(f"{text}timezone: Europe/Oslo\nwait: {{partition: true}}\naudit: {{}}\n")

    ((dag,), errors) = import_spec(file)

    wait, audit = dag.task_dict["wait"], dag.task_dict["audit"]
    assert (errors, wait.zone, audit.delivery.value["timezone"]) == ([], "Asia/Shanghai", "Asia/Shanghai")
