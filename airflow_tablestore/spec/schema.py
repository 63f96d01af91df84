"""The JSON Schema of specs, so that an editor completes and checks them while they are typed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_tablestore.spec.kinds import KINDS, model_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema(kinds: Sequence[str] = KINDS) -> dict[str, Any]:
    """The schema of a spec of one of these kinds."""
    schemas = [_schema_of(kind) for kind in kinds]
    if len(schemas) == 1:
        return {"$schema": DIALECT, **schemas[0]}
    parts: dict[str, Any] = {}
    for schema in schemas:
        parts |= schema.pop("$defs", {})
    return {"$schema": DIALECT, "title": "A pipeline", "oneOf": schemas, "$defs": parts}


def _schema_of(kind: str) -> dict[str, Any]:
    schema = model_of(kind).model_json_schema(by_alias=True)
    schema["properties"]["kind"].pop("default", None)
    schema["required"] = ["pipeline", "kind", *(key for key in schema["required"] if key != "pipeline")]
    for part in (schema, *schema["$defs"].values()):
        part.pop("title", None)
        for described in part["properties"].values():
            described.pop("title", None)
            if described.get("default", "") is None:
                del described["default"]  # "none" is the absence of the key, and its description says what that means
    return {"title": f"A pipeline of kind {kind}", **_in_json_words(schema)}


_JSON_WORDS = {"ge": "minimum", "le": "maximum", "gt": "exclusiveMinimum"}


def _in_json_words(schema: Any) -> Any:
    """The schema with the bounds in JSON Schema's words; pydantic keeps its own where a validator comes first."""
    if isinstance(schema, dict):
        return {
            _JSON_WORDS.get(key, key) if isinstance(value, int | float) else key: _in_json_words(value)
            for key, value in schema.items()
        }
    return [_in_json_words(one) for one in schema] if isinstance(schema, list) else schema
