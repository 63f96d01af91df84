"""A spec file's text as plain data, and where in the text each value stands.

YAML as its version 1.2 reads it: only `true` and `false` are booleans, `12:30` and dates are text, `010` is ten, and a
key is the text that is written (so `null:` is a key). Nothing is executed, no type of Python can be named. One pipeline
per file; anchors are understood, but not as a bomb.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from airflow_tablestore.errors import Problem
from airflow_tablestore.spec.problems import Finding, Loc, path_of

MAX_BYTES = 1_000_000
"""A spec is a page of text; whatever is longer is another file."""
MAX_DEPTH = 50
"""Deeper nesting has no meaning here, and libyaml's composer overflows the stack on it."""
MAX_VALUES = 20_000
"""Most values after aliases are expanded."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Text:
    """A spec's text as data. `data` is None when it cannot be read; `problems` then say why."""

    data: dict[str, Any] | None
    problems: tuple[Problem, ...]


class _Unreadable(Exception):
    """Stops the reading of one text; holds the problem. Never leaves this module."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.message)


class _Loader(_LOADER):  # type: ignore[misc]
    """YAML to plain data; keys are text, doubled ones are noted."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 (PyYAML's own table)
    doubled: list[tuple[str, Any]]

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[str, Any]:
        written: set[str] = set()
        for key, _ in node.value:
            if key.tag == _MERGE:
                continue
            if not isinstance(key, yaml.ScalarNode):
                raise _Unreadable(_at(key.start_mark, "a key must be text", "put it in quotes"))
            if key.value in written:
                self.doubled.append((key.value, key.start_mark))
            written.add(key.value)
        self.flatten_mapping(node)
        return {key.value: self.construct_object(value, deep=deep) for key, value in node.value}


_MERGE = "tag:yaml.org,2002:merge"


def _integer(loader: Any, node: yaml.ScalarNode) -> int:
    text = node.value.replace("_", "")
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text.lstrip("+"))
    base = {"0x": 16, "0o": 8}.get(digits[:2].lower(), 10)
    try:
        return sign * int(digits[2:] if base != 10 else digits, base)
    except ValueError as error:
        raise _Unreadable(_at(node.start_mark, f"'{node.value[:40]}' is no integer")) from error


