"""What the pages on the emulator's fidelity claim is shown by tests, and they exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import NAMED_TEST, ROOT, is_there

FIDELITY = ROOT / "docs/reference/emulator-fidelity.md"
TABLESTORE = ROOT / "docs/reference/emulator-tablestore.md"
MAXCOMPUTE = ROOT / "docs/reference/emulator-maxcompute.md"
PAGES = (FIDELITY, TABLESTORE, MAXCOMPUTE)
WITHOUT_TESTS = ("Served", "Not verified")
"""What judges are asked about, and what nobody knows."""


def sections(page: Path) -> dict[str, str]:
    """The text below each heading of the second level."""
    parts = re.split(r"^## (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def claims(page: Path) -> list[str]:
    """Each row of a table and each point of a list, where tests are to be named."""
    found = []
    for name, text in sections(page).items():
        if name in WITHOUT_TESTS:
            continue
        rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| ---")]
        found += [row for row in rows if not row.endswith("| shown by |")]
        found += re.findall(r"^\* .+(?:\n  .+)*", text, flags=re.MULTILINE)
    return found


CLAIMS = [claim for page in PAGES for claim in claims(page)]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: re.sub(r"\W+", " ", claim)[:40].strip())
def test_every_difference_and_rule_names_a_test(claim):
    assert NAMED_TEST.search(claim)


@pytest.mark.parametrize(
    "named", sorted({match.group(0) for page in PAGES for match in NAMED_TEST.finditer(page.read_text("utf-8"))})
)
def test_a_named_test_exists(named):
    assert is_there(named)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_section_of_claims_names_a_test(page):
    told = {name for name, text in sections(page).items() if NAMED_TEST.search(text)}

    assert told >= sections(page).keys() - set(WITHOUT_TESTS)


def test_the_pages_have_claims():
    assert len(claims(FIDELITY)) > 15
    assert len(claims(TABLESTORE)) > 15
