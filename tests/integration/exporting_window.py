"""A window export, killed before its first change, before its second …: python -m tests.integration.exporting_window …

The table and the ledger are in the emulator at that address, the store is a folder. Each folder has its own ledger.
"""

from __future__ import annotations

import argparse
import os
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import airflow_tablestore.pipeline.incremental.planning
import airflow_tablestore.pipeline.incremental.reading  # noqa: F401
from airflow_tablestore.client import Client, Endpoint
from airflow_tablestore.emulator.accounts import DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET, DEMO_INSTANCE
from airflow_tablestore.pipeline.incremental.export import Incremental, WindowServices, export_window
from airflow_tablestore.pipeline.window import Window
from airflow_tablestore.wire.call import Call
from tests.conformance.folder_store import FolderStore
from tests.conformance.windows import EVERY, export
from tests.integration.exporting import CHANGING

STEPS = CHANGING | {"CreateTable", "PutRow"}
"""What changes the store or the ledger: a kill is tried before each of these."""

READING = frozenset(
    {
        "DescribeTable",
        "DescribeStream",
        "GetShardIterator",
        "GetStreamRecord",
        "GetRow",
        "GetRange",
        "get",
        "head",
        "list",
        "list_parts",
    }
)
"""What changes nothing: a kill between two of these leaves nothing new to find."""


class Steps:
    """Counts what changes something, and stops the process before the n-th of it. `seen` are all requests, in order."""

    def __init__(self, nth: int = 0):
        self.left, self.seen = nth, list[str]()

    def before(self, request: str) -> None:
        self.seen.append(request)
        if request not in READING:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    @property
    def changes(self) -> int:
        return sum(request not in READING for request in self.seen)


class SteppedClient:
    def __init__(self, client: Client, steps: Steps):
        self._client, self._steps = client, steps

    def send(self, call: Call[Any]) -> Any:
        self._steps.before(call.operation)
        return self._client.send(call)

    def service_time(self) -> datetime | None:
        return self._client.service_time()


class SteppedStore:
    def __init__(self, store: FolderStore, steps: Steps):
        self._store, self._steps = store, steps

    def __getattr__(self, name: str) -> Any:
        act = getattr(self._store, name)
        if name in ("uri", "keys"):
            return act

        def asked(*args: Any) -> Any:
            self._steps.before(name)
            return act(*args)

        return asked


def client_of(url: str) -> Client:
    return Client(Endpoint(url, DEMO_INSTANCE, DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET))


def export_of(folder: Path) -> Incremental:
    return export(threads=1, status_table=f"status_{folder.name}")


def stepped(client: Client, folder: Path, steps: Steps) -> WindowServices:
    asked: Any = SteppedClient(client, steps)
    store: Any = SteppedStore(FolderStore(folder), steps)
    return WindowServices(asked, asked, store)


def run(url: str, folder: Path, start: datetime, nth: int) -> None:
    with client_of(url) as client:
        export_window(export_of(folder), stepped(client, folder, Steps(nth)), Window(start, start + EVERY))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("folder", type=Path)
    parser.add_argument("start", type=lambda text: datetime.fromisoformat(text).astimezone(UTC))
    parser.add_argument("count", type=int)
    asked = parser.parse_args()
    for nth in range(1, asked.count + 1):  # each is a process of its own, which has nothing to import any more
        child = os.fork()
        if not child:
            run(asked.url, asked.folder / f"n{nth}", asked.start, nth)
            os._exit(0)
        print(os.WTERMSIG(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
