"""Into MaxCompute: the command that users type, against the SDK's row loop that feeds pyodps's own record writer.

Whole processes take turns, each into a table of its own of the same columns. What a server does counts for nobody.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench import big_table
from tests.bench.measure import Ran, python, run
from tests.bench.pairs import Figure
from tests.bench.scale import MILLION, Measured, last_user
from tests.bench.sdk_loop import COLUMNS
from tests.system import sample
from tests.system.services import COMMAND, emulator

PAIRS = 3
OURS, THEIRS = "bench_ours", "bench_theirs"
FEW = sample.FIXES_PER_UID
"""Rows of a load that is nothing but its start."""


def measured(
    folder: Path, sizes: Sequence[int], say: Callable[[str], None], pairs: int = PAIRS
) -> Iterator[Figure | Measured]:
    """Rows per CPU second of both, and the memory of ours by the size of the table.

    :param sizes: of tables, which are ranges of the largest one; both sides load the smallest.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sizes, data_dir = sorted(sizes), folder / "data"
    say(f"Making a table of {sizes[-1]:,} rows ...")
    big_table.make(data_dir, sizes[-1])
    with emulator(data_dir, folder / "emulator.log") as services:
        yield from _against_pyodps(services, folder, sizes[0], pairs, say)
        if len(sizes) > 1:
            yield from _memory(services, folder, sizes, say)


def load(services: dict[str, Any], folder: Path, rows: int) -> Ran:
    """One run of ours over the first rows of the table."""
    spec = folder / "maxcompute.yaml"
    columns = ", ".join((*(name for name, _ in sample.KEYS), *COLUMNS))
    spec.write_text(
        "pipeline: bench_maxcompute\nkind: full_export\n"
        f"source: {{table: {sample.TABLE}, columns: [{columns}], range: {{end: [{last_user(rows)}]}}}}\n"
        f"sink: {{type: maxcompute, table: {OURS}, truncate: true, create_table: true}}\n"
    )
    ran = run([*COMMAND, "run", str(spec), "--json"], services["env"], folder)
    _check(json.loads(ran.output)["rows"], rows)
    return ran


def load_by_records(services: dict[str, Any], folder: Path, rows: int) -> Ran:
    """The same by the loop, into a table of the same columns."""
    loop = python("-m", "tests.bench.pyodps_loop", json.dumps(services), OURS, THEIRS, last_user(rows))
    ran = run(loop, services["env"], folder)
    _check(int(ran.output), rows)
    return ran


def _check(loaded: int, rows: int) -> None:
    if loaded != rows:
        raise RuntimeError(f"{loaded} rows were loaded of {rows}")


def _against_pyodps(
    services: dict[str, Any], folder: Path, rows: int, pairs: int, say: Callable[[str], None]
) -> Iterator[Figure]:
    ours: list[Ran] = []
    theirs: list[Ran] = []
    starts: list[list[Ran]] = [[], []]
    for pair in range(pairs):
        say(f"Pair {pair + 1} of {pairs}: this package's run, then the SDK loop with pyodps, {rows:,} rows ...")
        ours.append(load(services, folder, rows))
        theirs.append(load_by_records(services, folder, rows))
        for side, work in zip(starts, (load, load_by_records), strict=True):
            side.append(work(services, folder, FEW))
    how = (
        f"{rows:,} rows of the emulator into its MaxCompute, whole processes; ours by Arrow and one commit; theirs: "
        "get_range into pyodps's record writer"
    )
    amount = rows / 1000
    for name, unit, attribute, least, aim in (
        ("run to MaxCompute / SDK loop to pyodps", "thousand rows per CPU second", "cpu_seconds", 8, 14),
        ("run to MaxCompute / SDK loop to pyodps, by the clock", "thousand rows per second", "seconds", None, None),
    ):
        mine, other = (amount / median(getattr(one, attribute) for one in ran) for ran in (ours, theirs))
        yield Figure(name, mine, other, unit, how, least, aim)
    mine, other = (_beyond_start(rows, ran, begun) for ran, begun in zip((ours, theirs), starts, strict=True))
    name, told = "run to MaxCompute / SDK loop to pyodps, without their starts", f"{how}; less what {FEW} rows take"
    yield Figure(name, mine, other, "thousand rows per CPU second", told, 8, 14)
    mine, other = (median(one.peak_mb for one in ran) for ran in (ours, theirs))
    yield Figure("memory to MaxCompute / SDK loop to pyodps", mine, other, "MB at most", how, less_is_better=True)


def _beyond_start(rows: int, ran: Sequence[Ran], begun: Sequence[Ran]) -> float:
    """Thousand rows per CPU second, of the rows and the time that a load has more than a start."""
    spent, start = (median(one.cpu_seconds for one in side) for side in (ran, begun))
    return (rows - FEW) / 1000 / max(spent - start, 0.01)


def _memory(
    services: dict[str, Any], folder: Path, sizes: Sequence[int], say: Callable[[str], None]
) -> Iterator[Figure | Measured]:
    """Memory and time a row of the largest table against the smallest, one process each."""
    ran = []
    for rows in sizes:
        say(f"Loading {rows:,} rows ...")
        ran.append(load(services, folder, rows))
        figure = f"{ran[-1].seconds:.1f} s, {ran[-1].cpu_seconds:.1f} s CPU, {ran[-1].peak_mb:.0f} MB peak"
        yield f"run, {rows:,} rows to MaxCompute", figure, "the whole process, with its start"
    times, how = sizes[-1] // sizes[0], f"{sizes[-1]:,} rows against {sizes[0]:,}; a ratio of 1 is flat"
    peaks = ran[-1].peak_mb, ran[0].peak_mb
    name = f"memory of {times} times the rows, MaxCompute"
    yield Figure(name, *peaks, "MB at most", how, 1.1, 1.0, less_is_better=True)
    first, last = (one.cpu_seconds / size * MILLION for one, size in ((ran[0], sizes[0]), (ran[-1], sizes[-1])))
    name = f"CPU time a row of {times} times the rows, MaxCompute"
    yield Figure(name, last, first, "CPU seconds a million rows", how, less_is_better=True)
