"""Two ways to do the same work, taking turns in one process: CPU and wall time of each turn.

What else runs on the machine then disturbs both alike, and medians forget what disturbed one.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

Work = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds of one turn: by the clock, and of all CPUs for this process."""

    seconds: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Figure:
    """One comparison. `at_least` and `aim` are what the ratio shall reach; None: nothing was promised.

    `less_is_better`: the ratio shall stay below them instead.
    """

    name: str
    ours: float
    theirs: float
    unit: str
    how: str
    at_least: float | None = None
    aim: float | None = None
    less_is_better: bool = False

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "ours": round(self.ours, 2),
            "theirs": round(self.theirs, 2),
            "ratio": round(self.ratio, 2),
            "unit": self.unit,
            "at_least": self.at_least,
            "aim": self.aim,
        }


def timed(work: Work) -> Took:
    """One turn. What an earlier one left is collected first, so that nobody pays for it."""
    gc.collect()
    began, cpu = time.perf_counter(), time.process_time()
    work()
    return Took(time.perf_counter() - began, time.process_time() - cpu)


def in_turns(*works: Work, rounds: int) -> list[list[Took]]:
    """The turns of each work; one of each that does not count comes first."""
    for work in works:
        work()
    took: list[list[Took]] = [[] for _ in works]
    for _ in range(rounds):
        for work, turns in zip(works, took, strict=True):
            turns.append(timed(work))
    return took


def per_cpu_second(amount: float, turns: Sequence[Took]) -> float:
    """How much of it a CPU second does, by the median turn."""
    return amount / median(turn.cpu_seconds for turn in turns)


def per_second(amount: float, turns: Sequence[Took]) -> float:
    """How much of it a second of the clock does, by the median turn."""
    return amount / median(turn.seconds for turn in turns)
