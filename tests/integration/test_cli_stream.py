"""`stream enable | disable | describe | tail` against the emulator."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import tablestore as sdk

from airflow_tablestore.cli import main
from airflow_tablestore.cli.session import FAILED, MUST_CHANGE, OK, Session
from airflow_tablestore.emulator import Emulator
from airflow_tablestore.pipeline.connections import from_environment

pytestmark = pytest.mark.slow

ALWAYS = sdk.Condition(sdk.RowExistenceExpectation.IGNORE)
INSTANCE, TABLE = "demo", "rides"
PATIENCE_SECONDS = 120
COMMAND = "import sys; from airflow_tablestore.cli import main; sys.exit(main())"


class Rides:
    """One table of an emulator, its official writer, and a shell."""

    def __init__(self, emulator: Emulator):
        at = emulator.tablestore
        self.environment = emulator.environment()
        self.streams = emulator.tablestore_service().streams
        self.writer = sdk.OTSClient(at.endpoint, at.access_key_id, at.access_key_secret, at.instance)
        throughput = sdk.ReservedThroughput(sdk.CapacityUnit(0, 0))
        self.writer.create_table(sdk.TableMeta(TABLE, [("id", "INTEGER")]), sdk.TableOptions(), throughput)

    def put(self, *ids: int) -> None:
        for id_ in ids:
            self.writer.put_row(TABLE, sdk.Row([("id", id_)], [("n", id_)]), ALWAYS)

    def call(self, *words: str) -> tuple[int, str, str]:
        session = Session(io.StringIO(), io.StringIO(), lambda name: from_environment(name, self.environment))
        code = main(["stream", *words], session)
        return code, session.out.getvalue(), session.err.getvalue()

    def tailed(self, *words: str) -> list[int]:
        code, out, _ = self.call("tail", TABLE, "--until-caught-up", *words)
        assert code == OK
        return [json.loads(text)["key"]["id"] for text in out.splitlines()]


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def rides(running: Emulator) -> Rides:
    running.reset()
    return Rides(running)


@pytest.fixture
def streamed(rides: Rides) -> Rides:
    assert rides.call("enable", TABLE, "--hours", "24")[0] == OK
    return rides


# ---- on and off


def test_a_stream_is_switched_on_and_its_retention_changed_without_loss(rides):
    code, out, _ = rides.call("enable", TABLE, "--hours", "24")
    rides.put(1)
    first = json.loads(rides.call("describe", TABLE, "--json")[1])
    again = json.loads(rides.call("enable", TABLE, "--hours", "168", "--json")[1])

    assert (code, "keeps records for 24 hours" in out) == (OK, True)
    assert again == {"table": TABLE, "stream": first["stream"], "hours": 168, "was_on": True}
    assert rides.tailed() == [1]
    assert json.loads(rides.call("describe", TABLE, "--json")[1])["retention_hours"] == 168


def test_a_stream_that_is_switched_off_is_gone(streamed):
    streamed.put(1)

    assert streamed.call("disable", TABLE)[0] == OK
    assert "was off already" in streamed.call("disable", TABLE)[1]
    code, _, told = streamed.call("describe", TABLE)

    assert code == MUST_CHANGE
    assert "has no stream" in told
    assert f"stream enable {TABLE}" in told


@pytest.mark.parametrize("hours", ["0", "169", "-1"])
def test_a_retention_that_cannot_be_is_refused(rides, hours):
    code, _, told = rides.call("enable", TABLE, "--hours", hours)

    assert code == MUST_CHANGE
    assert "1 to 168" in told


@pytest.mark.parametrize("command", ["enable --hours 1", "disable", "describe", "tail"])
def test_a_table_that_is_not_there_is_named(rides, command):
    word, *more = command.split()

    code, _, told = rides.call(word, "nothing", *more)

    assert code == FAILED
    assert "nothing" in told
    assert "does not exist" in told


def test_another_connection_is_asked_for_by_name(rides):
    code, _, told = rides.call("describe", TABLE, "--connection", "other")

    assert code == MUST_CHANGE
    assert "AIRFLOW_CONN_OTHER" in told


# ---- describe


def test_shards_are_drawn_as_a_tree(streamed):
    streamed.put(1, 9)
    lower, upper = streamed.streams.split_shard(INSTANCE, TABLE, None, (("id", 5),))
    streamed.put(2)
    merged = streamed.streams.merge_shards(INSTANCE, TABLE, lower, upper)

    code, out, _ = streamed.call("describe", TABLE)

    (root, one, two, child) = out.splitlines()[-4:]
    assert code == OK
    assert [row.split()[0] for row in (one, two, child)] == ["├─", "└─", "└─"]
    assert ("ended" in root, "ended" in one, "ended" in two, "open" in child) == (True, True, True, True)
    assert "oldest " in root
    assert [name in row for name, row in ((lower, one), (upper, two), (merged, child))] == [True] * 3
    assert "oldest " in one
    assert "no records" in two
    assert f"merged of {lower} and {upper}" in child
    assert "how many records wait is not told" in out


# ---- tail


def test_changes_of_every_shard_come_children_after_parents(streamed):
    streamed.put(1, 9)
    lower, upper = streamed.streams.split_shard(INSTANCE, TABLE, None, (("id", 5),))
    streamed.put(2, 8)
    streamed.streams.merge_shards(INSTANCE, TABLE, lower, upper)
    streamed.put(3)

    found = streamed.tailed()

    assert found in ([1, 9, 2, 8, 3], [1, 9, 8, 2, 3])


def test_a_tail_begins_with_the_changes_of_a_time(streamed, running):
    streamed.put(1, 2)
    running.advance(1800)
    time = running.now()
    streamed.put(3)
    running.advance(1800)
    streamed.put(4)

    assert streamed.tailed("--from", time.isoformat()) == [3, 4]
    assert streamed.tailed("--from", (time + timedelta(seconds=900)).replace(tzinfo=None).isoformat()) == [4]
    assert streamed.tailed("--from", "oldest") == [1, 2, 3, 4]


def test_a_tail_from_now_leaves_out_what_was(streamed):
    streamed.put(1)

    assert streamed.tailed("--from", "now") == []


def test_a_time_that_is_none_is_refused(streamed):
    code, _, told = streamed.call("tail", TABLE, "--from", "yesterday")

    assert code == MUST_CHANGE
    assert "'yesterday' is no time" in told


def test_a_stream_with_more_than_a_page_is_read_to_its_end(streamed):
    rows = [sdk.PutRowItem(sdk.Row([("id", n)], []), ALWAYS) for n in range(2400)]
    for first in range(0, len(rows), 200):
        batch = sdk.BatchWriteRowRequest()
        batch.add(sdk.TableInBatchWriteRowItem(TABLE, rows[first : first + 200]))
        streamed.writer.batch_write_row(batch)

    assert streamed.tailed() == list(range(2400))


@pytest.fixture
def tail(streamed: Rides) -> Iterator[subprocess.Popen]:
    """A tail as a process, with one change printed, so that it is in its loop."""
    streamed.put(1)
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "stream", "tail", TABLE, "--from", "oldest"],
        env={**os.environ, **streamed.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert json.loads(process.stdout.readline())["key"] == {"id": 1}
        yield process
        process.kill()


def ended(tail: subprocess.Popen) -> tuple[int, str, str]:
    """Exit code, and what was not read yet of both outputs: the pipes end with the process."""
    out, told = tail.stdout.read(), tail.stderr.read()
    return tail.wait(PATIENCE_SECONDS), out, told


def test_a_tail_goes_on_through_a_split_that_comes_while_it_looks(streamed, tail):
    streamed.streams.split_shard(INSTANCE, TABLE, None, (("id", 5),))
    streamed.put(2, 8)

    found = {json.loads(tail.stdout.readline())["key"]["id"] for _ in range(2)}

    assert found == {2, 8}


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_tail_ends_cleanly_when_told(tail, sign):
    tail.send_signal(sign)

    assert ended(tail) == (0, "", "1 change.\n")


def test_a_tail_that_is_told_to_end_while_changes_come_ends_with_a_whole_line(streamed, tail):
    stop = threading.Event()

    def write() -> None:
        n = 10
        while not stop.is_set():
            streamed.put(n)
            n += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        tail.stdout.readline()
        tail.send_signal(signal.SIGTERM)
        code, out, told = ended(tail)
    finally:
        stop.set()
        writer.join()

    lines = out.splitlines(keepends=True)
    assert code == 0
    assert all(text.endswith("}\n") and json.loads(text) for text in lines)
    assert told == f"{len(lines) + 2:,} changes.\n"


def test_a_tail_whose_reader_has_gone_ends(streamed, tail):
    tail.stdout.close()

    streamed.put(2)
    streamed.put(3)

    assert tail.wait(PATIENCE_SECONDS) == 0


def test_a_change_tells_when_it_was_made(streamed, running):
    before = datetime.now(UTC) - timedelta(minutes=1)
    running.clock.reset()
    streamed.put(1)

    (text,) = streamed.call("tail", TABLE, "--until-caught-up")[1].splitlines()

    told = json.loads(text)
    assert before < datetime.fromisoformat(told["time"]) < datetime.now(UTC) + timedelta(minutes=1)
    assert told["columns"][0] | {"version": 0} == {"name": "n", "op": "put", "value": 1, "version": 0}
