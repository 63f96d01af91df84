"""Every guarantee names the tests that hold it, and they exist."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import NAMED_TEST, ROOT, blocks, is_there

PAGE = ROOT / "docs/guarantees.md"


def sections() -> dict[str, str]:
    """The page's guarantees: the text below each heading of the third level."""
    parts = re.split(r"^### (.+)$", PAGE.read_text(), flags=re.MULTILINE)
    return {
        name: re.split(r"^## ", text, flags=re.MULTILINE)[0]
        for name, text in zip(parts[1::2], parts[2::2], strict=True)
    }


@pytest.mark.parametrize("named", sorted({match.group(0) for match in NAMED_TEST.finditer(PAGE.read_text())}))
def test_a_named_test_exists(named):
    assert is_there(named)


@pytest.mark.parametrize("name", sections())
def test_every_guarantee_names_a_test(name):
    assert NAMED_TEST.search(sections()[name])


def test_the_page_has_guarantees_and_no_loose_blocks():
    assert len(sections()) > 10
    assert all(block.language for block in blocks(PAGE))
