"""PostgreSQL and Redis as Debian has them, each in a folder of its own and on a free port of 127.0.0.1.

Made for one test session: nothing is kept, nothing is synced to disk.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.system.debian import postgresql, redis
from tests.system.stack import free_port

START_SECONDS = 300
UNSAFE_BUT_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200")


class ServerBroke(Exception):
    """A server did not come up."""


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """An empty database; yields `user@host:port/database`, to be put behind `postgresql+psycopg2://`.

    PostgreSQL refuses to run as root, so root becomes the user `postgres` or `nobody` for it.
    :raises Absent: it is not on this machine.
    """
    programs, port = postgresql(), free_port()
    with _folder("postgres-") as folder:
        account = _account(folder)
        initdb = [programs / "initdb", "-D", folder / "data", "-U", "airflow", "-A", "trust", "-E", "UTF8"]
        with (folder / "log").open("wb") as log:
            subprocess.run(
                [*initdb, "--no-sync", "--locale=C.UTF-8"], check=True, cwd=folder, stdout=log, stderr=log, **account
            )
        options = (part for setting in (*UNSAFE_BUT_FAST, "unix_socket_directories=") for part in ("-c", setting))
        server = [programs / "postgres", "-D", folder / "data", "-h", "127.0.0.1", "-p", str(port), *options]
        asked = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
        with _running(server, folder, lambda: subprocess.run(asked).returncode == 0, signal.SIGINT, **account):
            yield f"airflow@127.0.0.1:{port}/postgres"


@contextlib.contextmanager
def broker() -> Iterator[str]:
    """An empty Redis; yields its URL.

    :raises Absent: it is not on this machine.
    """
    program, port = redis(), free_port()
    with _folder("redis-") as folder:
        server = [
            program,
            "--bind",
            "127.0.0.1",
            "--port",
            str(port),
            "--dir",
            folder,
            "--save",
            "",
            "--daemonize",
            "no",
        ]
        with _running(server, folder, lambda: _answers_ping(port), signal.SIGTERM):
            yield f"redis://127.0.0.1:{port}/0"


def _answers_ping(port: int) -> bool:
    from redis import Redis
    from redis.exceptions import RedisError

    with Redis(port=port, socket_timeout=5) as client:
        try:
            return bool(client.ping())
        except RedisError:
            return False


@contextlib.contextmanager
def _folder(prefix: str) -> Iterator[Path]:
    """A folder right under the temporary one: pytest's own cannot be entered by another user."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _account(folder: Path) -> dict[str, Any]:
    """Who runs a server that root must not run, as arguments of Popen; the folder becomes theirs."""
    if os.geteuid() != 0:
        return {}
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    account = known.get("postgres") or known["nobody"]
    os.chown(folder, account.pw_uid, account.pw_gid)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


@contextlib.contextmanager
def _running(
    command: list[Any], folder: Path, is_ready: Callable[[], bool], stop_signal: int, **account: Any
) -> Iterator[None]:
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **account
        )
    try:
        until = time.monotonic() + START_SECONDS
        while not is_ready():
            if process.poll() is not None or time.monotonic() > until:
                raise ServerBroke(f"{command[0]} did not start:\n{(folder / 'log').read_text()[-2000:]}")
            time.sleep(0.1)
        yield
    finally:
        process.send_signal(stop_signal)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
