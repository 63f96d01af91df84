"""The part of the demo about delivery: the service itself writes a table as Parquet, a DAG makes, awaits and ends it.

The new task is held in its first phase, where the real service needs up to a minute, until the sensor has gone into the
triggerer. Rows are written before the task begins and while it delivers; each must be in one file, and afterwards the
task must be gone. The oracle is the table, read with the official SDK; the files are read with oss2 and pyarrow.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import oss2
import requests

from tests.system import compare, sample
from tests.system.demo_runs import Runs
from tests.system.demo_verdicts import Verdict, size

DAG, END = "sample_delivery", "sample_delivery_end"
TABLE, TASK, BUCKET, PREFIX = "sampleTable", "sampledelivery", "datadeliverytest", "sample/"
KEYS = (("PK1", "INTEGER"), ("PK2", "STRING"))
KEY_NAMES = tuple(name for name, _ in KEYS)
ROWS_BEFORE, ROWS_MEANWHILE = 1000, 400
FILE_SECONDS = 2
"""After so long a file is complete; the service takes two minutes, which nobody wants to watch."""


@dataclass
class Delivery:
    """One run that makes the task and waits; rows; one run that waits for these and deletes the task."""

    services: dict[str, Any] = field(repr=False)
    folder: Path
    title = f"{TABLE}: delivered as Parquet by the service itself"
    dags = (DAG, END)

    def begin(self, runs: Runs) -> None:
        self._client = sample.sdk_client(self.services["tablestore"])
        prepare(self.services)
        self._tell("cut", {"seconds": FILE_SECONDS})
        self._tell("hold", {"table": TABLE, "task": TASK})
        self._was_deferred = False
        self._started = [runs.start(DAG)]

    def step(self, runs: Runs) -> bool:
        """Whether all is done; lets the service begin, writes on, and ends the task, each when it is time."""
        last = self._started[-1]
        if not self._was_deferred and any(task["state"] == "deferred" for task in runs.tasks(last)):
            self._was_deferred = True
            self._tell("release", {"table": TABLE, "task": TASK})
            runs.say(f"{DAG}: nobody works while the triggerer waits. The service begins to deliver")
        if not runs.seen[last].is_over or runs.seen[last].state == "failed" or len(self._started) == 2:
            return runs.seen[last].is_over
        _write(self._client, ROWS_BEFORE, ROWS_BEFORE + ROWS_MEANWHILE)
        runs.say(f"{DAG} has seen it deliver. {ROWS_MEANWHILE} more rows are written; {END} awaits them")
        self._started.append(runs.start(END))
        return False

    def verdicts(self, runs: Runs) -> Iterator[Verdict]:
        problem = runs.failures(self._started)
        files = self._download()
        rows = list(compare.read_parquet(files, KEY_NAMES))
        if not problem:
            problem = self._difference(rows)
        seconds = sum(runs.seen[key].seconds for key in self._started)
        found = f"OSS: {len(files)} Parquet, {size(sum(file.stat().st_size for file in files))}"
        yield Verdict(DAG, found, len(rows), "table", seconds, problem)

    def _difference(self, rows: list[tuple[compare.Key, compare.Cells]]) -> str:
        from airflow_tablestore.client import Client, Endpoint
        from airflow_tablestore.wire.delivery import list_delivery_tasks

        if not self._was_deferred:
            return "the sensor has never waited in the triggerer"
        told = self.services["tablestore"]
        at = Endpoint(told["endpoint"], told["instance"], told["access_key_id"], told["access_key_secret"])
        with Client(at) as client:  # the official SDK has no words for delivery
            left = [task.name for task in client.send(list_delivery_tasks(TABLE))]
        if left:
            return f"the task is still there: {left}"
        return compare.difference(compare.table_rows(self._client, TABLE, KEY_NAMES), rows, compare.as_is)

    def _download(self) -> list[Path]:
        """Every file that the service has delivered."""
        store, files = _bucket(self.services), []
        for found in oss2.ObjectIteratorV2(store, PREFIX):
            file = self.folder / "published" / DAG / found.key.removeprefix(PREFIX)
            file.parent.mkdir(parents=True, exist_ok=True)
            store.get_object_to_file(found.key, str(file))
            files.append(file)
        return files

    def _tell(self, route: str, told: dict[str, Any]) -> None:
        address = f"{self.services['tablestore']['endpoint']}/_emulator/delivery/{route}"
        requests.post(address, json=told, timeout=60).raise_for_status()


def prepare(services: dict[str, Any]) -> None:
    """The table with its first rows, and the bucket into which it is delivered."""
    client = sample.sdk_client(services["tablestore"])
    _bucket(services).create_bucket()
    sample.create_table(client, TABLE, KEYS)
    _write(client, 0, ROWS_BEFORE)


def _bucket(services: dict[str, Any]) -> oss2.Bucket:
    told = services["oss"]
    auth = oss2.Auth(told["access_key_id"], told["access_key_secret"])
    return oss2.Bucket(auth, told["endpoint"], BUCKET, is_path_style=True)


def _write(client: Any, first: int, end: int) -> None:
    from tablestore import (
        BatchWriteRowRequest,
        Condition,
        PutRowItem,
        Row,
        RowExistenceExpectation,
        TableInBatchWriteRowItem,
    )

    anyway = Condition(RowExistenceExpectation.IGNORE)
    for start in range(first, end, sample.BATCH):
        rows = [_row(number) for number in range(start, min(start + sample.BATCH, end))]
        request = BatchWriteRowRequest()
        request.add(TableInBatchWriteRowItem(TABLE, [PutRowItem(Row(*row), anyway) for row in rows]))
        if not client.batch_write_row(request).is_all_succeed():
            raise RuntimeError(f"rows of {TABLE} were refused")


def _row(number: int) -> tuple[sample.PrimaryKey, sample.Attributes]:
    """Of seven rows one has nothing but its key."""
    key = [("PK1", number), ("PK2", sample.TEXTS[number % len(sample.TEXTS)])]
    return key, [] if number % 7 == 6 else [("Col1", number / 8)]
