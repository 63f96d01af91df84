"""Workers to be killed. One process has everything imported and forks a worker for each line that it is given.

A worker stops itself by SIGKILL before its n-th step of one sort: a page that is read, a call of the sink's place, or a
checkpoint. What it was about to do is written down before.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

from airflow_tablestore.client import Client, Endpoint
from airflow_tablestore.consumer.tunnel import Settings
from airflow_tablestore.emulator import DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET, DEMO_INSTANCE
from airflow_tablestore.pipeline.tunnel.drain import Drain, DrainReport, drain
from airflow_tablestore.pipeline.tunnel.tunnels import Wanted
from tests.kills.sinks import SINKS, Judged, Where

TABLE, TUNNEL = "t", "n"
SETTINGS = Settings(
    heartbeat_seconds=0.3, timeout_seconds=4, checkpoint_seconds=0.2, pause_seconds=0.2, reconnect_seconds=0.5
)
ASKED = {"tunnel/readrecords": "read", "tunnel/checkpoint": "checkpoint"}
SORTS = ("read", "write", "checkpoint")
OPENING = frozenset({"stream", "upsert"})
"""What a place gives for these acts upon it too: rows that are streamed, rows that wait for their commit."""


class Steps:
    """Counts steps of a sort, and ends the process right before the n-th. 0: never."""

    def __init__(self, sort: str, nth: int, note: Path):
        self._sort, self._left, self._note, self._lock = sort, nth, note, threading.Lock()

    def before(self, sort: str, step: str) -> None:
        with self._lock:
            self._left -= sort == self._sort
            if self._left == 0 and sort == self._sort:
                self._note.write_text(step)
                os.kill(os.getpid(), signal.SIGKILL)


class SteppedClient:
    """A client whose reads and checkpoints are steps."""

    def __init__(self, client: Any, steps: Steps):
        self._client, self._steps = client, steps

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def send(self, call: Any) -> Any:
        if call.operation in ASKED:
            self._steps.before(ASKED[call.operation], call.operation)
        return self._client.send(call)

    def pausing(self, sleep: Any) -> SteppedClient:
        return SteppedClient(self._client.pausing(sleep), self._steps)


class SteppedPlace:
    """A sink's place, each of whose methods is a step, and what it opens."""

    def __init__(self, place: Any, steps: Steps):
        self._place, self._steps = place, steps

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._place, name)
        if not callable(found):
            return found

        def act(*args: Any, **kwargs: Any) -> Any:
            self._steps.before("write", f"sink.{name}")
            given = found(*args, **kwargs)
            return SteppedPlace(given, self._steps) if name in OPENING else given

        return act


def work(judged: Judged, where: Where, steps: Steps, *, until_caught_up: bool = False) -> DrainReport:
    """Drains the tunnel: until it is killed, or until it has caught up."""
    export = Drain(
        pipeline="events",
        wanted=Wanted(TABLE, TUNNEL),
        target=judged.target(),
        until_caught_up=until_caught_up,
        flush_seconds=0.2,
        settings=SETTINGS,
    )
    endpoint = Endpoint(where.tablestore, DEMO_INSTANCE, DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET)
    with Client(endpoint) as client:
        asked: Any = SteppedClient(client, steps)
        return drain(export, asked, SteppedPlace(judged.place(where), steps))


def main() -> None:
    """Each line of input is [sink, where, sort, nth, note]; the answer is the process id. Ends with its input."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the dead
    for line in sys.stdin:
        name, where, sort, nth, note = json.loads(line)
        worker = os.fork()
        if not worker:
            sys.stdin.close()
            judged = next(one for one in SINKS if one.name == name)
            try:
                work(judged, Where(**where), Steps(sort, nth, Path(note)))
            except Exception:  # noqa: BLE001 - whatever ended a worker that nobody killed must be told
                traceback.print_exc()
            finally:
                os._exit(1)
        print(worker, flush=True)


if __name__ == "__main__":
    main()
