"""Where a job has its reader, its writer and its settings.

Script mode of DataWorks puts them under `configuration` (version 1.0) or into `steps` (version 2.0), DataX under
`job.content[0]`; a bare object with `reader` and `writer` is understood, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_tablestore.errors import SpecError
from airflow_tablestore.spec.dataworks.trail import Fate, Given, Trail
from airflow_tablestore.spec.problems import Finding, Loc, did_you_mean, finding, shown

READERS = ("ots", "otsstream", "oss")
WRITERS = ("oss", "odps", "ots")
_WRAPPING = {"type", "version"}


@dataclass(frozen=True, slots=True)
class Side:
    """A reader or a writer: its plugin, in our spelling, and its parameters."""

    plugin: str
    given: Given


@dataclass(frozen=True, slots=True)
class Job:
    """A job, taken apart."""

    reader: Side
    writer: Side
    setting: Given


def job_of(data: Mapping[str, Any], trail: Trail) -> Job:
    """The parts of a job.

    :raises SpecError: it has no reader and writer that are known here; places are in the job.
    """
    found: list[Finding] = []
    reader, writer, setting = _parts(data, trail, found)
    if not found:
        sides = [
            _side("reader", reader, READERS, trail, found),
            _side("writer", writer, WRITERS, trail, found),
        ]
    if found:
        raise SpecError(found)
    for name in ("type", "version"):
        if name in data and data[name] in ("job", "1.0", "2.0", 1.0, 2.0):
            trail.note((name,), Fate.ALWAYS, "says which form of job this is")
    return Job(sides[0], sides[1], Given(_mapping(setting[1]), setting[0], trail))


_Part = tuple[Loc, Any]


def _parts(data: Mapping[str, Any], trail: Trail, found: list[Finding]) -> tuple[_Part, _Part, _Part]:
    nothing: _Part = ((), None)
    if "steps" in data:
        return *_steps(data, trail, found), (("setting",), data.get("setting"))
    for loc in (("configuration",), ("job",), ()):
        inner: Any = data
        for step in loc:
            inner = inner.get(step) if isinstance(inner, Mapping) else None
        if not isinstance(inner, Mapping):
            continue
        setting = ((*loc, "setting"), inner.get("setting"))
        content = inner.get("content")
        if isinstance(content, Mapping):
            content = [content]
        if isinstance(content, list) and content and isinstance(content[0], Mapping):
            if len(content) > 1:
                hint = "make a file of each"
                found.append(finding((*loc, "content", 1), f"{len(content)} jobs stand in this file", hint))
            base = (*loc, "content", 0) if isinstance(inner["content"], list) else (*loc, "content")
            return ((*base, "reader"), content[0].get("reader")), ((*base, "writer"), content[0].get("writer")), setting
        if inner.keys() & {"reader", "writer", "readers", "writers"}:
            return _one(inner, loc, "reader", found), _one(inner, loc, "writer", found), setting
    hint = "script mode has configuration.reader and configuration.writer, DataX job.content[0].reader and .writer"
    found.append(finding((), "has no reader and no writer, so it is no job", hint))
    return nothing, nothing, nothing


def _one(inner: Mapping[str, Any], loc: Loc, name: str, found: list[Finding]) -> _Part:
    """The reader or the writer, also where it stands in a list of one."""
    key = name if name in inner or f"{name}s" not in inner else f"{name}s"
    value = inner.get(key)
    if not isinstance(value, list) or not value:
        return (*loc, key), value
    if len(value) > 1:
        found.append(finding((*loc, key, 1), f"is a second {name}", "make a file of each job"))
    return (*loc, key, 0), value[0]


def _steps(data: Mapping[str, Any], trail: Trail, found: list[Finding]) -> tuple[_Part, _Part]:
    """Reader and writer of version 2.0, which names the plugin `stepType`."""
    sides: dict[str, _Part] = {}
    steps = data["steps"] if isinstance(data["steps"], list) else []
    for number, step in enumerate(steps):
        category = str(step.get("category", "")).lower() if isinstance(step, Mapping) else ""
        if category in sides:
            found.append(finding(("steps", number), f"is a second {category}", "make a file of each job"))
        elif category in ("reader", "writer"):
            sides[category] = (("steps", number), step)
            trail.note(("steps", number, "category"), Fate.ALWAYS, "says which side this is")
            trail.note(("steps", number, "name"), Fate.ALWAYS, "is a name inside the job")
    trail.note(("order",), Fate.ALWAYS, "a pipeline reads from its source into its sink")
    none: _Part = (("steps",), None)
    return sides.get("reader", none), sides.get("writer", none)


def _side(name: str, part: _Part, known: tuple[str, ...], trail: Trail, found: list[Finding]) -> Side:
    loc, data = part
    nothing = Given({}, loc, trail)
    if not isinstance(data, Mapping):
        told = f"has no {name}" if data is None else f"must be an object, not {shown(data)}"
        found.append(finding(loc, told, f"known plugins: {', '.join(known)}"))
        return Side("", nothing)
    key = next((key for key in ("plugin", "name", "stepType") if key in data and key != "name"), "name")
    given = data.get(key)
    plugin = str(given or "").strip().lower()
    short = plugin.removesuffix(name)
    if short not in known:
        told = f"{shown(given)} is no {name} that is known here" if plugin else "names no plugin"
        found.append(finding((*loc, key) if key in data else loc, told, did_you_mean(short, known)))
        return Side("", nothing)
    trail.note((*loc, key), Fate.TAKEN, "kind")
    parameter = data.get("parameter")
    if not isinstance(parameter, Mapping):
        told = "is missing" if parameter is None else f"must be an object, not {shown(parameter)}"
        found.append(finding((*loc, "parameter"), told))
    return Side(short, Given(_mapping(parameter), (*loc, "parameter"), trail))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
