"""The emulator's delivery, killed (SIGKILL) between a file and what the task keeps: after a restart no row is missing.

The judge is what the test has written and what was answered. A file that was written twice has its first name, so a
reader sees its rows once.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from airflow_tablestore.client import Client, Endpoint, RetryPolicy
from airflow_tablestore.emulator.accounts import DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET
from airflow_tablestore.errors import TablestoreError
from airflow_tablestore.wire import delivery as wire
from airflow_tablestore.wire.delivery import DeliveredColumn, DeliveryTask, Destination, ParquetType
from airflow_tablestore.wire.row import ColumnType
from airflow_tablestore.wire.single_row import create_table, put_row
from airflow_tablestore.wire.table import KeyColumn
from tests.integration import delivering

pytestmark = pytest.mark.slow

COLUMNS = (DeliveredColumn("id", "id", ParquetType.INT64), DeliveredColumn("v", "v", ParquetType.UTF8))
ROLE = "acs:ram::1234567890123456:role/aliyunserviceroleforotsdatadelivery"
TASK = DeliveryTask("t", "task", Destination("a", delivering.BUCKET, "oss-cn-hangzhou.aliyuncs.com", ROLE, COLUMNS))
PATIENCE_SECONDS = 60


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


def delivered(folder: Path) -> list[int]:
    return [key for file in sorted(folder.rglob("*.parquet")) for key in pq.read_table(file).column("id").to_pylist()]


@pytest.mark.parametrize("kills_after", [1, 4])
def test_a_worker_killed_between_a_file_and_its_state_loses_no_row(tmp_path, kills_after):
    process = Process(tmp_path, kills_after)
    process.client.send(create_table("t", [KeyColumn("id", ColumnType.INTEGER)]))
    for key in range(8):
        process.client.send(put_row("t", (("id", key),), {"v": "y" * 50}))
    process.client.send(wire.create_delivery_task(TASK))
    answered = {*range(8), *process.write_until_it_dies(8)}
    assert process.process.wait() == -signal.SIGKILL
    process.end()

    process = Process(tmp_path)
    try:
        last = time.monotonic() + PATIENCE_SECONDS
        while not answered <= set(delivered(tmp_path / "files")):
            assert time.monotonic() < last, f"never delivered: {answered - set(delivered(tmp_path / 'files'))}"
            time.sleep(0.05)
    finally:
        process.end()

    assert len(delivered(tmp_path / "files")) == len(set(delivered(tmp_path / "files")))
