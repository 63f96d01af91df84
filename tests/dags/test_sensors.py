"""Sensors of windows, and the triggers behind them, as Airflow runs them against the emulator."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from airflow.exceptions import TaskDeferred
from airflow.providers.common.compat.module_loading import import_string
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk import DAG

from airflow_tablestore.emulator import LocalCloud
from airflow_tablestore.errors import SpecError
from airflow_tablestore.hooks.tablestore import TablestoreHook
from airflow_tablestore.pipeline.incremental.ledger import Ledger, WindowEntry, WindowState
from airflow_tablestore.pipeline.window import CalendarGrid, FixedGrid, Unit, Window
from airflow_tablestore.sensors.windows import STATUS_TABLE, StreamExpiryRiskSensor, WindowPublishedSensor
from airflow_tablestore.triggers.ledger import grid_from_json, grid_to_json
from airflow_tablestore.triggers.windows import WindowDueTrigger
from airflow_tablestore.wire.table import update_stream

FIVE = timedelta(minutes=5)
GRID = FixedGrid(FIVE)


@pytest.fixture
def cloud(tablestore_cloud):
    tablestore_cloud.make_table("orders", key={"id": int})
    with TablestoreHook().get_conn() as client:
        client.send(update_stream("orders", 24))
    return tablestore_cloud


@pytest.fixture
def record(cloud):
    """Writes down what became of a window of the pipeline."""

    def put(window, state=WindowState.PUBLISHED, **told):
        with TablestoreHook().get_conn() as client:
            Ledger(client, STATUS_TABLE, cloud.instance, "orders", "orders_changes").record(
                WindowEntry(window, state, **told)
            )

    return put


def now():
    return datetime.now(UTC)


@pytest.fixture
def closed():
    """The newest window that had closed when the test began, or one so many before it; -1 is one that had not."""
    open_window = GRID.holding(now())

    def window(before_last=0):
        start = open_window.start - (before_last + 1) * FIVE
        return Window(start, start + FIVE)

    return window


def published_sensor(span, **arguments):
    return WindowPublishedSensor(
        task_id="published",
        pipeline="orders_changes",
        table="orders",
        window_start=span.start.isoformat(),
        window_end=span.end.isoformat(),
        **arguments,
    )


def risk_sensor(**arguments):
    return StreamExpiryRiskSensor(task_id="risk", pipeline="orders_changes", table="orders", **arguments)


def stored(trigger):
    """The trigger that Airflow makes of what it has kept of one, as after a restart."""
    path, given = trigger.serialize()
    return import_string(path)(**json.loads(json.dumps(given)))


def fired(trigger):
    async def first():
        return await asyncio.wait_for(anext(trigger.run()), 60)

    return asyncio.run(first()).payload


def answer(trigger):
    name = "tablestore_default"
    return trigger.answer({name: TablestoreHook.get_connection(name)})


def test_a_published_span_is_seen_at_once(record, closed):
    record(closed(1))
    record(closed())
    span = Window(closed(1).start, closed().end)

    assert published_sensor(span).execute({})["end"] == span.end.isoformat()


def test_an_unpublished_span_is_waited_for_without_a_worker(record, closed):
    record(closed(1))

    with pytest.raises(TaskDeferred) as deferred:
        published_sensor(Window(closed(1).start, closed().end), poke_interval=7, timeout=60).execute({})

    assert deferred.value.timeout == timedelta(seconds=60)
    assert deferred.value.trigger.poll_seconds == 7


def test_a_trigger_that_was_stored_asks_the_same(record, closed):
    window = closed()
    record(window)

    assert "done" in answer(stored(published_sensor(window).trigger()))


def test_what_is_stored_of_a_trigger_holds_no_secret(cloud, closed):
    told = json.dumps([published_sensor(closed()).trigger().serialize(), risk_sensor().trigger().serialize()])

    for secret in (cloud.tablestore.access_key_secret, cloud.tablestore.access_key_id):
        assert secret not in told


def test_a_lost_window_ends_the_waiting(record, closed):
    record(closed(), WindowState.LOST, reason="The stream was switched off.")

    with pytest.raises(Exception, match=r"is lost: The stream was switched off\..*accept-loss") as failed:
        published_sensor(closed()).execute({})

    assert type(failed.value).__name__ == "AirflowFailException"


def test_an_accepted_loss_is_waited_for_no_longer(record, closed):
    record(closed(), WindowState.ACCEPTED, reason="Nobody needs it.")

    assert published_sensor(closed()).execute({})


@pytest.mark.slow
def test_a_sensor_in_a_run_is_woken_up_by_its_trigger(record, run_dag, closed):
    window = closed()
    with DAG("waits", schedule=None) as dag:
        published_sensor(window, poke_interval=0.2, timeout=60)
    asked = []
    ask = WindowPublishedSensor.ask

    def ask_before_it_is_published(self, question):
        asked.append(ask(self, question))
        record(window)
        return asked[-1]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(WindowPublishedSensor, "ask", ask_before_it_is_published)
        run = run_dag(dag)

    assert asked == [None]
    assert run.state == "success"


def test_without_a_triggerer_it_pokes(record, closed):
    record(closed())

    assert published_sensor(closed(), deferrable=False).execute({})["begin"] == closed().start.isoformat()


def test_a_span_that_is_none_is_told(cloud):
    with pytest.raises(AirflowFailException, match="must end after its start"):
        WindowPublishedSensor(
            task_id="none", pipeline="p", table="orders", window_start=str(now()), window_end="2020-01-01"
        ).execute({})


def test_a_table_without_a_stream_is_told(tablestore_cloud):
    tablestore_cloud.make_table("orders", key={"id": int})

    with pytest.raises(Exception, match="stream of table 'orders' is not enabled"):
        risk_sensor().execute({})


def test_no_risk_while_every_closed_window_is_exported(record, closed):
    for number in (1, 0, -1):  # the last one may close while this test runs
        record(closed(number))

    with pytest.raises(TaskDeferred):
        risk_sensor(within=timedelta(days=7)).execute({})


def test_a_window_that_is_far_from_being_lost_is_no_risk_yet(record, closed):
    record(closed(2))

    with pytest.raises(TaskDeferred):
        risk_sensor(within=timedelta(hours=1)).execute({})


def test_the_oldest_unexported_window_is_told_when_little_time_is_left(record, closed):
    record(closed(2))

    told = risk_sensor(within=timedelta(hours=24)).execute({})

    assert told["window_start"] == closed(1).start.isoformat().replace("+00:00", "Z")
    assert 23 * 3600 < told["seconds_left"] < 24 * 3600


def test_a_pipeline_that_never_ran_is_at_risk_from_its_start(cloud):
    told = risk_sensor(start=now() - timedelta(days=3), within=timedelta(0)).execute({})

    assert told["seconds_left"] < 0


def test_the_trigger_of_the_risk_asks_the_same(record, closed):
    record(closed(2))

    told = answer(stored(risk_sensor(within=timedelta(hours=24)).trigger()))

    assert told["done"]["window_start"] == closed(1).start.isoformat().replace("+00:00", "Z")


def test_a_window_that_is_no_length_is_told(cloud):
    with pytest.raises(SpecError, match="an hour or a day"):
        risk_sensor(every="week").trigger()


@pytest.mark.parametrize("grid", [GRID, FixedGrid(FIVE, now().replace(microsecond=0)), CalendarGrid(Unit.DAY, "UTC")])
def test_a_grid_comes_back_from_a_trigger(grid):
    assert grid_from_json(json.loads(json.dumps(grid_to_json(grid)))) == grid


def test_the_alarm_of_a_window_fires_when_the_service_says_it_is_due():
    due = now() + timedelta(hours=1, seconds=1)

    told = fired(stored(WindowDueTrigger("[a, b)", due.isoformat(), service_ahead_seconds=3600.0)))

    assert told == {"due_at": due.isoformat()}
    assert now() > due - timedelta(hours=1)


def test_an_alarm_of_the_past_fires_at_once():
    assert fired(WindowDueTrigger("[a, b)", (now() - timedelta(days=1)).isoformat()))


def test_an_instance_of_its_own_may_keep_the_ledger(cloud, connection, closed):
    window = closed()
    with LocalCloud(emulator=cloud.emulator) as other:
        connection("tablestore_status", other.environment()["AIRFLOW_CONN_TABLESTORE_DEFAULT"])
        with TablestoreHook("tablestore_status").get_conn() as client:
            Ledger(client, "kept_here", cloud.instance, "orders", "orders_changes").record(
                WindowEntry(window, WindowState.PUBLISHED)
            )

        assert published_sensor(window, status_table="kept_here", status_conn_id="tablestore_status").execute({})
