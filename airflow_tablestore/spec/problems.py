"""From what is wrong with a spec to sentences that say what to do.

A validator raises `fault`; what pydantic finds by itself is put into our words here, once. A finding knows its place as
keys and positions inside the document; `document` adds line and column when the spec came from a file.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from airflow_tablestore.errors import Problem

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails, PydanticCustomError

Loc = tuple[str | int, ...]
"""Keys and list positions, from the top of the document."""


@dataclass(frozen=True, slots=True)
class Finding(Problem):
    """A problem that knows its place inside the document. `is_about_key` points at the key and not at its value."""

    loc: Loc = ()
    is_about_key: bool = False


def finding(loc: Loc, message: str, hint: str = "", *, is_about_key: bool = False, is_warning: bool = False) -> Finding:
    """A finding about this place; its `path` is the place in words."""
    return Finding(message, hint, path=path_of(loc), is_warning=is_warning, loc=tuple(loc), is_about_key=is_about_key)


def path_of(loc: Loc) -> str:
    """A place in words: source.columns[2].type."""
    text = ""
    for step in loc:
        text += f"[{step}]" if isinstance(step, int) else (f".{step}" if text else step)
    return text


def fault(message: str, hint: str = "") -> PydanticCustomError:
    """What a validator raises about the value that it was given."""
    return faults([finding((), message, hint)])


def faults(findings: Sequence[Finding]) -> PydanticCustomError:
    """What a validator raises about several things; their places are relative to the value that it was given."""
    from pydantic_core import PydanticCustomError

    return PydanticCustomError("spec", "{text}", {"text": str(findings[0]), "findings": tuple(findings)})


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant, or ""."""
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else ""


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """A hint: the nearest known word, else all of them."""
    close = nearest(word, known)
    return f"did you mean '{close}'?" if close else f"known: {', '.join(known)}"


_KEY_ID = re.compile(r"\b(?:LTAI[0-9A-Za-z]{8,}|STS\.[0-9A-Za-z]{8,})")
_SECRET_NAME = re.compile(
    r"^(?!.*(?:name|ref)$)(?:access_?key.*|access_?id|.*secret.*|.*password.*|.*token|ak|sk)$", re.IGNORECASE
)
_LOGIN = re.compile(r"://[^/@\s]*@")
_SECRET_ENTRY = re.compile(
    r"""((?<![\w.-])(?=[\w.-]*?(?:access_?key|access_?id|secret|password|token))[\w.-]++["']?\s*+[:=]\s*+)"""
    r"""[^\s,}\]][^,}\]]*""",
    re.IGNORECASE,
)
"""Each word is looked at once, from its beginning, so that time is linear in a text that somebody else has written."""


def names_secret(key: str) -> bool:
    """Whether a key of this name holds a credential; one that only names a secret kept elsewhere does not."""
    return bool(_SECRET_NAME.match(key))


def holds_key_id(text: str) -> bool:
    """Whether a text holds something that looks like an access key ID of Alibaba Cloud (LTAI…, STS.…)."""
    return bool(_KEY_ID.search(text))


def masked(line: str) -> str:
    """The line without credentials, for messages."""
    return _KEY_ID.sub("***", _LOGIN.sub("://***@", _SECRET_ENTRY.sub(r"\1***", line)))


def shown(value: object) -> str:
    """A value as a message shows it: short, and never a credential."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, bytes):
        return "binary data"
    text = masked(str(value)).replace("\n", " ")
    text = text if len(text) <= 40 else text[:39] + "…"
    return f"'{text}'" if isinstance(value, str) else text


def translate(error: ValidationError, model: type[BaseModel]) -> list[Finding]:
    """Everything that pydantic found, in the order of the document's keys as far as it is known."""
    found: list[Finding] = []
    for detail in error.errors(include_url=False):
        loc = _real_loc(detail["loc"])
        found.extend(_in_our_words(detail, loc, model))
    return found


def _real_loc(loc: Loc) -> Loc:
    """The place without the names of union members (written as "<member>"), which are no keys."""
    return tuple(step for step in loc if not (isinstance(step, str) and re.fullmatch(r"<.*>", step)))


