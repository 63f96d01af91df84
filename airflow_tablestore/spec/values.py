"""The kinds of value that a spec's keys take, each with the sentence that says what is wrong.

Here a text becomes what it means (a duration, a key literal, a timezone); which key takes which is in the models.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
from datetime import datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)

from airflow_tablestore.errors import SpecError
from airflow_tablestore.pipeline.formats.csv import check_encoding
from airflow_tablestore.spec.problems import fault, nearest, shown
from airflow_tablestore.wire.row import INF_MAX, INF_MIN, INT64_MAX, INT64_MIN, Bound

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
DURATION = r"^(?:\d+[smhd])+$"


def duration(value: object) -> timedelta:
    """A duration of positive length from `90s`, `5m`, `2h`, `1d` or `1h30m`."""
    if isinstance(value, timedelta):
        length = value
    elif isinstance(value, str) and re.match(DURATION, value.replace(" ", "")):
        parts = re.findall(r"(\d{1,9})([smhd])", value)
        length = timedelta(seconds=sum(int(number) * _UNITS[unit] for number, unit in parts))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        raise fault(f"must be a duration with its unit, not {shown(value)}", f"write {value}s, {value}m or {value}h")
    else:
        raise fault(f"must be a duration, not {shown(value)}", "write 30s, 5m, 2h or 1d")
    if length <= timedelta(0):
        raise fault("must be longer than nothing", "write 30s, 5m, 2h or 1d")
    return length


def duration_text(length: timedelta) -> str:
    """A duration in the spec's own words: 1h30m."""
    left, text = int(length.total_seconds()), ""
    for unit in ("d", "h", "m", "s"):
        count, left = divmod(left, _UNITS[unit])
        text += f"{count}{unit}" if count else ""
    return text or "0s"


Duration = Annotated[
    timedelta,
    BeforeValidator(duration),
    PlainSerializer(duration_text),
    WithJsonSchema({"type": "string", "pattern": DURATION, "examples": ["5m"]}),
]


def _no_flag(value: object) -> object:
    if isinstance(value, bool):
        raise fault(f"must be a number, not {shown(value)}")
    return value


Count = Annotated[int, BeforeValidator(_no_flag)]
"""A whole number; true and false are none."""
Number = Annotated[float, BeforeValidator(_no_flag), Field(allow_inf_nan=False)]


def _named(pattern: str, what: str, most: int) -> AfterValidator:
    def check(value: str) -> str:
        if len(value) > most:
            raise fault(f"must have at most {most} characters", what)
        if not re.fullmatch(pattern, value):
            raise fault(f"{shown(value)} is not allowed here", what)
        return value

    return AfterValidator(check)


PipelineName = Annotated[
    str,
    _named(
        r"[A-Za-z0-9_][A-Za-z0-9_.-]*", "letters, digits, '_', '-' and '.', beginning with a letter, digit or '_'", 200
    ),
]
"""A DAG id. Airflow allows 250 characters; the rest is for what names of tasks and objects add."""


def _connection(value: str) -> str:
    if "://" in value:
        raise fault("is a whole connection, not the name of one", "put it into Airflow, or into AIRFLOW_CONN_<NAME>")
    if not re.fullmatch(r"[\w.:/#!()\\-]{1,250}", value):
        raise fault(
            f"{shown(value)} is not allowed here", "the name of an Airflow connection, such as tablestore_default"
        )
    return value


ConnectionName = Annotated[str, AfterValidator(_connection)]
"""Source: the characters that Airflow allows in a connection's id."""
TableName = Annotated[
    str, _named(r"[A-Za-z_][A-Za-z0-9_]*", "letters, digits and '_', beginning with a letter or '_'", 255)
]
"""Source: "Naming conventions" of Tablestore's documentation: 1 to 255 of these characters."""
BucketName = Annotated[
    str,
    _named(
        r"[a-z0-9](?:[a-z0-9-]{1,61}[a-z0-9])",
        "3 to 63 lower-case letters, digits and '-', none of these at an end",
        63,
    ),
]
"""Source: "Bucket naming conventions" of OSS's documentation."""
ColumnName = Annotated[str, Field(min_length=1, max_length=255)]
"""Source: "Limits" of Tablestore's documentation: a column's name has 1 to 255 bytes."""


