"""Whole runs: the command that users type, against the SDK's loop, and against itself on a larger table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench import big_table
from tests.bench.measure import Ran, python, run
from tests.bench.pairs import Figure
from tests.system import sample
from tests.system.services import COMMAND, emulator

MILLION = 1_000_000
PAIRS = 3

Measured = tuple[str, str, str]
"""What was measured, the figure, and how."""


def whole_runs(
    folder: Path,
    sizes: Sequence[int],
    say: Callable[[str], None],
    pairs: int = PAIRS,
    formats: Sequence[str] = ("csv", "parquet"),
) -> Iterator[Figure | Measured]:
    """`airflow-tablestore run` on tables of these sizes, which are ranges of the largest one."""
    sizes = sorted(sizes)
    data_dir = folder / "data"
    say(f"Making a table of {sizes[-1]:,} rows ...")
    big_table.make(data_dir, sizes[-1])
    with emulator(data_dir, folder / "emulator.log") as services:
        yield from _against_the_sdk(services, folder, sizes[0], pairs, say)
        yield from _task_memory(services, folder, sizes[0])
        for file_format in formats:
            ran = []
            for rows in sizes:
                say(f"Exporting {rows:,} rows as {file_format} ...")
                ran.append(export(services, folder, file_format, rows))
                yield _told(ran[-1], rows, file_format)
            yield from _against_itself(ran, sizes, file_format)


def export(services: dict[str, Any], folder: Path, file_format: str, rows: int) -> Ran:
    """One run over the first rows of the table."""
    spec = folder / f"{file_format}.yaml"
    spec.write_text(
        f"pipeline: bench_{file_format}\nkind: full_export\n"
        f"source: {{table: {sample.TABLE}, range: {{end: [{last_user(rows)}]}}}}\n"
        f"sink: {{type: oss, bucket: backup, prefix: bench/{file_format}/, format: {file_format}}}\n"
    )
    ran = run([*COMMAND, "run", str(spec), "--json", "--repin"], services["env"], folder)
    read = json.loads(ran.output)["rows"]
    if read != rows:
        raise RuntimeError(f"{read} rows were exported of {rows}")
    return ran


def last_user(rows: int) -> str:
    """Whose rows are the last ones to read."""
    if rows % sample.FIXES_PER_UID:
        raise ValueError(f"{rows} rows do not end with a user")
    return f"user_{rows // sample.FIXES_PER_UID - 1:06d}"


def _against_the_sdk(
    services: dict[str, Any], folder: Path, rows: int, pairs: int, say: Callable[[str], None]
) -> Iterator[Figure]:
    ours: list[Ran] = []
    theirs: list[Ran] = []
    for pair in range(pairs):
        say(f"Pair {pair + 1} of {pairs}: this package's run, then the SDK loop, {rows:,} rows to csv ...")
        ours.append(export(services, folder, "csv", rows))
        loop = python("-m", "tests.bench.sdk_loop", json.dumps(services), str(folder / "sdk.csv"), last_user(rows))
        theirs.append(run(loop, services["env"], folder))
    how = f"{rows:,} rows of the emulator, whole processes; ours also looks at the table, uploads to OSS and publishes"
    amount = rows / 1000
    for name, unit, attribute in (
        ("run to csv in OSS / SDK loop to a file", "thousand rows per CPU second", "cpu_seconds"),
        ("run to csv in OSS / SDK loop to a file, by the clock", "thousand rows per second", "seconds"),
    ):
        mine, other = (amount / median(getattr(one, attribute) for one in ran) for ran in (ours, theirs))
        yield Figure(name, mine, other, unit, how)


def _task_memory(services: dict[str, Any], folder: Path, rows: int) -> Iterator[Measured]:
    airflow = {"AIRFLOW_HOME": str(folder / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    environment = {**services["env"], **airflow}
    idle = run(python("-m", "tests.bench.task", "idle"), environment, folder)
    busy = run(python("-m", "tests.bench.task", "export", last_user(rows)), environment, folder)
    figure = f"{idle.peak_mb:.0f} MB idle, {busy.peak_mb:.0f} MB exporting, {busy.peak_mb - idle.peak_mb:.0f} MB more"
    yield "Airflow task", figure, f"{rows:,} rows to parquet in one task"


def _told(ran: Ran, rows: int, file_format: str) -> Measured:
    figure = f"{ran.seconds:.1f} s, {ran.cpu_seconds:.1f} s CPU, {ran.peak_mb:.0f} MB peak"
    return f"run, {rows:,} rows to {file_format}", figure, "the whole process, with its start"


def _against_itself(ran: Sequence[Ran], sizes: Sequence[int], file_format: str) -> Iterator[Figure]:
    """Memory of the largest against the smallest, and time a row: one process each."""
    times = sizes[-1] // sizes[0]
    how = f"{sizes[-1]:,} rows against {sizes[0]:,}; a ratio of 1 is flat"
    yield Figure(
        f"memory of {times} times the rows, {file_format}",
        ran[-1].peak_mb,
        ran[0].peak_mb,
        "MB at most",
        how,
        1.1,
        1.0,
        less_is_better=True,
    )
    first, last = (one.cpu_seconds / size * MILLION for one, size in ((ran[0], sizes[0]), (ran[-1], sizes[-1])))
    name = f"CPU time a row of {times} times the rows, {file_format}"
    yield Figure(name, last, first, "CPU seconds a million rows", how, less_is_better=True)
