"""`make demo`: every example pipeline on a real Airflow, then every row compared with the table.

Nothing is simulated: the emulator speaks the services' protocols in a process of its own, the table is loaded with the
official SDK, Airflow runs `dags/` with its scheduler and LocalExecutor, and what was published is read back with tools
that are not ours. The exit code is not zero when a run fails or a row differs.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from tests.system import compare, sample
from tests.system.demo_windows import BACKFILLED, CELLS, ROWS, Drive, export_windows, switch_on, verdict, windows_table
from tests.system.examples import copy_examples
from tests.system.services import emulator, stop_on_signals
from tests.system.stack import Stack, StackBroke

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".demo"
KEY_NAMES = tuple(name for name, _ in sample.KEYS)
FINISHED = {"success", "failed"}
RUN_SECONDS = 240
STEPS = ("plan", "export", "publish")


@dataclass(frozen=True, slots=True)
class Example:
    """One pipeline of `dags/` and how its objects are read back."""

    dag_id: str
    prefix: str
    read: Any
    normal: Any


EXAMPLES = (
    Example("gps_full", "gps/full/", compare.read_parquet, compare.as_is),
    Example("gps_full_csv", "gps/full_csv/", compare.read_csv, compare.as_text),
    Example("gps_full_jsonl", "gps/full_jsonl/", compare.read_jsonl, compare.as_json),
    Example("gps_full_by_hand", "gps/by_hand/", compare.read_parquet, compare.as_is),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one example. `problem` is "" when all is well."""

    example: Example
    rows: int = 0
    bytes: int = 0
    objects: int = 0
    seconds: float = 0.0
    files: str = ""
    problem: str = ""


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
            problems = _demonstrate(services, options.rows, out)
    except (StackBroke, RuntimeError) as broke:
        out.print(f"[red]{broke}[/red]")
        return 1
    except KeyboardInterrupt:
        out.print("Stopped; nothing is left running.")
        return 130
    out.print(f"Everything took {time.monotonic() - began:.0f} s. Files: .demo/published/, logs: .demo/airflow/logs/")
    for problem in problems:
        out.print(f"[red]{problem}[/red]", soft_wrap=True)
    if not problems:
        out.print("Every export equals what was written. To try things by hand: make up")
    return 1 if problems else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=int, default=100_000, help="rows of the sample table (default: %(default)s)")
    return parser.parse_args()


def _demonstrate(services: dict[str, Any], rows: int, out: Console) -> list[str]:
    """What is wrong; empty when all is well."""
    out.print(f"Emulator: Tablestore at {services['tablestore']['endpoint']}, OSS at {services['oss']['endpoint']}")
    drive = Drive(services, FOLDER)
    starts = {ROWS: drive.windows[BACKFILLED].start, CELLS: drive.following.start}
    dags = copy_examples(FOLDER / "dags", drive.following.start, starts)
    loader = _start_loading(services, rows)
    drive.begin()
    try:
        with Stack(FOLDER / "airflow", dags, services["env"]) as stack:
            out.print(f"Airflow is starting at {stack.url} while {rows:,} rows of {sample.TABLE} are loaded ...")
            _wait_loaded(loader, rows, out)
            drive.wait_for_past()
            stack.wait_healthy([*(e.dag_id for e in EXAMPLES), ROWS, CELLS])
            for error in stack.import_errors():
                raise StackBroke(f"a DAG file does not import:\n{error}")
            out.print("Airflow is ready.")
            switch_on(stack, drive, out)
            outcomes = _full_exports(stack, services, out)
            out.print(_closing_table(outcomes, rows))
            exported = export_windows(stack, drive, out)
    finally:
        drive.end()
    out.print(windows_table(exported))
    problems = [f"{o.example.dag_id}: {o.problem}" for o in outcomes if o.problem]
    problems += [f"window {e.window}: {e.problem}" for e in exported if e.problem]
    if not any(e.problem for e in exported):
        out.print(verdict(drive, exported))
    return problems