def _timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        close = nearest(name, available_timezones())
        raise fault(
            f"{shown(name)} is no known timezone",
            f"did you mean '{close}'?" if close else "write a name such as UTC or Asia/Shanghai",
        ) from error
    return name


Timezone = Annotated[str, AfterValidator(_timezone)]

CRON_PRESETS = ("@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly")
_CRON_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_CRON_NAMES = {
    "month": ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    "weekday": ("sun", "mon", "tue", "wed", "thu", "fri", "sat"),
}


def _schedule(value: object) -> str | None:
    if value is None or (isinstance(value, str) and value.strip().lower() == "none"):
        return None
    if not isinstance(value, str):
        raise fault(f"must be a cron expression or none, not {shown(value)}", 'write "0 3 * * *" or none')
    text = " ".join(value.split())
    if text.startswith("@"):
        if text in CRON_PRESETS:
            return text
        close = nearest(text, CRON_PRESETS)
        raise fault(
            f"{shown(text)} is no known schedule",
            f"known: {', '.join(CRON_PRESETS)}" if not close else f"did you mean '{close}'?",
        )
    fields = text.split(" ")
    if len(fields) != len(_CRON_FIELDS):
        raise fault(
            f"{shown(text)} is no cron expression",
            "it has five fields: minute hour day month weekday, as in 0 3 * * *; or write none",
        )
    for given, (name, least, most) in zip(fields, _CRON_FIELDS, strict=True):
        _check_cron_field(given, name, least, most)
    _ask_croniter(text)
    return text


def _check_cron_field(given: str, name: str, least: int, most: int) -> None:
    names = _CRON_NAMES.get(name, ())
    offset = 1 if name == "month" else 0

    def number(word: str) -> int:
        return names.index(word.lower()) + offset if word.lower() in names else int(word)

    for part in given.split(","):
        match = re.fullmatch(r"[Ll]|[0-7]#[1-5]|[Ll][0-7]|(\*|\?|[a-zA-Z0-9]+)(?:-([a-zA-Z0-9]+))?(?:/(\d+))?", part)
        try:
            if match is None:
                raise ValueError(part)
            bounds = [number(word) for word in match.groups()[:2] if word and word not in "*?"]
        except ValueError as error:
            raise fault(
                f"'{part}' is no {name} of a cron expression", f"from {least} to {most}, *, */5 or 1-5"
            ) from error
        if any(not least <= bound <= most for bound in bounds) or match[3] == "0":
            raise fault(f"'{part}' is out of bounds for the {name} of a cron expression", f"from {least} to {most}")


def _ask_croniter(text: str) -> None:
    """What Airflow itself uses has the last word, where it is installed."""
    try:
        from croniter import croniter  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        return
    if not croniter.is_valid(text):
        raise fault(f"{shown(text)} is no cron expression", "it has five fields, as in 0 3 * * *")


CONTINUOUS, ON_DATA = "continuous", "on_data"
"""Schedules of streams: runs that follow each other, and runs that begin when there is data."""


def _stream_schedule(value: object, read: ValidatorFunctionWrapHandler) -> Any:
    word = value.strip().lower().removeprefix("@") if isinstance(value, str) else ""
    if word.replace("-", "_") in (CONTINUOUS, ON_DATA):
        return word.replace("-", "_")
    return read(value)


Schedule = Annotated[
    str | None,
    BeforeValidator(_schedule),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "null"}], "examples": ["none", "0 3 * * *", "@daily"]}),
]
StreamSchedule = Annotated[
    Schedule,
    WrapValidator(_stream_schedule),
    WithJsonSchema(
        {"anyOf": [{"type": "string"}, {"type": "null"}], "examples": [CONTINUOUS, ON_DATA, "none", "*/5 * * * *"]}
    ),
]


