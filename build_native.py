"""Builds the C library of airflow_tablestore/native into the package when it is installed or packed.

It needs no Python headers and uses no Python ABI, so a wheel with it is for every Python of one platform. Without a
compiler, or with one that fails, the package is pure Python and slower: an installation never fails for it.

CC names the compiler, as for make: `CC="python -m ziglang cc -target aarch64-linux-gnu.2.17"` builds for another
machine, and TABLESTORE_WHEEL_PLATFORM then names the wheel's platform (`manylinux_2_17_aarch64`); `make wheels` does.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = Path("airflow_tablestore", "native")
FLAGS = ("-std=c11", "-O3", "-shared", "-fPIC", "-fvisibility=hidden")
SECONDS = 600
"""A compiler that has to build its own C runtime first takes minutes."""


class NativeHook(BuildHookInterface):
    """Compiles aside, then puts the library into the wheel; into the source tree for an editable installation."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return
        platform = os.environ.get("TABLESTORE_WHEEL_PLATFORM") or _here()
        suffix = ".dll" if platform.startswith("win") else ".dylib" if platform.startswith("macosx") else ".so"
        self._aside = tempfile.TemporaryDirectory()
        made = Path(self._aside.name, f"_native{suffix}")
        if not self._builds(made):
            return
        if version == "editable":
            aside = Path(self.root, FOLDER, f"{made.name}.{os.getpid()}")
            shutil.copy(made, aside)
            aside.replace(aside.with_name(made.name))  # a process that uses the old one keeps it
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"
        build_data["force_include"][str(made)] = (FOLDER / made.name).as_posix()

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if self.target_name == "wheel":
            self._aside.cleanup()

    def _builds(self, library: Path) -> bool:
        try:
            sources = map(str, sorted(Path(self.root, FOLDER).glob("*.c")))
            command = [*_compiler(), *FLAGS, "-o", str(library), *sources]
            # the compiler is the one that whoever installs has chosen
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=SECONDS)  # noqa: S603
        except (OSError, subprocess.SubprocessError) as error:
            told = getattr(error, "stderr", None) or error
            self.app.display_warning(f"The C library is not built, so the package is slower: {told}")
            return False
        return True


def _here() -> str:
    return sysconfig.get_platform().replace("-", "_").replace(".", "_")


def _compiler() -> list[str]:
    named = shlex.split(os.environ.get("CC", ""))
    found = named or next(([name] for name in ("cc", "gcc", "clang") if shutil.which(name)), [])
    if not found:
        raise FileNotFoundError("there is no C compiler")
    return found
