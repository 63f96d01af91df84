"""The text of a job as people have it, as plain data.

Such text is JSON with liberties: comments behind `#` and `//`, comments that a page has broken over lines, commas
before a closing bracket, variables without quotes. Libraries for relaxed JSON take neither `#` nor a broken comment, so
the liberties are blanked here, character for character, and Python's own `json` reads what is left: what it says about
a line and a column is true for the author's text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NoReturn

from airflow_tablestore.errors import Problem, SpecError
from airflow_tablestore.spec.document import read_text

VARIABLE = re.compile(r"[$#](?:\{[^{}\n\"]*\}|\[[^\[\]\n\"]*\])")
_STRING = r'"(?:[^"\\\n]|\\.)*+"'
_TEXT = re.compile(_STRING)
_LINE = re.compile(
    rf"(?:[\s{{}}\[\],:]|{_STRING}|-?\d[\d.eE+-]*+|true|false|null|{VARIABLE.pattern})*+(?:(?:#|//|/\*).*)?$"
)
_KEY = re.compile(r'"\s*:')
MOST_DEPTH = 60
"""Far deeper than any job, and far from where Python gives up on recursion."""

_WIDE = dict(zip("\u201c\u201d\uff02\u2018\u2019\uff0c\uff1a\uff5b\uff5d\uff3b\uff3d", '"""\'\',:{}[]', strict=True))
"""Marks of Chinese keyboards and word processors, and what JSON has in their place."""

_STAND_IN = 0xE000
"""Where Unicode's private characters begin: a variable without quotes is read as a text of one of them."""


@dataclass(frozen=True, slots=True)
class JobText:
    """A job's text as data. `plain` is the text as strict JSON, line for line; `prose` the lines that were taken for
    the rest of a comment, by number."""

    data: dict[str, Any]
    plain: str
    prose: tuple[tuple[int, str], ...]


