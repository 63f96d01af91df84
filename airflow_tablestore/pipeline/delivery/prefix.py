"""The folders of a delivery: a prefix with $yyyy $MM $dd $HH $mm, and the partition that a moment falls into.

The service fills the variables in by itself; here they are filled in to find what it has written. In which zone it does
so is not documented: UTC unless the author says otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from airflow_tablestore.errors import SpecError

VARIABLES = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M"}
"""From the coarsest to the finest, and what each becomes."""

_ORDER = tuple(VARIABLES)
_VARIABLE = re.compile(r"\$([A-Za-z]*)")


@dataclass(frozen=True, slots=True)
class Partition:
    """One folder and its time, from `start` to before `end`; both are None when all is delivered into one folder."""

    prefix: str
    start: datetime | None = None
    end: datetime | None = None

    def holds(self, moment: datetime) -> bool:
        """Whether what happened at that moment belongs here."""
        return (self.start is None or self.start <= moment) and (self.end is None or moment < self.end)


def variables(prefix: str) -> Iterator[str]:
    """The words behind each `$`, right or wrong."""
    for found in _VARIABLE.finditer(prefix):
        yield found[1]


def fixed_part(prefix: str) -> str:
    """What all folders of a prefix begin with, up to a slash."""
    fixed, mark, _ = prefix.partition("$")
    return fixed[: fixed.rfind("/") + 1] if mark else fixed


def finest(prefix: str) -> str | None:
    """The finest variable; None: there is none."""
    found = set(variables(prefix))
    return next((word for word in reversed(_ORDER) if word in found), None)


def skipped(prefix: str) -> list[str]:
    """Variables that are coarser than the finest one and are not there, so that folders come back later."""
    last = finest(prefix)
    if last is None:
        return []
    found = set(variables(prefix))
    return [word for word in _ORDER[: _ORDER.index(last)] if word not in found]


def folder(prefix: str, moment: datetime, zone: str = "UTC") -> str:
    """The folder of a moment; it ends in a slash."""
    local = moment.astimezone(ZoneInfo(zone))

    def filled(found: re.Match[str]) -> str:
        form = VARIABLES.get(found[1])
        return found[0] if form is None else f"{local.year:04d}" if form == "%Y" else local.strftime(form)

    return _VARIABLE.sub(filled, prefix).rstrip("/") + "/"


def partition(prefix: str, moment: datetime, zone: str = "UTC") -> Partition:
    """The folder that a moment's data are in, and from when to when data go there.

    :param moment: with a zone.
    :raises SpecError: folders of this prefix come back later, as those of an hour without its day.
    """
    last = finest(prefix)
    if last is None:
        return Partition(folder(prefix, moment, zone))
    if lacking := skipped(prefix):
        raise SpecError(
            f"The prefix {prefix!r} has no ${', $'.join(lacking)}: its folders are never complete, since the same ones "
            "are written to again later."
        )
    start = _floor(moment.astimezone(ZoneInfo(zone)), last)
    return Partition(folder(prefix, moment, zone), start.astimezone(UTC), _after(start, last).astimezone(UTC))


def partitions(prefix: str, start: datetime, end: datetime, zone: str = "UTC") -> list[Partition]:
    """Every partition that a span of time touches, in order."""
    found = [partition(prefix, start, zone)]
    while (last := found[-1].end) is not None and last < end:
        found.append(partition(prefix, last, zone))
    return found


def _floor(local: datetime, unit: str) -> datetime:
    parts = ("month", "day", "hour", "minute")
    least = {"month": 1, "day": 1, "hour": 0, "minute": 0}
    finer = parts[_ORDER.index(unit) :]
    return local.replace(second=0, microsecond=0, **{name: least[name] for name in finer})  # type: ignore[arg-type]


def _after(start: datetime, unit: str) -> datetime:
    match unit:
        case "yyyy":
            return start.replace(year=start.year + 1)
        case "MM":
            return start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
        case "dd":
            return start + timedelta(days=1)  # of the zone's own clock
        case "HH":
            return (start.astimezone(UTC) + timedelta(hours=1)).astimezone(start.tzinfo)
    return (start.astimezone(UTC) + timedelta(minutes=1)).astimezone(start.tzinfo)