def _in_our_words(detail: ErrorDetails, loc: Loc, model: type[BaseModel]) -> Iterator[Finding]:
    kind, given = detail["type"], detail.get("input")
    context = detail.get("ctx", {})
    if kind == "spec":
        for one in context["findings"]:
            yield finding(
                loc + one.loc, one.message, one.hint, is_about_key=one.is_about_key, is_warning=one.is_warning
            )
    elif kind == "extra_forbidden":
        yield _unknown_key(loc, model)
    elif kind == "missing":
        yield finding(loc, "is missing", _example(loc, model))
    elif kind in _SENTENCES:
        message, hint = _SENTENCES[kind](given, context)
        yield finding(loc, message, hint)
    else:
        message = detail["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
        yield finding(loc, f"{message[:1].lower()}{message[1:]}, not {shown(given)}")


Sentence = Callable[[object, Mapping[str, Any]], tuple[str, str]]


def _expects(what: str, hint: str = "") -> Sentence:
    return lambda given, _: (f"must be {what}, not {shown(given)}", hint)


def _choice(given: object, context: Mapping[str, Any]) -> tuple[str, str]:
    known = re.findall(r"'([^']*)'", str(context["expected"]))
    return f"must be one of {', '.join(known)}, not {shown(given)}", (
        f"did you mean '{close}'?" if isinstance(given, str) and (close := nearest(given, known)) else ""
    )


_WHOLE = _expects("a whole number")
_NUMBER = _expects("a number")
_FLAG = _expects("true or false")
_MAPPING = _expects("a mapping of keys to values")
_SENTENCES: dict[str, Sentence] = {
    "literal_error": _choice,
    "enum": _choice,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "bool_type": _FLAG,
    "bool_parsing": _FLAG,
    "string_type": _expects("text", "put it in quotes"),
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "dict_type": _MAPPING,
    "tuple_type": _expects("a list", "write [first, second]"),
    "list_type": _expects("a list", "write [first, second]"),
    "greater_than_equal": lambda given, ctx: (f"must be at least {ctx['ge']}, not {shown(given)}", ""),
    "greater_than": lambda given, ctx: (f"must be more than {ctx['gt']}, not {shown(given)}", ""),
    "less_than_equal": lambda given, ctx: (f"must be at most {ctx['le']}, not {shown(given)}", ""),
    "finite_number": _expects("a finite number"),
    "too_short": lambda given, ctx: ("must not be empty", ""),
    "string_too_short": lambda given, ctx: ("must not be empty", ""),
    "string_too_long": lambda given, ctx: (f"must have at most {ctx['max_length']} characters", ""),
}


DATAX_WORDS = {
    "accessId": "the connection's login",
    "accessKey": "the connection's password",
    "column": "source.columns",
    "compress": "sink.compress",
    "concurrent": "limits.workers",
    "dataSourceName": "source.connection",
    "datasource": "connection",
    "dateFormat": "sink.csv.date_format",
    "encoding": "sink.csv.encoding",
    "endpoint": "the connection",
    "errorLimit": "limits.errors",
    "fieldDelimiter": "sink.csv.delimiter",
    "fileFormat": "sink.format",
    "header": "sink.csv.header",
    "instanceName": "the connection's extra 'instance'",
    "maxFileSize": "sink.max_file_mb",
    "nullFormat": "sink.csv.null",
    "object": "sink.prefix",
    "reader": "source",
    "speed": "limits",
    "writer": "sink",
    "writeMode": "sink.write_mode",
}
"""Keys of a DataX or DataWorks job and where their meaning lives here."""


def _unknown_key(loc: Loc, model: type[BaseModel]) -> Finding:
    word = str(loc[-1])
    words: Mapping[str, str] = DATAX_WORDS | getattr(model, "WORDS", {})
    known = [name for name in keys_at(model, loc[:-1]) if name != word]
    elsewhere = [path for path in _all_paths(model) if path[-1] == word]
    if close := nearest(word, known):
        hint = f"did you mean '{close}'?"
    elif elsewhere:
        hint = f"it belongs under '{path_of(elsewhere[0][:-1]) or 'the top level'}'"
    elif word in words:
        hint = f"here it is {words[word]}"
    else:
        hint = f"known keys: {', '.join(known)}" if known else ""
    if word in keys_at(model, loc[:-1]):
        hint = f"it belongs to another type of '{path_of(loc[:-1])}'"
    if word in words and not elsewhere:
        hint = f"here it is {words[word]}"
    return finding(loc, "unknown key", hint, is_about_key=True)


def keys_at(model: type[BaseModel], loc: Loc) -> dict[str, str]:
    """The keys that are known at this place, each with its description."""
    models = [model]
    for step in loc:
        if isinstance(step, int):
            continue
        models = [
            inner
            for outer in models
            for name, described in outer.model_fields.items()
            if step in (name, described.alias)
            for inner in parts_of(described.annotation)
        ]
    return {
        described.alias or name: described.description or ""
        for outer in models
        for name, described in outer.model_fields.items()
    }


def parts_of(annotation: Any) -> list[type[BaseModel]]:
    """The models that a field's type names, however deep inside unions and lists."""
    from pydantic import BaseModel

    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [part for inner in get_args(annotation) for part in parts_of(inner)]


def _all_paths(model: type[BaseModel], before: Loc = ()) -> Iterator[Loc]:
    for name, described in model.model_fields.items():
        here = (*before, described.alias or name)
        yield here
        for part in parts_of(described.annotation):
            yield from _all_paths(part, here)


def _example(loc: Loc, model: type[BaseModel]) -> str:
    """A hint for a missing key: what it is, from the model."""
    told = keys_at(model, loc[:-1]).get(str(loc[-1]), "")
    return told.split(". ")[0].rstrip(".") if told else ""
