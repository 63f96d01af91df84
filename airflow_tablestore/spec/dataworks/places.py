"""Connections, and texts with variables: what readers and writers of a job have in common."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from airflow_tablestore.spec.dataworks.trail import Given, Trail
from airflow_tablestore.spec.dataworks.variables import VARIABLE, Meant, meant
from airflow_tablestore.spec.problems import masked

CREDENTIALS = ("accessId", "accessID", "accessKeyId", "accessKeyID", "accessKey", "accessKeySecret", "securityToken")


@dataclass(frozen=True, slots=True)
class Connection:
    """One line of the checklist: a connection that Airflow must have. `told`: what the job says about it."""

    role: str
    id: str
    type: str
    told: Mapping[str, str] = field(default_factory=dict)
    has_secret: bool = False


def connection_of(
    given: Given, role: str, kind: str, hosts: tuple[str, ...], others: tuple[str, ...] = ()
) -> Connection:
    """The connection of a reader or writer: named like its data source, else by default.

    :param hosts: the parameters that say where the service is; `others`: what else belongs into the connection.
    """
    name = given.text("datasource", f"{role}.connection", "dataSource", "dataSourceName")
    if name and not re.fullmatch(r"[\w.:-]{1,200}", name):
        given.trail.choose(f"{role}.connection", f"The data source '{masked(name)}' cannot be a connection's name.")
        name = re.sub(r"[^\w.-]+", "_", masked(name)).strip("_.-")
    told: dict[str, str] = {}
    for one in (*hosts, *others):
        value = given.connection(one, f"the connection of the {role}")
        if value is not None:
            told[one] = masked(str(value))
    for one in CREDENTIALS:
        given.connection(one, f"the connection of the {role}")  # a value in plain text is written down as a secret
    given.always("is about DataWorks itself", "envType", "guid", "fieldDelimiterOrigin")
    secrets = any(given.raw(one) is not None for one in CREDENTIALS)
    if name:
        given.trail.choose(f"{role}.connection", "Named like the job's data source; see the checklist of connections.")
    return Connection(role, name or f"{kind}_default", kind, told, secrets)


@dataclass(frozen=True, slots=True)
class Clock:
    """Which placeholder a time becomes. For windows, `every` and `lag` say what the scheduled time is counted from."""

    every: timedelta | None = None
    lag: timedelta | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)

    def placeholder(self, time: Meant) -> tuple[str, str]:
        """The placeholder, and what a person should know about it ("" when it says exactly the same)."""
        if self.every is None or self.lag is None:
            return f"{{run_date:{time.format}}}", _told_of_run(time)
        begin, end = -(self.lag + self.every), -self.lag
        if not time.is_inexact and time.offset == end:
            return f"{{window_end:{time.format}}}", ""
        if not time.is_inexact and time.offset == begin:
            return f"{{window_start:{time.format}}}", ""
        return (
            f"{{window_start:{time.format}}}",
            "is a time of the job's schedule; here it is the time at which the window begins, so the data's own",
        )


def _told_of_run(time: Meant) -> str:
    if time.is_inexact or time.offset:
        return "is not the day or time of the run, but is counted from it; {run_date} is the run's own"
    return ""


def with_placeholders(text: str, key: str, clock: Clock, trail: Trail, word: Callable[[str], str] | None = None) -> str:
    """The text with placeholders in the place of variables; each that is not exactly the same is a choice at `key`.

    :param word: what a variable is that nobody has explained, by its name.
    """

    def replaced(match: re.Match[str]) -> str:
        time = meant(match[0], clock.parameters)
        if time is not None:
            placeholder, told = clock.placeholder(time)
            if told:
                trail.choose(key, f"{match[0]} {told}.")
            return placeholder
        name = next((part for part in match.groups() if part), "")
        guess = _guess(name, clock)
        trail.choose(key, f"{match[0]} is set by the job's schedule, which is not in the job; chosen: {guess}.")
        return guess

    return VARIABLE.sub(replaced, text)


def _guess(name: str, clock: Clock) -> str:
    is_end = bool(re.search("end|stop|until", name, re.IGNORECASE))
    time = "run_date" if clock.every is None else "window_end" if is_end else "window_start"
    is_day = clock.every is None or clock.every >= timedelta(days=1) or re.search("date|day|dt|ds", name, re.IGNORECASE)
    return f"{{{time}:{'%Y%m%d' if is_day else '%Y%m%d%H%M'}}}"
