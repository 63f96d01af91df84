"""Runs every measurement and prints one table. Options: see `--help`."""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench import big_table
from tests.bench import emulator as emulated
from tests.bench.measure import Ran, python, ratio, run
from tests.system.services import COMMAND, emulator

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".bench"
PAIRS = 3
EMULATOR = "emulator"


def main() -> int:
    options = _options()
    out = Console(highlight=False)
    if FOLDER.exists():
        shutil.rmtree(FOLDER)
    FOLDER.mkdir()
    table = Table(title=f"airflow-tablestore on {platform.machine()}, Python {platform.python_version()}")
    for heading in ("measured", "figure", "how"):
        table.add_column(heading)
    measured = _emulator(options.rows, out) if options.only == EMULATOR else _measurements(options.rows, out)
    for row in measured:
        table.add_row(*row)
    out.print(table)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    sizes = [200_000, 1_000_000, 4_000_000]
    parser.add_argument("--rows", type=int, nargs="+", help="table sizes; pairs run on the smallest")
    parser.add_argument("--only", choices=[EMULATOR], help="the emulator by itself, with a table of a million rows")
    options = parser.parse_args()
    options.rows = options.rows or (sizes[1:2] if options.only else sizes)
    return options


def _emulator(sizes: list[int], out: Console) -> Iterator[tuple[str, str, str]]:
    out.print("The emulator alone ...")
    yield from emulated.alone(FOLDER)
    for rows in sorted(sizes):
        data_dir = FOLDER / f"data-{rows}"
        out.print(f"Making a table of {rows:,} rows ...")
        big_table.make(data_dir, rows)
        with emulator(data_dir, FOLDER / "emulator.log") as services:
            yield from emulated.full(services, rows)
        shutil.rmtree(data_dir)


def _measurements(sizes: list[int], out: Console) -> Iterator[tuple[str, str, str]]:
    out.print("The emulator alone ...")
    yield from emulated.alone(FOLDER)
    for number, rows in enumerate(sorted(sizes)):
        data_dir = FOLDER / f"data-{rows}"
        out.print(f"Making a table of {rows:,} rows ...")
        big_table.make(data_dir, rows)
        with emulator(data_dir, FOLDER / "emulator.log") as services:
            yield from emulated.full(services, rows)
            if number == 0:
                yield from _against_the_sdk(services, rows, out)
                yield from _task_memory(services, rows, out)
            for file_format in ("parquet", "csv"):
                out.print(f"Exporting {rows:,} rows as {file_format} ...")
                ran = _export(services, file_format)
                report = json.loads(ran.output)
                figure = f"{ran.peak_mb:.0f} MB peak, {report['rows_per_second']:,.0f} rows/s"
                yield (
                    f"run, {rows:,} rows to {file_format}",
                    figure,
                    f"{ran.seconds:.0f} s, {ran.cpu_seconds:.0f} s CPU",
                )
        shutil.rmtree(data_dir)


def _against_the_sdk(services: dict[str, Any], rows: int, out: Console) -> Iterator[tuple[str, str, str]]:
    ours: list[Ran] = []
    theirs: list[Ran] = []
    for pair in range(PAIRS):
        out.print(f"Pair {pair + 1} of {PAIRS}: this package's run, then the SDK loop, {rows:,} rows to CSV ...")
        ours.append(_export(services, "csv"))
        loop = python("-m", "tests.bench.sdk_loop", json.dumps(services), str(FOLDER / "sdk.csv"))
        theirs.append(run(loop, services["env"], FOLDER))
    cpu = ratio([r.cpu_seconds for r in ours], [r.cpu_seconds for r in theirs])
    wall = ratio([r.seconds for r in ours], [r.seconds for r in theirs])
    how = f"{rows:,} rows to CSV, whole processes, medians of {PAIRS} pairs"
    yield "SDK loop / run, CPU", f"{cpu:.1f}x", how
    yield "SDK loop / run, wall", f"{wall:.1f}x", how + "; ours also uploads"


def _task_memory(services: dict[str, Any], rows: int, out: Console) -> Iterator[tuple[str, str, str]]:
    out.print("An Airflow task, idle and exporting ...")
    airflow = {"AIRFLOW_HOME": str(FOLDER / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    environment = {**services["env"], **airflow}
    idle = run(python("-m", "tests.bench.task", "idle"), environment, FOLDER)
    busy = run(python("-m", "tests.bench.task", "export"), environment, FOLDER)
    figure = f"{idle.peak_mb:.0f} MB idle, {busy.peak_mb:.0f} MB exporting, {busy.peak_mb - idle.peak_mb:.0f} MB more"
    yield "Airflow task", figure, f"{rows:,} rows to parquet in one task"


def _export(services: dict[str, Any], file_format: str) -> Ran:
    spec = FOLDER / f"{file_format}.yaml"
    spec.write_text(
        f"pipeline: bench_{file_format}\nkind: full_export\nsource: {{table: ots_gps_data}}\n"
        f"sink: {{type: oss, bucket: backup, prefix: bench/{file_format}/, format: {file_format}}}\n"
    )
    return run([*COMMAND, "run", str(spec), "--json"], services["env"], FOLDER)


if __name__ == "__main__":
    sys.exit(main())