for _tag, _pattern, _first in (
    (_MERGE, r"<<", "<"),
    ("tag:yaml.org,2002:null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("tag:yaml.org,2002:int", r"[-+]?[0-9]{1,40}|0o[0-7]{1,40}|0x[0-9a-fA-F]{1,40}", list("-+0123456789")),
    (
        "tag:yaml.org,2002:float",
        r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
):
    _Loader.add_implicit_resolver(_tag, re.compile(rf"^(?:{_pattern})$"), list(_first))
_Loader.add_constructor("tag:yaml.org,2002:int", _integer)


def read_text(text: str, file: str = "") -> Text:
    """The document as data, or the problems that keep it from being read. Doubled keys are problems beside the data."""
    try:
        _refuse_excess(text)
        loader = _Loader(text)
        loader.doubled = []
        try:
            data = loader.get_single_data()
        finally:
            loader.dispose()
        _refuse_bombs(data)
        if not isinstance(data, dict):
            raise _Unreadable(_nothing(data))
    except _Unreadable as error:
        return Text(None, (_in(error.problem, file),))
    except yaml.MarkedYAMLError as error:
        return Text(None, (_in(_syntax(error), file),))
    except yaml.YAMLError as error:
        return Text(None, (Problem(f"is not YAML: {str(error).splitlines()[0]}", file=file),))
    except (ValueError, TypeError, RecursionError) as error:
        return Text(None, (Problem(f"cannot be read: {error}", file=file),))
    doubled = (_at(mark, f"the key '{key}' stands here a second time", "keep one") for key, mark in loader.doubled)
    return Text(data, tuple(_in(problem, file) for problem in doubled))


def read_bytes(path: Path) -> tuple[str, tuple[Problem, ...]]:
    """A file's text, or "" and why it cannot be had."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            return "", (Problem(f"is larger than {MAX_BYTES // 1_000_000} MB, so it is no spec", file=str(path)),)
        return content.decode("utf-8-sig"), ()
    except UnicodeDecodeError as error:
        return "", (Problem(f"is not UTF-8 text (byte {error.start})", "save it as UTF-8", file=str(path)),)
    except OSError as error:
        return "", (Problem(f"cannot be read: {error.strerror or error}", file=str(path)),)


def placed(problems: list[Finding], text: str, file: str) -> tuple[Problem, ...]:
    """The findings with the line and column at which their key or value stands in this text, in the text's order."""
    marks = places(text)
    found = []
    for one in problems:
        loc = one.loc
        while loc and loc not in marks:
            loc = loc[:-1]
        key, value = marks.get(loc, ((1, 1), (1, 1)))
        line, column = key if one.is_about_key or loc != one.loc else value
        found.append(replace(one, file=file, line=line, column=column))
    return tuple(sorted(found, key=lambda p: (p.line, p.column)))


def located(problem: Problem, text: str, file: str) -> Problem:
    """A problem that the engine has found in what came from this text, with the place of its key if it has one."""
    if problem.file or not problem.path or not text:
        return problem
    marks = {path_of(loc): value for loc, (_, value) in places(text).items()}
    for path in (problem.path, f"source.{problem.path}", f"sink.{problem.path}"):
        if path in marks:
            line, column = marks[path]
            return replace(problem, path=path, file=file, line=line, column=column)
    return problem


Place = tuple[int, int]


def places(text: str) -> dict[Loc, tuple[Place, Place]]:
    """Line and column of every key and of its value. An entry of a list has its own place twice."""
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError:
        return {}
    found: dict[Loc, tuple[Place, Place]] = {}
    todo: list[tuple[Loc, Place, Any]] = [((), (1, 1), root)] if root else []
    while todo and len(found) < MAX_VALUES:
        loc, key, node = todo.pop()
        found[loc] = key, _place(node.start_mark) if loc else (1, 1)
        if isinstance(node, yaml.MappingNode):
            todo.extend(
                ((*loc, k.value), _place(k.start_mark), v)
                for k, v in node.value
                if isinstance(k, yaml.ScalarNode) and k.tag != _MERGE
            )
        elif isinstance(node, yaml.SequenceNode):
            todo.extend(((*loc, i), _place(v.start_mark), v) for i, v in enumerate(node.value))
    return found


def _refuse_excess(text: str) -> None:
    """Stop before the composer, which recurses, meets deep nesting, and before a second document."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise _Unreadable(_at(event.start_mark, f"is nested more than {MAX_DEPTH} deep"))
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise _Unreadable(_at(event.start_mark, "a second document begins here", "write one pipeline per file"))


def _refuse_bombs(data: object) -> None:
    """Aliases cost nothing while they are shared; here they are counted as if they were written out."""
    left = MAX_VALUES
    todo = [data]
    while todo:
        left -= 1
        if left < 0:
            raise _Unreadable(Problem(f"has more than {MAX_VALUES} values once its anchors are written out"))
        value = todo.pop()
        if isinstance(value, Mapping):
            todo.extend(value.values())
        elif isinstance(value, list):
            todo.extend(value)


def _nothing(data: object) -> Problem:
    if data is None:
        return Problem("is empty", "a pipeline needs at least: pipeline, kind, source, sink", line=1, column=1)
    return Problem("must be a mapping of keys to values", "begin with 'pipeline: <name>'", line=1, column=1)


def _syntax(error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    said = error.problem or "cannot be read"
    hint = ""
    if "could not determine a constructor" in said:
        said, hint = "a tag that names a type is not allowed here", "remove the word that begins with '!'"
    elif "undefined alias" in said:
        said = "this alias (*name) has no anchor (&name)"
    elif "found character that cannot start any token" in said:
        hint = "indent with spaces, and put text that begins with @, ` or % in quotes"
    elif "mapping values are not allowed" in said:
        hint = "put text that holds ': ' in quotes"
    message = f"is not valid YAML: {said}"
    return _at(mark, message, hint) if mark else Problem(message, hint)


def _place(mark: Any) -> Place:
    return mark.line + 1, mark.column + 1


def _at(mark: Any, message: str, hint: str = "") -> Problem:
    return Problem(message, hint, line=mark.line + 1, column=mark.column + 1)


def _in(problem: Problem, file: str) -> Problem:
    return replace(problem, file=file)
