"""A drain as a process of its own, into a folder: `python -m tests.integration.draining URL TUNNEL FOLDER NTH UNTIL`.

With NTH greater than 0 it is killed right before its NTH change of the store or checkpoint.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from airflow_tablestore.client import Client, Endpoint
from airflow_tablestore.consumer.tunnel import Settings
from airflow_tablestore.emulator.accounts import DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET, DEMO_INSTANCE
from airflow_tablestore.pipeline.formats.parquet import Parquet
from airflow_tablestore.pipeline.store import Store
from airflow_tablestore.pipeline.target import ObjectTarget
from airflow_tablestore.pipeline.tunnel.channels import published
from airflow_tablestore.pipeline.tunnel.drain import Drain, DrainReport, drain
from airflow_tablestore.pipeline.tunnel.tunnels import Wanted
from airflow_tablestore.wire.call import Call
from airflow_tablestore.wire.tunnel import TunnelType
from tests.conformance.folder_store import FolderStore

SETTINGS = Settings(
    heartbeat_seconds=0.2, timeout_seconds=60, checkpoint_seconds=0.1, pause_seconds=0.2, reconnect_seconds=0.5
)
IMPATIENT = replace(SETTINGS, timeout_seconds=4)
"""Of workers that are killed, so that others soon take over their channels; a slow machine may make one repeat."""

PREFIX = "events/"
CHANGING = frozenset({"put", "put_if_absent", "delete", "tunnel/checkpoint"})
"""What changes the store or the tunnel: a kill is tried before each of these."""


def drain_of(tunnel: str, *, until_caught_up: bool = True, type_: TunnelType = TunnelType.STREAM) -> Drain:
    return Drain(
        pipeline="events",
        wanted=Wanted("t", tunnel, type_),
        target=ObjectTarget("backup", PREFIX, Parquet()),
        until_caught_up=until_caught_up,
        flush_seconds=0.1,
        settings=SETTINGS,
    )


class Steps:
    """Counts what changes something, and stops the process right before the n-th of it."""

    def __init__(self, nth: int = 0):
        self.left, self.seen = nth, list[str]()
        self._lock = threading.Lock()

    def before(self, request: str) -> None:
        if request not in CHANGING:
            return
        with self._lock:
            self.seen.append(request)
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


class SteppedClient:
    def __init__(self, client: Client, steps: Steps):
        self._client, self._steps = client, steps

    def send(self, call: Call[Any]) -> Any:
        self._steps.before(call.operation)
        return self._client.send(call)

    def pausing(self, sleep: Callable[[float], bool | None]) -> SteppedClient:
        return SteppedClient(self._client.pausing(sleep), self._steps)

    def service_time(self) -> Any:
        return self._client.service_time()


class SteppedStore:
    def __init__(self, store: Store, steps: Steps):
        self._store, self._steps = store, steps

    def __getattr__(self, name: str) -> Any:
        act = getattr(self._store, name)

        def asked(*args: Any) -> Any:
            self._steps.before(name)
            return act(*args)

        return asked


def client_of(url: str) -> Client:
    return Client(Endpoint(url, DEMO_INSTANCE, DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET))


def drained(url: str, export: Drain, folder: Path, steps: Steps | None = None) -> DrainReport:
    with client_of(url) as client:
        asked: Any = SteppedClient(client, steps or Steps())
        store: Any = SteppedStore(FolderStore(folder), steps or Steps())
        return drain(export, asked, store)


def versions_published(folder: Path) -> dict[int, list[int]]:
    """What a reader of the manifests finds: the versions of each key, sorted by their place in the change log."""
    store = FolderStore(folder)
    rows = []
    for entry in published(store, PREFIX):
        data = store.get(entry.key)
        assert data is not None, entry.key
        table = pq.read_table(io.BytesIO(data)).to_pylist()
        assert len(table) == entry.rows
        rows += [(row["sequence"], row["id"], json.loads(row["cells"])[0]["value"]) for row in table]
    found: dict[int, list[int]] = {}
    for _, id_, version in sorted(rows):
        found.setdefault(id_, []).append(version)
    return found


def main(url: str, tunnel: str, folder: str, nth: str, until: str) -> None:
    export = replace(drain_of(tunnel, until_caught_up=until == "CAUGHT_UP"), settings=IMPATIENT)
    drained(url, export, Path(folder), Steps(int(nth)))


if __name__ == "__main__":
    main(*sys.argv[1:])