def _moment(value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    try:
        return datetime.fromisoformat(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise fault(f"must be a time, not {shown(value)}", "write 2026-11-20T00:00:00+08:00") from error


Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    PlainSerializer(datetime.isoformat),
    WithJsonSchema({"type": "string", "examples": ["2026-11-20T00:00:00+08:00"]}),
]
"""A time; without a zone it is in the spec's timezone."""


def base64_bytes(value: object) -> bytes:
    """The bytes that a base64 text holds."""
    try:
        return base64.b64decode(value, validate=True)  # type: ignore[arg-type]
    except (TypeError, ValueError, binascii.Error) as error:
        raise fault(f"must be base64 text, not {shown(value)}", "as in {binary: aGVsbG8=}") from error


def key_literal(value: object) -> int | str | bytes | Bound:
    """One part of a primary key: a whole number, text, {binary: base64}, INF_MIN or INF_MAX; {string: …} is text."""
    match value:
        case Bound():
            return value
        case bool() | float() | None:
            raise fault(
                f"{shown(value)} is no part of a primary key",
                "write a whole number, text, {binary: base64}, INF_MIN or INF_MAX",
            )
        case int():
            if not INT64_MIN <= value <= INT64_MAX:
                raise fault(f"{value} does not fit into 64 bits")
            return value
        case "INF_MIN" | "inf_min":
            return INF_MIN
        case "INF_MAX" | "inf_max":
            return INF_MAX
        case str() | bytes():
            return value
        case {"binary": given, **rest} if not rest:
            return base64_bytes(given)
        case {"string": str() as given, **rest} if not rest:
            return given
    raise fault(
        f"{shown(value)} is no part of a primary key",
        "write a whole number, text, {binary: base64}, INF_MIN or INF_MAX",
    )


def key_text(part: int | str | bytes | Bound) -> int | str | dict[str, str]:
    """A part of a primary key as a spec writes it."""
    match part:
        case Bound():
            return part.value
        case bytes():
            return {"binary": base64.b64encode(part).decode()}
        case str() if part.upper() in Bound.__members__:
            return {"string": part}
    return part


KEY_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "integer"},
        {"type": "string"},
        {
            "type": "object",
            "properties": {"binary": {"type": "string"}},
            "required": ["binary"],
            "additionalProperties": False,
        },
        {
            "type": "object",
            "properties": {"string": {"type": "string"}},
            "required": ["string"],
            "additionalProperties": False,
        },
    ]
}
KeyLiteral = Annotated[Any, PlainValidator(key_literal), PlainSerializer(key_text), WithJsonSchema(KEY_SCHEMA)]


def _encoding(name: str) -> str:
    try:
        found = codecs.lookup(name)
    except (LookupError, ValueError) as error:
        raise fault(
            f"{shown(name)} is no known encoding", "write UTF-8, GBK, UTF-16LE or another name that Python knows"
        ) from error
    if not getattr(found, "_is_text_encoding", True):
        raise fault(f"{shown(name)} is no encoding of text", "write UTF-8 or GBK")
    try:
        check_encoding(name)
    except SpecError as error:
        raise fault(f"{shown(name)} switches between character sets within a text", "write UTF-8 or GB18030") from error
    return name


Encoding = Annotated[str, AfterValidator(_encoding)]


def folded(*words: str, **also: str) -> BeforeValidator:
    """Accepts these words in any case, with `-` or `_` or neither between their parts, and other spellings of them."""
    known = {_fold(word): word for word in words} | {_fold(spelling): word for spelling, word in also.items()}

    def understand(value: object) -> object:
        return known.get(_fold(value), value) if isinstance(value, str) else value

    return BeforeValidator(understand)


def _fold(word: str) -> str:
    return word.replace("_", "").replace("-", "").lower()
