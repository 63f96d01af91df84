"""One command as a process: wall time, CPU time and the highest memory it ever held."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Ran:
    """What one process took. `peak_mb` is the most memory that it held at once."""

    seconds: float
    cpu_seconds: float
    peak_mb: float
    output: str


def run(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Ran:
    """Run to its end; its standard output is kept, its standard error goes to a file in the folder."""
    out, log, told = folder / "out", folder / "log", folder / "took"
    path = os.pathsep.join(filter(None, (environment.get("PYTHONPATH"), str(ROOT))))
    watched = [*python("-m", "tests.bench.watch"), str(told), *command]
    with out.open("wb") as stdout, log.open("wb") as stderr:
        settings = {**os.environ, **environment, "PYTHONPATH": path}
        code = subprocess.run(watched, env=settings, stdout=stdout, stderr=stderr).returncode
    if code:
        raise RuntimeError(f"{' '.join(command)} failed:\n{log.read_text()[-2000:]}")
    took = json.loads(told.read_text())
    return Ran(took["seconds"], took["cpu"], took["kib"] / 1024, out.read_text())


def python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]
