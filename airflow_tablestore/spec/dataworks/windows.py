"""The windows of a job that reads changes: from its start and end times, and from its schedule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from airflow_tablestore.spec.dataworks.schedule import Scheduling
from airflow_tablestore.spec.dataworks.trail import Given, Trail
from airflow_tablestore.spec.dataworks.variables import VARIABLE, Meant, meant
from airflow_tablestore.spec.problems import shown
from airflow_tablestore.spec.values import duration_text

FIVE_MINUTES, DAY = timedelta(minutes=5), timedelta(days=1)
_FORMS = (("startTimestampMillis", "endTimestampMillis"), ("startTimeString", "endTimeString"))
_DATE_PATTERNS = ("yyyymmdd", "yyyy-mm-dd")
WINDOW = "window"


@dataclass(frozen=True, slots=True)
class Times:
    """How time is divided, as the job says it. `fixed`: it names one window, once."""

    every: timedelta | str = FIVE_MINUTES
    lag: timedelta = FIVE_MINUTES
    fixed: tuple[datetime, datetime] | None = None

    @property
    def length(self) -> timedelta:
        return DAY if self.every == "day" else timedelta(hours=1) if self.every == "hour" else self.every  # type: ignore[return-value]

    def as_keys(self) -> dict[str, str]:
        every = self.every if isinstance(self.every, str) else duration_text(self.every)
        return {"every": every, "lag": duration_text(self.lag)}


def times_of(given: Given, scheduling: Scheduling) -> Times:
    """The windows that the job's times mean; every choice is written down at `window`."""
    trail = given.trail
    form = _form(given)
    if form is None:
        return _unsaid(trail, scheduling, "The job names no times")
    if len(form) == 1:
        return _daily(given, scheduling)
    begin, end = (given.take(name, WINDOW) for name in form)
    if begin is None or end is None:
        missing = form[1] if end is None else form[0]
        trail.refuse(given.at(missing), f"is missing: {form[0]} and {form[1]} go together")
        return Times()
    at = [_meant(value, scheduling) for value in (begin, end)]
    if isinstance(at[0], Meant) and isinstance(at[1], Meant):
        return _relative(at[0], at[1], begin, end, trail, scheduling)
    if isinstance(at[0], datetime) and isinstance(at[1], datetime):
        return _fixed(at[0], at[1], given, form, scheduling)
    for name, value, one in zip(form, (begin, end), at, strict=True):
        if one is None and not VARIABLE.search(str(value)):
            trail.refuse(given.at(name), f"{shown(value)} is no time", "write ${start_time}, or 20171019161000")
    told = f"What {begin} and {end} are is not in the job but in its schedule"
    return _unsaid(trail, scheduling, f"{told}, which --schedule would tell")


def _form(given: Given) -> tuple[str, ...] | None:
    """Which of the three ways to name times the job uses. `date` beside timestamps says the same once more."""
    used = [form for form in _FORMS if any(given.raw(name) is not None for name in form)]
    if len(used) > 1:
        told = "startTimestampMillis/endTimestampMillis and startTimeString/endTimeString contradict each other"
        given.trail.refuse(given.at(used[1][0]), told, "keep one pair")
        for form in used[1:]:
            given.other(told, *form)
    for form in _FORMS:
        if form not in used:
            given.always("is empty", *form)
    date = given.raw("date")
    if used:
        given.always("says a day, and start and end say the times; those count", "date")
        return used[0]
    if isinstance(date, str) and date.strip().lower() in _DATE_PATTERNS:
        given.always("is the template's pattern, not a date", "date")
        return None
    return ("date",) if date is not None else None


def _meant(value: Any, scheduling: Scheduling) -> Meant | datetime | None:
    text = str(value).strip()
    found = meant(text, scheduling.parameters)
    if found is not None:
        return None if found.is_inexact else found
    zone = ZoneInfo(scheduling.timezone)
    try:
        if text.isdigit() and len(text) == 14:
            return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=zone)
        if text.isdigit() and len(text) == 8:
            return datetime.strptime(text, "%Y%m%d").replace(tzinfo=zone)
        if text.isdigit() and 12 <= len(text) <= 13:
            return datetime.fromtimestamp(int(text) // 1000, zone)
    except ValueError:
        return None
    return None


def _relative(begin: Meant, end: Meant, first: Any, last: Any, trail: Trail, scheduling: Scheduling) -> Times:
    length, lag = end.offset - begin.offset, -end.offset
    told = f"From {first} and {last}"
    if length <= timedelta(0):
        trail.refuse((), f"the job's start ({first}) is not before its end ({last})")
        return Times()
    cycle = scheduling.cycle
    if cycle is not None and cycle != length:
        gap = "windows of the job overlap" if cycle < length else "the job leaves out what is between its windows"
        trail.choose(
            WINDOW,
            f"{told} a window lasts {duration_text(length)}, but the schedule runs every {duration_text(cycle)}: "
            f"{gap}. Here windows follow each other at that pace: nothing is missing and nothing comes twice.",
        )
        length = cycle
    if length > DAY:
        trail.choose(WINDOW, f"{told} a window lasts {duration_text(length)}; a day is the longest here.")
        length = DAY
    every: timedelta | str = "day" if length == DAY else length
    if lag < FIVE_MINUTES:
        trail.choose(WINDOW, f"{told} a window is read within 5 minutes after its end, which loses what is late.")
        lag = FIVE_MINUTES
    trail.choose(WINDOW, f"{told}: each run reads what was written in a window that ended {duration_text(lag)} before.")
    return Times(every, lag)


def _fixed(begin: datetime, end: datetime, given: Given, form: tuple[str, ...], scheduling: Scheduling) -> Times:
    if end <= begin:
        given.trail.refuse(given.at(form[1]), "is not after the start")
        return Times()
    given.trail.choose(
        WINDOW,
        f"The job reads one time, {begin.isoformat()} to {end.isoformat()}, once. Here changes go on window by window; "
        "for that time alone: airflow-tablestore run SPEC --window-start … --window-end …",
    )
    return Times(scheduling.cycle or FIVE_MINUTES, FIVE_MINUTES, (begin, end))


def _daily(given: Given, scheduling: Scheduling) -> Times:
    date = given.take("date", WINDOW)
    found = _meant(date, scheduling)
    if found is None and not VARIABLE.search(str(date)):
        given.trail.refuse(given.at("date"), f"{shown(date)} is no date", "write ${bdp.system.bizdate}, or 20171019")
    given.trail.choose(WINDOW, f"The job reads the day {date}: a window is a day of {scheduling.timezone}.")
    fixed = (found, found + DAY) if isinstance(found, datetime) else None
    return Times("day", FIVE_MINUTES, fixed)


def _unsaid(trail: Trail, scheduling: Scheduling, told: str) -> Times:
    if scheduling.cycle is not None:
        length = min(scheduling.cycle, DAY)
        trail.choose(WINDOW, f"{told}; the schedule's pace is taken, and 5 minutes of lag.")
        return Times("day" if length == DAY else length)
    trail.choose(WINDOW, f"{told}. Chosen: every 5 minutes, 5 minutes after the window's end.")
    return Times()
