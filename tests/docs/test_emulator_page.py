"""The how-to page of the emulator is followed: its files are written, its tests pass, its commands print that."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_tablestore.emulator import Emulator, LocalCloud
from airflow_tablestore.emulator.faults import Kind
from tests.docs.pages import NOT_RUN, ROOT, blocks, commands

pytestmark = pytest.mark.slow

PAGE = ROOT / "docs/howto/emulator.md"
BLOCKS = blocks(PAGE)
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The page's files, in a folder that is another project's."""
    for block in BLOCKS:
        if block.language in ("yaml", "python"):
            named = re.match(r"# ([\w./]+)\n", block.text)
            assert named, f"{block}: the first line does not name a file"
            file = tmp_path / named[1]
            file.parent.mkdir(exist_ok=True)
            file.write_text(block.text)
    return tmp_path


def done(words: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    return subprocess.run(
        words,
        shell=True,
        cwd=folder,
        env={**kept, "PATH": PATH, "AIRFLOW_HOME": str(folder / "airflow"), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
        check=False,
    )


def is_told(told: str, printed: str) -> bool:
    return re.fullmatch(re.escape(told.rstrip()).replace(r"\.\.\.", ".*"), printed.rstrip(), re.DOTALL) is not None


def test_the_pages_tests_pass(folder):
    ran = done("python -m pytest -q -p no:cacheprovider test_rides.py", folder)

    assert ran.returncode == 0, ran.stdout
    assert "3 passed" in ran.stdout


@pytest.mark.airflow
def test_the_pages_test_of_a_dag_passes(folder):
    ran = done(
        "python -m pytest -q -p no:cacheprovider test_dag.py",
        folder,
        AIRFLOW__CORE__DAGS_FOLDER=str(folder / "dags"),
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
    )

    assert ran.returncode == 0, ran.stdout


def test_the_pages_commands_print_what_it_says(folder):
    different = []
    with Emulator(folder / "kept") as emulator:
        with LocalCloud(emulator=emulator, instance="demo") as cloud:
            cloud.make_table("rides", key={"id": int}, rows=[{"id": n} for n in range(3)])
        environment = {**emulator.environment(), "XDG_STATE_HOME": str(folder / "state")}
        for block in BLOCKS:
            if block.language == "console" and block.mark != NOT_RUN:
                for command in commands(block):
                    printed = done(command.words, folder, **environment).stdout
                    if not is_told(command.output, printed):
                        different.append(f"{PAGE.name}:{command.line}: $ {command.words}\n{printed}")

    assert "\n".join(different) == ""


def test_every_kind_of_fault_is_on_the_page():
    told = set(re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE))

    assert told == {kind.value for kind in Kind}
