"""How fast the emulator starts, takes rows and serves them, and how much memory it holds.

Clients here cost more than the emulator, so each rate is shown with the emulator's own share of the CPU: what would be
left if clients cost nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from airflow_tablestore.client import Client, Endpoint
from airflow_tablestore.consumer.table import pages
from airflow_tablestore.wire.row import INF_MAX, INF_MIN
from airflow_tablestore.wire.table import RangeRead
from tests.system import sample, services

STARTS = 3
WRITTEN_ROWS = 20_000
MB = 1024 * 1024
CPU_TICK = 0.01
"""Seconds; the system counts CPU time no finer."""

Measured = tuple[str, str, str]
"""What was measured, the figure, and how."""


def alone(folder: Path, *, rows: int = WRITTEN_ROWS, starts: int = STARTS) -> Iterator[Measured]:
    """Start-up time, and rows per second that the SDK's batch write gets into an empty table."""
    yield (
        "emulator, start-up",
        f"{_start_seconds(folder, starts):.1f} s",
        f"command to first answer, median of {starts}",
    )
    with services.emulator(folder / "emulator-written", folder / "emulator.log") as running:
        client = sample.sdk_client(running["tablestore"])
        sample.create_table(client)
        began = _cpu_seconds(running)
        seconds = sample.load(client, rows)
        used = max(_cpu_seconds(running) - began, CPU_TICK)
    yield (
        "emulator, BatchWriteRow",
        f"{rows / seconds:,.0f} rows/s; {rows / used:,.0f} per CPU second of its own",
        f"{rows:,} rows by the official SDK, 200 a request, 4 threads",
    )


def full(running: dict[str, Any], rows: int) -> Iterator[Measured]:
    """Rows per second of GetRange over the whole table, taken as bytes, and the memory that the emulator holds then."""
    access = running["tablestore"]
    endpoint = Endpoint(access["endpoint"], access["instance"], access["access_key_id"], access["access_key_secret"])
    start = tuple((name, INF_MIN) for name, _ in sample.KEYS)
    end = tuple((name, INF_MAX) for name, _ in sample.KEYS)
    cpu, began = _cpu_seconds(running), time.monotonic()
    with Client(endpoint) as client:
        size = sum(len(page.rows) for page in pages(client, RangeRead(sample.TABLE, start, end)))
    seconds, used = time.monotonic() - began, max(_cpu_seconds(running) - cpu, CPU_TICK)
    yield (
        f"emulator, GetRange, {rows:,} rows",
        f"{rows / seconds:,.0f} rows/s; {rows / used:,.0f} per CPU second of its own",
        f"{size / MB:,.0f} MB of stored bytes, unprojected, not decoded by the client",
    )
    held = _process(running).memory_info().rss / MB
    yield f"emulator, memory, {rows:,} rows", f"{held:.0f} MB", "resident after all rows were read"


def _start_seconds(folder: Path, starts: int) -> float:
    took = []
    for number in range(starts):
        began = time.monotonic()
        with services.emulator(folder / f"emulator-empty-{number}", folder / "emulator.log") as running:
            sample.sdk_client(running["tablestore"]).list_table()
            took.append(time.monotonic() - began)
    return median(took)


def _process(running: dict[str, Any]) -> psutil.Process:
    """The emulator's process: the child that listens on the port it told."""
    port = int(running["tablestore"]["endpoint"].rsplit(":", 1)[1])
    for child in psutil.Process().children(recursive=True):
        if any(one.laddr.port == port and one.status == psutil.CONN_LISTEN for one in child.net_connections()):
            return child
    raise RuntimeError(f"no child of this process listens on port {port}")


def _cpu_seconds(running: dict[str, Any]) -> float:
    used = _process(running).cpu_times()
    return used.user + used.system
