"""Runs of a stream that begin by themselves: what the triggers see in a real tunnel, and the DAGs of such specs."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import UTC, datetime, timedelta

import pytest
from airflow.exceptions import TaskDeferred
from airflow.providers.common.compat.module_loading import import_string
from airflow.providers.common.compat.sdk import AirflowFailException, BaseHook

from airflow_tablestore.factory import import_spec
from airflow_tablestore.hooks.tablestore import TablestoreHook
from airflow_tablestore.operators.tunnel import ConsumeTunnelOperator, CreateTunnelOperator, DeleteTunnelOperator
from airflow_tablestore.pipeline.tunnel.unread import Found
from airflow_tablestore.sensors.tunnel import TunnelDataSensor
from airflow_tablestore.triggers.unread import TunnelDataTrigger, TunnelTrigger
from airflow_tablestore.wire.tunnel_channel import connect, heartbeat, shutdown

TABLE, TUNNEL = "signals", "signals_tunnel"
NAMED = {"table": TABLE, "tunnel": TUNNEL}
SPEC = """\
pipeline: signals_stream
kind: stream
source: {table: signals, tunnel: signals_tunnel, create_tunnel: true, tunnel_type: BaseAndStream}
sink: {type: oss, bucket: backup, prefix: signals/stream/}
"""


@pytest.fixture
def cloud(tablestore_cloud):
    cloud = tablestore_cloud
    cloud.make_table(TABLE, key={"id": int}, rows=[{"id": 1, "city": "Oslo"}])
    DeleteTunnelOperator(task_id="delete", **NAMED).execute({})
    return cloud


def made(type_="Stream"):
    return CreateTunnelOperator(task_id="make", tunnel_type=type_, **NAMED).execute({})["id"]


def consumed(cloud):
    source, sink = dict(NAMED), {"type": "oss", "bucket": cloud.bucket, "prefix": f"{cloud.prefix}signals/"}
    operator = ConsumeTunnelOperator(task_id="drain", pipeline="signals", source=source, sink=sink)
    return operator.execute({})["rows"]


def look(creates=False):
    return TunnelTrigger("tablestore_default", TABLE, TUNNEL, creates).look(
        BaseHook.get_connection("tablestore_default")
    )


def test_a_tunnel_has_unread_data_from_a_write_until_it_is_drained(cloud):
    made()
    empty = look()
    cloud.put_rows(TABLE, [{"id": 3, "city": "Bern"}])

    written, rows, drained = look(), consumed(cloud), look()
    cloud.put_rows(TABLE, [{"id": 4, "city": "Rom"}])
    again = look()

    assert [empty.found, drained.found] == [Found.NOTHING] * 2
    assert [written.found, again.found] == [Found.CHANGES] * 2
    assert rows >= 1
    assert written.reached != again.reached


def test_rows_of_a_tunnel_are_unread_until_they_are_drained(cloud):
    made("BaseAndStream")

    before, rows, after = look(), consumed(cloud), look()

    assert (before.found, after.found) == (Found.ROWS, Found.NOTHING)
    assert rows >= 1


def test_whoever_reads_is_seen(cloud):
    tunnel = made()
    look()
    with TablestoreHook().get_conn() as client:
        reader = client.send(connect(tunnel, 30, "somebody"))
        client.send(heartbeat(tunnel, reader, []))
        read = look()
        client.send(shutdown(tunnel, reader))

    assert (read.is_held, look().is_held) == (True, False)


def test_a_tunnel_that_is_not_there_is_for_a_run_to_make_or_to_fail_on(cloud):
    assert (look(creates=True).found, look().found) == (Found.ABSENT, Found.BROKEN)


# ---- the watcher


LOOKS = 4
PATIENCE_SECONDS = 60.0


def events_of(trigger, monkeypatch, *, connection=None):
    """What a watcher fires until it begins its fourth look, over a connection that a triggerer would read."""
    path, arguments = trigger.serialize()
    again = import_string(path)(**arguments)
    found, looks, look = [], [], again.look

    async def read(name):
        return connection() if connection else BaseHook.get_connection(name)

    def counted(fields):
        looks.append(fields)
        return look(fields)

    monkeypatch.setattr(BaseHook, "aget_connection", read)
    monkeypatch.setattr(again, "look", counted)

    async def watch():
        async for event in again.run():
            found.append(event.payload)

    async def for_some_looks():
        watching = asyncio.create_task(watch())
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(looks) < LOOKS and not watching.done():
                await asyncio.sleep(0.01)
        assert watching.cancel(), "a watcher never ends"

    asyncio.run(for_some_looks())
    return found


def test_a_watcher_fires_once_for_what_is_there_and_goes_on(cloud, monkeypatch):
    made("BaseAndStream")

    (event,) = events_of(TunnelTrigger("tablestore_default", TABLE, TUNNEL, poll_seconds=0.05), monkeypatch)

    assert {name: event[name] for name in ("table", "tunnel", "found")} == {**NAMED, "found": Found.ROWS.value}


def test_a_watcher_outlives_a_connection_that_cannot_be_read(cloud, monkeypatch):
    made("BaseAndStream")
    answers = iter([RuntimeError("the API server is away")] * 2)

    def read():
        for error in answers:
            raise error
        return BaseHook.get_connection("tablestore_default")

    trigger = TunnelTrigger("tablestore_default", TABLE, TUNNEL, poll_seconds=0.05)

    assert len(events_of(trigger, monkeypatch, connection=read)) == 1


def test_a_watcher_holds_no_secret_and_is_the_same_after_each_parsing(dag_of):
    first, second = (dag_of("schedule: on_data\n").schedule for _ in range(2))
    (one,), (other,) = first[0].watchers, second[0].watchers

    assert one.trigger.serialize() == other.trigger.serialize()
    assert "secret" not in json.dumps(one.trigger.serialize()).lower()


# ---- the sensor


def sensor(**more):
    return TunnelDataSensor(task_id="wait", poke_interval=0.1, **NAMED, **more)


class Instance:
    """A task's run, as its sensor asks it for the runs before."""

    def __init__(self, **states):
        self.states = states

    def get_previous_dagrun(self, state=None):
        named = [name for name, its in self.states.items() if state in (None, its)]
        return type("Run", (), {"run_id": named[-1]})() if named else None


