"""The emulator's delivery, killed (SIGKILL) between a file and what the task keeps: after a restart no row is missing.

The judge is what the test has written and what was answered. A file that was written twice has its first name, so a
reader sees its rows once.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from airflow_tablestore.client import Client, Endpoint, RetryPolicy
from airflow_tablestore.emulator.accounts import DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET
from airflow_tablestore.errors import TablestoreError
from airflow_tablestore.wire import delivery as wire
from airflow_tablestore.wire.delivery import DeliveredColumn, DeliveryTask, Destination, ParquetType, Phase
from airflow_tablestore.wire.row import ColumnType
from airflow_tablestore.wire.single_row import create_table, put_row
from airflow_tablestore.wire.table import KeyColumn
from tests.integration import delivering

pytestmark = pytest.mark.slow

COLUMNS = (DeliveredColumn("id", "id", ParquetType.INT64), DeliveredColumn("v", "v", ParquetType.UTF8))
ROLE = "acs:ram::1234567890123456:role/aliyunserviceroleforotsdatadelivery"
TASK = DeliveryTask("t", "task", Destination("a", delivering.BUCKET, "oss-cn-hangzhou.aliyuncs.com", ROLE, COLUMNS))
DESCRIBED = wire.describe_delivery_task("t", "task")
BASE_FILES = 2
"""Into which the rows go that were there before the task, when nobody writes meanwhile."""

PATIENCE_SECONDS = 120


class Process:
    """The service in a process of its own, which kills itself after its n-th file; 0: never."""

    def __init__(self, folder: Path, kills_after: int = 0):
        words = [sys.executable, "-m", "tests.integration.delivering", str(folder), str(kills_after)]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        url = self.process.stdout.readline().strip()
        at = Endpoint(url, "demo", DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET)
        self.client = Client(at, retry=RetryPolicy(attempts=1))

    def write_until_it_dies(self, first: int) -> list[int]:
        """The keys whose writes were answered."""
        answered = []
        for key in range(first, first + 10_000):
            try:
                self.client.send(put_row("t", (("id", key),), {"v": "x" * 50}))
            except TablestoreError:
                return answered
            answered.append(key)
            time.sleep(0.005)
        raise AssertionError("it was never killed")

    def end(self) -> None:
        self.client.close()
        self.process.kill()
        self.process.wait()


def until(claim) -> None:
    last = time.monotonic() + PATIENCE_SECONDS
    while not claim():
        assert time.monotonic() < last, "waited in vain"
        time.sleep(0.05)


def delivered(folder: Path) -> list[int]:
    return [key for file in sorted(folder.rglob("*.parquet")) for key in pq.read_table(file).column("id").to_pylist()]


@pytest.mark.parametrize("kills_after", [1, 4])
def test_a_worker_killed_between_a_file_and_its_state_loses_no_row(tmp_path, kills_after):
    process = Process(tmp_path, kills_after)
    process.client.send(create_table("t", [KeyColumn("id", ColumnType.INTEGER)]))
    for key in range(8):
        process.client.send(put_row("t", (("id", key),), {"v": "y" * 50}))
    with suppress(TablestoreError):  # with its first file the process may be gone before it answers
        process.client.send(wire.create_delivery_task(TASK))
    if kills_after > BASE_FILES:
        until(lambda: process.client.send(DESCRIBED).progress.phase is Phase.INCREMENTAL)
    answered = {*range(8), *process.write_until_it_dies(8)}
    assert process.process.wait() == -signal.SIGKILL
    process.end()

    process = Process(tmp_path)
    try:
        until(lambda: answered <= set(delivered(tmp_path / "files")))
    finally:
        process.end()

    often = Counter(delivered(tmp_path / "files"))
    assert [often[key] for key in range(8)] == [1] * 8
    # What is written while the rows of the table are read is told as a row, and as a change.
    assert max(often.values()) <= (1 if kills_after > BASE_FILES else 2)
