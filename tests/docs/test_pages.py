"""What the pages say can be followed: links lead somewhere, specs are valid, Python compiles."""

from __future__ import annotations

import re

import pytest

from airflow_tablestore.spec.load import read
from tests.docs.pages import ROOT, WRONG, all_pages, anchors, blocks, links, prose

PAGES = all_pages()
BLOCKS = [block for page in PAGES for block in blocks(page)]
SPECS = [
    block
    for block in BLOCKS
    if block.language == "yaml" and "pipeline:" in block.text and "kind: dataworks" not in block.text
]
"""Those that name a job's file are tried beside it, by the test of their page."""
CODE = [block for block in BLOCKS if block.language == "python"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    broken = []
    for line, target in links(page):
        place, _, anchor = target.partition("#")
        if "://" in place or place.startswith("mailto:"):
            continue
        file = (page.parent / place).resolve() if place else page
        is_there = file.exists() and file.is_relative_to(ROOT)
        if not is_there or (anchor and anchor not in anchors(file)):
            broken.append(f"{page.relative_to(ROOT)}:{line}: {target}")

    assert broken == []


@pytest.mark.parametrize("block", SPECS, ids=str)
def test_a_spec_on_a_page_is_what_the_page_says(block, tmp_path):
    file = tmp_path / "spec.yaml"
    file.write_text(block.text)

    found = read(file)

    if block.mark == WRONG:
        assert found.errors
    else:
        assert [str(problem) for problem in found.problems] == []


@pytest.mark.parametrize("block", CODE, ids=str)
def test_python_on_a_page_compiles(block):
    compile(block.text, str(block), "exec")


def test_there_are_specs_and_code_to_check():
    assert SPECS
    assert CODE


def known_keys() -> set[str]:
    """Every key of a spec with its path, from the reference page."""
    found, section = set(), ""
    for line in (ROOT / "docs/reference/spec.md").read_text().splitlines():
        if line.startswith("#"):
            section = line.lstrip("# ").split(":")[0]
        elif key := re.match(r"\| `(\w+)` \|", line):
            found.add(f"{section}.{key[1]}")
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_key_that_a_page_names_exists(page):
    named = {
        (line, key)
        for line, text in prose(page)
        for key in re.findall(r"`((?:source|sink|limits|retry|airflow)(?:\.[a-z_]+)+)(?=[`:])", text)
    }

    assert [f"{page.name}:{line}: {key}" for line, key in sorted(named) if key not in known_keys()] == []
