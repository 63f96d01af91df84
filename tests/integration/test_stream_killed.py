"""The official SDK writes and the emulator is killed: what was answered has its record, what has a record is there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sized
from pathlib import Path

import pytest
from tablestore import (
    INF_MAX,
    INF_MIN,
    BatchWriteRowRequest,
    CapacityUnit,
    Condition,
    DeleteRowItem,
    OTSClient,
    PutRowItem,
    ReservedThroughput,
    Row,
    RowExistenceExpectation,
    TableInBatchWriteRowItem,
    TableMeta,
    TableOptions,
    UpdateRowItem,
)
from tablestore.error import OTSError
from urllib3.exceptions import HTTPError

from airflow_tablestore.client.client import Client, Endpoint
from airflow_tablestore.emulator.accounts import DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET
from airflow_tablestore.emulator.remote import Remote
from airflow_tablestore.wire.call import Call
from airflow_tablestore.wire.proto import table_pb2 as pb
from airflow_tablestore.wire.row import CellOp
from airflow_tablestore.wire.row import Row as Changed
from airflow_tablestore.wire.stream import (
    Action,
    StreamRecord,
    describe_stream,
    get_shard_iterator,
    get_stream_records,
    list_streams,
)

IGNORE = Condition(RowExistenceExpectation.IGNORE)
BATCH_ROWS = 20
PATIENCE_SECONDS = 120

SERVE = """
import sys, time
from pathlib import Path
from airflow_tablestore.emulator.accounts import demo_accounts
from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.server import Server
from airflow_tablestore.emulator.tablestore.app import TablestoreApp

app = TablestoreApp(Path(sys.argv[1]), demo_accounts(), Clock())
server = Server(app).start()
print(server.url, flush=True)
for line in sys.stdin:
    app.service.streams.split_shard("demo", "t")
    print("split", flush=True)
