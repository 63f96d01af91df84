"""The tutorial's files are written and its commands run, one after another; they print what the page says.

What differs from run to run (names of runs, ports, seconds, sizes) is left out of the comparison, and a line or the end
of a line that is `...` on the page stands for anything.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_tablestore.emulator import Emulator
from tests.docs.pages import NOT_RUN, ROOT, Block, blocks, commands
from tests.system import sample

PAGE = ROOT / "docs/tutorial.md"
ROWS = 20_000
"""As many as `make up` loads."""

DIFFERS = (
    (re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}"), "RUN"),
    (re.compile(r"127\.0\.0\.1:\d+"), "ADDRESS"),
    (re.compile(r"^(seconds|rows/s|bytes)( +).*$", re.MULTILINE), r"\1\2 DIFFERS"),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the gallery, beside services with the sample table."""
    folder = tmp_path_factory.mktemp("tutorial")
    shutil.copytree(ROOT / "dags", folder / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    with Emulator() as emulator:
        client = sample.sdk_client(
            {
                "endpoint": emulator.tablestore.endpoint,
                "access_key_id": emulator.tablestore.access_key_id,
                "access_key_secret": emulator.tablestore.access_key_secret,
                "instance": emulator.tablestore.instance,
            }
        )
        sample.create_table(client)
        sample.load(client, ROWS)
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        yield folder, {**os.environ, **emulator.environment(), "PATH": path}


@pytest.mark.slow
def test_the_tutorial_works_as_written(place):
    folder, environment = place
    different = []

    for block in blocks(PAGE):
        if block.language in ("yaml", "python"):
            _write(folder, block)
        elif block.language == "console" and block.mark != NOT_RUN:
            for command in commands(block):
                done = subprocess.run(
                    command.words,
                    shell=True,
                    cwd=folder,
                    env=environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    timeout=60,
                    check=False,
                )
                if not _is_told(command.output, done.stdout):
                    different.append(f"{PAGE.name}:{command.line}: $ {command.words}\n{done.stdout}")

    assert "\n".join(different) == ""


def _write(folder: Path, block: Block) -> None:
    """The file of a block, whose first line is a comment with its name."""
    named = re.match(r"# ([\w./]+)\n", block.text)
    assert named, f"{block}: the first line does not name a file"
    (folder / named[1]).write_text(block.text)


def _is_told(told: str, printed: str) -> bool:
    """Whether the page's output is what was printed."""
    pattern = re.escape(_without_what_differs(told)).replace(re.escape("..."), ".*")
    return re.fullmatch(pattern, _without_what_differs(printed), re.DOTALL) is not None


def _without_what_differs(text: str) -> str:
    for pattern, instead in DIFFERS:
        text = pattern.sub(instead, text)
    return text
