"""What the tests here and in tests/e2e stand on: servers that are there for their time, or are said to be missing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.system import debian
from tests.system.debian import Absent, not_run
from tests.system.processes import kill_tree, tree


@pytest.mark.parametrize(("required", "outcome"), [("1", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_a_missing_server_fails_only_where_judges_are_required(monkeypatch, required, outcome):
    monkeypatch.setenv("REQUIRE_JUDGES", required)

    with pytest.raises(outcome, match="no such server"):
        not_run(Absent("no such server is on this machine"))


@pytest.mark.parametrize("find", [debian.redis, debian.chromium])
def test_a_missing_program_names_the_package_that_has_it(monkeypatch, tmp_path, find):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(Absent, match=f"Debian's package: .*{find.__name__}"):
        find()


def test_a_killed_tree_leaves_no_grandchild_in_a_session_of_its_own():
    grandchild = "import subprocess, time; subprocess.Popen(['sleep', '60'], start_new_session=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", grandchild])
    while len(tree(process.pid)) < 2:
        pass
    known = tree(process.pid)

    kill_tree(process)

    assert not any(one.is_running() and one.status() != "zombie" for one in known)
