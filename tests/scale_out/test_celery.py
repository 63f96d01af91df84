"""Runs over two Celery workers that share nothing but the services, one of them killed in the middle.

The workers have different names and temporary folders, and that of the killed one is removed with it. They listen to a
queue of the spec's own, so a task without the spec's `airflow:` block would never run. The oracles are the function
that made the rows and the writer's journal.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.system import celery_worker, sample
from tests.system.debian import Absent, not_run
from tests.system.past import MINUTE, Past, minute_of
from tests.system.place import IMPATIENT, Place, write_dags
from tests.system.servers import broker, postgres
from tests.system.services import emulator
from tests.system.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.airflow]

ROOT = Path(__file__).parents[2]
WORKERS = ("one", "two")
TASKS = 8
QUEUE, POOL = "exports", "exports"
POD_FILE = "/opt/airflow/pods/export.yaml"
ROWS = 8_000
POINTS = ", ".join(f"user_{uid:04d}" for uid in range(2, 16, 2))
SHARDS_AT = [f"user_{uid:04d}" for uid in range(5, 40, 5)]
CHANGES_A_MINUTE = 240
AIRFLOW = f"""
retry: {{times: 3, delay: 1s}}
airflow:
  queue: {QUEUE}
  pool: {POOL}
  priority_weight: 7
  execution_timeout: 10m
  executor_config: {{pod_template_file: {POD_FILE}}}
