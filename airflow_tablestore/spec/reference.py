"""The reference page of a spec's keys, in Markdown, from the models.

Run `python -m airflow_tablestore.spec.reference docs/reference/spec.md` after a change to a model; a test compares.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from airflow_tablestore.spec.kinds import KINDS
from airflow_tablestore.spec.schema import json_schema

HEAD = """\
# Keys of a spec

<!-- Made from the models in airflow_tablestore/spec: edit those, then run
     python -m airflow_tablestore.spec.reference docs/reference/spec.md -->

A spec is one YAML file for one pipeline. YAML is read as its version 1.2 says: only `true` and `false` are booleans,
and dates are text. `airflow-tablestore lint` checks specs, `airflow-tablestore schema` prints their JSON Schema for
editors, `airflow-tablestore explain` shows every key of a spec with its value and where that comes from.

Durations are `30s`, `5m`, `2h`, `1d` or `1h30m`. A part of a primary key is a whole number, text, `{binary: <base64>}`,
`INF_MIN` or `INF_MAX`; `{string: INF_MAX}` is the text of that name. The only template is a placeholder in braces:
"""

PLACEHOLDERS = (
    (
        "`{run_date:%Y%m%d}`",
        "Full export: the time that the run is about, in the spec's timezone; `%Y-%m-%d` without a format.",
    ),
    (
        "`{window_start:%Y%m%d%H%M}`",
        "Incremental: where the window begins, in the spec's timezone. Where its clock is moved back, `%z` tells the "
        "two hours of one name apart.",
    ),
    ("`{window_end:%Y%m%d%H%M}`", "Incremental: where the window ends."),
    ("`{event_time:%Y%m%d}`", "Stream into a table: when the change was made, in the spec's timezone."),
    ("`{table}`", "The source's table."),
    ("`{pipeline}`", "The pipeline's name."),
)


def page(kinds: Sequence[str] = KINDS) -> str:
    """The whole page."""
    rows = "\n".join(f"| {name} | {meaning} |" for name, meaning in PLACEHOLDERS)
    parts = [HEAD, f"| placeholder | what it gives |\n| --- | --- |\n{rows}"]
    for kind in kinds:
        schema = json_schema([kind])
        parts.append(f"## kind: {kind}\n\n{schema['description']}\n\n{_table(schema, schema['$defs'])}")
        parts.extend(_sections(schema, schema["$defs"], "", []))
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def _sections(schema: Mapping[str, Any], parts: Mapping[str, Any], path: str, seen: list[str]) -> Iterator[str]:
    """A section for each part below, in the order in which the keys stand."""
    for key, described in schema["properties"].items():
        here = f"{path}.{key}" if path else key
        for name in _parts_in(described):
            if name not in seen:
                seen.append(name)
                title = here if len(_parts_in(described)) == 1 else f"{here}: {_FORMS.get(name, name)}"
                yield f"### {title}\n\n{parts[name]['description']}\n\n{_table(parts[name], parts)}"
                yield from _sections(parts[name], parts, here, seen)


_FORMS = {
    "PickedColumn": "a column of the table",
    "ConstantColumn": "a constant",
    "OssSink": "type oss",
    "MaxComputeSink": "type maxcompute",
    "StreamOssSink": "type oss",
    "StreamTableSink": "type maxcompute",
    "StreamCopySink": "type tablestore",
}


def _parts_in(described: object) -> list[str]:
    """The names of the parts that a key's value may be, or hold."""
    if isinstance(described, Mapping):
        if "$ref" in described:
            return [str(described["$ref"]).rsplit("/", 1)[1]]
        return [name for key, value in described.items() if key != "examples" for name in _parts_in(value)]
    return [name for one in described for name in _parts_in(one)] if isinstance(described, list) else []


def _table(schema: Mapping[str, Any], parts: Mapping[str, Any]) -> str:
    required = schema.get("required", ())
    rows = []
    for key, described in schema["properties"].items():
        default = "required" if key in required else _literal(described["default"]) if "default" in described else ""
        example = ", ".join(_literal(one) for one in described.get("examples", ())[:3])
        told = described.get("description") or " ".join(parts[name]["description"] for name in _parts_in(described))
        rows.append([f"`{key}`", _type(described), default, told, example])
    head = ["| key | type | default | what it does | example |", "| --- | --- | --- | --- | --- |"]
    return "\n".join([*head, *("| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows)])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _literal(value: object) -> str:
    """A value as YAML's short form writes it, as code."""
    return f"`{value}`" if isinstance(value, str) and value.isprintable() and value else f"`{json.dumps(value)}`"


def _type(described: Mapping[str, Any]) -> str:
    """A key's type in a few words."""
    if "const" in described:
        return f"`{described['const']}`"
    if "enum" in described:
        return ", ".join(f"`{one}`" for one in described["enum"])
    if "$ref" in described:
        return "mapping"
    for word in ("anyOf", "oneOf"):
        if word in described:
            told = [_type(one) for one in described[word] if one.get("type") != "null"]
            return " or ".join(dict.fromkeys(told))
    if described.get("type") == "array":
        return "list"
    words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
    told_type = words.get(described.get("type", ""), "mapping" if described.get("type") == "object" else "any value")
    if "pattern" in described and "smhd" in described["pattern"]:
        told_type = "duration"
    return told_type + _bounds(described)


def _bounds(described: Mapping[str, Any]) -> str:
    least, most = described.get("minimum"), described.get("maximum")
    if least is not None and most is not None:
        return f", {least} to {most}"
    if least is not None:
        return f", at least {least}"
    return ", more than 0" if described.get("exclusiveMinimum") == 0 else ""


def main(arguments: Sequence[str]) -> None:
    """Write the page to the file that is named."""
    Path(arguments[0]).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
