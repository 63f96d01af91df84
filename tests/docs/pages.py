"""The pages that people read, as tests see them: their blocks, headings and links.

A block is what stands between two fences. A `console` block holds commands after `$ `, each followed by its output.
A comment right before a block is its mark: `<!-- not run here -->` for what is shown only, and run by a person or by
another test; `<!-- wrong on purpose -->` for a spec that lint refuses.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOT_RUN = "<!-- not run here -->"
WRONG = "<!-- wrong on purpose -->"

NAMED_TEST = re.compile(r"`(?P<file>tests/[\w/.]+\.py)(::(?P<test>\w+))?`")
"""A test, or a file of tests, that a page names."""

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\S*) *$")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_CODE = re.compile(r"`[^`]*`")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block; `line` is that of its first fence."""

    page: Path
    line: int
    language: str
    text: str
    mark: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a console block and what it prints."""

    words: str
    output: str
    line: int


def all_pages() -> list[Path]:
    """README, changelog and every page under docs, generated ones too."""
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found, opened, before = [], None, ""
    for number, line in enumerate(page.read_text().splitlines(), 1):
        fence = _FENCE.match(line)
        if opened is None and fence:
            opened = (number, fence["language"], len(fence["indent"]), before, list[str]())
        elif opened is not None and fence and not fence["language"]:
            start, language, _, mark, lines = opened
            found.append(Block(page, start, language, "".join(f"{one}\n" for one in lines), mark))
            opened = None
        elif opened is not None:
            opened[4].append(line[opened[2] :] if line[: opened[2]].isspace() else line)
        if line.strip():
            before = line.strip()
    if opened is not None:
        raise ValueError(f"{page}:{opened[0]}: this block has no end")
    return found


def commands(block: Block) -> Iterator[Command]:
    """The commands of a console block. A command that ends with a backslash goes on in the next line."""
    words, output, start = "", list[str](), 0
    for number, line in enumerate(block.text.splitlines(), block.line + 1):
        if words.endswith("\\") and not output:
            words += "\n" + line.removeprefix("> ")
        elif line.startswith("$ "):
            if words:
                yield Command(words, "".join(output), start)
            words, output, start = line[2:], [], number
        else:
            output.append(line + "\n")
    if words:
        yield Command(words, "".join(output), start)


def prose(page: Path) -> list[tuple[int, str]]:
    """The lines outside of blocks, each with its number."""
    inside, found = False, []
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if _FENCE.match(line):
            inside = not inside
        elif not inside:
            found.append((number, line))
    return found


def links(page: Path) -> Iterator[tuple[int, str]]:
    """Every link outside of code, with its line."""
    for number, line in prose(page):
        for link in _LINK.finditer(_CODE.sub("``", line)):
            yield number, link["target"]


def anchors(page: Path) -> set[str]:
    """The names of a page's headings, as GitHub makes them."""
    found: set[str] = set()
    for _, line in prose(page):
        if re.match(r"#{1,6} ", line):
            name = re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower()).replace(" ", "-")
            while name in found:
                name += "-1"
            found.add(name)
    return found


@cache
def tests_in(file: str) -> frozenset[str]:
    """The names of the functions in a file of this repository."""
    tree = ast.parse((ROOT / file).read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def is_there(named: str) -> bool:
    """Whether the test exists that `NAMED_TEST` found."""
    match = NAMED_TEST.fullmatch(named)
    if match is None or not (ROOT / match["file"]).is_file():
        return False
    return match["test"] is None or match["test"] in tests_in(match["file"])
