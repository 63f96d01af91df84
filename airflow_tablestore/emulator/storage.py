"""A data directory: made when absent, used by one emulator at a time.

Whoever claims it also ends what a killed load of a snapshot began: what was loaded whole takes its place, what was not
is removed. So a directory holds what it held before or what the snapshot holds, never a part of each.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from airflow_tablestore.errors import SpecError

LOCK_NAME = "emulator.lock"
ADDRESS_NAME = "emulator.json"
LOADED_NAME = ".loaded-snapshot"
"""A snapshot that was loaded whole: `new/<service>` takes the place of `<service>`, which goes to `old/<service>`."""
LOADING = ".loading-"
"""Begins the name of a folder into which a snapshot is being read; nobody needs it when its reader is gone."""


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
        finish_loading(data_dir)
        yield data_dir
    finally:
        os.close(lock)


@contextlib.contextmanager
def usable(data_dir: Path | None) -> Iterator[None]:
    """While the services open what they keep: says of a directory that is none of theirs, or full, what is wrong.

    :param data_dir: None is the system's temporary directory.
    :raises SpecError: a file cannot be read or written, or is no database of this version.
    """
    import sqlite3  # not needed by who only steers

    try:
        yield
    except (OSError, sqlite3.Error) as error:
        place = f"The data directory {data_dir}" if data_dir else f"The temporary directory {tempfile.gettempdir()}"
        reason = error.strerror if isinstance(error, OSError) else error
        raise SpecError(f"{place} cannot be used: {reason or error}.") from error


def directory(text: str) -> Path:
    """The directory that a command line names; an empty name would be where the command runs.

    :raises argparse.ArgumentTypeError: it is empty.
    """
    if not text:
        raise argparse.ArgumentTypeError("the name of the directory is empty")
    return Path(text)


def finish_loading(data_dir: Path) -> None:
    """Ends what loads of snapshots began, step by step, each of which may be the last one before a kill.

    Only for who has claimed the directory.
    :raises SpecError: it cannot be written.
    """
    loaded = data_dir / LOADED_NAME
    try:
        for stray in data_dir.glob(f"{LOADING}*"):
            shutil.rmtree(stray)
        for fresh in (loaded / "new").glob("*"):
            place = data_dir / fresh.name
            if place.exists():
                (loaded / "old").mkdir(exist_ok=True)
                place.rename(loaded / "old" / fresh.name)
            fresh.rename(place)
        if loaded.exists():
            shutil.rmtree(loaded)
    except OSError as error:
        raise SpecError(
            f"{data_dir} cannot be written: {error.strerror}. A snapshot is being loaded there; what is left to do is "
            "done when an emulator next starts there."
        ) from error


@contextlib.contextmanager
def announced(data_dir: Path, urls: Sequence[str]) -> Iterator[None]:
    """Tells in the directory where its emulator can be reached, for as long as it runs."""
    note = data_dir / ADDRESS_NAME
    note.write_text(
        json.dumps({"pid": os.getpid(), "tablestore": urls[0], "oss": urls[1], "maxcompute": urls[2]}) + "\n"
    )
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
