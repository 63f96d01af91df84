"""Patterns for dates in text formats, in the words people bring with them.

Tablestore itself stores no dates (a moment is an integer there), so a table's export never meets this; columns of times
that a source adds (when a record was written) do. "iso" is the default; `yyyy-MM-dd HH:mm:ss`, as DataX and DataWorks
write it, and strftime patterns are understood.
"""

from __future__ import annotations

import re

from airflow_tablestore.errors import SpecError

ISO = "iso"

_ISO_PATTERN = "%Y-%m-%dT%H:%M:%S%z"

_LETTERS = {
    "yyyy": "%Y",
    "yy": "%y",
    "MM": "%m",
    "dd": "%d",
    "HH": "%H",
    "hh": "%I",
    "mm": "%M",
    "ss": "%S",
    "a": "%p",
    "Z": "%z",
    "DDD": "%j",
}
"""Pattern letters of Java's SimpleDateFormat whose meaning strftime has too."""

_PIECES = re.compile(
    r"'(?P<quoted>[^']*)'|(?P<letters>(?P<letter>[A-Za-z])(?P=letter)*)|(?P<rest>[^A-Za-z']+)|(?P<stray>')"
)


def strftime_of(pattern: str) -> str:
    """The strftime pattern of a date format.

    :raises SpecError: the pattern has letters that we cannot render the way Java does.
    """
    if pattern == ISO:
        return _ISO_PATTERN
    if "%" in pattern:
        return pattern
    return "".join(_translated(piece, pattern) for piece in _PIECES.finditer(pattern))


def _translated(piece: re.Match[str], pattern: str) -> str:
    if piece["quoted"] is not None:
        return piece["quoted"] or "'"
    if piece["rest"] is not None:
        return piece["rest"]
    if piece["letters"] in _LETTERS:
        return _LETTERS[piece["letters"]]
    known = ", ".join(_LETTERS)
    raise SpecError(
        f"date_format '{pattern}': '{piece[0]}' is not understood; use 'iso', {known}, or a strftime pattern"
    )
