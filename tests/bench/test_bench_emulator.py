"""`make bench` measures the emulator: each figure is there and is of the table that was made."""

from __future__ import annotations

import re

import pytest
from tablestore import INF_MAX, INF_MIN

from tests.bench import big_table
from tests.bench import emulator as emulated
from tests.system import sample, services

pytestmark = pytest.mark.slow

ROWS = 6_000


def numbers(text: str) -> list[float]:
    return [float(found.replace(",", "")) for found in re.findall(r"[0-9][0-9,]*(?:\.[0-9]+)?", text)]


def test_start_up_and_writing_are_measured(tmp_path):
    start, written = emulated.alone(tmp_path, rows=400, starts=1)

    assert start[0] == "emulator, start-up"
    assert numbers(start[1])[0] > 0
    assert written[2].startswith("400 rows")
    assert all(number > 0 for number in numbers(written[1]))


def test_reading_and_memory_are_measured_over_the_whole_table(tmp_path):
    big_table.make(tmp_path / "data", ROWS)

    with services.emulator(tmp_path / "data", tmp_path / "log") as running:
        read, memory = emulated.full(running, ROWS)
        rows = sum(1 for _ in all_rows(running))

    assert rows == ROWS
    assert (read[0], memory[0]) == (f"emulator, GetRange, {ROWS:,} rows", f"emulator, memory, {ROWS:,} rows")
    assert all(number > 0 for number in numbers(read[1]) + numbers(memory[1]))


def all_rows(running):
    client = sample.sdk_client(running["tablestore"])
    start, end = ([(name, bound) for name, _ in sample.KEYS] for bound in (INF_MIN, INF_MAX))
    while start:
        _, start, rows, _ = client.get_range(sample.TABLE, "FORWARD", start, end, max_version=1)
        yield from rows
