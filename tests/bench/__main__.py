"""Runs every measurement, prints each as it comes, and writes `docs/benchmarks/`. Options: see `--help`."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from tests.bench import (
    big_table,
    flame,
    folding,
    golang,
    reading,
    report,
    scale,
    shapes,
    specs,
    tunnels,
    warehouse,
    windows,
)
from tests.bench import emulator as emulated
from tests.bench.pairs import Figure
from tests.bench.scale import Measured
from tests.system import services

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".bench"
PAGE = ROOT / "docs" / "benchmarks"
MILLION = 1_000_000
PAGES = 20
"""Answers of 5,000 rows that readers are compared on."""

PARTS = ("emulator", "reading", "specs", "windows", "tunnels", "warehouse", "snapshots", "flame", "runs")


def main() -> int:
    options = _options()
    out = Console(highlight=False, soft_wrap=True)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    load, failed = os.getloadavg()[0], 0
    figures: list[Figure] = []
    others: list[Measured] = []
    for part in options.only or PARTS:
        began = time.monotonic()
        try:
            for one in _part(part, options, out):
                _show(one, out)
                (figures if isinstance(one, Figure) else others).append(one)  # type: ignore[attr-defined]
        except Exception as error:  # noqa: BLE001 - what was measured in minutes before is kept; the page names the gap
            failed += 1
            others.append((part, "not measured", f"it failed ({type(error).__name__}); the bench printed why"))
            out.print(f"  {part} failed: {error}", markup=False)
        out.print(f"  ({part}: {time.monotonic() - began:.0f} s)")
    if not options.only and figures:
        report.write(PAGE, figures, others, load)
        out.print(f"Written: {PAGE.relative_to(ROOT)}/README.md, latest.json and ratios.svg")
    shutil.rmtree(FOLDER, ignore_errors=True)
    return 1 if failed else 0


def _show(one: Figure | Measured, out: Console) -> None:
    if isinstance(one, Figure):
        shown = f"{report.number(one.ours)} to {report.number(one.theirs)} {one.unit}"
        out.print(f"  [bold]{one.ratio:6.2f}[/]  {one.name}: {shown}")
    else:
        out.print(f"  {one[0]}: {one[1]} ({one[2]})")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", help="table sizes of whole runs, multiples of 500")
    parser.add_argument("--rounds", type=int, default=5, help="turns of which the median is taken")
    parser.add_argument("--only", choices=PARTS, action="append", help="this part alone; then no figures are written")
    return parser.parse_args()


def _part(part: str, options: argparse.Namespace, out: Console) -> Iterator[Figure | Measured]:
    if part == "emulator":
        out.print("The emulator alone ...")
        yield from emulated.alone(FOLDER)
        yield from _emulator_reads((options.rows or [MILLION])[0])
    elif part == "reading":
        out.print("Readers, with answers in memory and from a server of prepared bytes ...")
        yield from reading.decoding(PAGES, options.rounds)
        yield from reading.in_memory(PAGES, options.rounds)
        yield from golang.in_memory(FOLDER, PAGES, options.rounds)
        yield from reading.over_http(FOLDER, PAGES, options.rounds)
        yield from reading.threads(PAGES, options.rounds)
        yield from shapes.decoding(options.rounds)
    elif part == "specs":
        out.print("Specs to DAG objects ...")
        yield from specs.building(FOLDER, rounds=3)
    elif part == "windows":
        out.print("Incremental windows, by the command and in Airflow ...")
        yield from windows.measured(FOLDER / "windows", out.print, rounds=options.rounds)
    elif part == "tunnels":
        out.print("Tunnel workers ...")
        yield from tunnels.measured(FOLDER / "tunnels", out.print, rounds=options.rounds)
    elif part == "warehouse":
        out.print("Into MaxCompute, by the command and by pyodps's records ...")
        sizes = options.rows or [MILLION, 4 * MILLION]
        yield from warehouse.measured(FOLDER / "warehouse", sizes, out.print)
    elif part == "snapshots":
        out.print("Snapshots, against reading the table again ...")
        yield from folding.measured(FOLDER / "snapshots", out.print, rows=(options.rows or [MILLION])[0])
    elif part == "flame":
        out.print("A flame graph of an export ...")
        drawn = flame.draw(FOLDER / "flame", PAGE, (options.rows or [2 * MILLION])[-1])
        out.print(f"Written: {drawn.relative_to(ROOT)}")
    else:
        sizes = options.rows or [MILLION, 2 * MILLION, 4 * MILLION]
        yield from scale.whole_runs(FOLDER, sizes, out.print)


def _emulator_reads(rows: int) -> Iterator[Measured]:
    data_dir = FOLDER / "data-emulator"
    big_table.make(data_dir, rows)
    with services.emulator(data_dir, FOLDER / "emulator.log") as running:
        yield from emulated.full(running, rows)
    shutil.rmtree(data_dir)


if __name__ == "__main__":
    sys.exit(main())
