"""Windows that are waited for in a real triggerer, which is killed meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow_tablestore.pipeline.window import FixedGrid
from tests.system import compare

EVERY, LAG = timedelta(seconds=20), timedelta(minutes=5)


def deferred(place, dag_id, run_id):
    return [t["task_id"] for t in place.stack.task_instances(dag_id, run_id) if t["state"] == "deferred"]


def test_waiting_outlives_a_triggerer_that_is_killed(place, windows):
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
