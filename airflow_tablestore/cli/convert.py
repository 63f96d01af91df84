"""`convert`: a DataWorks or DataX job becomes a spec, a DAG file and a report. No service is asked."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airflow_tablestore.cli.session import MUST_CHANGE, OK, Session
from airflow_tablestore.errors import Problem, SpecError
from airflow_tablestore.spec.dataworks import Conversion, convert, report, scheduling_of, spec_text
from airflow_tablestore.spec.dataworks.trail import Fate
from airflow_tablestore.spec.dataworks.write import DAG
from airflow_tablestore.spec.document import read_text
from airflow_tablestore.spec.problems import masked, path_of


def convert_job(arguments: Namespace, session: Session) -> int:
    """Write or print what a job becomes; MUST_CHANGE when the spec cannot be used as it is."""
    given = keys_of(arguments.given)
    conversion = convert(arguments.job, scheduling_of(arguments.schedule), given, session.now())
    written = _write(conversion, Path(arguments.output), arguments.force) if arguments.output else []
    if arguments.json:
        session.say(json.dumps(_as_json(conversion, written), indent=2, ensure_ascii=False))
    elif written:
        for file in written:
            session.say(f"wrote {file}")
        _tell(conversion, session)
    else:
        session.out.write(spec_text(conversion))
        session.tell(report(conversion))
    return OK if conversion.is_complete else MUST_CHANGE


def keys_of(words: Sequence[str]) -> dict[str, Any]:
    """`sink.bucket=backup` and others as the keys of a spec; a value is read as YAML.

    :raises SpecError: one of them is not of this form.
    """
    found: dict[str, Any] = {}
    for word in words:
        name, is_there, value = word.partition("=")
        steps = name.split(".")
        if not is_there or not all(steps):
            raise SpecError([Problem(f"--set: '{masked(word)}' sets no key", "write sink.bucket=backup")])
        read = read_text(f"value: {value}", "--set")
        if read.data is None:
            raise SpecError(read.problems)
        inner = found
        for step in steps[:-1]:
            inner = inner.setdefault(step, {})
            if not isinstance(inner, dict):
                raise SpecError([Problem(f"--set: '{name}' is below a key that has a value", "set one of the two")])
        inner[steps[-1]] = read.data["value"]
    return found


def _write(conversion: Conversion, folder: Path, force: bool) -> list[str]:
    """:raises SpecError: a file is there already."""
    name = conversion.pipeline
    files = {f"{name}.yaml": spec_text(conversion), f"{name}.report.md": report(conversion)}
    if conversion.is_complete:
        files[f"{name}.py"] = DAG
    standing = [file for file in files if (folder / file).exists()]
    if standing and not force:
        told = f"{folder / standing[0]} is there already"
        raise SpecError([Problem(told, "--force replaces it, --set pipeline=… gives another name")])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            (folder / file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise SpecError([Problem(f"cannot be written: {error.strerror or error}", file=str(folder))]) from error
    return [str(folder / file) for file in files]


def _tell(conversion: Conversion, session: Session) -> None:
    """The short of the report."""
    for one in conversion.problems:
        level = "warning" if one.is_warning else "to do"
        told = conversion.trail.unfilled.get(one.loc)
        session.tell(
            f"{level}: {one.path}: {told or one.message}" + (f" ({one.hint})" if one.hint and not told else "")
        )
    steps = conversion.trail.steps
    without = sum(step.fate is Fate.OTHER for step in steps)
    secrets = sum(step.fate is Fate.SECRET for step in steps)
    choices = sum(map(len, conversion.trail.choices.values()))
    session.say(f"{_count(choices, 'choice')}, {_count(without, 'parameter')} without an equivalent: see the report.")
    if secrets:
        held = _count(secrets, "credential")
        session.tell(f"warning: the job holds {held} in plain text. They are in no file that was made; replace them.")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _as_json(conversion: Conversion, written: Sequence[str]) -> dict[str, Any]:
    trail = conversion.trail
    return {
        "pipeline": conversion.pipeline,
        "kind": conversion.kind,
        "is_complete": conversion.is_complete,
        "files": list(written),
        "spec": conversion.mapping,
        "choices": {path_of(loc): [masked(one) for one in told] for loc, told in trail.choices.items()},
        "to_fill_in": {path_of(loc): told for loc, told in trail.unfilled.items()},
        "connections": [{"id": one.id, "type": one.type, "for": one.role} for one in conversion.connections],
        "parameters": [
            {"path": step.path, "became": step.fate.value, "told": masked(step.told)} for step in trail.steps
        ],
    }
