"""XML as MaxCompute's REST interface writes it: elements with attributes, text or CDATA."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape, quoteattr

from airflow_tablestore.emulator.oss.xml import legible


def element(name: str, content: str | Sequence[str] = "", attributes: Mapping[str, str] | None = None) -> str:
    """An element of a text, which is escaped, or of elements that were made here."""
    inner = escape(legible(content)) if isinstance(content, str) else "".join(content)
    told = "".join(f" {key}={quoteattr(legible(value))}" for key, value in (attributes or {}).items())
    return f"<{name}{told}>{inner}</{name}>"


def literal(name: str, text: str, attributes: Mapping[str, str] | None = None) -> str:
    """An element of a text that stands there as it is."""
    whole = legible(text).replace("]]>", "]]]]><![CDATA[>")
    told = "".join(f" {key}={quoteattr(value)}" for key, value in (attributes or {}).items())
    return f"<{name}{told}><![CDATA[{whole}]]></{name}>"


def document(root: str) -> bytes:
    """The element as a whole document."""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{root}'.encode("utf-8", "replace")