def _full_exports(stack: Stack, services: dict[str, Any], out: Console) -> list[Outcome]:
    out.print(f"Starting {len(EXAMPLES)} full exports over Airflow's REST API.")
    runs = {e.dag_id: stack.trigger(e.dag_id) for e in EXAMPLES}
    states = _watch(stack, runs, out)
    expected = compare.table_rows(sample.sdk_client(services["tablestore"]), sample.TABLE, KEY_NAMES)
    out.print(f"Reading {len(expected):,} rows back with the official SDK and comparing each export ...")
    return [_judge(stack, services, e, runs[e.dag_id], states[e.dag_id], expected) for e in EXAMPLES]


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
        if int(line) % 25_000 < 10_000:
            out.print(f"  loaded {int(line):,} of {rows:,} rows")
    if loader.wait():
        raise RuntimeError(f"loading the sample failed; see {FOLDER / 'loader.log'}")


def _watch(stack: Stack, runs: dict[str, str], out: Console) -> dict[str, str]:
    """Follow the runs until all have ended, and say what each is doing whenever that changes."""
    told: dict[str, str] = {}
    states = dict.fromkeys(runs, "queued")
    until = time.monotonic() + RUN_SECONDS
    while set(states.values()) - FINISHED:
        if time.monotonic() > until:
            raise StackBroke(f"the runs did not end within {RUN_SECONDS} s: {states}; logs: {stack.home}")
        for dag_id, run_id in runs.items():
            if told.get(dag_id, "").startswith(tuple(FINISHED)):
                continue
            states[dag_id] = stack.run_state(dag_id, run_id)
            line = f"{states[dag_id]:<8} " + ", ".join(_task_lines(stack.task_instances(dag_id, run_id)))
            if told.get(dag_id) != line:
                told[dag_id] = line
                out.print(f"  {dag_id:<17} {line}", soft_wrap=True)
        time.sleep(0.5)
    return states


def _task_lines(instances: list[dict[str, Any]]) -> Iterator[str]:
    """Each task that has begun as `name state`, mapped ones as `name 2/4`."""
    by_task: dict[str, list[str]] = {}
    for instance in instances:
        by_task.setdefault(instance["task_id"].rsplit(".")[-1], []).append(instance["state"] or "")
    for task, states in sorted(by_task.items(), key=lambda item: (*STEPS, item[0]).index(item[0])):
        if len(states) > 1:
            yield f"{task} {states.count('success')}/{len(states)}"
        elif states[0]:
            yield f"{task} {'done' if states[0] == 'success' else states[0]}"


def _judge(
    stack: Stack, services: dict[str, Any], example: Example, run_id: str, state: str, expected: dict[Any, Any]
) -> Outcome:
    if state != "success":
        return Outcome(example, problem=f"the run {run_id} ended {state}; see {stack.home / 'logs'}")
    run = stack.api("GET", f"dags/{example.dag_id}/dagRuns/{run_id}")
    folder = FOLDER / "published" / example.dag_id
    try:
        published = compare.download(compare.bucket(services["oss"]), example.prefix, folder)
    except compare.Different as problem:
        return Outcome(example, problem=str(problem))
    return Outcome(
        example,
        rows=published.manifest["rows"],
        bytes=published.bytes,
        objects=len(published.files),
        seconds=_seconds(run),
        files=folder.name,
        problem=compare.difference(expected, example.read(published.files, KEY_NAMES), example.normal),
    )


def _seconds(run: dict[str, Any]) -> float:
    """A run's wall time as Airflow has it."""
    began, ended = (datetime.fromisoformat(run[name]) for name in ("start_date", "end_date"))
    return (ended - began).total_seconds()


def _closing_table(outcomes: list[Outcome], rows: int) -> Table:
    title = f"{sample.TABLE}: {rows:,} rows, exported by Airflow and compared row by row"
    table = Table(title=title, title_justify="left", box=SIMPLE, padding=0, show_edge=False)
    for heading in ("pipeline", "rows", "bytes", "objects", "seconds", "rows/s", "equal", "files"):
        table.add_column(heading, justify="left" if heading in ("pipeline", "files") else "right", no_wrap=True)
    for o in outcomes:
        speed = f"{o.rows / o.seconds:,.0f}" if o.seconds else "-"
        equal = "[red]no[/red]" if o.problem else "[green]yes[/green]"
        cells = (
            f"{o.rows:,}",
            f"{o.bytes / 1e6:.1f} MB",
            str(o.objects),
            f"{o.seconds:.1f}",
            speed,
            equal,
            f"{o.files}/",
        )
        table.add_row(o.example.dag_id, *cells)
    return table


if __name__ == "__main__":
    sys.exit(main())
