"""The official Go worker and ours on one tunnel: they share its channels, and together they miss nothing."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from airflow_tablestore.consumer.tunnel import TunnelReader
from airflow_tablestore.emulator import Emulator
from airflow_tablestore.wire.tunnel import StartFlag, StreamRange, TunnelType
from tests.integration.tunnel_worker import SETTINGS
from tests.integration.tunnel_writing import Written, until
from tests.judges.runtimes import Absent, go
from tests.judges.test_judges import absent

pytestmark = pytest.mark.slow


class GoWorker:
    """The official worker as a process; what it took, in its order."""

    def __init__(self, written: Written, tunnel: str):
        try:
            program = go()
        except Absent as reason:
            absent(reason)
        at = written.emulator.tablestore
        place = {
            "endpoint": at.endpoint,
            "instance": at.instance,
            "tunnel": tunnel,
            "access_key_id": at.access_key_id,
            "access_key_secret": at.access_key_secret,
        }
        self._process = subprocess.Popen(
            program.command,
            env={**os.environ, **program.environment, "WORK": json.dumps(place)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.keys: list[int] = []
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def stop(self) -> None:
        """Lets it leave the tunnel."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(120)
        self._thread.join()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.keys += json.loads(line)["keys"]


class OurWorker:
    """Our worker in a thread; what it took, in its order."""

    def __init__(self, written: Written, tunnel: str):
        self.keys: list[int] = []
        patient = replace(SETTINGS, timeout_seconds=30)
        self._reader = TunnelReader(written.client, tunnel, settings=patient)
        self._thread = threading.Thread(target=self._reader.run, args=(self._take,))
        self._thread.start()

    def stop(self) -> None:
        """Lets it leave the tunnel."""
        self._reader.stop()
        self._thread.join()

    def _take(self, batch) -> None:
        self.keys += [record.decoded().key[0][1] for record in batch.records]


@pytest.fixture
def written() -> Iterator[Written]:
    with Emulator() as emulator:
        written = Written(emulator)
        for key in range(written.keys):
            written.write(key)
        yield written
        written.client.close()


def shares(written: Written) -> list[int]:
    """How many open channels each owner has, the fewest first."""
    return sorted(Counter(one.client_id for one in written.channels() if one.status == "OPEN").values())


def test_the_go_worker_alone_takes_what_ours_would(written):
    tunnel = written.tunnel(TunnelType.BASE_AND_STREAM)
    written.write(7)
    worker = GoWorker(written, tunnel)
    try:
        until(lambda: len(worker.keys) == written.keys + 1)
    finally:
        worker.stop()

    assert sorted(worker.keys[:-1]) == list(range(written.keys))
    assert worker.keys[-1] == 7


def test_both_workers_share_a_tunnel_and_miss_nothing(written):
    for _ in range(3):
        written.split()
    tunnel = written.tunnel(TunnelType.STREAM, StreamRange(StartFlag.LATEST))
    theirs, ours = GoWorker(written, tunnel), OurWorker(written, tunnel)
    try:
        until(lambda: shares(written) == [2, 2])
        written.split()
        for key in range(written.keys):
            written.write(key)
        until(lambda: len(set(theirs.keys + ours.keys)) == written.keys)
        # the Go worker leaves before it writes its last checkpoints, and what they say is then read again
        until(lambda: sum(one.records for one in written.channels()) == written.keys)
    finally:
        theirs.stop()
        ours.stop()

    assert theirs.keys
    assert ours.keys
    # a channel that moves between the two is read again from its last checkpoint, so repeats are not counted
    assert set(theirs.keys + ours.keys) == set(range(written.keys))


@pytest.mark.parametrize("who", ["theirs", "ours"])
def test_one_takes_over_when_the_other_leaves(written, who):
    written.split()
    tunnel = written.tunnel(TunnelType.STREAM, StreamRange(StartFlag.LATEST))
    workers = {"theirs": GoWorker(written, tunnel), "ours": OurWorker(written, tunnel)}
    left = workers["ours" if who == "theirs" else "theirs"]
    try:
        until(lambda: shares(written) == [1, 1])
        workers[who].stop()
        until(lambda: shares(written) == [2])
        for key in range(written.keys):
            written.write(key)
        until(lambda: len(left.keys) == written.keys)
    finally:
        left.stop()

    assert sorted(left.keys) == list(range(written.keys))