time.sleep(600)
"""


class Process:
    """The service in a process of its own, an official client and one of ours."""

    def __init__(self, folder: Path):
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self._connect(self._process.stdout.readline().strip())

    def _connect(self, url: str) -> None:
        self.url = url
        self.sdk = OTSClient(url, DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET, "demo", socket_timeout=60)
        self.client = Client(Endpoint(url, "demo", DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET))

    def split(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("split\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "split\n"

    def make_table(self) -> None:
        """A table by the SDK, with a stream, which the SDK cannot ask for."""
        options, throughput = TableOptions(), ReservedThroughput(CapacityUnit(0, 0))
        self.sdk.create_table(TableMeta("t", [("pk", "STRING"), ("row", "INTEGER")]), options, throughput)
        request = pb.UpdateTableRequest(table_name="t", stream_spec=pb.StreamSpecification(enable_stream=True))
        self.client.send(Call("/UpdateTable", request.SerializeToString(), lambda body: None))

    def records(self) -> list[list[StreamRecord]]:
        """The records of each shard, parents before children."""
        (stream,) = self.client.send(list_streams("t"))
        found = []
        for shard in self.client.send(describe_stream(stream.id)).shards:
            place: str | None = self.client.send(get_shard_iterator(stream.id, shard.id)).iterator
            found.append([])
            while place is not None:
                page = self.client.send(get_stream_records(place, table_name="t"))
                found[-1] += page.records
                place = page.next_iterator if page.may_more else None
        return found

    def kill(self) -> None:
        self.client.close()
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()


class Command(Process):
    """The same as users start it: `emulator up`."""

    def __init__(self, folder: Path):
        command = [sys.executable, "-m", "airflow_tablestore.emulator", "up", "--json", "--data-dir", str(folder)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._connect(json.loads(self._process.stdout.readline())["tablestore"]["endpoint"])

    def split(self) -> None:
        Remote(self.url).post("stream/split", {"instance": "demo", "table": "t"})


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


def wait_for(answered: Sized, count: int) -> None:
    last = time.monotonic() + PATIENCE_SECONDS
    while len(answered) < count:
        assert time.monotonic() < last, f"only {len(answered)} batches were answered"
        time.sleep(0.01)


def stored_keys(sdk: OTSClient) -> set[tuple[str, int]]:
    keys = set()
    following = [("pk", INF_MIN), ("row", INF_MIN)]
    while following:
        _, following, rows, _ = sdk.get_range(
            "t", "FORWARD", following, [("pk", INF_MAX), ("row", INF_MAX)], max_version=1
        )
        keys.update((row.primary_key[0][1], row.primary_key[1][1]) for row in rows)
    return keys


@pytest.mark.slow
@pytest.mark.parametrize("start", [Process, Command])
def test_a_write_whose_answer_arrived_has_its_record_after_a_kill(tmp_path, start):
    process = start(tmp_path)
    process.make_table()
    answered: list[tuple[int, int]] = []
    writers = [threading.Thread(target=write_until_it_dies, args=(process.sdk, writer, answered)) for writer in (0, 1)]
    for writer in writers:
        writer.start()
    for enough in (10, 20):
        wait_for(answered, enough)
        if enough == 10:
            process.split()

    process.kill()
    for writer in writers:
        writer.join()
    restarted = start(tmp_path)

    try:
        shards = restarted.records()
        keys = [tuple(value for _, value in record.decoded().key) for shard in shards for record in shard]
        stored = stored_keys(restarted.sdk)
        restarted.sdk.put_row("t", Row([("pk", "after"), ("row", 0)], []), IGNORE)
        after = [record for shard in restarted.records() for record in shard][len(keys) :]
    finally:
        restarted.kill()
    assert {(f"{writer}/{number}", row) for writer, number in answered for row in range(BATCH_ROWS)} <= set(keys)
    assert len(keys) == len(set(keys))
    assert set(keys) == stored
    assert len(shards) == 3
    assert len(after) == 1


def change_until_it_dies(client: OTSClient, writer: int, answered: list[int]) -> None:
    """Puts, updates and deletes the same few rows in batches."""
    for number in range(10_000):
        at = [[("pk", f"{writer}"), ("row", (number + n) % 7)] for n in range(4)]
        request = BatchWriteRowRequest()
        items = [
            PutRowItem(Row(at[0], [("put", number), ("kept", "x" * 100)]), IGNORE),
            UpdateRowItem(Row(at[1], {"PUT": [("changed", number)], "DELETE_ALL": ["kept"]}), IGNORE),
            UpdateRowItem(Row(at[2], {"INCREMENT": [("sum", 1)]}), IGNORE),
            DeleteRowItem(Row(at[3]), IGNORE),
        ]
        request.add(TableInBatchWriteRowItem("t", items))
        try:
            if not client.batch_write_row(request).is_all_succeed():
                return
        except (HTTPError, OTSError):
            return
        answered.append(number)


def replayed(records: Iterable[StreamRecord]) -> dict[tuple[object, ...], dict[str, object]]:
    """What a reader of the stream knows of the table."""
    rows: dict[tuple[object, ...], dict[str, object]] = {}
    for record in records:
        row = record.decoded()
        key = tuple(value for _, value in row.key)
        if record.action == Action.DELETE:
            rows.pop(key, None)
            continue
        cells = {} if record.action == Action.PUT else rows.get(key, {})
        for cell in row.cells:
            if cell.op == CellOp.PUT:
                cells[cell.name] = cell.value
            else:
                cells.pop(cell.name, None)
        rows[key] = cells
    return rows


def stored(sdk: OTSClient) -> dict[tuple[object, ...], dict[str, object]]:
    start, end = ([("pk", bound), ("row", bound)] for bound in (INF_MIN, INF_MAX))
    rows = sdk.get_range("t", "FORWARD", start, end, max_version=1)[2]
    return {
        tuple(value for _, value in row.primary_key): {name: value for name, value, _ in row.attribute_columns}
        for row in rows
    }


@pytest.mark.slow
def test_rows_and_records_agree_however_often_emulator_up_is_killed(tmp_path):
    process = Command(tmp_path)
    process.make_table()
    counts = []
    for _ in range(3):
        answered: list[int] = []
        writers = [threading.Thread(target=change_until_it_dies, args=(process.sdk, n, answered)) for n in (0, 1)]
        for writer in writers:
            writer.start()
        wait_for(answered, 30)
        process.kill()
        for writer in writers:
            writer.join()
        process = Command(tmp_path)

        records = [record for shard in process.records() for record in shard]
        counts.append(len(records))

        assert replayed(records) == stored(process.sdk)
        assert len(records) % 4 == 0, "a part of a batch was kept"
        assert len(records) >= 4 * len(answered) + sum(counts[-2:-1])
    process.kill()


@pytest.mark.slow
def test_what_the_official_sdk_writes_is_told_by_the_stream(tmp_path):
    process = Process(tmp_path)
    try:
        process.make_table()
        at = [("pk", "é"), ("row", 1)]
        process.sdk.put_row("t", Row(at, [("i", 1), ("s", "x"), ("b", bytearray(b"\0")), ("d", 0.5)]), IGNORE)
        process.sdk.update_row("t", Row(at, {"PUT": [("s", "y")], "DELETE_ALL": ["b"]}), IGNORE)
        process.sdk.update_row("t", Row(at, {"INCREMENT": [("i", 4)]}), IGNORE)
        batch = BatchWriteRowRequest()
        other = [("pk", "z"), ("row", 2)]
        items = [
            PutRowItem(Row(other, [("t", True)]), IGNORE),
            UpdateRowItem(Row(at, {"PUT": [("n", 9)]}), IGNORE),
            DeleteRowItem(Row(at), IGNORE),
        ]
        batch.add(TableInBatchWriteRowItem("t", items))
        assert process.sdk.batch_write_row(batch).is_all_succeed()
        (records,) = process.records()
    finally:
        process.kill()

    told = [(record.action, *described(record.decoded())) for record in records]
    assert told == [
        (Action.PUT, "é", {"i": 1, "s": "x", "b": b"\0", "d": 0.5}),
        (Action.UPDATE, "é", {"s": "y", "b": CellOp.DELETE_ALL_VERSIONS}),
        (Action.UPDATE, "é", {"i": 5}),
        (Action.PUT, "z", {"t": True}),
        (Action.UPDATE, "é", {"n": 9}),
        (Action.DELETE, "é", {}),
    ]
    assert [record.sequence.row_index for record in records] == [0, 0, 0, 0, 1, 2]


def described(row: Changed) -> tuple[object, dict[str, object]]:
    return row.key[0][1], {cell.name: cell.op if cell.value is None else cell.value for cell in row.cells}
