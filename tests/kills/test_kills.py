"""Workers killed under load, between any two steps and at any moment: the sink holds what it promises."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pytest
import tablestore as sdk

from airflow_tablestore.emulator import Emulator
from airflow_tablestore.errors import SpecError
from airflow_tablestore.wire.tunnel import StartFlag, StreamRange, TunnelType
from tests.integration.tunnel_writing import ALWAYS, Written
from tests.kills.sinks import SINKS, Judged, Where, last_put
from tests.kills.worker import SORTS, Steps, work

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("KILLS") or 100)
SEED = int(os.environ.get("SEED") or random.randrange(1_000_000))
WORKERS = 2
MOST_STEPS = 6
MOST_SECONDS = 5.0
"""A worker that has not come to its step by then, or before, is killed from outside, at a moment of its own."""


class Load(Written):
    """Writes, splits and merges until it is told to stop; slowly enough that workers keep up between their deaths.

    First comes a split, then a merge, then whatever chance brings: a slow machine may come to few of them.
    """

    splits = 0
    merges = 0

    def write(self, key: int) -> None:
        """Puts a whole row, or changes one of its cells."""
        version = self.versions[key] + 1
        if last_put(version) == version:
            self.sdk.put_row("t", sdk.Row([("id", key)], [("v", version), ("w", version)]), ALWAYS)
        else:
            self.sdk.update_row("t", sdk.Row([("id", key)], {"PUT": [("v", version)]}), ALWAYS)
        self.versions[key] = version

    def _write(self) -> None:
        chance = random.Random(SEED)
        number = 0
        while not self._stop.wait(0.004):
            self.write(chance.randrange(self.keys))
            number += 1
            if number % 200 == 0:
                with contextlib.suppress(SpecError):  # too few rows in the shard that was to be cut
                    if self.splits == 0 or (self.merges > 0 and chance.random() < 0.6):
                        self.split()
                        self.splits += 1
                    else:
                        self.merge()
                        self.merges += 1


class Workers:
    """So many workers at a time, each on its way to its own end."""

    def __init__(self, judged: Judged, where: Where, folder: Path):
        self._judged, self._where, self._folder = judged, where, folder
        self._chance = random.Random(SEED)
        self._started = 0
        self.ends: Counter[str] = Counter()
        self._living: dict[int, tuple[Path, float]] = {}
        command = [sys.executable, "-m", "tests.kills.worker"]
        pipe = subprocess.PIPE
        self._nursery = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)

    def keep(self, number: int) -> None:
        """Buries those that are dead or due, and starts as many as are missing."""
        for worker, (note, due) in list(self._living.items()):
            if not _lives(worker):
                self.ends[note.read_text() if note.exists() else "by itself"] += 1
                del self._living[worker]
            elif time.monotonic() >= due:
                self._kill(worker)
        while len(self._living) < number:
            self._start()

    def _start(self) -> None:
        self._started += 1
        note = self._folder / f"end-{self._started}"
        step = [self._chance.choice(SORTS), self._chance.randint(1, MOST_STEPS)]
        told = [self._judged.name, asdict(self._where), *step, str(note)]
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        self._nursery.stdin.write(json.dumps(told) + "\n")
        self._nursery.stdin.flush()
        worker = int(self._nursery.stdout.readline())
        self._living[worker] = (note, time.monotonic() + self._chance.uniform(0.2, MOST_SECONDS))

    def _kill(self, worker: int) -> None:
        note, _ = self._living.pop(worker)
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
        while _lives(worker):
            time.sleep(0.01)
        self.ends[note.read_text() if note.exists() else "at any moment"] += 1

    def end(self) -> None:
        """Kills those that are left."""
        for worker in list(self._living):
            self._kill(worker)
        assert self._nursery.stdin is not None
        self._nursery.stdin.close()
        self._nursery.wait()

    @property
    def kills(self) -> int:
        """How many were killed."""
        return sum(count for end, count in self.ends.items() if end != "by itself")


def _lives(worker: int) -> bool:
    try:
        os.kill(worker, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("judged", SINKS, ids=lambda judged: judged.name)
def test_a_sink_keeps_its_promise_while_workers_are_killed_under_load(judged, tmp_path):
    began = time.monotonic()
    with Emulator() as emulator:
        where = Where(emulator.tablestore.endpoint, emulator.maxcompute.endpoint, str(tmp_path / "sink"))
        (tmp_path / "sink").mkdir()
        with Load(emulator) as load:
            load.tunnel(TunnelType.STREAM, StreamRange(StartFlag.EARLIEST))
            workers = Workers(judged, where, tmp_path)
            try:
                while workers.kills < KILLS:
                    workers.keep(WORKERS)
                    time.sleep(0.02)
            finally:
                workers.end()
            load.finish()
            journal = {key: last for key, last in enumerate(load.versions) if last}
            load.forget_clients()
            work(judged, where, Steps("", 0, tmp_path), until_caught_up=True)
            channels = len(load.channels())

        verdict = judged.promise(journal, list(judged.told(where)))

    ends = ", ".join(f"{count} {_before(end)}" for end, count in workers.ends.most_common())
    print(
        f"\n{judged.name}: seed {SEED}, {workers.kills} kills in {time.monotonic() - began:.0f} s ({ends}); "
        f"{sum(journal.values()):,} changes of {len(journal)} keys, {load.splits} splits, {load.merges} merges, "
        f"{channels} channels; found {verdict.records:,}, {verdict.repeats} again, {len(verdict.broken)} breaks."
    )
    assert verdict.broken == ()
    assert workers.ends["by itself"] == 0
    assert load.splits > 0
    assert load.merges > 0


def _before(end: str) -> str:
    return f"before {end}" if "." in end or "/" in end else end
