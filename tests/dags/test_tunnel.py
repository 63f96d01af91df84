"""Tunnels in Airflow: made, looked at, drained and deleted against the emulator; specs of kind stream as DAGs."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from airflow.exceptions import TaskDeferred
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_tablestore.factory import import_spec
from airflow_tablestore.hooks.oss import ObjectStoreHook
from airflow_tablestore.hooks.tablestore import TablestoreHook
from airflow_tablestore.operators.tunnel import (
    ConsumeTunnelOperator,
    CreateTunnelOperator,
    DeleteTunnelOperator,
    DescribeTunnelOperator,
    ListTunnelsOperator,
    TellStreamOperator,
)
from airflow_tablestore.pipeline.tunnel.channels import published
from airflow_tablestore.sensors.tunnel import TunnelCaughtUpSensor
from tests.dags.waiting import first_word

TABLE, TUNNEL = "orders", "orders_tunnel"
NAMED = {"table": TABLE, "tunnel": TUNNEL}
SPEC = """\
pipeline: orders_stream
kind: stream
source: {table: orders, tunnel: orders_tunnel, create_tunnel: true, tunnel_type: BaseAndStream}
sink: {type: oss, bucket: backup, prefix: orders/stream/}
"""


@pytest.fixture
def cloud(tablestore_cloud):
    cloud = tablestore_cloud
    cloud.make_table(TABLE, key={"id": int}, rows=[{"id": 1, "city": "Oslo"}, {"id": 2, "city": "Köln"}])
    with TablestoreHook().get_conn() as client:
        from airflow_tablestore.wire.tunnel import delete_tunnel, list_tunnels

        for tunnel in client.send(list_tunnels(TABLE)):
            client.send(delete_tunnel(TABLE, tunnel.name))
    return cloud


@pytest.fixture
def parts(cloud):
    return {
        "source": {"table": TABLE, "tunnel": TUNNEL, "create_tunnel": True, "tunnel_type": "BaseAndStream"},
        "sink": {"type": "oss", "bucket": cloud.bucket, "prefix": f"{cloud.prefix}stream/"},
    }


def consume(parts, **more):
    return ConsumeTunnelOperator(task_id="drain", pipeline="orders_stream", **parts, **more).execute({})


def test_a_tunnel_is_made_once_and_drift_fails_for_good(cloud):
    make = CreateTunnelOperator(task_id="make", start="earliest", **NAMED)

    first, again = make.execute({}), make.execute({})
    with pytest.raises(AirflowFailException, match="type Stream, not BaseData"):
        CreateTunnelOperator(task_id="other", tunnel_type="BaseData", **NAMED).execute({})

    assert (first["was_there"], again["was_there"]) == (False, True)
    assert first["id"] == again["id"]


def test_a_type_that_there_is_not_fails_for_good(cloud):
    with pytest.raises(AirflowFailException, match="no type of a tunnel"):
        CreateTunnelOperator(task_id="make", tunnel_type="Deltas", **NAMED).execute({})


def test_a_tunnel_between_two_times_is_made_drained_to_its_end_and_not_moved(cloud, parts):
    CreateTunnelOperator(task_id="first", table=TABLE, tunnel="stream_starter").execute({})
    now = datetime.now(UTC)
    start, end = (now - timedelta(minutes=1)).isoformat(), (now + timedelta(seconds=3)).isoformat()

    made = CreateTunnelOperator(task_id="make", start=start, end=end, **NAMED).execute({})
    report = consume(parts | {"source": NAMED}, run={"until": "at_most", "at_most": "60s"})
    caught_up = TunnelCaughtUpSensor(task_id="wait", **NAMED).execute({})
    with pytest.raises(AirflowFailException, match=r"has end .*, not none"):
        CreateTunnelOperator(task_id="other", start=start, **NAMED).execute({})

    assert [datetime.fromisoformat(made[name]) for name in ("start", "end")] == [
        datetime.fromisoformat(text) for text in (start, end)
    ]
    assert (report["is_caught_up"], caught_up) == (True, {"behind_seconds": 0.0})


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"start": "yesterday"}, "start: 'yesterday' is no time"),
        ({"end": "soon"}, "end: 'soon' is no time"),
        ({"start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"}, "end is not after start"),
        ({"tunnel_type": "BaseData", "start": "earliest"}, "no part of the change log"),
    ],
    ids=["start", "end", "order", "base"],
)
def test_a_part_of_the_change_log_that_there_is_not_fails_for_good(cloud, settings, told):
    with pytest.raises(AirflowFailException, match=told):
        CreateTunnelOperator(task_id="make", **NAMED, **settings).execute({})


def test_tunnels_are_listed_described_and_deleted(cloud, parts, caplog):
    consume(parts)

    (listed,) = ListTunnelsOperator(task_id="list", table=TABLE).execute({})
    described = DescribeTunnelOperator(task_id="look", **NAMED).execute({})
    gone = [DeleteTunnelOperator(task_id="delete", **NAMED).execute({}) for _ in range(2)]

    assert listed["id"] == described["id"]
    assert {"Stream", "BaseData"} >= {channel["type"] for channel in described["channels"]} != set()
    assert "owner" in caplog.text
    assert gone == [True, False]


def test_a_worker_drains_what_is_there_and_the_next_one_what_is_new(cloud, parts):
    first = consume(parts)
    again = consume(parts)

    with closing(ObjectStoreHook().store(cloud.bucket)) as store:
        entries = list(published(store, parts["sink"]["prefix"]))
    assert (first["rows"], first["is_caught_up"], again["rows"]) == (2, True, 0)
    assert sum(entry.rows for entry in entries) == 2


def test_a_worker_keeps_a_table_of_maxcompute_as_the_source_is(cloud, parts):
    cloud.sql(
        "create table orders (id bigint not null, city string, primary key (id)) tblproperties ('transactional'='true')"
    )
    sink = {"type": "maxcompute", "mode": "upsert", "table": "orders"}

    report = consume({**parts, "sink": sink})

    told = TellStreamOperator(task_id="tell", sink=sink, reports=[report])
    assert sorted(cloud.maxcompute_rows("orders"), key=lambda row: row["id"]) == [
        {"id": 1, "city": "Oslo"},
        {"id": 2, "city": "Köln"},
    ]
    assert [asset.uri for asset in told.published] == ["maxcompute://maxcompute_default/orders"]


def test_a_worker_lets_another_table_follow(cloud, parts):
    sink = {"type": "tablestore", "table": "orders_copy", "create_table": True}

    report = consume({**parts, "sink": sink})

    told = TellStreamOperator(task_id="tell", sink=sink, reports=[report])
    with TablestoreHook().get_conn() as client:
        from airflow_tablestore.wire.single_row import get_row

        copied = [client.send(get_row("orders_copy", (("id", id_),))) for id_ in (1, 2)]
    assert [[cell.value for cell in row.cells] for row in copied] == [["Oslo"], ["Köln"]]
    assert (report["rows"], report["read_units"] > 0) == (2, True)
    assert [asset.uri for asset in told.published] == ["tablestore://tablestore_default/orders_copy"]


def test_a_tunnel_that_is_not_there_fails_for_good(cloud, parts):
    source = {"table": TABLE, "tunnel": "nothing"}

    with pytest.raises(AirflowFailException, match="has no tunnel nothing"):
        consume({**parts, "source": source})


def test_what_the_workers_did_is_added_up_and_nothing_new_updates_no_asset(cloud, parts):
    report = consume(parts)
    empty = {name: 0 if isinstance(value, int) else value for name, value in report.items()}
    tell = TellStreamOperator(task_id="tell", sink=parts["sink"], reports=[report, empty])
    events = OutletEventAccessors()

    told = tell.execute({"outlet_events": events})
    tell.reports = [empty]
    with pytest.raises(AirflowSkipException):
        tell.execute({"outlet_events": events})

    assert (told["rows"], told["workers"]) == (2, 2)
    assert [events[asset].extra["rows"] for asset in tell.published] == [2]


def test_the_sensor_waits_in_the_triggerer_until_the_tunnel_has_caught_up(cloud, parts):
    sensor = TunnelCaughtUpSensor(task_id="wait", poke_interval=0.2, max_lag=timedelta(hours=1), **NAMED)
    CreateTunnelOperator(task_id="make", tunnel_type="BaseAndStream", **NAMED).execute({})

    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute({})
    consume(parts)

    answer = first_word(deferred.value.trigger)

    assert sensor.execute_complete({}, answer)["behind_seconds"] < 3600


def test_the_sensor_fails_at_once_when_there_is_no_tunnel(cloud):
    with pytest.raises(AirflowFailException, match="has no tunnel"):
        TunnelCaughtUpSensor(task_id="wait", **NAMED).execute({})


# ---- specs


@pytest.fixture
def dag_of(tmp_path):
    def make(more=""):
        (tmp_path / "orders.yaml").write_text(SPEC + more)
        (dag,), errors = import_spec(tmp_path / "orders.yaml")
        assert errors == []
        return dag

    return make


def test_a_stream_is_mapped_workers_and_one_that_tells(dag_of):
    dag = dag_of("run: {workers: 3, at_most: 10m}\nschedule: '*/5 * * * *'\n")

    drain = dag.task_dict["drain"]
    assert dag.task_dict.keys() == {"drain", "tell"}
    assert drain.expand_input.value == {"worker": [1, 2, 3]}
    assert dag.task_dict["tell"].upstream_task_ids == {"drain"}
    assert [asset.uri for asset in dag.task_dict["tell"].outlets] == ["oss://backup/orders/stream"]
    assert dag.max_active_runs == 1


def test_a_dag_of_a_stream_can_be_serialised(dag_of, keep_dag):
    keep_dag(dag_of())


@pytest.mark.slow
def test_two_mapped_workers_of_a_spec_drain_a_tunnel_together(cloud, parts, tmp_path, run_dag):
    more = "run: {workers: 2, at_most: 1m, flush: 1s}\n"
    text = SPEC.replace("bucket: backup, prefix: orders/stream/", f"bucket: {cloud.bucket}, prefix: {cloud.prefix}two/")
    (tmp_path / "two.yaml").write_text(text + more)
    (dag,), errors = import_spec(tmp_path / "two.yaml")

    run = run_dag(dag)

    with closing(ObjectStoreHook().store(cloud.bucket)) as store:
        rows = sum(entry.rows for entry in published(store, f"{cloud.prefix}two/"))
    states = sorted((ti.task_id, str(getattr(ti.state, "value", ti.state))) for ti in run.get_task_instances())
    assert errors == []
    assert states == [("drain", "success"), ("drain", "success"), ("tell", "success")]
    assert rows == 2
