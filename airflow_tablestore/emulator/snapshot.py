"""Everything that an emulator keeps, in one file: saved from a directory, also while it is in use, and loaded into one.

A gzipped tar of the services' databases and of the long pieces of objects that they name. All of it is of one moment:
the writers of every service wait until each database is held at its state (SQLite's write-ahead log) and the pieces,
which never change, are linked; then they go on, and the copying begins.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sqlite3
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from airflow_tablestore.emulator.storage import (
    ADDRESS_NAME,
    LOADED_NAME,
    LOADING,
    LOCK_NAME,
    claimed,
    finish_loading,
)
from airflow_tablestore.errors import SpecError

FORMAT = 1
HEAD_NAME = "snapshot.json"
TABLES, OBJECTS, DATA = "tablestore/tables.sqlite", "oss/oss.sqlite", "maxcompute/maxcompute.sqlite"
PIECES = "oss/pieces"
SERVICES = ("tablestore", "oss", "maxcompute")
_MEMBER = re.compile(rf"(?:{re.escape(TABLES)}|{re.escape(OBJECTS)}|{re.escape(DATA)}|{PIECES}/[0-9a-f]{{32}})\Z")
SCRATCH = ".snapshot-"
_STALE_SECONDS = 24 * 3600.0
_OWN_NAMES = {LOCK_NAME, ADDRESS_NAME}


@dataclass(frozen=True, slots=True)
class Saved:
    """What a snapshot holds."""

    tables: int
    objects: int
    size: int
    """Bytes of the snapshot's file."""


def save(tablestore: Path, oss: Path, file: Path, maxcompute: Path | None = None) -> Saved:
    """Writes what the folders hold; the file appears when it is whole, in place of an earlier one.

    :param maxcompute: None is the one beside Tablestore's, which a directory of an earlier version does not have.
    :raises SpecError: the folders hold no emulator's data, or the file cannot be written.
    """
    if not (tablestore / "tables.sqlite").is_file() or not (oss / "oss.sqlite").is_file():
        raise SpecError(f"{tablestore.parent} holds no emulator's data; name its directory with --data-dir.")
    if (tablestore.parent / LOADED_NAME).exists():
        with claimed(tablestore.parent):
            pass  # ends the load that was killed
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        _sweep(oss)
        # beside the pieces, so that links can be made
        with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=oss) as made:
            copy = Path(made)
            data = (maxcompute or tablestore.parent / "maxcompute") / Path(DATA).name
            _copy(tablestore / "tables.sqlite", oss, data, copy)
            with partial.open("wb") as out:
                os.fchmod(out.fileno(), 0o600)
                counted = _pack(copy, out)
                out.flush()
                os.fsync(out.fileno())
        partial.replace(file)
    except OSError as error:
        raise SpecError(f"The snapshot {file} cannot be written: {error.strerror or error}.") from error
    finally:
        partial.unlink(missing_ok=True)
    return Saved(*counted, file.stat().st_size)


def load(file: Path, data_dir: Path, *, replaces: bool = False) -> Saved:
    """Makes the directory hold what the snapshot holds. No emulator may be using it (claim it first).

    The snapshot is read and checked whole before anything of the directory is touched.

    :param replaces: whether data that is there is given up.
    :raises SpecError: there is data that would be lost, or the file is no snapshot.
    """
    if not replaces and any(entry.name not in _OWN_NAMES for entry in data_dir.iterdir()):
        raise SpecError(
            f"{data_dir} holds data already, which loading would delete. "
            "Choose another --data-dir, save that data first, or give it up with --force."
        )
    with tempfile.TemporaryDirectory(prefix=LOADING, dir=data_dir) as made:
        fresh = Path(made) / "loaded"
        counted = _unpack(file, fresh / "new")
        try:
            fresh.rename(data_dir / LOADED_NAME)  # from here on it is loaded; a kill only leaves places to be swapped
        except OSError as error:
            raise SpecError(f"{data_dir} cannot be written: {error.strerror}; it is as it was.") from error
    finish_loading(data_dir)
    return Saved(*counted, file.stat().st_size)


def _sweep(oss: Path) -> None:
    """Removes what a save left that was killed long ago."""
    for entry in os.scandir(oss):
        if entry.name.startswith(SCRATCH) and entry.stat().st_mtime < time.time() - _STALE_SECONDS:
            shutil.rmtree(entry.path, ignore_errors=True)


