"""What DataWorks keeps beside a job: its cycle, the values of its variables, reruns, self-dependency.

It is written as `--schedule`: a file, or the same in one line, or a cron expression alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow_tablestore.errors import Problem, SpecError
from airflow_tablestore.spec.dataworks.variables import assignments
from airflow_tablestore.spec.document import read_bytes, read_text
from airflow_tablestore.spec.problems import did_you_mean, shown

TIMEZONE = "Asia/Shanghai"
"""DataX takes times without a zone in its machine's, and DataWorks' machines keep this one."""

KEYS = ("cycle", "parameters", "rerun", "self_dependent", "start", "timezone")
_UNITS = {"s": 1, "second": 1, "m": 60, "minute": 60, "min": 60, "h": 3600, "hour": 3600, "d": 86400, "day": 86400}
_HINT = "write cycle: 5 minutes, a cron expression, or a file with: " + ", ".join(KEYS)


@dataclass(frozen=True, slots=True)
class Scheduling:
    """The schedule of a job. `cycle` is None when it is not told or has no fixed length; `cron` when it is none."""

    cycle: timedelta | None = None
    cron: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    retry: Mapping[str, Any] | None = None
    self_dependent: bool | None = None
    start: str | None = None
    timezone: str = TIMEZONE
    is_timezone_told: bool = False


def scheduling_of(told: str | None) -> Scheduling:
    """What `--schedule` says.

    :raises SpecError: it cannot be understood.
    """
    if not told or not told.strip():
        return Scheduling()
    path = Path(told)
    is_file = len(told) < 1000 and "\n" not in told and path.is_file()
    if is_file:
        text, problems = read_bytes(path)
        if problems:
            raise SpecError(problems)
    elif told.strip()[0] not in "{" and ":" not in told and "=" not in told:
        return from_mapping({"cycle": told})
    elif re.match(r"\s*[A-Za-z_]\w*\s*=", told):
        return from_mapping({"parameters": told})
    else:
        text = told if told.strip().startswith("{") else f"{{{told}}}"
    found = read_text(text, str(path) if is_file else "--schedule")
    if found.data is None or found.problems:
        raise SpecError(found.problems)
    return from_mapping(found.data)


def from_mapping(data: Mapping[str, Any]) -> Scheduling:
    """The schedule that these keys say.

    :raises SpecError: with what is wrong.
    """
    unknown = next((key for key in data if key not in KEYS), None)
    if unknown is not None:
        raise SpecError([Problem(f"--schedule: the key '{unknown}' is not known", did_you_mean(unknown, KEYS))])
    cycle, cron = _cycle(data.get("cycle"))
    zone = data.get("timezone")
    return Scheduling(
        cycle,
        cron,
        _parameters(data.get("parameters")),
        _retry(data.get("rerun")),
        data.get("self_dependent"),
        data.get("start"),
        str(zone or TIMEZONE),
        zone is not None,
    )


def _cycle(value: Any) -> tuple[timedelta | None, str | None]:
    if value is None or value == "none":
        return None, None
    text = str(value).strip()
    fields = text.split()
    if len(fields) == 6:
        fields = fields[1:]  # DataWorks' cron has the second first
        text = " ".join("*" if part == "?" else part for part in fields)
    if len(fields) == 5:
        return _pace(fields), text
    length = _length(text)
    if length is None:
        raise SpecError([Problem(f"--schedule: {shown(value)} is no cycle", _HINT)])
    return length, _cron_of(length)


def _length(value: Any) -> timedelta | None:
    match = re.fullmatch(r"(?:every\s+)?(\d+)?\s*([a-z]+?)s?", str(value).strip().lower())
    if match is None or match[2] not in _UNITS:
        return {"daily": timedelta(days=1), "hourly": timedelta(hours=1)}.get(str(value).strip().lower())
    return timedelta(seconds=int(match[1] or 1) * _UNITS[match[2]]) or None


def _cron_of(length: timedelta) -> str | None:
    """The same pace as a cron expression, where one has it."""
    minutes, rest = divmod(length, timedelta(minutes=1))
    if rest or not minutes:
        return None
    if minutes < 60 and 60 % minutes == 0:
        return f"*/{minutes} * * * *"
    if minutes % 60 == 0 and minutes < 1440 and 24 % (minutes // 60) == 0:
        return f"0 */{minutes // 60} * * *"
    return "0 0 * * *" if minutes == 1440 else None


def _pace(fields: list[str]) -> timedelta | None:
    """How often a plain cron expression comes; None when that varies."""
    minute, hour, *days = fields
    if any(day not in ("*", "?") for day in days):
        return None
    step = re.fullmatch(r"(?:\*|0?0(?:-59)?)/(\d+)", minute)
    if step and hour in ("*", "0-23", "00-23") and int(step[1]) and 60 % int(step[1]) == 0:
        return timedelta(minutes=int(step[1]))
    if minute == "*" and hour == "*":
        return timedelta(minutes=1)
    if minute.isdigit():
        step = re.fullmatch(r"(?:\*|0?0(?:-23)?)/(\d+)", hour)
        if step and int(step[1]) and 24 % int(step[1]) == 0:
            return timedelta(hours=int(step[1]))
        if hour == "*":
            return timedelta(hours=1)
        if hour.isdigit():
            return timedelta(days=1)
    return None


def _parameters(value: Any) -> Mapping[str, str]:
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return {str(name): str(one) for name, one in value.items()}
    found = assignments(str(value))
    if not found:
        raise SpecError(
            [Problem(f"--schedule: {shown(value)} assigns nothing", "write start_time=$[yyyymmddhh24miss-10/24/60]")]
        )
    return found


def _retry(value: Any) -> Mapping[str, Any] | None:
    """`rerun: 3`, or `{times: 3, interval: 2m}`."""
    if value is None or value is True:
        return None
    if value is False:
        return {"times": 0}
    if isinstance(value, int):
        return {"times": value}
    if isinstance(value, Mapping) and set(value) <= {"times", "interval", "delay"}:
        delay = value.get("interval", value.get("delay"))
        return {"times": value.get("times", 3), **({"delay": _spelled(delay)} if delay is not None else {})}
    raise SpecError([Problem(f"--schedule: rerun is {shown(value)}", "write rerun: {times: 3, interval: 2m}")])


def _spelled(delay: Any) -> str:
    from airflow_tablestore.spec.values import duration_text

    length = timedelta(minutes=delay) if isinstance(delay, int) else _length(delay)
    return duration_text(length) if length else str(delay)
