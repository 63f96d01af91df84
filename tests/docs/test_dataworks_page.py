"""The how-to page of DataWorks jobs: its files and commands, run in a folder, give what it shows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_tablestore.spec.load import load
from tests.docs.pages import ROOT, blocks, commands

pytestmark = pytest.mark.slow

PAGE = ROOT / "docs/howto/from-dataworks.md"
BLOCKS = blocks(PAGE)
JOB, SCHEDULE, SPEC, INLINE = [block.text for block in BLOCKS if block.language in ("json", "yaml")]
SHOWN = [command for block in BLOCKS for command in commands(block) if block.language == "console"]
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the page's job and schedule, in which its commands have run; what each printed is in `printed`."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "orders.json").write_text(JOB)
    (folder / "schedule.yaml").write_text(SCHEDULE)
    printed = [
        subprocess.run(
            command.words,
            shell=True,
            cwd=folder,
            env={**os.environ, "PATH": PATH},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for command in SHOWN
    ]
    return folder, printed


def test_the_commands_print_what_the_page_shows(folder):
    _, printed = folder

    assert printed == [command.output.rstrip("\n") + "\n" for command in SHOWN]


def test_the_spec_is_the_one_on_the_page(folder):
    assert (folder[0] / "specs/orders.yaml").read_text() == SPEC


def test_the_job_as_it_is_means_the_same(folder):
    (folder[0] / "inline.yaml").write_text(INLINE)

    inline, converted = load(folder[0] / "inline.yaml"), load(folder[0] / "specs/orders.yaml")

    changed = {"pipeline": "orders", "retry": converted.retry}
    assert inline.model_copy(update=changed).to_mapping().keys() <= {*converted.to_mapping(), "retry"}
    assert (inline.source, inline.window, inline.sink, inline.start) == (
        converted.source,
        converted.window,
        converted.sink,
        converted.start,
    )
