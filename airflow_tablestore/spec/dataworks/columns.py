"""Columns and keys as jobs write them, in the spec's words."""

from __future__ import annotations

from typing import Any

from airflow_tablestore.spec.dataworks.trail import Fate, Given, Trail
from airflow_tablestore.spec.problems import Loc, did_you_mean, shown

TYPES = {
    "string": "string",
    "int": "integer",
    "integer": "integer",
    "long": "integer",
    "bigint": "integer",
    "double": "double",
    "float": "double",
    "bool": "boolean",
    "boolean": "boolean",
    "binary": "binary",
    "bytes": "binary",
}
BOUNDS = ("INF_MIN", "INF_MAX")


def type_of(given: Any, loc: Loc, trail: Trail) -> str | None:
    """The type in our word; None with a problem written down when there is none such."""
    name = str(given or "").strip().lower()
    if name in TYPES:
        return TYPES[name]
    trail.refuse(loc, f"{shown(given)} is no type that is known here", did_you_mean(name, tuple(dict.fromkeys(TYPES))))
    return None


def columns(given: Given, header: list[str], key: str = "source.columns") -> list[Any] | None:
    """`column` of a reader of tables; None for all columns.

    :param header: the writer's names of the columns, with which constants are called.
    """
    loc, written = given.at("column"), given.list("column")
    if not written or written in (["*"], [{"name": "*"}]):
        if "column" in given.data:
            given.trail.note(loc, Fate.TAKEN, f"{key}: left out, which means all columns")
        return None
    found: list[Any] = []
    for position, one in enumerate(written):
        name = header[position] if len(header) == len(written) else ""
        column = _column(one, (*loc, position), name, len(found) + 1, given.trail, key)
        if column is not None:
            found.append(column)
    return found


def _column(one: Any, loc: Loc, header: str, number: int, trail: Trail, key: str) -> Any:
    if isinstance(one, str) and one:
        trail.note(loc, Fate.TAKEN, key)
        return {"name": one, "as": header} if header and header != one else one
    if not isinstance(one, dict):
        trail.refuse(loc, f"{shown(one)} is no column", 'write {"name": "uid"}')
        return None
    if one.get("name") not in (None, ""):
        trail.note((*loc, "name"), Fate.TAKEN, key)
        name = str(one["name"])
        column: dict[str, Any] = {"name": name}
        if header and header != name:
            column["as"] = header
        if one.get("type") and (word := type_of(one["type"], (*loc, "type"), trail)):
            trail.note((*loc, "type"), Fate.TAKEN, key)
            column["type"] = word
        return column if len(column) > 1 else name
    if "value" not in one:
        trail.refuse(
            loc, "has neither a name nor a value", 'write {"name": "uid"} or {"type": "string", "value": "cn"}'
        )
        return None
    trail.note((*loc, "value"), Fate.TAKEN, key)
    word = type_of(one.get("type", "string"), (*loc, "type"), trail)
    if "type" in one:
        trail.note((*loc, "type"), Fate.TAKEN, key)
    if not header:
        trail.choose(key, f"A constant has no name in the job; here it is constant_{number}.")
    return {"value": one["value"], "as": header or f"constant_{number}", "type": word or "string"}


def key_range(given: Given) -> dict[str, Any] | None:
    """`range` without its `split`; None when it is the whole table."""
    part = given.part("range")
    bounds = {name: _keys(part, name) for name in ("begin", "end") if part.list(name)}
    for name in ("begin", "end"):
        if name not in bounds and name in part.data:
            given.trail.note(part.at(name), Fate.EMPTY, "")
    begin, end = bounds.get("begin", ["INF_MIN"]), bounds.get("end", ["INF_MAX"])
    if not bounds:
        return None
    if set(map(str, begin)) == {"INF_MIN"} and set(map(str, end)) == {"INF_MAX"}:
        given.trail.choose("source.table", "The job's range is the whole table, so none is written.")
        return None
    return {"begin": begin, "end": end}


def split_points(given: Given) -> list[Any] | None:
    """`range.split`, or None. INF_MIN and INF_MAX in it cut nothing: a range has its ends anyway."""
    part = given.part("range")
    if not part.list("split"):
        return None
    points = _keys(part, "split", "source.split")
    inner = [point for point in points if point not in BOUNDS]
    if len(inner) < len(points):
        given.trail.choose(
            "source.split" if inner else "source.table",
            "INF_MIN and INF_MAX stand in the job's split; they cut nothing and are left out.",
        )
    return inner or None


def _keys(part: Given, name: str, to: str = "source.range") -> list[Any]:
    found = []
    for position, one in enumerate(part.list(name)):
        loc = (*part.at(name), position)
        key = _key(one, loc, part.trail)
        if isinstance(one, dict):
            for step in ("type", "value"):
                if step in one:
                    part.trail.note((*loc, step), Fate.TAKEN, to)
        else:
            part.trail.note(loc, Fate.TAKEN, to)
        found.append(key)
    return found


def _key(one: Any, loc: Loc, trail: Trail) -> Any:
    if not isinstance(one, dict):
        if isinstance(one, str | int) and not isinstance(one, bool):
            return one
        trail.refuse(loc, f"{shown(one)} is no part of a key", 'write {"type": "string", "value": "a"}')
        return "INF_MIN"
    word = str(one.get("type", "")).strip().upper()
    if word in BOUNDS:
        return word
    kind, value = type_of(one.get("type"), (*loc, "type"), trail), one.get("value")
    if kind == "integer":
        try:
            return int(str(value))
        except ValueError:
            trail.refuse((*loc, "value"), f"{shown(value)} is no whole number")
            return 0
    if kind == "binary":
        return {"binary": str(value)}
    if kind == "string":
        text = "" if value is None else str(value)
        return {"string": text} if text.upper() in BOUNDS else text
    if kind is not None:
        trail.refuse((*loc, "type"), f"a key column is no {kind}", "it is a string, an int or binary")
    return "INF_MIN"
