"""What was measured as a page, a plot and a file for programs: `docs/benchmarks/`."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tests.bench.pairs import Figure

BAR, ROW, LEFT, WIDTH = 300, 30, 400, 780
"""Pixels of the plot: its longest bar, a row, where bars begin, and the whole."""

INTRODUCTION = """\
# How fast it is

Measured by `make bench`, which writes this page. Ratios say how many times as fast this package is, both sides taking
turns in the same run; trust them and not the figures beside them, which are of one machine. CPU time counts every
thread of the process that reads, not the server. Medians throughout.

![How many times as fast](ratios.svg)

Where the CPU time of an export to csv goes, function by function, shows [a flame graph](flame.svg): open it by itself,
then a click on a frame makes it as wide as the page.
"""
CLOSING = """\
**Odd tables** are those with names like "mixed types", "sparse wide rows", "strings of 2 KB" and "blocks of 10 rows".
The C library takes them in the same pass as others. Without it they are a cliff: numpy walks the rows of a block
together, so blocks of few rows, of rows that differ, and of long strings go to the plain decoder, which is behind the
SDK's C parser by as much as the table says.

**Two threads** read prepared answers in memory: a server on the same two cores would take one of them. More than
four fifths of their time are spent in C (digests, decoding, text) without the interpreter's lock.

"At least" is what a change must not fall below on an idle machine; a ratio of memory or of time a row should stay below
it instead. Rates by the clock suffer from whatever else the machine does, and the ratio of two threads to one can be
seen only where two cores are free.

The same figures for programs: [latest.json](latest.json). Nothing here is a figure of the real service: servers are
on the same machine and answer at once.
"""


def write(folder: Path, figures: Sequence[Figure], others: Sequence[tuple[str, str, str]], load: float) -> None:
    """The three files.

    :param load: the machine's load average before the bench began.
    """
    folder.mkdir(parents=True, exist_ok=True)
    told = json.dumps([figure.to_json() for figure in figures], indent=1)
    (folder / "latest.json").write_text(told + "\n")
    (folder / "ratios.svg").write_text(plot([one for one in figures if not one.less_is_better]))
    parts = [INTRODUCTION, machine(load) + "\n", _table(figures)]
    if others:
        parts.append(_others(others))
    (folder / "README.md").write_text("\n".join([*parts, CLOSING]))


def machine(load: float) -> str:
    """One paragraph on what this was measured with."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("tablestore", "pyodps", "pyarrow", "apache-airflow"))
    return (
        f"On {datetime.now(UTC):%Y-%m-%d}, revision {_revision()}: {os.cpu_count()} cores of {_processor()}, "
        f"{platform.system()} {platform.release().split('-')[0]}, Python {platform.python_version()}, {packages}. "
        f"Load average before it began: {load:.1f}."
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _revision() -> str:
    told = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return told.stdout.strip() or "unknown"


def _table(figures: Sequence[Figure]) -> str:
    lines = [
        "| measured | ours | theirs | ratio | at least | aim | unit | how |",
        "| --- | ---: | ---: | ---: | ---: | ---: | --- | --- |",
    ]
    for one in figures:
        promised = [f"{bound:g}" if bound is not None else "" for bound in (one.at_least, one.aim)]
        cells = [one.name, number(one.ours), number(one.theirs), f"**{one.ratio:.2f}**", *promised, one.unit, one.how]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _others(others: Sequence[tuple[str, str, str]]) -> str:
    lines = ["| by itself | figure | how |", "| --- | --- | --- |"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in others)]) + "\n"


def number(value: float) -> str:
    """Three digits, or all that stand before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def plot(figures: Sequence[Figure]) -> str:
    """Ratios as bars on one scale; a tick in a bar's row is what it must reach."""
    longest = max(max(one.ratio, one.at_least or 0) for one in figures)
    height = ROW * len(figures) + 20
    rows = []
    for place, one in enumerate(figures):
        top = 10 + place * ROW
        color = "#b3541e" if one.at_least and one.ratio < one.at_least else "#2c6e9b"
        width = one.ratio / longest * BAR
        rows.append(f'<text x="{LEFT - 10}" y="{top + 15}" text-anchor="end">{one.name}</text>')
        rows.append(f'<rect x="{LEFT}" y="{top}" width="{width:.1f}" height="20" fill="{color}"/>')
        rows.append(f'<text x="{LEFT + width + 6:.1f}" y="{top + 15}">{one.ratio:.1f}x</text>')
        if one.at_least:
            x = LEFT + one.at_least / longest * BAR
            rows.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top - 3}" y2="{top + 23}" stroke="#222"/>')
    style = '<style>text{font:13px sans-serif;fill:#222}</style><rect width="100%" height="100%" fill="#fff"/>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" role="img">'
    return "\n".join([head, style, *rows, "</svg>"]) + "\n"