def _copy(tables: Path, oss: Path, data: Path, copy: Path) -> None:
    """The databases and the long pieces, as of one moment. `data` is copied if it is there."""
    places = {TABLES: tables, OBJECTS: oss / "oss.sqlite", **({DATA: data} if data.is_file() else {})}
    (copy / PIECES).mkdir(parents=True)
    with contextlib.ExitStack() as opened:
        held_at = {name: opened.enter_context(_opened(place)) for name, place in places.items()}
        with contextlib.ExitStack() as waiting:
            for place in places.values():
                waiting.enter_context(_writers_waiting(place))
            for held in held_at.values():
                held.execute("BEGIN")
                held.execute("SELECT count(*) FROM sqlite_master").fetchone()  # the state is chosen by the first read
            for name in _named_pieces(held_at[OBJECTS]):
                _take(oss / "pieces" / name, copy / PIECES / name)
        for name, held in held_at.items():
            target = copy / name
            target.parent.mkdir(exist_ok=True)
            with contextlib.closing(sqlite3.connect(target)) as writing:
                held.backup(writing)
                writing.execute("PRAGMA journal_mode = DELETE")


@contextlib.contextmanager
def _writers_waiting(path: Path) -> Iterator[None]:
    """Holds the lock of whoever writes; the emulator's own transactions wait for it some seconds."""
    with _opened(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise SpecError(f"{path.name} cannot be read: {error}.") from error


def _take(piece: Path, target: Path) -> None:
    try:
        os.link(piece, target)
    except FileNotFoundError:
        raise
    except OSError:  # a file system without links
        shutil.copyfile(piece, target)


def _named_pieces(database: sqlite3.Connection) -> set[str]:
    return {row[0] for row in database.execute("SELECT id FROM pieces WHERE data IS NULL")}


def _pack(copy: Path, out: object) -> tuple[int, int]:
    counted = _counted(copy)
    (copy / HEAD_NAME).write_text(json.dumps({"format": FORMAT, "tables": counted[0], "objects": counted[1]}) + "\n")
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as archive:  # type: ignore[call-overload]
        for name in (HEAD_NAME, TABLES, OBJECTS, DATA):
            if (copy / name).is_file():
                archive.add(copy / name, name)
        for piece in sorted(os.listdir(copy / PIECES)):
            archive.add(copy / PIECES / piece, f"{PIECES}/{piece}")
    return counted


def _counted(folder: Path) -> tuple[int, int]:
    with _opened(folder / TABLES) as connection:
        (tables,) = connection.execute("SELECT count(*) FROM tables").fetchone()
    if (folder / DATA).is_file():
        with _opened(folder / DATA) as connection:
            tables += connection.execute("SELECT count(*) FROM tables").fetchone()[0]
    with _opened(folder / OBJECTS) as connection:
        (objects,) = connection.execute("SELECT count(*) FROM objects").fetchone()
    return int(tables), int(objects)


def _unpack(file: Path, fresh: Path) -> tuple[int, int]:
    try:
        with tarfile.open(file, "r:gz") as archive:
            first = archive.next()
            if first is None or first.name != HEAD_NAME or not first.isfile():
                raise _no_snapshot(file)
            _check_head(file, archive, first)
            (fresh / PIECES).mkdir(parents=True)
            for service in SERVICES:
                (fresh / service).mkdir(exist_ok=True)
            for member in archive:
                if member.name != HEAD_NAME:
                    _extract(file, archive, member, fresh)
    except FileNotFoundError as error:
        raise SpecError(f"There is no file {file}.") from error
    except (OSError, tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        raise SpecError(f"The snapshot {file} cannot be read: {error}.") from error
    if not (fresh / TABLES).is_file() or not (fresh / OBJECTS).is_file():
        raise _no_snapshot(file)
    for name in (name for name in (TABLES, OBJECTS, DATA) if (fresh / name).is_file()):
        with _opened(fresh / name) as connection:
            if connection.execute("PRAGMA quick_check").fetchone() != ("ok",):
                raise SpecError(f"The snapshot {file} is damaged: {name} does not pass SQLite's check.")
    with _opened(fresh / OBJECTS) as connection:
        missing = [name for name in _named_pieces(connection) if not (fresh / PIECES / name).is_file()]
    if missing:
        raise SpecError(f"The snapshot {file} is damaged: {len(missing)} pieces of objects are missing.")
    return _counted(fresh)


def _check_head(file: Path, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    content = archive.extractfile(member)
    told = json.loads(content.read(65536)) if content is not None else None
    if not isinstance(told, dict) or "format" not in told:
        raise _no_snapshot(file)
    if told["format"] != FORMAT:
        raise SpecError(f"The snapshot {file} was saved by another version of airflow-tablestore.")


def _extract(file: Path, archive: tarfile.TarFile, member: tarfile.TarInfo, fresh: Path) -> None:
    content = archive.extractfile(member) if member.isfile() and _MEMBER.match(member.name) else None
    if content is None:
        raise SpecError(f"The snapshot {file} holds {member.name!r}, which no snapshot has; nothing was loaded.")
    with (fresh / member.name).open("xb") as out:
        shutil.copyfileobj(content, out)


def _no_snapshot(file: Path) -> SpecError:
    return SpecError(f"{file} is no snapshot of an emulator.")
