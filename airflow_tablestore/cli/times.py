"""Times and windows as arguments of commands."""

from __future__ import annotations

import re
from argparse import Namespace
from datetime import datetime
from zoneinfo import ZoneInfo

from airflow_tablestore.errors import Problem, SpecError
from airflow_tablestore.pipeline.window import Grid, Window


def moment(text: str, option: str, timezone: str) -> datetime:
    """A time in ISO form, or as DataX jobs write it: 20261120083000.

    :param option: what it was given as, for the message.
    :param timezone: the spec's, which a time without a zone is in.
    :raises SpecError: it is none.
    """
    given = re.sub(r"^(\d{8})(\d{6})$", r"\1T\2", text)
    try:
        found = datetime.fromisoformat(given)
    except ValueError as error:
        raise SpecError([Problem(f"{option}: '{text}' is no time", "write 2026-11-20T08:30:00+08:00")]) from error
    return found if found.tzinfo else found.replace(tzinfo=ZoneInfo(timezone))


def asked_span(arguments: Namespace, grid: Grid, timezone: str) -> Window | None:
    """From `--window-start` to `--window-end`, by default the end of the window that begins there; None without either.

    :raises SpecError: a time is none, or no boundary of the grid.
    """
    begin, end = arguments.window_start, arguments.window_end
    if begin is None:
        if end is not None:
            raise SpecError([Problem("--window-end: needs --window-start", "name where the first window begins")])
        return None
    start = on_grid(moment(begin, "--window-start", timezone), grid, "--window-start")
    if end is None:
        return grid.holding(start)
    stop = on_grid(moment(end, "--window-end", timezone), grid, "--window-end")
    if stop <= start:
        raise SpecError([Problem("--window-end: is not after --window-start", "name the end of the last window")])
    return Window(start, stop)


def on_grid(found: datetime, grid: Grid, option: str) -> datetime:
    """The time, if a window begins there.

    :raises SpecError: none does; names the boundaries beside it.
    """
    if grid.at(found) is None:
        beside = grid.holding(found)
        raise SpecError(
            [
                Problem(
                    f"{option}: no window begins at {found.isoformat()}",
                    f"the boundaries beside it are {beside.start.isoformat()} and {beside.end.isoformat()}",
                )
            ]
        )
    return found


def refuse_options(arguments: Namespace, kind: str, *names: str) -> None:
    """:raises SpecError: an option is given that this kind of pipeline does not have."""
    for name in names:
        if getattr(arguments, name.removeprefix("--").replace("-", "_"), None):
            raise SpecError([Problem(f"{name}: a pipeline of kind '{kind}' does not take it", "leave it out")])
