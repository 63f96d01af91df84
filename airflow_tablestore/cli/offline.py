"""The commands that ask no service: lint, schema, explain."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import Any

from airflow_tablestore.cli.session import FAILED, OK, Session
from airflow_tablestore.errors import Problem, SpecError
from airflow_tablestore.spec.kinds import KINDS
from airflow_tablestore.spec.lint import between, find
from airflow_tablestore.spec.load import read
from airflow_tablestore.spec.problems import did_you_mean
from airflow_tablestore.spec.show import show


def lint(arguments: Namespace, session: Session) -> int:
    """Print every problem; 1 when one of them is an error."""
    files, missing = find(arguments.paths)
    documents = [read(path) for path in files]
    found = [*missing, *(p for document in documents for p in document.problems), *between(documents)]
    found.sort(key=lambda p: (p.file, p.line, p.column))
    errors = sum(not p.is_warning for p in found)
    if arguments.json:
        told = {"specs": len(files), "errors": errors, "problems": [problem_as_json(p) for p in found]}
        session.say(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        if found:
            session.say(show(found, {document.file: document.text for document in documents}))
        session.say(
            f"{_count(len(files), 'spec')}: {_count(errors, 'error')}, {_count(len(found) - errors, 'warning')}"
        )
    return FAILED if errors else OK


def problem_as_json(problem: Problem) -> dict[str, Any]:
    """A problem for programs."""
    return {
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "level": "warning" if problem.is_warning else "error",
        "path": problem.path,
        "message": problem.message,
        "hint": problem.hint,
    }


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def schema(arguments: Namespace, session: Session) -> int:
    """Print the JSON Schema, or the reference page."""
    from airflow_tablestore.spec.reference import page
    from airflow_tablestore.spec.schema import json_schema

    if arguments.kind is not None and arguments.kind not in KINDS:
        raise SpecError([Problem(f"--kind: '{arguments.kind}' is not known", did_you_mean(arguments.kind, KINDS))])
    kinds = [arguments.kind] if arguments.kind else KINDS
    if arguments.markdown:
        session.out.write(page(kinds))
    else:
        session.say(json.dumps(json_schema(kinds), indent=2, ensure_ascii=False))
    return OK


def explain(arguments: Namespace, session: Session) -> int:
    """Print every key with its value and its origin, and the story of a run."""
    from airflow_tablestore.spec.explain import settings, story

    document = read(arguments.spec)
    if document.spec is None:
        raise SpecError(document.errors)
    rows = settings(document)
    if arguments.json:
        told = [{"path": row.path, "value": row.value, "line": row.line or None} for row in rows]
        session.say(json.dumps({"settings": told, "story": story(document.spec)}, indent=2, ensure_ascii=False))
        return OK
    widths = [max(len(row.path) for row in rows), min(60, max(len(row.value) for row in rows))]
    for row in rows:
        session.say(f"{row.path:{widths[0]}}  {row.value:{widths[1]}}  {row.origin}")
    session.say()
    for sentence in story(document.spec):
        session.say(sentence)
    warnings = [p for p in document.problems if p.is_warning]
    if warnings:
        session.tell(show(warnings, {document.file: document.text}))
    return OK