def test_the_sensor_lets_a_run_begin_at_once_when_there_is_data(cloud):
    made("BaseAndStream")

    assert sensor().execute({})["found"] == Found.ROWS.value


def test_the_sensor_waits_for_data_and_no_longer_than_it_may(cloud):
    made()
    with pytest.raises(TaskDeferred) as deferred:
        sensor(at_most=timedelta(minutes=5)).execute({})
    trigger, connection = deferred.value.trigger, BaseHook.get_connection("tablestore_default")

    quiet = trigger.answer(connection)
    trigger.until = datetime.now(UTC).isoformat()
    over = trigger.answer(connection)
    trigger.until = (datetime.now(UTC) + timedelta(minutes=5)).isoformat()
    cloud.put_rows(TABLE, [{"id": 5, "city": "Rom"}])
    data = trigger.answer(connection)

    assert quiet is None
    assert (over["done"]["found"], data["done"]["found"]) == (Found.NOTHING.value, Found.CHANGES.value)


def test_what_would_fail_the_run_fails_the_sensor_only_at_the_end_of_the_waiting(cloud):
    with pytest.raises(TaskDeferred) as deferred:
        sensor().execute({})
    trigger, connection = deferred.value.trigger, BaseHook.get_connection("tablestore_default")

    early = trigger.answer(connection)
    trigger.until = datetime.now(UTC).isoformat()

    assert early is None
    with pytest.raises(AirflowFailException, match="has no tunnel"):
        sensor().execute_complete({}, trigger.answer(connection))


@pytest.mark.parametrize(
    ("before", "waits"),
    [({}, False), ({"a": "success"}, False), ({"a": "failed", "b": "success"}, False), ({"a": "failed"}, True)],
)
def test_after_a_failed_run_nobody_looks_before_the_time_is_over(cloud, before, waits):
    made("BaseAndStream")
    context = {"ti": Instance(**before)}

    if not waits:
        assert sensor().execute(context)["found"] == Found.ROWS.value
        return
    with pytest.raises(TaskDeferred) as deferred:
        sensor().execute(context)
    assert deferred.value.trigger.since == deferred.value.trigger.until


