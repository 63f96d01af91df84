"""A Tablestore that delivers into a folder, in a process that may kill itself just after it has written a file.

`python delivering.py FOLDER KILLS_AFTER`: SIGKILL between file KILLS_AFTER (from 1; 0: never) and what the task keeps.
Tells its address, then serves.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from airflow_tablestore.emulator.accounts import demo_accounts
from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.server import Server
from airflow_tablestore.emulator.tablestore.app import TablestoreApp
from airflow_tablestore.emulator.tablestore.delivery_worker import Cut

BUCKET = "bucket"


class Folder:
    """A bucket as a folder."""

    def __init__(self, folder: Path, kills_after: int):
        self.folder, self.kills_after, self.count = folder, kills_after, 0

    def sizes(self) -> list[tuple[str, int, int]]:
        return [(BUCKET, 0, 0)]

    def put_bytes(self, bucket: str, key: str, body: bytes) -> None:
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_bytes(body)
        part.replace(path)
        self.count += 1
        if self.count == self.kills_after:
            os.kill(os.getpid(), signal.SIGKILL)


def serve(folder: Path, kills_after: int) -> None:
    app = TablestoreApp(folder / "tables", demo_accounts(), Clock())
    app.service.deliveries.start(Folder(folder / "files", kills_after))
    app.service.deliveries.cut = Cut(seconds=0, bytes=400)
    print(Server(app).start().url, flush=True)
    time.sleep(600)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