"""
SMALL = """
pipeline: small_full
kind: full_export
source: {table: ots_gps_data}
sink: {type: oss, bucket: backup, prefix: small_full/}
"""
FULL = f"""
pipeline: mapped_full
kind: full_export
source: {{table: ots_gps_data, split: [{POINTS}]}}
sink: {{type: oss, bucket: backup, prefix: mapped_full/}}
limits: {{rows_per_second: 1600}}
"""
WINDOW = f"""
pipeline: mapped_window
kind: incremental
source: {{table: ots_gps_live, columns: [uid, ts, name, speed, change]}}
window: {{every: 5m, lag: 5m}}
sink: {{type: oss, bucket: backup, prefix: "mapped_window/{{window_start:%Y%m%d%H%M}}/"}}
limits: {{workers: {TASKS}, rows_per_second: 240}}
start: """


@dataclass
class Scene:
    """A place whose Airflow has Celery workers, and what was written to its live table in the window from `begin`."""

    place: Place
    past: Past
    begin: datetime
    end: datetime

    def start_missing_workers(self) -> None:
        """Returns when all can take tasks; a quick one alone would leave nothing to the other."""
        missing = [name for name in WORKERS if name not in self.place.stack.processes]
        before = {name: self._times_ready(name) for name in missing}
        for name in missing:
            self._temporary(name).mkdir(parents=True)
            command = ["celery", "worker", "-q", QUEUE, "-c", "2", "-H", name, "--skip-serve-logs"]
            own = {celery_worker.VARIABLE: name, "TMPDIR": str(self._temporary(name))}
            self.place.stack.launch(name, command, own)
        for name in missing:
            self.place.until(lambda name=name: self._times_ready(name) > before[name])

    def lose_worker_in_the_middle(self, dag_id: str, run_id: str) -> None:
        """End one worker as when its machine goes away, with its files, once it has done a part and begun another."""
        self.place.until(lambda: self._has_begun_another(dag_id, run_id, WORKERS[0]))
        self.place.stack.kill(WORKERS[0])
        shutil.rmtree(self._temporary(WORKERS[0]))

    def exports(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        return self.place.tasks(dag_id, run_id, "export")

    def _has_begun_another(self, dag_id: str, run_id: str, worker: str) -> bool:
        """Whether it works at a part that it began behind another; one that was begun beside it may be over at once."""
        its = [task for task in self.exports(dag_id, run_id) if task["hostname"] == worker]
        done = [datetime.fromisoformat(task["end_date"]) for task in its if task["state"] == "success"]
        begun = [datetime.fromisoformat(task["start_date"]) for task in its if task["state"] == "running"]
        return bool(done and begun) and max(begun) > min(done)

    def _times_ready(self, name: str) -> int:
        """How often the worker has come up; the log of a lost one goes on with that of its successor."""
        log = self.place.stack.home / f"{name}.log"
        return log.read_text().count(f"celery@{name} ready.") if log.exists() else 0

    def _temporary(self, name: str) -> Path:
        return self.place.folder / f"tmp-{name}"


@pytest.fixture(scope="session")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("celery")
    begin = minute_of(datetime.now(UTC), 5) - timedelta(minutes=15)
    end, tomorrow = begin + timedelta(minutes=5), begin + timedelta(days=1)  # nothing is due by the schedule
    specs = {"small_full": SMALL, "mapped_full": FULL, "mapped_window": WINDOW + tomorrow.isoformat()}
    dags = write_dags(folder / "dags", {name: text + AIRFLOW for name, text in specs.items()})
    with ExitStack() as running:
        try:
            database, broker_url = running.enter_context(postgres()), running.enter_context(broker())
        except Absent as reason:
            not_run(reason)
        services = running.enter_context(emulator(folder / "emulator", folder / "emulator.log"))
        settings = {**services["env"], **celery(broker_url, database)}
        stack = running.enter_context(Stack(folder / "airflow", dags, settings))
        client = sample.sdk_client(services["tablestore"])
        sample.create_table(client)
        sample.load(client, ROWS)
        past = write_past(services, begin, end)
        stack.wait_healthy(list(specs))
        stack.api("POST", "pools", json={"name": POOL, "slots": 4, "description": "for exports"})
        yield Scene(Place(stack, services, folder, ROWS), past, begin, end)


@pytest.fixture
def scene(both: Scene) -> Scene:
    """With both workers running, whatever the test before has done to them."""
    both.start_missing_workers()
    return both


def celery(broker_url: str, database: str) -> dict[str, str]:
    return {
        **IMPATIENT,
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "tests.system.celery_worker.name",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{database}",
        "AIRFLOW__CELERY__BROKER_URL": broker_url,
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql+psycopg2://{database}",
        # What the killed worker had taken from the broker and not begun is given to another one after this.
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "60",
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
        "PYTHONPATH": str(ROOT),
    }


def write_past(services: dict[str, Any], begin: datetime, end: datetime) -> Past:
    """Changes over as many shards as there are tasks, and some on each side of the window."""
    past = Past(services)
    past.create_table(begin - 2 * MINUTE)
    for at in SHARDS_AT:
        past.split_shard(at)
    past.write(begin - MINUTE, begin, a_minute=20)
    past.write(begin, end, a_minute=CHANGES_A_MINUTE)
    past.write(end, end + MINUTE, a_minute=20)
    past.come_to_now()
    return past


def test_a_full_export_outlives_a_worker_that_is_killed_with_its_files(scene):
    run_id = scene.place.stack.trigger("mapped_full")

    scene.lose_worker_in_the_middle("mapped_full", run_id)
    scene.place.wait("mapped_full", run_id, "success")

    exports = scene.exports("mapped_full", run_id)
    assert len(exports) == TASKS
    assert {task["hostname"] for task in exports} == set(WORKERS), "both have a part in what was published"
    assert max(task["try_number"] for task in exports) > 1, "what the killed worker had begun was begun again"
    assert scene.place.differences("mapped_full") == ""


def test_a_window_outlives_a_worker_that_is_killed_with_its_files(scene):
    asked = {"window_start": scene.begin.isoformat(), "window_end": scene.end.isoformat()}
    run_id = scene.place.stack.trigger("mapped_window", asked)

    scene.lose_worker_in_the_middle("mapped_window", run_id)
    scene.place.wait("mapped_window", run_id, "success")

    exports = scene.exports("mapped_window", run_id)
    assert len(exports) == TASKS
    assert {task["hostname"] for task in exports} == set(WORKERS), "both have a part in what was published"
    assert max(task["try_number"] for task in exports) > 1, "what the killed worker had begun was begun again"
    prefix = f"mapped_window/{scene.begin:%Y%m%d%H%M}/"
    assert scene.past.differences(prefix, scene.begin, scene.end, scene.place.folder / "window") == ""


def test_the_airflow_block_of_the_spec_reaches_every_task(scene):
    run_id = scene.place.run("small_full")

    ran = scene.place.stack.task_instances("small_full", run_id)
    planned = scene.place.stack.api("GET", "dags/small_full/tasks")["tasks"]
    assert {(task["queue"], task["pool"]) for task in ran} == {(QUEUE, POOL)}
    assert all(POD_FILE in task["executor_config"] for task in ran)
    assert {(task["priority_weight"], task["execution_timeout"]["seconds"]) for task in planned} == {(7, 600)}
