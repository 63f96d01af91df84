"""Servers and the browser that some tests need, from Debian's packages.

`python -m tests.system.debian NAME ...` installs what is missing, when root runs it on a Debian; nothing is started
by that. A test that still does not find a program is skipped with the reason, and fails where REQUIRE_JUDGES is 1.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

TRIES, PAUSE_SECONDS = 3, 10
"""A mirror may be away for a moment."""


class Absent(Exception):
    """A program is not on this machine."""


def postgresql() -> Path:
    """The folder of PostgreSQL's own programs, of the newest version that is there.

    :raises Absent: there is none.
    """
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_version)
    found = debian[-1] if debian else shutil.which("initdb")
    if found is None:
        raise Absent("PostgreSQL is not on this machine (Debian's package: postgresql)")
    return Path(found).parent


def redis() -> Path:
    """:raises Absent: there is no Redis server."""
    return _program("redis-server", package="redis-server")


def chromium() -> Path:
    """:raises Absent: there is no Chromium."""
    return _program("chromium", package="chromium")


PACKAGES: dict[str, tuple[Callable[[], Path], tuple[str, ...]]] = {
    "postgresql": (postgresql, ("postgresql",)),
    "redis": (redis, ("redis-server",)),
    "chromium": (chromium, ("chromium", "fonts-dejavu-core")),
}


def install(names: list[str]) -> None:
    """Install what is missing of these, quietly. Without root or apt-get nothing happens, and the tests say so."""
    missing = [package for name in names for package in PACKAGES[name][1] if not _is_there(PACKAGES[name][0])]
    apt = shutil.which("apt-get")
    if not missing or apt is None or os.geteuid() != 0:
        return
    print(f"Installing Debian's {', '.join(missing)} (once) ...", flush=True)
    # In runlevel 1 Debian starts no service: the tests start their own, in their own folders.
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    patient = [apt, "-qq", "-o", "Acquire::Retries=3", "-o", "DPkg::Lock::Timeout=300"]
    for _ in range(TRIES):
        for step in (["update"], ["install", "-y", "--no-install-recommends", *missing]):
            done = subprocess.run(
                [*patient, *step], env=quiet, stdin=subprocess.DEVNULL, capture_output=True, text=True
            )
            if done.returncode:  # an update that failed in part is good enough for most packages
                print(f"apt-get {step[0]} failed: {done.stderr.strip()[-500:]}", file=sys.stderr)
        if not done.returncode:
            return
        time.sleep(PAUSE_SECONDS)


def not_run(reason: Absent) -> NoReturn:
    """Skip the test for this reason; a failure where REQUIRE_JUDGES is 1."""
    if os.environ.get("REQUIRE_JUDGES") == "1":
        pytest.fail(f"{reason}, and REQUIRE_JUDGES is 1")
    pytest.skip(f"not run: {reason}")


def _program(name: str, *, package: str) -> Path:
    found = shutil.which(name)
    if found is None:
        raise Absent(f"{name} is not on this machine (Debian's package: {package})")
    return Path(found)


def _is_there(find: Callable[[], Path]) -> bool:
    try:
        find()
    except Absent:
        return False
    return True


def _version(initdb: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", initdb.parts[-3]))


if __name__ == "__main__":
    install(sys.argv[1:])
