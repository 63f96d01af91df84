"""Processes that a test starts, and nothing of them afterwards.

An Airflow task runs in a process group of its own, so a group is not enough to end: whole trees are. What is orphaned
while a test runs becomes this process's child (`adopt_orphans`), so that `left_behind` can name it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Iterable

import psutil

LAST_SECONDS = 20.0
_PR_SET_CHILD_SUBREAPER = 36


def tree(pid: int) -> list[psutil.Process]:
    """A process and all that it has started, as far as they live; the process itself first."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL for a process and everything below it, as when a machine goes away."""
    found: list[psutil.Process] = []
    while new := [one for one in tree(process.pid) if one not in found]:
        for one in new:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.suspend()  # it starts no other one while the tree is looked at
        found += new
    _kill(found)
    process.wait()


def end(processes: Iterable[subprocess.Popen[bytes]], seconds: float = 20) -> None:
    """Ask all processes to end together, then kill what is left of their trees. Safe to call twice."""
    processes = list(processes)
    trees = [one for process in processes if process.poll() is None for one in tree(process.pid)]
    for process in processes:
        if process.poll() is None:
            process.terminate()
    _, alive = psutil.wait_procs(trees, timeout=seconds)
    late = [one for process in processes if process.poll() is None for one in tree(process.pid)]
    _kill([*alive, *(one for one in late if one not in alive)])
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what was started after the tree was looked at
        process.wait()


def adopt_orphans() -> None:
    """From now on a process that loses its parent becomes a child of this one. On Linux alone."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def left_behind() -> list[str]:
    """The command lines of all processes that this one has started or adopted and that still run; they are ended.

    What is about to end has some seconds for it.
    For the very end: it also takes away the exit codes that others may wait for.
    """
    until = time.monotonic() + LAST_SECONDS
    while alive := [p for p in psutil.Process().children(recursive=True) if not _has_ended(p)]:
        if time.monotonic() > until:
            break
        time.sleep(0.2)
    told = [_command(p) for p in alive]
    _kill(alive)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass  # an orphan that has ended stays in the list of processes until its adopter has asked for its code
    return told


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=10)


def _has_ended(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()) or process.name()
    except psutil.NoSuchProcess:
        return str(process.pid)
