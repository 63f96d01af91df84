"""A larger table takes longer and no more memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def peak_megabytes(folder: Path, rows: int, format: str) -> int:
    """VmHWM of a process that exports so many rows with four threads."""
    command = [sys.executable, "-m", "tests.integration.exporting_much", str(folder), str(rows), format]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    exported, peak = map(int, done.stdout.split())
    assert exported == rows
    return peak


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads VmHWM from /proc")
@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_memory_stays_flat(tmp_path, format):
    few = peak_megabytes(tmp_path / "few", 100_000, format)
    many = peak_megabytes(tmp_path / "many", 600_000, format)

    assert many < 300
    assert many - few < 60
