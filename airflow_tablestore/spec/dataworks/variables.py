"""Scheduling variables of DataWorks: what time they mean, counted from the scheduled time, and the placeholder for it.

`$[yyyymmddhh24miss-10/24/60]` is the scheduled time less ten minutes (fractions are of a day), `${yyyymmdd-1}` counts
from the business date, which is the day before, `${bdp.system.bizdate}` is that date. A business date has no time of
day, so braces around one mean the scheduled time, too. `#` in the place of `$` means the same.
Source: DataWorks documentation, "Supported formats of scheduling parameters".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import Any

VARIABLE = re.compile(r"[$#](?:\{([^{}]*)\}|\[([^\[\]]*)\])|\$(bizdate|cyctime|jobid|gmtdate)\b")
DAY = timedelta(days=1)

_EXPRESSION = re.compile(
    r"((?:yyyy|yy|mm|dd|hh24|hh|mi|ss|[-/:_ ])+?)\s*(?:([+-])\s*(\d+)((?:\s*[*/]\s*\d+)*))?", re.IGNORECASE
)
_MONTHS = re.compile(r"add_months\(\s*([^,()]+?)\s*,\s*([^()]+)\)\s*", re.IGNORECASE)
_SYSTEM = {
    "bdp.system.bizdate": ("yyyymmdd", -DAY),
    "bizdate": ("yyyymmdd", -DAY),
    "bdp.system.cyctime": ("yyyymmddhh24miss", timedelta(0)),
    "cyctime": ("yyyymmddhh24miss", timedelta(0)),
    "gmtdate": ("yyyymmdd", timedelta(0)),
}


@dataclass(frozen=True, slots=True)
class Meant:
    """A time relative to the scheduled one. `format` is strftime's; `is_inexact`: months were in it, which have no
    length."""

    format: str
    offset: timedelta
    is_inexact: bool = False

    @property
    def is_date(self) -> bool:
        """Whether no time of day is in it."""
        return not re.search("%[HMS]", self.format)


def meant(text: str, parameters: Mapping[str, str], depth: int = 0) -> Meant | None:
    """The time that a variable stands for; None when it is none, or nobody has said what it is.

    :param parameters: what the scheduling assigns to the job's own variables.
    """
    match = VARIABLE.fullmatch(text.strip())
    if match is None or depth > 5:
        return None
    braced, bracketed, bare = (part.strip() if part else part for part in match.groups())
    inner = braced or bracketed or bare or ""
    if inner.lower() in _SYSTEM:
        pattern, offset = _SYSTEM[inner.lower()]
        return Meant(strftime(pattern), offset)
    if inner in parameters:
        return meant(_wrapped(parameters[inner]), parameters, depth + 1)
    if months := _MONTHS.fullmatch(inner):
        return Meant(strftime(months[1]), timedelta(0), is_inexact=True)
    return _expression(inner, is_business_date=braced is not None)


def _wrapped(value: str) -> str:
    """An assigned value, in case it was written without its mark: `bdp.system.bizdate`."""
    return value if VARIABLE.fullmatch(value.strip()) else f"${{{value}}}"


def _expression(inner: str, is_business_date: bool) -> Meant | None:
    found = _EXPRESSION.fullmatch(inner)
    if found is None or not re.search("yy|mm|dd|hh|mi|ss", inner, re.IGNORECASE):
        return None
    base = -DAY if is_business_date and not re.search("hh|mi|ss", found[1], re.IGNORECASE) else timedelta(0)
    if found[3] is None:
        return Meant(strftime(found[1]), base)
    days = Fraction(int(found[3]))
    for sign, number in re.findall(r"([*/])\s*(\d+)", found[4]):
        if sign == "/" and int(number) == 0:
            return None
        days = days * int(number) if sign == "*" else days / int(number)
    seconds = days * 86_400 * (1 if found[2] == "+" else -1)
    if abs(seconds) > 366 * 86_400:
        return None
    return Meant(strftime(found[1]), base + timedelta(seconds=round(seconds)))


def with_texts(data: Any, parameters: Mapping[str, str]) -> Any:
    """The job with its own variables replaced where the schedule assigns a plain text to them, and no time."""
    texts = {
        name: value
        for name, value in parameters.items()
        if not VARIABLE.search(value) and meant(f"${{{name}}}", parameters) is None
    }

    def replaced(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: replaced(one) for key, one in value.items()}
        if isinstance(value, list):
            return [replaced(one) for one in value]
        if isinstance(value, str):
            return VARIABLE.sub(lambda match: texts.get((match[1] or match[2] or "").strip(), match[0]), value)
        return value

    return replaced(data) if texts else data


_PARTS = (
    ("yyyy", "%Y"),
    ("yy", "%y"),
    ("hh24", "%H"),
    ("hh", "%H"),
    ("mi", "%M"),
    ("mm", "%m"),
    ("dd", "%d"),
    ("ss", "%S"),
)


def strftime(pattern: str) -> str:
    """DataWorks' pattern of a time as strftime's. `mm` is the month, and after an hour the minute, as Java has it."""
    text, at = "", 0
    while at < len(pattern):
        word, mark = next((p for p in _PARTS if pattern[at:].lower().startswith(p[0])), (pattern[at], ""))
        if word == "mm" and "%H" in text:
            mark = "%M"
        text += mark or pattern[at].replace("%", "%%")
        at += len(word)
    return text


def assignments(text: str) -> dict[str, str]:
    """`start=$[yyyymmdd-1] end=$[yyyymmdd]`, as DataWorks' box for parameters holds it."""
    pairs = re.findall(r"([A-Za-z_][\w.]*)\s*=\s*((?:[$#][{\[][^}\]]*[}\]]|\S)+)", text)
    return {name: value.strip("\"',;") for name, value in pairs}
