"""Runs over two Celery workers that share nothing but the services, one of them killed in the middle.

The workers have different names and temporary folders, and that of the killed one is removed with it. They listen to a
queue of the spec's own, so a task without the spec's `airflow:` block would never run. The oracle is the function that
made the rows.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.system import celery_worker, sample
from tests.system.debian import Absent, not_run
from tests.system.place import IMPATIENT, Place, write_dags
from tests.system.servers import broker, postgres
from tests.system.services import emulator
from tests.system.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.airflow]

ROOT = Path(__file__).parents[2]
ROWS, SPLITS = 8_000, 8
POINTS = [f"user_{uid:04d}" for uid in range(2, 2 * SPLITS, 2)]
QUEUE, POOL = "exports", "exports"
IMAGE = "registry.invalid/airflow:1"
WORKERS = ("one", "two")
AIRFLOW = f"""
airflow:
  queue: {QUEUE}
  pool: {POOL}
  priority_weight: 7
  execution_timeout: 10m
  executor_config: {{KubernetesExecutor: {{image: "{IMAGE}"}}}}
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
source: {{table: ots_gps_data, split: [{", ".join(POINTS)}]}}
sink: {{type: oss, bucket: backup, prefix: mapped_full/}}
retry: {{times: 3, delay: 1s}}
limits: {{rows_per_second: 1600}}
"""
SPECS = {"small_full": SMALL + AIRFLOW, "mapped_full": FULL + AIRFLOW}


class Workers:
    """The Celery workers of an Airflow: each with a temporary folder of its own."""

    def __init__(self, stack: Stack, folder: Path):
        self._stack = stack
        self._folder = folder

    def start_missing(self) -> None:
        for name in WORKERS:
            if name not in self._stack.processes:
                self._temporary(name).mkdir(parents=True)
                command = [
                    "celery",
                    "worker",
                    "-q",
                    QUEUE,
                    "-c",
                    "2",
                    "-H",
                    name,
                    "--skip-serve-logs",
                    "--without-mingle",
                ]
                own = {celery_worker.VARIABLE: name, "TMPDIR": str(self._temporary(name))}
                self._stack.launch(name, command, own)

    def lose(self, name: str) -> None:
        """As when its machine goes away: its processes and its files with it."""
        self._stack.kill(name)
        shutil.rmtree(self._temporary(name))

    def _temporary(self, name: str) -> Path:
        return self._folder / f"tmp-{name}"


def celery(broker_url: str, database: str) -> dict[str, str]:
    return {
        **IMPATIENT,
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "tests.system.celery_worker.name",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{database}",
        "AIRFLOW__CELERY__BROKER_URL": broker_url,
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql+psycopg2://{database}",
        # A message that the killed worker had taken and not begun is sent again after this.
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "20",
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
        "PYTHONPATH": str(ROOT),
    }


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("celery")
    dags = write_dags(folder / "dags", SPECS)
    with ExitStack() as running:
        try:
            database, broker_url = running.enter_context(postgres()), running.enter_context(broker())
        except Absent as reason:
            not_run(reason)
        services = running.enter_context(emulator(folder / "emulator", folder / "emulator.log"))
        stack = Stack(folder / "airflow", dags, {**services["env"], **celery(broker_url, database)})
        running.enter_context(stack)
        client = sample.sdk_client(services["tablestore"])
        sample.create_table(client)
        sample.load(client, ROWS)
        stack.wait_healthy(list(SPECS))
        stack.api("POST", "pools", json={"name": POOL, "slots": 4, "description": "for exports"})
        yield Place(stack, services, folder, ROWS)


@pytest.fixture(scope="session")
def all_workers(place: Place) -> Workers:
    return Workers(place.stack, place.folder)


@pytest.fixture
def workers(all_workers: Workers) -> Workers:
    """Both, running."""
    all_workers.start_missing()
    return all_workers


def test_a_run_outlives_a_worker_that_is_killed_with_its_files(place, workers):
    run_id = place.stack.trigger("mapped_full")
    place.until(lambda: is_in_the_middle(exports(place, "mapped_full", run_id), on="one"), 60)

    workers.lose("one")
    place.wait("mapped_full", run_id, "success")

    done = exports(place, "mapped_full", run_id)
    assert {t["hostname"] for t in done} == set(WORKERS), "both workers have a part in what was published"
    assert max(t["try_number"] for t in done) > 1, "what the killed worker had begun was begun again"
    assert place.differences("mapped_full") == ""


def test_the_airflow_block_of_the_spec_reaches_every_task(place, workers):
    run_id = place.run("small_full")

    ran = place.stack.task_instances("small_full", run_id)
    planned = place.stack.api("GET", "dags/small_full/tasks")["tasks"]
    assert {(t["queue"], t["pool"]) for t in ran} == {(QUEUE, POOL)}
    assert all(IMAGE in t["executor_config"] for t in ran)
    assert {(t["priority_weight"], t["execution_timeout"]["seconds"]) for t in planned} == {(7, 600)}


def exports(place: Place, dag_id: str, run_id: str) -> list[dict[str, Any]]:
    return place.tasks(dag_id, run_id, "export")


def is_in_the_middle(tasks: list[dict[str, Any]], *, on: str) -> bool:
    """Whether this worker has finished a part, is busy with another, and there is more to do after that."""
    states = [t["state"] for t in tasks if t["hostname"] == on]
    return "success" in states and "running" in states
