"""XML as OSS writes and reads it: elements without namespaces, text without mixed content.

Documents of clients are read with expat through ElementTree; a document type is refused, so entities cannot grow.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_UNPRINTABLE = {chr(code): f"&#{code};" for code in range(32) if chr(code) not in "\t\n"}


@dataclass(frozen=True, slots=True)
class Element:
    """A name with text or with elements; a number or a boolean is written as OSS does."""

    name: str
    content: str | int | bool | Sequence[Element] = ""


def document(root: Element) -> bytes:
    """The element as a whole UTF-8 document."""
    parts = ['<?xml version="1.0" encoding="UTF-8"?>\n']
    _write(root, parts)
    return "".join(parts).encode("utf-8", "replace")


def _write(element: Element, parts: list[str]) -> None:
    content = element.content
    if isinstance(content, bool):
        content = "true" if content else "false"
    parts.append(f"<{element.name}>")
    if isinstance(content, str):
        parts.append(escape(content, _UNPRINTABLE))
    elif isinstance(content, int):
        parts.append(str(content))
    else:
        for child in content:
            _write(child, parts)
    parts.append(f"</{element.name}>")


def names(key: str, *, is_url_encoded: bool) -> str:
    """A key as a listing shows it: with `encoding-type=url` every special byte is percent-encoded, the slash too."""
    return quote(key, safe="") if is_url_encoded else key


def legible(text: str) -> str:
    """The text with a question mark for everything that XML cannot hold. Only for people: keys stay as they are."""
    return _FORBIDDEN.sub("?", text)


def parse(body: bytes, root_name: str) -> ElementTree.Element | None:
    """The root of a client's document; None when it is not well-formed or its root has another name."""
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        return None
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 - document types, the dangerous part, are refused above
    except (ElementTree.ParseError, ValueError, LookupError):
        return None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root if root.tag == root_name else None


def texts(parent: ElementTree.Element, path: str) -> Iterable[str]:
    """The texts of the elements at the path, in the document's order; an empty element is an empty text."""
    return (found.text or "" for found in parent.iterfind(path))
