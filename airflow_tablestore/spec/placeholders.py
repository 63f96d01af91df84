"""Placeholders in braces: the only template that a spec has.

`{run_date:%Y%m%d}` is a time, rendered in the spec's timezone by a strftime format; `{table}` and `{pipeline}` are
words. Rendering knows nothing else: no expressions, no variables, no Jinja.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from airflow_tablestore.errors import SpecError
from airflow_tablestore.spec.problems import Finding, did_you_mean, finding

TIMES = ("run_date", "window_start", "window_end", "event_time")
WORDS = ("table", "pipeline", "split")
DEFAULT_FORMAT = "%Y-%m-%d"

DIRECTIVES = {
    "Y": r"\d{4}",
    "m": r"\d{2}",
    "d": r"\d{2}",
    "H": r"\d{2}",
    "M": r"\d{2}",
    "S": r"\d{2}",
    "j": r"\d{3}",
    "y": r"\d{2}",
    "G": r"\d{4}",
    "V": r"\d{2}",
    "u": r"\d",
    "z": r"[+-]\d{4}",
    "%": "%",
}
"""The strftime directives that give the same on every machine and in every locale, each with what it can give."""

JINJA_MARKS = ("{{", "{%", "{#", "}}", "%}", "#}")
_USE = re.compile(r"\{([^{}:]*)(?::([^{}]*))?\}")
_SCHEDULER_VARIABLE = re.compile(r"\$\{[^}]*\}|\$\[[^\]]*\]")


@dataclass(frozen=True, slots=True)
class Use:
    """One placeholder: its name and the format of a time ("" when none is written)."""

    name: str
    format: str = ""


def pieces(template: str) -> Iterator[str | Use]:
    """The template's literal texts and placeholders, in order."""
    end = 0
    for match in _USE.finditer(template):
        if match.start() > end:
            yield template[end : match.start()]
        yield Use(match[1], match[2] or "")
        end = match.end()
    if end < len(template):
        yield template[end:]


def problems(template: str, allowed: Sequence[str]) -> list[Finding]:
    """What is wrong with the placeholders of a template that may use these names."""
    if any(mark in template for mark in JINJA_MARKS):
        return []  # reported by the scan for Jinja marks, with the placeholder to use
    if variable := _SCHEDULER_VARIABLE.search(template):
        return [finding((), f"'{variable[0]}' is no placeholder here", f"write {{{allowed[0]}:%Y%m%d}}")]
    found: list[Finding] = []
    for piece in pieces(template):
        if isinstance(piece, Use):
            found.extend(_problems_of(piece, allowed))
        elif "{" in piece or "}" in piece:
            found.append(finding((), "has a brace without its partner", "a placeholder is {name} or {name:%Y%m%d}"))
    return found


def _problems_of(use: Use, allowed: Sequence[str]) -> Iterator[Finding]:
    if use.name not in allowed:
        close = did_you_mean(use.name, [f"{{{name}}}" for name in allowed])
        yield finding((), f"the placeholder {{{use.name}}} is not known here", close)
    elif use.format and use.name not in TIMES:
        yield finding((), f"{{{use.name}}} is a word and takes no format", f"write {{{use.name}}}")
    else:
        for directive in re.findall(r"%(.?)", use.format):
            if directive not in DIRECTIVES:
                known = " ".join(f"%{d}" for d in DIRECTIVES)
                yield finding((), f"'%{directive}' in {{{use.name}:…}} is no known part of a time", f"known: {known}")


def render(template: str, values: Mapping[str, str | datetime], timezone: str = "UTC") -> str:
    """The template with its placeholders filled; times in this timezone.

    :raises SpecError: a placeholder has no value here.
    """
    zone = ZoneInfo(timezone)
    text = []
    for piece in pieces(template):
        if isinstance(piece, str):
            text.append(piece)
            continue
        if piece.name not in values:
            raise SpecError(f"The placeholder {{{piece.name}}} has no value here; known: {', '.join(values)}.")
        value = values[piece.name]
        text.append(
            value if isinstance(value, str) else value.astimezone(zone).strftime(piece.format or DEFAULT_FORMAT)
        )
    return "".join(text)


@dataclass(frozen=True, slots=True)
class Segment:
    """One part of a path between slashes: what it can be, and one text that it is at a sample time."""

    pattern: re.Pattern[str]
    sample: str


def segments(prefix: str, words: Mapping[str, str]) -> list[Segment]:
    """A prefix as the shapes of its path's parts, for comparing prefixes whose times are not known yet."""
    pattern, sample = "", ""
    for piece in pieces(prefix):
        if isinstance(piece, str) or piece.name in words:
            literal = piece if isinstance(piece, str) else words[piece.name]
            pattern += "/".join(re.escape(part) for part in literal.split("/"))
            sample += literal
        else:
            given = piece.format or DEFAULT_FORMAT
            sample += _SAMPLE.strftime(given)
            pattern += re.sub(r"%(.)|([^%]+)", lambda m: DIRECTIVES.get(m[1], "") if m[1] else re.escape(m[2]), given)
    pairs = zip(pattern.strip("/").split("/"), sample.strip("/").split("/"), strict=True)
    return [Segment(re.compile(p), s) for p, s in pairs]


_SAMPLE = datetime(2026, 11, 20, 4, 22, 12, tzinfo=ZoneInfo("UTC"))


def may_overlap(one: Sequence[Segment], other: Sequence[Segment]) -> bool:
    """Whether the two prefixes can, at some time, be equal or one inside the other."""
    return all(
        a.sample == b.sample or a.pattern.fullmatch(b.sample) or b.pattern.fullmatch(a.sample)
        for a, b in zip(one, other, strict=False)
    )