def read_job(text: str, file: str = "") -> JobText:
    """The data of a job's text.

    :raises SpecError: it cannot be read; with line and column.
    """
    scan = _Scan(text)
    plain = scan.run()
    try:
        data = json.loads(plain, object_pairs_hook=_pairs, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise SpecError([_problem(error, text, file)]) from error
    except RecursionError as error:
        raise SpecError([_too_deep(file)]) from error
    except ValueError as error:  # Python reads no integer of so many digits
        raise SpecError([Problem("holds a number of thousands of digits", file=file, line=1, column=1)]) from error
    except _Unclear as error:
        raise SpecError(_doubled(plain, file) or [_placed(error, plain, file)]) from error
    if _depth(plain) > MOST_DEPTH:
        raise SpecError([_too_deep(file)])
    try:
        json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        told = "holds half of a character, such as \\ud800 alone"
        raise SpecError([Problem(told, file=file, line=1, column=1)]) from error
    if not isinstance(data, dict):
        raise SpecError([Problem("is no job: it must be one object in braces", file=file, line=1, column=1)])
    return JobText(_with_variables(data, scan.variables), plain, tuple(scan.prose))


def _too_deep(file: str) -> Problem:
    return Problem("is nested too deep", "a job has a dozen levels", file=file, line=1, column=1)


def _depth(plain: str) -> int:
    """How deep objects and lists stand in each other."""
    depth = most = 0
    for mark in re.findall(rf"{_STRING}|[{{}}\[\]]", plain):
        depth += 1 if mark in "{[" else -1 if mark in "}]" else 0
        most = max(most, depth)
    return most


class _Scan:
    """One pass over the text, which blanks what strict JSON does not have."""

    def __init__(self, text: str) -> None:
        self.lines = text.removeprefix("\ufeff").replace("\r\n", " \n").replace("\r", " ").split("\n")
        self.prose: list[tuple[int, str]] = []
        self.variables: list[str] = []
        self._out: list[str] = []
        self._last, self._last_at = "", 0
        self._in_block = False

    def run(self) -> str:
        after_comment = False
        for number, line in enumerate(self.lines, 1):
            if after_comment and line.strip() and not _LINE.match(line) and not _KEY.search(line):
                self.prose.append((number, line.strip()))
                self._out.append(" " * len(line))
            else:
                after_comment = self._line(line) or (after_comment and not line.strip())
            self._out.append("\n")
        return "".join(self._out[:-1])

    def _line(self, line: str) -> bool:
        """Appends the line's pieces; whether it ended in a comment."""
        at = 0
        while at < len(line):
            piece, skip, ends = self._piece(line, at)
            if piece.strip():
                if piece in ("}", "]") and self._last == ",":
                    self._out[self._last_at] = " "
                self._last, self._last_at = piece[-1], len(self._out)
            self._out.append(piece.ljust(skip))
            at += skip
            if ends:
                return True
        return False

    def _piece(self, line: str, at: int) -> tuple[str, int, bool]:
        """What strict JSON has in the place of what stands here, how long that is, and whether it ends the line."""
        left = len(line) - at
        if self._in_block:
            end = line.find("*/", at)
            self._in_block = end < 0
            return "", left if end < 0 else end + 2 - at, False
        if line[at] == '"':
            match = _TEXT.match(line, at)
            text = match[0] if match else line[at:]  # without its end, nothing behind it can be told apart
            return text, len(text), False
        if variable := self._variable(line, at):
            self.variables.append(variable)
            stand_in = chr(_STAND_IN + len(self.variables) - 1)
            return f'"{stand_in}{" " * (len(variable) - 3)}"', len(variable), False
        if line[at] == "#" or line.startswith("//", at):
            return "", left, True
        if line.startswith("/*", at):
            self._in_block = True
            return "", 2, False
        return (" " if line[at].isspace() else line[at]), 1, False

    def _variable(self, line: str, at: int) -> str:
        """The variable without quotes that stands here as a value, or ""."""
        match = VARIABLE.match(line, at) if self._last in ("", ":", ",", "[") else None
        if match is None or (line[at] == "#" and not re.match(r"\s*([,}\]]|#|//|$)", line[match.end() :])):
            return ""
        return match[0]


class _Unclear(Exception):
    """What JSON allows and a job must not hold. Never leaves this module."""

    def __init__(self, told: str, word: str) -> None:
        self.word = word
        super().__init__(told)


def _pairs(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _Unclear(f"the key '{key}' stands twice in one object", key)
        found[key] = value
    return found


def _no_number(word: str) -> NoReturn:
    raise _Unclear(f"{word} is no number of JSON", word)


def _with_variables(value: Any, variables: list[str]) -> Any:
    if isinstance(value, dict):
        return {key: _with_variables(one, variables) for key, one in value.items()}
    if isinstance(value, list):
        return [_with_variables(one, variables) for one in value]
    if isinstance(value, str) and value and 0 <= ord(value[0]) - _STAND_IN < len(variables) and not value[1:].strip():
        return variables[ord(value[0]) - _STAND_IN]
    return value


def _problem(error: json.JSONDecodeError, text: str, file: str) -> Problem:
    if not text.strip():
        return Problem("is empty", "a job holds a reader and a writer", file=file, line=1, column=1)
    said = f"{error.msg[:1].lower()}{error.msg[1:]}"
    hint = "look at the quotes and commas here and just before; a comment begins with # or //"
    lines = text.removeprefix("\ufeff").splitlines()
    line = lines[error.lineno - 1] if error.lineno <= len(lines) else ""
    if wide := next((mark for mark in line[max(0, error.colno - 2) : error.colno + 1] if mark in _WIDE), ""):
        hint = f"{wide} is a mark of Chinese text or of a word processor; write {_WIDE[wide]}"
    elif line[error.colno - 1 : error.colno] == "'":
        hint = "texts stand in double quotes"
    return Problem(f"is not JSON: {said}", hint, file=file, line=error.lineno, column=error.colno)


def _doubled(plain: str, file: str) -> tuple[Problem, ...]:
    """The keys that stand twice in one object, each at its place: JSON of one object is YAML, too."""
    return tuple(one for one in read_text(plain, file).problems if "second time" in one.message)


def _placed(error: _Unclear, plain: str, file: str) -> Problem:
    """A problem at the word that it is about; json tells no place for what it reads without complaint."""
    at = max(plain.find(error.word), 0)
    before = plain[:at]
    return Problem(str(error), file=file, line=before.count("\n") + 1, column=at - before.rfind("\n"))
