"""Problems for a person: each with its line of the spec and a caret below the place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from airflow_tablestore.errors import Problem
from airflow_tablestore.spec.problems import masked

MAX_WIDTH = 160


def show(problems: Iterable[Problem], texts: Mapping[str, str]) -> str:
    """The problems, one block each. Credentials in the lines that are shown are masked.

    :param texts: the text of each file, by the name that the problems give it; without it no line is shown.
    """
    return "\n".join(_block(problem, texts.get(problem.file, "")) for problem in problems)


def _block(problem: Problem, text: str) -> str:
    level = "warning" if problem.is_warning else "error"
    place = f"{problem.file or 'spec'}:{problem.line}:{problem.column}" if problem.line else problem.file
    subject = f"{problem.path}: " if problem.path else ""
    head = f"{place}: {level}: {subject}{problem.message}" if place else f"{level}: {subject}{problem.message}"
    hint = f"\n    hint: {problem.hint}" if problem.hint else ""
    lines = text.splitlines()
    if not 0 < problem.line <= len(lines):
        return head + hint
    return f"{head}\n{_caret(lines[problem.line - 1], problem.column)}{hint}"


def _caret(line: str, column: int) -> str:
    """The line and a caret below the column; a long line is cut around it."""
    start = max(0, column - 1 - MAX_WIDTH // 2) if len(line) > MAX_WIDTH else 0
    before, rest = masked(line[: column - 1]), masked(line)[len(masked(line[: column - 1])) :]
    shown = (before + rest)[start : start + MAX_WIDTH].replace("\t", " ")
    return f"    {shown}\n    {' ' * (len(before) - start)}^"
