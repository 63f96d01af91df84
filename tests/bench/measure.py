"""One command as a process: wall time, CPU time and the highest memory it ever held."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Ran:
    """What one process took. `peak_mb` is its VmHWM."""

    seconds: float
    cpu_seconds: float
    peak_mb: float
    output: str


def run(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Ran:
    """Run to its end; its standard output is kept, its standard error goes to a file in the folder."""
    began = time.monotonic()
    out, log = folder / "out", folder / "log"
    with out.open("wb") as stdout, log.open("wb") as stderr:
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=stdout, stderr=stderr)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{log.read_text()[-2000:]}")
    peak = used.ru_maxrss / 1024  # KiB on Linux
    return Ran(time.monotonic() - began, used.ru_utime + used.ru_stime, peak, out.read_text())


def python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]
