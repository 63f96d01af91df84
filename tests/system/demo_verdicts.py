"""What the demo finds: for each pipeline, what it published, and whether that is what was written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from rich.box import SIMPLE
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line of the closing table. `problem` is "" when all is well.

    :param found: what was read back, in words.
    :param rows: how many rows that were.
    :param same_as: what it was compared with, row by row: the table, or the journal of the writer.
    :param seconds: how long Airflow took.
    """

    pipeline: str
    found: str
    rows: int
    same_as: str
    seconds: float
    problem: str = ""


def verdicts_table(verdicts: Iterable[Verdict]) -> Table:
    table = Table(box=SIMPLE, padding=0, show_edge=False)
    for heading in ("pipeline", "what was read back", "rows", "s", "same as", "equal"):
        justify: Literal["left", "right"] = "right" if heading in ("rows", "s") else "left"
        table.add_column(heading, justify=justify, no_wrap=heading != "what was read back")
    for one in verdicts:
        equal = "[red]no[/red]" if one.problem else "[green]yes[/green]"
        table.add_row(one.pipeline, one.found, f"{one.rows:,}", f"{one.seconds:.0f}", one.same_as, equal)
    return table


def size(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.0f} kB"
