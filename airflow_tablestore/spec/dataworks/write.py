"""A conversion as files: the spec with a comment at each choice, the report with the checklist of connections, the DAG.

The spec is read back by the loader that reads all specs, so what is written means what was decided.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from airflow_tablestore.spec.dataworks.convert import Conversion
from airflow_tablestore.spec.dataworks.places import Connection
from airflow_tablestore.spec.dataworks.trail import Fate, Step, without_tokens
from airflow_tablestore.spec.problems import Loc, masked, path_of

WIDTH = 110
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./{}%-]*(?::[%A-Za-z0-9_./{}-]+)*")
_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n", "none"}

DAG = '''\
"""The DAG of the spec beside this file."""

from airflow_tablestore.factory import dag_from_spec

dag = dag_from_spec(__file__)
'''


def spec_text(conversion: Conversion) -> str:
    """The spec in YAML, with comments."""
    notes: dict[Loc, list[str]] = {loc: list(told) for loc, told in conversion.trail.choices.items()}
    for loc, told in conversion.trail.unfilled.items():
        notes.setdefault(loc, []).insert(0, f"FILL IN: {told}. The job does not say it.")
    told_keys = _existing(notes, conversion.mapping)
    head = [
        f"# Made from {_name(conversion.file)} by airflow-tablestore convert. A comment stands where a choice was made."
    ]
    return "\n".join([*head, *_lines(conversion.mapping, (), told_keys, "")]) + "\n"


def _name(file: str) -> str:
    return re.split(r"[/\\]", file)[-1]


def _existing(notes: Mapping[Loc, list[str]], mapping: Mapping[str, Any]) -> dict[Loc, list[str]]:
    """The comments at keys that are written; one about a key that is left out goes to the nearest above it."""
    found: dict[Loc, list[str]] = {}
    for loc, told in notes.items():
        here = loc
        while here and not _has(mapping, here):
            here = here[:-1]
        found.setdefault(here or ("pipeline",), []).extend(told)
    return found


def _has(mapping: Any, loc: Loc) -> bool:
    for step in loc:
        if not isinstance(mapping, Mapping) or step not in mapping:
            return False
        mapping = mapping[step]
    return True


def _lines(mapping: Mapping[str, Any], at: Loc, notes: Mapping[Loc, list[str]], indent: str) -> Iterator[str]:
    for key, value in mapping.items():
        here = (*at, key)
        for told in dict.fromkeys(notes.get(here, ())):
            yield from textwrap.wrap(
                masked(told).replace("\n", " "),
                WIDTH - len(indent),
                initial_indent=f"{indent}# ",
                subsequent_indent=f"{indent}# ",
            )
        name = _scalar(key)
        short = f"{indent}{name}: {_flow(value)}"
        is_long = isinstance(value, Mapping | list | tuple) and value and (len(short) > WIDTH)
        has_notes = any(loc[: len(here)] == here and loc != here for loc in notes)
        if isinstance(value, Mapping) and value and (is_long or has_notes or (not at and key in ("source", "sink"))):
            yield f"{indent}{name}:"
            yield from _lines(value, here, notes, f"{indent}  ")
        elif isinstance(value, list | tuple) and is_long:
            yield f"{indent}{name}:"
            yield from (f"{indent}  - {_flow(one)}" for one in value)
        else:
            yield short


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(key)}: {_flow(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_flow(one) for one in value) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    """A value that YAML 1.2, and 1.1 too, reads as what it is."""
    if not isinstance(value, str):
        return json.dumps(value)
    is_plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS and not re.search(r"[{}%]|:$", value)
    if is_plain:
        return value
    quoted = json.dumps(value, ensure_ascii=False)
    return "".join(one if one.isprintable() else f"\\U{ord(one):08x}" for one in quoted)


# ---- the report

_TITLES = (
    (Fate.OTHER, "Without an equivalent", "What the job says and the spec cannot, or not in the same way."),
    (
        Fate.SECRET,
        "Credentials in plain text",
        "No file that was made holds them. Replace them: they have been seen.",
    ),
    (Fate.TAKEN, "Taken over", ""),
    (Fate.CONNECTION, "Belongs into a connection", ""),
    (Fate.ALWAYS, "Changes nothing here", ""),
    (Fate.EMPTY, "Empty in the job", ""),
)


def report(conversion: Conversion) -> str:
    """What became of every parameter, and what is left to do, in Markdown."""
    trail = conversion.trail
    parts = [f"# {conversion.pipeline}: from {_name(conversion.file)}", f"A pipeline of kind `{conversion.kind}`."]
    to_do = [f"* `{path_of(loc)}`: {told}." for loc, told in trail.unfilled.items()]
    to_do += [
        f"* `{one.path}`: {one.message}" + (f" ({one.hint})" if one.hint else "")
        for one in conversion.problems
        if one.loc not in trail.unfilled and not (one.loc and one.loc[:-1] in trail.unfilled)
    ]
    if to_do:
        parts.append("## To do before it runs\n\n" + "\n".join(to_do))
    parts.append("## Connections\n\n" + "\n".join(_checklist(conversion.connections)))
    if trail.choices:
        chosen = [(loc, one) for loc, texts in trail.choices.items() for one in dict.fromkeys(texts)]
        listed = "\n".join(f"* `{path_of(loc)}`: {masked(one)}" for loc, one in chosen)
        parts.append("## Choices\n\nEach stands in the spec as a comment.\n\n" + listed)
    for fate, title, about in _TITLES:
        steps = [step for step in trail.steps if step.fate is fate]
        if steps:
            head = f"## {title}\n\n{about}\n\n" if about else f"## {title}\n\n"
            parts.append(head + "\n".join(_row(step) for step in steps))
    if conversion.prose:
        rows = "\n".join(f"* line {number}: {without_tokens(text)}" for number, text in conversion.prose)
        about = "These lines follow a comment and are no JSON, so they were read as the rest of it."
        parts.append(f"## Comments broken over lines\n\n{about}\n\n{rows}")
    return "\n\n".join(parts) + "\n"


def _row(step: Step) -> str:
    if step.fate is Fate.TAKEN:
        return f"* `{step.path}` → `{step.told}`"
    return f"* `{step.path}`" + (f": {masked(step.told)}" if step.told else "")


def _checklist(connections: Sequence[Connection]) -> Iterator[str]:
    for one in connections:
        yield f"* [ ] `{one.id}`, of type `{one.type}`, for the {one.role}" + ("." if not one.told else ":")
        for name, value in one.told.items():
            yield f"  * {_WHERE.get(name, name)}: `{value}` (`{name}` in the job)"
        if one.has_secret:
            yield "  * login and password: the job holds keys in plain text; make new ones and put those there"


_WHERE = {
    "endpoint": "host, the endpoint",
    "instanceName": "extra `instance`",
    "odpsServer": "host, the endpoint",
    "tunnelServer": "the tunnel's endpoint, which is found by itself",
    "socketTimeoutInMillisecond": "extra `timeout_seconds`, in seconds",
    "connectTimeoutInMillisecond": "extra `timeout_seconds`, in seconds",
}
