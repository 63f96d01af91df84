"""Nothing in the repository knows the machine it was written on."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.docs.pages import ROOT

PRIVATE = {
    "the folder of this checkout": re.compile(re.escape(f"{ROOT}/")),
    "a folder beside the repository": re.compile(r"(\.\./|\b)shared/(design|reference|vectors|seeds)"),
    "where packages come from": re.compile(r"(?i)--(extra-)?index[-]url|--find[-]links"),
}


def test_no_file_names_a_private_place():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is no git checkout")
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        file = ROOT / name
        if file.resolve() == ROOT / "tests/docs/test_no_private_places.py" or not file.is_file():
            continue
        for number, line in enumerate(file.read_bytes().decode(errors="replace").splitlines(), 1):
            found += [f"{name}:{number}: {what}" for what, pattern in PRIVATE.items() if pattern.search(line)]

    assert found == []
