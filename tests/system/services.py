"""The emulator as a process of its own, started by the command that users type."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

COMMAND = (str(Path(sys.executable).parent / "airflow-tablestore"),)
"""What users type, from the environment that runs this."""


def stop_on_signals() -> None:
    """Ctrl-C and SIGTERM both end what runs in order; a shell that starts jobs in the background ignores the former."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


@contextlib.contextmanager
def emulator(data_dir: Path, log: Path) -> Iterator[dict[str, Any]]:
    """What `airflow-tablestore emulator up --json` says of itself; it is stopped on the way out."""
    command = [*COMMAND, "emulator", "up", "--data-dir", str(data_dir)]
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [*command, "--port", "0", "--json"],
            stdout=subprocess.PIPE,
            stderr=errors,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C in the terminal must not end it before Airflow's tasks have ended
        )
    try:
        line = process.stdout.readline() if process.stdout else b""
        if not line:
            raise RuntimeError(f"the emulator did not start; see {log}")
        yield json.loads(line)
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
