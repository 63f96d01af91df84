"""A data directory: made when absent, used by one emulator at a time."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from airflow_tablestore.errors import SpecError

LOCK_NAME = "emulator.lock"
ADDRESS_NAME = "emulator.json"


def default_data_dir() -> Path:
    """The user's directory for state: `$XDG_STATE_HOME`, or `~/.local/state`."""
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser() / "airflow-tablestore" / "emulator"


@contextlib.contextmanager
def claimed(data_dir: Path) -> Iterator[Path]:
    """Holds the directory for this process; the system lets go of it however the process ends.

    :raises SpecError: another emulator has it, or it cannot be written.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = os.open(data_dir / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise SpecError(f"The data directory {data_dir} cannot be used: {error.strerror}.") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.read(lock, 32).decode("ascii", "replace").strip() or "unknown"
        os.close(lock)
        raise SpecError(
            f"Another emulator (process {owner}) uses the data directory {data_dir}. "
            "Stop it, or choose another with --data-dir, or keep nothing with --ephemeral."
        ) from error
    try:
        os.truncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode("ascii"), 0)
        yield data_dir
    finally:
        os.close(lock)


@contextlib.contextmanager
def announced(data_dir: Path, urls: Sequence[str]) -> Iterator[None]:
    """Tells in the directory where its emulator can be reached, for as long as it runs."""
    note = data_dir / ADDRESS_NAME
    note.write_text(json.dumps({"pid": os.getpid(), "tablestore": urls[0], "oss": urls[1]}) + "\n")
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def address_of(data_dir: Path) -> str | None:
    """Where the directory's latest emulator said it is, or None; a killed one does not take that back."""
    try:
        told = json.loads((data_dir / ADDRESS_NAME).read_text())
    except (OSError, ValueError):
        return None
    url = told.get("tablestore") if isinstance(told, dict) else None
    return url if isinstance(url, str) else None
