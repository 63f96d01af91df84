"""What a judge runs on: a Python, Node, Go or Java of this machine, with the client installed under `.judges/`.

Nothing here knows what is judged. A runtime that is not on this machine is `Absent`; an installation that fails is an
error, because then nobody has judged anything. Second runs find everything installed.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FOLDER = ROOT / ".judges"
CONSTRAINTS = ROOT / "constraints.txt"
INSTALL_SECONDS = 600
FETCHES, PAUSE_SECONDS = 3, 10
"""A registry may be away for a moment."""


class Absent(Exception):
    """The runtime is not on this machine; the text says which."""


@dataclass(frozen=True, slots=True)
class Program:
    """How to start a judge: the command up to the judge's own file, and variables that it needs."""

    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


def this_python() -> Program:
    """The Python that runs this."""
    return Program((sys.executable,))


@cache
def python(version: str) -> Program:
    """This Python, one of `make pythons`, or one of the machine with the clients in an environment of their own.

    :param version: like 3.12.
    """
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return this_python()
    for known in (ROOT / f".venv-{version}", FOLDER / f"python-{version}"):
        if (known / "bin/python").exists() and (known / ".installed").exists():
            return Program((str(known / "bin/python"),))
    base = _interpreter(version)
    target = FOLDER / f"python-{version}"
    _do([base, "-m", "venv", "--clear", str(target)])
    pip = [str(target / "bin/pip"), "install", "--quiet", "--disable-pip-version-check"]
    _fetch([*pip, "-c", str(CONSTRAINTS), "tablestore"])
    (target / ".installed").touch()
    return Program((str(target / "bin/python"),))


def python_with_compiled_codec(version: str) -> Program:
    """The same, where the SDK's compiled codec can be loaded at all; whether it is, the judge itself says."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise Absent("The SDK's compiled codec is for Linux on x86_64")
    return python(version)


@cache
def python_with_pyodps() -> Program:
    """This Python with what `python/pyodps.txt` names: pyodps, and what it needs for Arrow and for compression."""
    wanted, target = HERE / "python/pyodps.txt", FOLDER / "pyodps"
    if not _is_made(target, [wanted, CONSTRAINTS]):
        _do([sys.executable, "-m", "venv", "--clear", str(target)])
        pip = [str(target / "bin/pip"), "install", "--quiet", "--disable-pip-version-check"]
        _fetch([*pip, "-c", str(CONSTRAINTS), "-r", str(wanted)])
        _mark_made(target, [wanted, CONSTRAINTS])
    return Program((str(target / "bin/python"),))


@cache
def node() -> Program:
    """Node with the packages of `node/package.json`."""
    if not (shutil.which("node") and shutil.which("npm")):
        raise Absent("Node and npm are not on this machine")
    wanted, target = HERE / "node/package.json", FOLDER / "node"
    if not _is_made(target, [wanted]):
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        shutil.copy(wanted, target)
        # no lock file: it would name a registry; no scripts: the clients need none
        _fetch(["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"], target)
        _mark_made(target, [wanted])
    return Program(("node",), {"NODE_PATH": str(target / "node_modules")})


@cache
def go() -> Program:
    """The program that `go/` is, built."""
    if not shutil.which("go"):
        raise Absent("Go is not on this machine")
    sources, target = sorted((HERE / "go").iterdir()), FOLDER / "go"
    if not _is_made(target, sources):
        target.mkdir(parents=True, exist_ok=True)
        settings = {
            "GOCACHE": str(target / "build"),
            "GOMODCACHE": str(target / "modules"),
            "GOFLAGS": "-modcacherw -buildvcs=false",  # a cache that can be removed like any folder
            "GOTOOLCHAIN": "local",
        }
        _fetch(["go", "build", "-o", str(target / "judge"), "."], HERE / "go", settings)
        _mark_made(target, sources)
    return Program((str(target / "judge"),))


@cache
def java() -> Program:
    """The program that `java/` is, compiled beside the jars that its `pom.xml` names."""
    lacking = [name for name in ("java", "javac", "mvn") if not shutil.which(name)]
    if lacking:
        raise Absent(f"{', '.join(lacking)} of Java is not on this machine")
    sources, target = sorted((HERE / "java").iterdir()), FOLDER / "java"
    jars, classes = target / "jars", target / "classes"
    if not _is_made(target, sources):
        shutil.rmtree(target, ignore_errors=True)
        classes.mkdir(parents=True)
        pom = str(HERE / "java/pom.xml")
        _fetch(["mvn", "-q", "-B", "-f", pom, "dependency:copy-dependencies", f"-DoutputDirectory={jars}"])
        code = [str(one) for one in sources if one.suffix == ".java"]
        _do(["javac", "-cp", f"{jars}/*", "-d", str(classes), *code])
        _mark_made(target, sources)
    return Program(("java", "-cp", f"{jars}/*{os.pathsep}{classes}", "Judge"))


def pinned(path: Path, pattern: str) -> str:
    """The version that a file pins: what the pattern's group finds."""
    found = re.search(pattern, path.read_text(), re.MULTILINE)
    if not found:
        raise LookupError(f"{path} pins nothing like {pattern}")
    return found[1]


def pip_version(package: str) -> str:
    """The version of a Python package that everyone installs."""
    return pinned(CONSTRAINTS, rf"^{re.escape(package)}==(\S+)")


def npm_version(package: str) -> str:
    """The version of an npm package that `node/package.json` names."""
    return pinned(HERE / "node/package.json", rf'"{re.escape(package)}": "([^"]+)"')


def go_version(module: str) -> str:
    """The version of a Go module that `go/go.mod` names."""
    return pinned(HERE / "go/go.mod", rf"{re.escape(module)} v([^\s+]+)")


def maven_version(artifact: str) -> str:
    """The version of a Java artifact that `java/pom.xml` names."""
    return pinned(HERE / "java/pom.xml", rf"<artifactId>{re.escape(artifact)}</artifactId>\s*<version>([^<]+)<")


def _interpreter(version: str) -> str:
    named = shutil.which(f"python{version}")
    if named:
        told = subprocess.run([named, "-c", "import sys; print(sys.executable)"], capture_output=True, text=True)
        if told.returncode == 0:
            return told.stdout.strip()
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = sorted(pyenv.glob(f"versions/{version}.*/bin/python"))
    if not found:
        raise Absent(f"Python {version} is not on this machine")
    return str(found[-1])


def _is_made(target: Path, sources: Sequence[Path]) -> bool:
    mark = target / ".made-from"
    return mark.exists() and mark.read_text() == _digest(sources)


def _mark_made(target: Path, sources: Sequence[Path]) -> None:
    (target / ".made-from").write_text(_digest(sources))


def _digest(sources: Sequence[Path]) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


def _fetch(command: Sequence[str], folder: Path = ROOT, settings: Mapping[str, str] | None = None) -> None:
    """Runs what downloads something, again when it fails."""
    for _ in range(FETCHES - 1):
        try:
            return _do(command, folder, settings)
        except (RuntimeError, subprocess.TimeoutExpired):
            time.sleep(PAUSE_SECONDS)
    return _do(command, folder, settings)


def _do(command: Sequence[str], folder: Path = ROOT, settings: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(settings or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=INSTALL_SECONDS,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}")
