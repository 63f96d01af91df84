"""Streams whose runs begin by themselves, on data and one after the other; what was written to them, what was drained.

The oracle is what was written here and acknowledged; what was drained is read as the guide says, by the channels'
manifests.
"""

from __future__ import annotations

import io
from contextlib import closing
from typing import Any

import pyarrow.parquet as pq

from airflow_tablestore.pipeline.connections import from_environment, oss_endpoint
from airflow_tablestore.pipeline.sinks.oss import ObjectStore
from airflow_tablestore.pipeline.tunnel.channels import published
from tests.system import sample
from tests.system.place import Place

AT_MOST_SECONDS = 20
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

    def switch(self, *, on: bool) -> None:
        for name in SCHEDULES:
            self.place.stack.api("PATCH", f"dags/{name}", json={"is_paused": not on})

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
