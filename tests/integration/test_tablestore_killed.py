"""The emulated Tablestore, killed in the middle of batches.

What was answered is there after a restart, and no batch is there in part.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tablestore import (
    INF_MAX,
    INF_MIN,
    BatchWriteRowRequest,
    CapacityUnit,
    Condition,
    OTSClient,
    PutRowItem,
    ReservedThroughput,
    Row,
    RowExistenceExpectation,
    TableInBatchWriteRowItem,
    TableMeta,
    TableOptions,
)
from tablestore.error import OTSError
from urllib3.exceptions import HTTPError

from airflow_tablestore.emulator.accounts import DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET

IGNORE = Condition(RowExistenceExpectation.IGNORE)
BATCH_ROWS = 100
PATIENCE_SECONDS = 120

SERVE = """
import sys, time
from pathlib import Path
from airflow_tablestore.emulator.accounts import demo_accounts
from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.server import Server
from airflow_tablestore.emulator.tablestore.app import TablestoreApp

server = Server(TablestoreApp(Path(sys.argv[1]), demo_accounts(), Clock())).start()
print(server.url, flush=True)
time.sleep(600)
"""


class Process:
    """The service in a process of its own."""

    def __init__(self, folder: Path):
        self._process = subprocess.Popen([sys.executable, "-c", SERVE, str(folder)], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        self.client = OTSClient(self.url, DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET, "demo", socket_timeout=60)

    def kill(self) -> None:
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()


def write_until_it_dies(client: OTSClient, writer: int, answered: list[tuple[int, int]]) -> None:
    """Numbers each batch, and notes those that were answered."""
    for number in range(10_000):
        rows = [
            PutRowItem(Row([("pk", f"{writer}/{number}"), ("row", row)], [("c", "x" * 200)]), IGNORE)
            for row in range(BATCH_ROWS)
        ]
        request = BatchWriteRowRequest()
        request.add(TableInBatchWriteRowItem("t", rows))
        try:
            if not client.batch_write_row(request).is_all_succeed():
                return
        except (HTTPError, OTSError):
            return
        answered.append((writer, number))


@pytest.mark.slow
def test_answered_batches_survive_a_kill_and_others_are_whole_or_absent(tmp_path):
    process = Process(tmp_path)
    process.client.create_table(
        TableMeta("t", [("pk", "STRING"), ("row", "INTEGER")]), TableOptions(), ReservedThroughput(CapacityUnit(0, 0))
    )
    answered: list[tuple[int, int]] = []
    writers = [
        threading.Thread(target=write_until_it_dies, args=(process.client, writer, answered)) for writer in range(2)
    ]
    for writer in writers:
        writer.start()
    last = time.monotonic() + PATIENCE_SECONDS
    while len(answered) < 8:
        assert time.monotonic() < last, f"only {len(answered)} batches were answered"
        time.sleep(0.01)

    process.kill()
    for writer in writers:
        writer.join()
    restarted = Process(tmp_path)

    try:
        found: dict[str, int] = {}
        following = [("pk", INF_MIN), ("row", INF_MIN)]
        while following:
            _, following, rows, _ = restarted.client.get_range(
                "t", "FORWARD", following, [("pk", INF_MAX), ("row", INF_MAX)], max_version=1
            )
            for row in rows:
                found[row.primary_key[0][1]] = found.get(row.primary_key[0][1], 0) + 1
    finally:
        restarted.kill()
    assert {f"{writer}/{number}" for writer, number in answered} <= found.keys()
    assert set(found.values()) == {BATCH_ROWS}
