"""A drain into objects, killed anywhere: a reader of the manifests finds every change of the writer's journal once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_tablestore.emulator import Emulator
from airflow_tablestore.pipeline.tunnel.channels import channels_at, published
from airflow_tablestore.wire.tunnel import StartFlag, StreamRange, TunnelType, create_tunnel, describe_tunnel
from tests.conformance.folder_store import FolderStore
from tests.integration.draining import CHANGING, PREFIX, Steps, drain_of, drained, versions_published
from tests.integration.tunnel_writing import Written, until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
EARLIEST = StreamRange(StartFlag.EARLIEST)
KILLS = 6


class World(Written):
    """A table with changes before and after a split, each drained through a tunnel of its own."""

    def __init__(self, emulator: Emulator):
        super().__init__(emulator, keys=6)
        for key in range(self.keys):
            self.write(key)
        self.split()
        for key in range(self.keys):
            self.write(key)

    def new_tunnel(self, name: str) -> str:
        return self.client.send(create_tunnel("t", name, TunnelType.STREAM, EARLIEST))

    def forget_clients(self, name: str, id_: str) -> None:
        """What the service does a while after a client has fallen silent."""
        channels = self.client.send(describe_tunnel("t", name)).channels
        for client in {one.client_id for one in channels if one.client_id}:
            self.emulator.tablestore_service().tunnels.drop_client(id_, client)

    @property
    def journal(self) -> dict[int, list[int]]:
        return {key: list(range(1, last + 1)) for key, last in enumerate(self.versions) if last}


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with Emulator() as emulator:
        yield World(emulator)


def killed_before(world: World, nth: int, name: str, folder: Path) -> bool:
    """Whether the drain got that far."""
    child = os.fork()
    if not child:
        try:
            drained(world.endpoint, drain_of(name), folder, Steps(nth))
        finally:
            os._exit(0)
    return os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


def test_a_drain_publishes_each_change_once(world, tmp_path):
    world.new_tunnel("whole")
    steps = Steps()

    report = drained(world.endpoint, drain_of("whole"), tmp_path, steps)
    again = drained(world.endpoint, drain_of("whole"), tmp_path)

    assert versions_published(tmp_path) == world.journal
    assert (report.rows, report.is_caught_up, again.rows) == (2 * world.keys, True, 0)
    assert set(steps.seen) == CHANGING


@pytest.mark.parametrize("nth", range(1, 25))
def test_a_drain_killed_before_any_change_is_made_good_by_the_next_one(world, tmp_path, nth):
    name = f"n{nth}"
    id_ = world.new_tunnel(name)

    was_killed = killed_before(world, nth, name, tmp_path)
    world.forget_clients(name, id_)
    drained(world.endpoint, drain_of(name), tmp_path)

    assert was_killed
    assert versions_published(tmp_path) == world.journal
    store = FolderStore(tmp_path)
    assert channels_at(store, PREFIX, "pending") == []
    data = {one.key for one in store.list(PREFIX) if one.key.endswith(".parquet")}
    assert data == {entry.key for entry in published(store, PREFIX)}


def start(world: Written, folder: Path) -> subprocess.Popen[str]:
    told = [world.endpoint, "n", str(folder), "0", "NEVER"]
    command = [sys.executable, "-m", "tests.integration.draining", *told]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def test_workers_killed_under_load_publish_each_change_once(tmp_path):
    chance = random.Random(5)
    with Emulator() as emulator, Written(emulator) as written:
        written.tunnel(TunnelType.STREAM, EARLIEST)
        workers = [start(written, tmp_path) for _ in range(2)]
        for _ in range(KILLS):
            seen = len(list(published(FolderStore(tmp_path), PREFIX)))
            until(lambda seen=seen: len(list(published(FolderStore(tmp_path), PREFIX))) > seen + chance.randrange(1, 6))
            victim = workers.pop(chance.randrange(2))
            victim.kill()
            victim.wait()
            workers.append(start(written, tmp_path))
        written.finish()
        journal = {key: list(range(1, last + 1)) for key, last in enumerate(written.versions) if last}
        for worker in workers:
            worker.kill()
            worker.wait()
        written.forget_clients()
        drained(written.endpoint, drain_of("n"), tmp_path)

    assert versions_published(tmp_path) == journal
