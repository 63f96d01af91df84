"""Windows that are waited for in a real triggerer, which is killed meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow_tablestore.pipeline.window import FixedGrid
from tests.system import compare

EVERY, LAG = timedelta(seconds=20), timedelta(minutes=5)


def deferred(place, dag_id, run_id):
    return [t["task_id"] for t in place.stack.task_instances(dag_id, run_id) if t["state"] == "deferred"]


def waiting(place):
    """A window that is not due yet, and the runs of both DAGs, which wait for it in the triggerer."""
    for ahead in (3, 9, 27):  # on a busy machine a task may begin when its window is due already
        window = FixedGrid(EVERY).holding(datetime.now(UTC) - LAG + ahead * EVERY)
        conf = {"window_start": window.start.isoformat(), "window_end": window.end.isoformat()}
        runs = {dag_id: place.stack.trigger(dag_id, conf) for dag_id in ("watch", "late")}
        place.until(
            lambda runs=runs: (
                all(deferred(place, *run) for run in runs.items())
                or place.stack.run_state("late", runs["late"]) in ("success", "failed")
            )
        )
        if all(deferred(place, *run) for run in runs.items()):
            return window, runs["watch"], runs["late"]
    raise AssertionError("no run has waited in the triggerer")


def test_waiting_outlives_a_triggerer_that_is_killed(place, windows):
    window, watch, late = waiting(place)

    place.stack.kill("triggerer")
    place.stack.launch("triggerer", ["triggerer"])

    place.wait("late", late, "success")
    place.wait("watch", watch, "success")
    prefix = f"late/{window.start:%Y%m%d%H%M%S}/"
    store = compare.bucket(place.services["oss"])
    assert compare.download(store, prefix, place.folder / "late").manifest["rows"] == 0
    told = place.stack.xcom("watch", watch, "published")
    assert window.end.isoformat() in str(told)
