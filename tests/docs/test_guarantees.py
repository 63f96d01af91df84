"""Every guarantee names the tests that hold it, and they exist."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from tests.docs.pages import ROOT, blocks

PAGE = ROOT / "docs/guarantees.md"
NAMED = re.compile(r"`(?P<file>tests/[\w/.]+\.py)(::(?P<test>\w+))?`")


def sections() -> dict[str, str]:
    """The page's guarantees: the text below each heading of the third level."""
    parts = re.split(r"^### (.+)$", PAGE.read_text(), flags=re.MULTILINE)
    return {
        name: re.split(r"^## ", text, flags=re.MULTILINE)[0]
        for name, text in zip(parts[1::2], parts[2::2], strict=True)
    }


@cache
def names_in(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("named", sorted({match.group(0) for match in NAMED.finditer(PAGE.read_text())}))
def test_a_named_test_exists(named):
    match = NAMED.fullmatch(named)

    assert (ROOT / match["file"]).is_file()
    assert match["test"] is None or match["test"] in names_in(match["file"])


@pytest.mark.parametrize("name", sections())
def test_every_guarantee_names_a_test(name):
    assert NAMED.search(sections()[name])


def test_the_page_has_guarantees_and_no_loose_blocks():
    assert len(sections()) > 10
    assert all(block.language for block in blocks(PAGE))