def test_a_trigger_that_waits_outlives_a_connection_that_cannot_be_read(cloud, monkeypatch):
    made("BaseAndStream")
    failures = iter([RuntimeError("the API server is away")] * 2)

    async def read(name):
        for error in failures:
            raise error
        return BaseHook.get_connection(name)

    monkeypatch.setattr(BaseHook, "aget_connection", read)
    until = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    trigger = TunnelDataTrigger("tablestore_default", TABLE, TUNNEL, until, poll_seconds=0.05)

    async def first():
        return (await anext(aiter(trigger.run()))).payload

    assert asyncio.run(asyncio.wait_for(first(), PATIENCE_SECONDS))["done"]["found"] == Found.ROWS.value


def test_a_trigger_that_waits_goes_on_as_it_was_after_a_restart():
    trigger = TunnelDataTrigger("c", TABLE, TUNNEL, "2026-11-21T00:00:00+00:00", True, "", 5.0)

    path, arguments = trigger.serialize()

    assert import_string(path)(**arguments).serialize() == (path, arguments)


# ---- specs


@pytest.fixture
def dag_of(tmp_path):
    def make(more=""):
        (tmp_path / "signals.yaml").write_text(SPEC + more)
        (dag,), errors = import_spec(tmp_path / "signals.yaml")
        assert errors == []
        return dag

    return make


def test_a_stream_on_data_is_scheduled_by_its_watched_tunnel(dag_of, keep_dag):
    dag = dag_of("schedule: on_data\n")

    (asset,) = dag.schedule
    (watcher,) = asset.watchers
    assert asset.uri == f"tablestore://tablestore_default/{TABLE}/{TUNNEL}"
    assert (watcher.trigger.table, watcher.trigger.tunnel, watcher.trigger.creates) == (TABLE, TUNNEL, True)
    assert dag.task_dict.keys() == {"drain", "tell"}
    assert dag.max_active_runs == 1
    keep_dag(dag)


def test_a_continuous_stream_waits_before_it_drains(dag_of, keep_dag):
    dag = dag_of("schedule: continuous\nrun: {workers: 2, at_most: 1m}\n")

    assert dag.task_dict.keys() == {"wait", "drain", "tell"}
    assert dag.task_dict["drain"].upstream_task_ids == {"wait"}
    wait = dag.task_dict["wait"]
    assert (wait.at_most, wait.poke_interval, wait.creates) == (timedelta(minutes=1), 6, True)
    assert type(dag.timetable).__name__ == "ContinuousTimetable"
    assert (dag.max_active_runs, dag.start_date is not None) == (1, True)
    keep_dag(dag)


def test_a_worker_that_is_continuous_works_until_it_is_stopped(cloud):
    source = {**NAMED, "create_tunnel": True, "tunnel_type": "BaseAndStream"}
    sink = {"type": "oss", "bucket": cloud.bucket, "prefix": f"{cloud.prefix}forever/"}
    worker = ConsumeTunnelOperator(
        task_id="drain",
        pipeline="for_ever",
        source=source,
        sink=sink,
        run={"until": "caught_up", "at_most": "1s", "flush": "1s"},
        continuous=True,
    )
    over = threading.Event()

    def stop_after_work():
        """Once it has delivered, and so much later that `at_most` would have ended it before."""
        while not cloud.objects(f"{cloud.prefix}forever/_channels/done/"):
            if over.wait(0.1):
                return
        over.wait(2)
        worker.on_kill()

    stopping = threading.Thread(target=stop_after_work)
    stopping.start()
    try:
        report = worker.execute({})
    finally:
        over.set()
        stopping.join()

    assert (report["rows"] >= 1, report["is_caught_up"]) == (True, False)
    assert report["seconds"] > 1.5


def test_a_watcher_reads_its_connection_on_the_event_loop(cloud, monkeypatch):
    threads = set()
    monkeypatch.setattr(
        "airflow_tablestore.hooks.fields.mask_secret", lambda secret: threads.add(threading.current_thread())
    )
    made("BaseAndStream")

    events_of(TunnelTrigger("tablestore_default", TABLE, TUNNEL, poll_seconds=0.05), monkeypatch)

    assert threads == {threading.main_thread()}
