"""A window export killed before any of its changes, with real processes: the next run makes it good.

The oracle is what was written to the table, never what the engine reports.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_tablestore.emulator import Emulator
from airflow_tablestore.pipeline.incremental.export import export_window
from airflow_tablestore.pipeline.window import Window
from tests.conformance.folder_store import FolderStore
from tests.conformance.windows import EVERY, GRID, published_ids
from tests.integration.exporting_window import (
    READING,
    STEPS,
    Steps,
    client_of,
    export_of,
    stepped,
)
from tests.integration.streaming import StreamTable

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


class World:
    """A stream with changes in two windows, in shards that were split in between."""

    def __init__(self, emulator: Emulator):
        self.url = emulator.tablestore.endpoint
        self.start = GRID.floor(datetime.now(UTC) - timedelta(minutes=30))
        self.table = StreamTable(emulator, at=self.start - timedelta(seconds=30))
        self.first, self.second = (
            Window(self.start, self.start + EVERY),
            Window(self.start + EVERY, self.start + 2 * EVERY),
        )
        self.written = {self.first: [1, 2, 7], self.second: [3, 8]}
        self.table.at(self.start + timedelta(seconds=10)).put(1, 7)
        self.table.split(5)
        self.table.at(self.start + timedelta(seconds=20)).put(2)
        self.table.at(self.start + EVERY + timedelta(seconds=20)).put(3, 8)
        self.table.at(self.start + 3 * EVERY)

    def steps(self, folder: Path) -> Steps:
        """What a whole run asks for."""
        steps = Steps()
        with client_of(self.url) as client:
            export_window(export_of(folder), stepped(client, folder, steps), self.first)
        return steps


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with Emulator() as emulator:
        yield World(emulator)


def test_every_step_of_a_window_is_one_that_a_kill_is_tried_before(world, tmp_path):
    steps = world.steps(tmp_path / "listed")

    assert set(steps.seen) - READING <= STEPS
    assert set(steps.seen) - READING >= {"CreateTable", "PutRow", "put_if_absent", "initiate", "complete", "delete"}


def test_a_window_killed_before_any_change_is_made_good_by_the_next_run(world, tmp_path):
    count = world.steps(tmp_path / "counted").changes

    command = [sys.executable, "-m", "tests.integration.exporting_window", world.url, str(tmp_path)]
    done = subprocess.run([*command, world.start.isoformat(), str(count)], cwd=ROOT, capture_output=True, timeout=300)

    assert done.stdout.split() == [b"%d" % signal.SIGKILL] * count, done.stderr.decode()[-2000:]
    for nth in range(1, count + 1):
        store: Any = FolderStore(tmp_path / f"n{nth}")
        exported = export_of(store.folder)
        before = published_ids(store, exported, world.first)
        assert before is None or sorted(before) == world.written[world.first], f"change {nth}"
        with client_of(world.url) as client:
            services = stepped(client, store.folder, Steps())
            for window in (world.second, world.first) if nth % 2 else (world.first, world.second):
                export_window(exported, services, window)
        for window, ids in world.written.items():
            assert sorted(published_ids(store, exported, window) or []) == ids, f"change {nth}"
        assert len(store.pending_uploads()) <= 2  # begun, and killed before they were on record
