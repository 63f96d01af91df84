"""Windows that are waited for in a real triggerer, which is killed meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_tablestore.pipeline.window import FixedGrid
from tests.system import compare
from tests.system.past import Past
from tests.system.place import Place
from tests.system.services import emulator
from tests.system.stack import COMPONENTS, Stack

EVERY, LAG = timedelta(seconds=20), timedelta(minutes=5)
DAGS = """
from airflow.sdk import DAG

from airflow_tablestore.operators.incremental import incremental, window_params
from airflow_tablestore.sensors.windows import WindowPublishedSensor

with DAG("late", schedule=None, params=window_params()):
    incremental(
        pipeline="late",
        source={"table": "ots_gps_live", "mode": "multi_version"},
        window={"every": "20s", "lag": "5m"},
        sink={"type": "oss", "bucket": "backup", "prefix": "late/{window_start:%Y%m%d%H%M%S}/"},
    )

with DAG("watch", schedule=None, params=window_params()):
    WindowPublishedSensor(
        task_id="published",
        pipeline="late",
        table="ots_gps_live",
        window_start="{{ params.window_start }}",
        window_end="{{ params.window_end }}",
        poke_interval=1,
        timeout=300,
    )
"""
IMPATIENT = {
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "6",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
}
"""So that a new triggerer takes over the waiting of a dead one within seconds."""


@pytest.fixture
def place(tmp_path):
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "waiting.py").write_text(DAGS)
    with emulator(tmp_path / "emulator", tmp_path / "emulator.log") as services:
        past = Past(services)
        past.create_table(datetime.now(UTC) - timedelta(minutes=30))
        past.come_to_now()
        home = tmp_path / "airflow"
        extra = {**services["env"], **IMPATIENT}
        with Stack(home, tmp_path / "dags", extra, (*COMPONENTS, "triggerer")) as stack:
            stack.wait_healthy(["late", "watch"])
            yield Place(stack, services, tmp_path, 0)


def deferred(place, dag_id, run_id):
    return [t["task_id"] for t in place.stack.task_instances(dag_id, run_id) if t["state"] == "deferred"]


def test_waiting_outlives_a_triggerer_that_is_killed(place):
    window = FixedGrid(EVERY).holding(datetime.now(UTC) - LAG + 3 * EVERY)
    conf = {"window_start": window.start.isoformat(), "window_end": window.end.isoformat()}
    watch, late = place.stack.trigger("watch", conf), place.stack.trigger("late", conf)
    place.until(lambda: deferred(place, "watch", watch) and deferred(place, "late", late))

    place.stack.kill("triggerer")
    place.stack.launch("triggerer", ["triggerer"])

    place.wait("late", late, "success")
    place.wait("watch", watch, "success")
    prefix = f"late/{window.start:%Y%m%d%H%M%S}/"
    store = compare.bucket(place.services["oss"])
    assert compare.download(store, prefix, place.folder / "late").manifest["rows"] == 0
    told = place.stack.xcom("watch", watch, "published")
    assert window.end.isoformat() in str(told)
