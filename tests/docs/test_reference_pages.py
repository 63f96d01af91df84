"""The generated pages are what the code says now."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.docs.pages import ROOT

GENERATED = ("spec.md", "operators.md", "commands.md", "errors.md", "tunnel-channel.md")


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """A folder with the pages, made in a process of its own, because making them imports Airflow."""
    folder = tmp_path_factory.mktemp("reference")
    made = subprocess.run(
        [sys.executable, "-m", "tests.docs.generate", str(folder)],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", GENERATED)
def test_the_committed_page_is_what_the_code_says(generated, name):
    committed = (ROOT / "docs/reference" / name).read_text()

    assert committed == (generated / name).read_text(), "run: make docs"
