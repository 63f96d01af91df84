"""A table that is written while its tunnel is read, and the writer's own journal, by which readers are judged."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path

import tablestore as sdk

from airflow_tablestore.client import Client, Endpoint
from airflow_tablestore.emulator import Emulator
from airflow_tablestore.errors import SpecError
from airflow_tablestore.wire.call import Call
from airflow_tablestore.wire.proto import table_pb2 as pb
from airflow_tablestore.wire.tunnel import StreamRange, TunnelType, create_tunnel, describe_tunnel

ALWAYS = sdk.Condition(sdk.RowExistenceExpectation.IGNORE)
WORKER = Path(__file__).with_name("tunnel_worker.py")
PATIENCE_SECONDS = 120.0

Line = tuple[int, int | None, str, int, str, int]
"""Key, version, action, record time, channel, process."""


def until(claim):
    """Waits for a claim to be true."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not claim():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


class Written:
    """A table of numbered keys. Each write of a key has the next version of that key."""

    def __init__(self, emulator: Emulator, keys: int = 40):
        at = emulator.tablestore
        self.emulator, self.endpoint, self.keys = emulator, at.endpoint, keys
        self.sdk = sdk.OTSClient(at.endpoint, at.access_key_id, at.access_key_secret, at.instance)
        self.client = Client(Endpoint(at.endpoint, at.instance, at.access_key_id, at.access_key_secret))
        self.versions = [0] * keys  # the journal: the version of each key that was answered last
        throughput = sdk.ReservedThroughput(sdk.CapacityUnit(0, 0))
        self.sdk.create_table(sdk.TableMeta("t", [("id", "INTEGER")]), sdk.TableOptions(), throughput)
        request = pb.UpdateTableRequest(table_name="t", stream_spec=pb.StreamSpecification(enable_stream=True))
        self.client.send(Call("/UpdateTable", request.SerializeToString(), lambda body: None))
        self._stop, self._thread = threading.Event(), threading.Thread(target=self._write)

    def write(self, key: int) -> None:
        version = self.versions[key] + 1
        self.sdk.put_row("t", sdk.Row([("id", key)], [("v", version)]), ALWAYS)
        self.versions[key] = version

    def tunnel(self, type_: TunnelType, stream: StreamRange | None = None) -> str:
        return self.client.send(create_tunnel("t", "n", type_, stream))

    def channels(self):
        return self.client.send(describe_tunnel("t", "n")).channels

    def forget_clients(self) -> None:
        """What the service does a while after clients have fallen silent; until then their channels are theirs."""
        told = self.client.send(describe_tunnel("t", "n"))
        for client in {one.client_id for one in told.channels if one.client_id}:
            self.emulator.tablestore_service().tunnels.drop_client(told.tunnel.id, client)

    def split(self) -> None:
        self.emulator.tablestore_service().streams.split_shard("demo", "t")

    def merge(self) -> None:
        """Merges the first two neighbours."""
        streams = self.emulator.tablestore_service().streams
        shards = sorted((one for one in streams.shards("demo", "t") if one.is_open), key=lambda one: one.low)
        if len(shards) > 1:
            streams.merge_shards("demo", "t", shards[0].id, shards[1].id)

    def __enter__(self) -> Written:
        """Writes in a thread, and splits and merges now and then, until `finish`."""
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.finish()
        self.client.close()

    def finish(self) -> None:
        self._stop.set()
        self._thread.join()

    def _write(self) -> None:
        chance = random.Random(7)
        for number in range(100_000):
            self.write(chance.randrange(self.keys))
            if number % 150 == 100:
                with contextlib.suppress(SpecError):  # too few rows in the shard that was to be cut
                    chance.choice([self.split, self.split, self.merge])()
            if self._stop.wait(0.001):
                return


class Journal:
    """What workers took, in the order in which they took it."""

    def __init__(self, path: Path):
        self.path = path

    def lines(self) -> list[Line]:
        if not self.path.exists():
            return []
        told = self.path.read_text().split("\n")[:-1]
        return [tuple(json.loads(line)) for line in told]

    def last(self) -> dict[int, int]:
        """The version of each key that was taken last."""
        return {key: version for key, version, *_ in self.lines()}

    def workers(self) -> set[int]:
        return {line[5] for line in self.lines()}

    def changes(self) -> dict[int, list[int]]:
        """The versions of each key as changes told them, each where it was told first."""
        found: dict[int, list[int]] = defaultdict(list)
        for key, version, _, micros, *_ in self.lines():
            if micros and version not in found[key]:
                found[key].append(version)
        return found

    def repeats(self) -> int:
        """How many changes were told again."""
        told = [(key, version) for key, version, _, micros, *_ in self.lines() if micros]
        return len(told) - len(set(told))


def start_worker(
    written: Written, tunnel: str, journal: Journal, until: str, pause_seconds: float = 0.0, timeout_seconds: int = 60
):
    """A worker in a process of its own.

    :param timeout_seconds: a busy machine may be silent for some; one that is taken for dead repeats what it did.
    """
    told = [written.endpoint, tunnel, str(journal.path), until, str(pause_seconds), str(timeout_seconds)]
    command = [sys.executable, str(WORKER), *told]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
