"""Streams whose runs begin by themselves in a real Airflow: on data, and one after the other. Nobody triggers any.

The oracle is what was written here and acknowledged; what was drained is read as the guide says, by the channels'
manifests.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pyarrow.parquet as pq
import pytest

from airflow_tablestore.pipeline.connections import from_environment, oss_endpoint
from airflow_tablestore.pipeline.sinks.oss import ObjectStore
from airflow_tablestore.pipeline.tunnel.channels import published
from tests.system import sample
from tests.system.place import Place, write_dags
from tests.system.services import emulator
from tests.system.stack import COMPONENTS, Stack

AT_MOST_SECONDS = 20
QUIET_SECONDS = 45
"""Longer than the triggerer's pause between two looks at a tunnel, which is 30 s."""

STREAM = """\
pipeline: {name}
kind: stream
source: {{table: {name}, tunnel: {name}_tunnel, create_tunnel: true, tunnel_type: BaseAndStream}}
schedule: {schedule}
run: {{at_most: {at_most}s, flush: 1s}}
retry: {{times: 0}}
sink: {{type: oss, bucket: backup, prefix: {name}/}}
"""
SCHEDULES = {"eager": "on_data", "steady": "continuous"}
SPECS = {
    name: STREAM.format(name=name, schedule=schedule, at_most=AT_MOST_SECONDS) for name, schedule in SCHEDULES.items()
}
PATIENT = {
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "6",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
}
"""So that a new triggerer takes over from a dead one within seconds."""


class Streams:
    """Tables that are written, and what was drained from each."""

    def __init__(self, place: Place):
        self.place = place
        self._client = sample.sdk_client(place.services["tablestore"])
        self.journal: dict[str, set[int]] = {name: set() for name in SCHEDULES}

    def create_tables(self) -> None:
        from tablestore import CapacityUnit, ReservedThroughput, TableMeta, TableOptions

        for name in SCHEDULES:
            throughput = ReservedThroughput(CapacityUnit(0, 0))
            self._client.create_table(TableMeta(name, [("id", "INTEGER")]), TableOptions(), throughput)

    def write(self, count: int) -> None:
        from tablestore import Condition, Row, RowExistenceExpectation

        anyway = Condition(RowExistenceExpectation.IGNORE)
        for name, written in self.journal.items():
            for id_ in range(len(written), len(written) + count):
                self._client.put_row(name, Row([("id", id_)], [("n", id_)]), anyway)
                written.add(id_)

    def drained(self, name: str) -> list[int]:
        """The ids that a reader of the manifests finds, each as often as it does."""
        connection = from_environment("oss_default", self.place.services["env"])
        with closing(ObjectStore(oss_endpoint(connection, "backup"), "backup")) as store:
            found: list[int] = []
            for entry in published(store, f"{name}/"):
                found += pq.read_table(io.BytesIO(store.get(entry.key) or b""))["id"].to_pylist()
        return sorted(found)

    def is_drained(self, name: str) -> bool:
        return self.drained(name) == sorted(self.journal[name])

    def runs(self, name: str) -> list[dict[str, Any]]:
        return list(self.place.stack.api("GET", f"dags/{name}/dagRuns", params={"limit": "100"})["dag_runs"])

    def is_idle(self, name: str) -> bool:
        """Whether there were runs, and all of them have ended."""
        states = [run["state"] for run in self.runs(name)]
        return bool(states) and set(states) <= {"success", "failed"}


@pytest.fixture(scope="module")
def streams(tmp_path_factory) -> Iterator[Streams]:
    folder = tmp_path_factory.mktemp("streams")
    dags = write_dags(folder / "dags", SPECS)
    with emulator(folder / "emulator", folder / "emulator.log") as services:
        extra = {**services["env"], **PATIENT}
        with Stack(folder / "airflow", dags, extra, (*COMPONENTS, "triggerer")) as stack:
            streams = Streams(Place(stack, services, folder, 0))
            streams.create_tables()
            streams.write(50)
            stack.wait_healthy([*SCHEDULES])
            for name in SCHEDULES:
                stack.api("PATCH", f"dags/{name}", json={"is_paused": False})
            yield streams


def test_runs_begin_by_themselves_when_there_is_data_and_at_no_other_time(streams):
    place = streams.place
    place.until(lambda: all(streams.is_drained(name) for name in SCHEDULES), 180)
    place.until(lambda: streams.is_idle("eager"), 60)

    before = {name: len(streams.runs(name)) for name in SCHEDULES}
    place.stack.kill("triggerer")
    place.stack.launch("triggerer", ["triggerer"])
    began = time.monotonic()
    place.until(lambda: time.monotonic() - began > QUIET_SECONDS, QUIET_SECONDS + 30)
    more = {name: len(streams.runs(name)) - before[name] for name in SCHEDULES}
    most = (time.monotonic() - began) / AT_MOST_SECONDS + 1
    assert more["eager"] == 0
    assert more["steady"] <= most

    streams.write(20)
    place.until(lambda: all(streams.is_drained(name) for name in SCHEDULES), 180)
    place.until(lambda: streams.is_idle("eager"), 60)

    runs = {name: streams.runs(name) for name in SCHEDULES}
    assert len(runs["eager"]) <= before["eager"] + 2
    assert {run["run_type"] for run in runs["eager"]} == {"asset_triggered"}
    assert {run["run_type"] for run in runs["steady"]} == {"scheduled"}
    assert not [run for name in SCHEDULES for run in runs[name] if run["state"] == "failed"]
