"""`make demo`: every pipeline of `dags/` on a real Airflow; then every row compared with what was written.

Nothing is simulated: the emulator speaks the services' protocols in a process of its own, the tables are written with
the official SDK, Airflow runs `dags/` with its scheduler, LocalExecutor and triggerer, but for one export of the past
that the command line makes, and what was published is read back with tools that are not ours. The exit code is not zero
when a run fails or a row differs.

Each part of the demo is a module: what it starts, what follows when a run has ended, how it judges.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import requests
from rich.console import Console

from tests.system import sample, writer
from tests.system.demo_delivery import Delivery
from tests.system.demo_drive import BACKFILLED, Drive
from tests.system.demo_exports import FullExports
from tests.system.demo_restore import Restore
from tests.system.demo_runs import Runs
from tests.system.demo_snapshot import DAG as SNAPSHOT
from tests.system.demo_snapshot import Snapshot
from tests.system.demo_stream import TO_OBJECTS, Streams
from tests.system.demo_verdicts import Verdict, verdicts_table
from tests.system.demo_windows import ROWS, Windows
from tests.system.examples import copy_examples
from tests.system.services import emulator, stop_on_signals
from tests.system.stack import COMPONENTS, Stack, StackBroke

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".demo"
PATIENCE_SECONDS = 1500
"""For all runs together; on a machine that is not busy they take a minute or two, on one that is, more than three."""


class Part(Protocol):
    """What the demo shows beside its other parts."""

    title: str
    dags: tuple[str, ...]

    def begin(self, runs: Runs) -> None:
        """Start what can be started at once."""

    def step(self, runs: Runs) -> bool:
        """Start what follows now; whether all is done."""

    def verdicts(self, runs: Runs) -> Iterator[Verdict]:
        """Read back and compare; asked when all is done."""


def main() -> int:
    options = _options()
    out = Console(highlight=False)
    stop_on_signals()
    began = time.monotonic()
    if FOLDER.exists():
        shutil.rmtree(FOLDER)
    FOLDER.mkdir()
    try:
        with emulator(FOLDER / "emulator", FOLDER / "emulator.log") as services:
            verdicts = _demonstrate(services, options.rows, out)
    except (StackBroke, RuntimeError, requests.RequestException) as broke:
        out.print(f"[red]{broke}[/red]", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        out.print("Stopped; nothing is left running.")
        return 130
    return _close(verdicts, time.monotonic() - began, out)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=100_000, help="rows of the sample table (default: %(default)s)")
    return parser.parse_args()


def _demonstrate(services: dict[str, Any], rows: int, out: Console) -> list[Verdict]:
    _head(out, "1. An emulator, tables, an Airflow")
    for name in ("tablestore", "oss", "maxcompute"):
        out.print(f"  {name:<12} {services[name]['endpoint']}")
    drive = Drive(services, FOLDER)
    later = drive.windows[-1].end + timedelta(days=1)  # what is started by hand here is not due by a schedule, too
    starts = {ROWS: drive.windows[BACKFILLED].start, SNAPSHOT: drive.windows[0].start}
    dags = copy_examples(FOLDER / "dags", later, starts, by_hand=(TO_OBJECTS, SNAPSHOT))
    loader = _start_loading(services, rows)
    snapshot = Snapshot(services, drive, dags)
    drive.begin(snapshot.held)
    parts: list[Part] = [
        Delivery(services, FOLDER),
        FullExports(services, FOLDER),
        Restore(services),
        Windows(services, drive),
        snapshot,
        Streams(services, drive),
    ]
    try:
        with Stack(FOLDER / "airflow", dags, services["env"], (*COMPONENTS, "triggerer")) as stack:
            out.print(f"  {'airflow':<12} {stack.url}   starts, while its tables get their rows:")
            _wait_loaded(loader, rows, out)
            drive.wait_for_past()
            told = f"{len(drive.written()):,} changes in {len(drive.windows)} windows of five minutes, and goes on"
            out.print(f"  {writer.TABLE:<12} a fleet has written {told}", soft_wrap=True)
            stack.wait_healthy([dag_id for part in parts for dag_id in part.dags])
            for error in stack.import_errors():
                raise StackBroke(f"a DAG file does not import:\n{error}")
            runs = _run_all(stack, parts, out)
            _head(out, "3. Every row compared with what was written")
            return [verdict for part in parts for verdict in _judged(part, runs, out)]
    finally:
        drive.end()


def _run_all(stack: Stack, parts: list[Part], out: Console) -> Runs:
    """Every part's runs, side by side.

    :raises StackBroke: they have not ended in time.
    """
    _head(out, "2. The pipelines of dags/, side by side; started over Airflow's REST API")
    for part in parts:
        out.print(f"  {', '.join(part.dags)}\n      {part.title}", soft_wrap=True)
    out.print()
    runs = Runs(stack, out)
    for part in parts:
        part.begin(runs)
    until, parts = time.monotonic() + PATIENCE_SECONDS, list(parts)
    while parts:
        if time.monotonic() > until:
            waiting = sorted(run.name for run in runs.seen.values() if not run.is_over)
            why = "".join(f"\na DAG file does not import any more:\n{error}" for error in stack.import_errors())
            raise StackBroke(f"not over after {PATIENCE_SECONDS} s: {waiting}; logs: {stack.home / 'logs'}{why}")
        time.sleep(1)
        runs.look()
        parts = [part for part in parts if not part.step(runs)]
    return runs


def _judged(part: Part, runs: Runs, out: Console) -> list[Verdict]:
    out.print(f"  {part.title} ...", soft_wrap=True)
    return list(part.verdicts(runs))


def _close(verdicts: list[Verdict], seconds: float, out: Console) -> int:
    """The table, and what it says; the exit code."""
    out.print()
    out.print(verdicts_table(verdicts))
    out.print(f"\nEverything took {seconds:.0f} s. Files: .demo/published/, logs: .demo/airflow/logs/")
    wrong = [one for one in verdicts if one.problem]
    for one in wrong:
        out.print(f"[red]{one.pipeline}: {one.problem}[/red]", soft_wrap=True, markup=True)
    if not wrong:
        out.print("Everything is as it was written: nothing lost, nothing twice.\nTo try things by hand: make up")
    return 1 if wrong else 0


def _head(out: Console, title: str) -> None:
    out.print(f"\n[bold]{title}[/bold]", soft_wrap=True)


def _start_loading(services: dict[str, Any], rows: int) -> subprocess.Popen[str]:
    loader = subprocess.Popen(
        [sys.executable, "-m", "tests.system.sample", str(rows)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=(FOLDER / "loader.log").open("wb"),
        text=True,
    )
    if loader.stdin is None:
        raise RuntimeError("the loader has no input")
    loader.stdin.write(json.dumps(services) + "\n")
    loader.stdin.close()
    return loader


def _wait_loaded(loader: subprocess.Popen[str], rows: int, out: Console) -> None:
    for line in loader.stdout or ():
        if int(line) % 50_000 == 0 or int(line) == rows:
            out.print(f"  {sample.TABLE:<12} {int(line):,} of {rows:,} rows")
    if loader.wait():
        raise RuntimeError(f"loading the sample failed; see {FOLDER / 'loader.log'}")


if __name__ == "__main__":
    sys.exit(main())
