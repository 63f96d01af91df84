"""What is known about windows, for every pipeline and every run: boundaries, what became of a window, pinned columns.

Boundaries belong to a stream and a time, whoever found them. They are written one after another: a writer says how the
neighbours were that it has searched between, and does not write when that is no longer so. Otherwise two readers that
do not know of each other could put a later time before an earlier one, if a record becomes visible between their looks.
The newest boundary stands in one row, changed by compare-and-set; whoever replaces it first copies it to its own row.
"""

from __future__ import annotations

import enum
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.pipeline.boundaries import Boundary, micros_of, moment_of
from airflow_tablestore.pipeline.loads import Loads
from airflow_tablestore.pipeline.status_table import StatusRow, StatusTable, packed, unpacked
from airflow_tablestore.pipeline.window import Window
from airflow_tablestore.wire.row import Value
from airflow_tablestore.wire.single_row import Absent, Holds

BOUNDARY, NEWEST, WINDOW = "AirflowBoundary", "AirflowNewestBoundary", "AirflowWindow"
"""The types of rows that `loads` does not have."""

LOWEST, HIGHEST = "0" * 16, "9" * 16


class WindowState(enum.StrEnum):
    """What became of a window. A window without an entry is missing: not exported yet, or its run has failed."""

    PUBLISHED = "published"
    LOST = "lost"
    ACCEPTED = "accepted"


@dataclass(frozen=True, slots=True)
class WindowEntry:
    """One window in the ledger. `reason` is that of a loss; `recorded_at` is by the service's clock."""

    window: Window
    state: WindowState
    run: str = ""
    stream_id: str = ""
    rows: int = 0
    objects: int = 0
    manifest: str = ""
    predecessor: str | None = None
    reason: str = ""
    recorded_at: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "start": self.window.start.isoformat(),
            "end": self.window.end.isoformat(),
            "state": self.state.value,
            "run": self.run,
            "stream": self.stream_id,
            "rows": self.rows,
            "objects": self.objects,
            "manifest": self.manifest,
            "predecessor": self.predecessor,
            "reason": self.reason,
            "recorded_at": self.recorded_at.isoformat() if self.recorded_at else None,
        }


@dataclass(frozen=True, slots=True)
class Newest:
    """The boundary that was written last, and how many there were before it."""

    version: int
    token: str
    boundary: Boundary = field(repr=False)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What stands beside a time (microseconds): the nearest known boundaries. `version` is that of the newest one."""

    version: int
    earlier: int | None
    later: int | None


class NeighboursChanged(Exception):
    """A boundary was written beside the one that was searched for; the search must be done again.

    It never leaves the pipeline.
    """


class Ledger(Loads):
    """The ledger of one pipeline, and the boundaries of all. A window's load is kept by `load_key`."""

    @property
    def status(self) -> StatusTable:
        """The table that this ledger, and perhaps others, are kept in."""
        return self._table

    # ---- boundaries

    def newest(self, stream_id: str) -> Newest | None:
        """The boundary of a stream that was written last."""
        row = self._table.get(stream_id, NEWEST, "0")
        if row is None:
            return None
        place = f"{NEWEST} of {stream_id}"
        document = unpacked(row.cells, place)
        return Newest(_integer(row.cells, "version", place), str(row.cells["token"]), Boundary.from_json(document))

    def boundary(self, stream_id: str, micros: int, newest: Newest | None = None) -> Boundary | None:
        """The boundary of a time; None when nobody has found it yet.

        :param newest: when the caller has just read it.
        """
        newest = newest or self.newest(stream_id)
        if newest is None:
            return None
        if newest.boundary.micros == micros:
            return newest.boundary
        row = self._table.get(stream_id, BOUNDARY, _micros(micros))
        return None if row is None else _boundary(stream_id, row)

    def earlier(self, stream_id: str, micros: int, newest: Newest | None = None) -> Boundary | None:
        """The nearest boundary before a time."""
        newest = newest or self.newest(stream_id)
        if newest is None:
            return None
        rows = self._table.rows(stream_id, BOUNDARY, _micros(micros - 1), LOWEST[:-1], 1)
        found = [_boundary(stream_id, row) for row in rows]
        found += [newest.boundary] if newest.boundary.micros < micros else []
        return max(found, key=lambda boundary: boundary.micros, default=None)

    def later(self, stream_id: str, micros: int, newest: Newest | None = None) -> Boundary | None:
        """The nearest boundary after a time."""
        newest = newest or self.newest(stream_id)
        if newest is None:
            return None
        rows = self._table.rows(stream_id, BOUNDARY, _micros(micros + 1), HIGHEST, 1)
        found = [_boundary(stream_id, row) for row in rows]
        found += [newest.boundary] if newest.boundary.micros > micros else []
        return min(found, key=lambda boundary: boundary.micros, default=None)

    def neighbours(self, stream_id: str, micros: int) -> tuple[Neighbours, Boundary | None, Boundary | None]:
        """What stands beside a time, for a search that will end in `put_boundary`; and the two boundaries."""
        newest = self.newest(stream_id)
        earlier, later = self.earlier(stream_id, micros, newest), self.later(stream_id, micros, newest)
        beside = Neighbours(
            newest.version if newest else 0, earlier.micros if earlier else None, later.micros if later else None
        )
        return beside, earlier, later

    def put_boundary(self, boundary: Boundary, beside: Neighbours) -> Boundary:
        """The boundary of that time: this one, or the one that another writer has put first.

        :param beside: the neighbours that it was searched between.
        :raises NeighboursChanged: there are nearer ones by now, and none of this time.
        """
        stream_id, micros = boundary.stream_id, boundary.micros
        while True:
            newest = self.newest(stream_id)
            known = self.boundary(stream_id, micros, newest)
            if known is not None:
                return known
            if (newest.version if newest else 0) != beside.version:
                now, _, _ = self.neighbours(stream_id, micros)
                if (now.earlier, now.later) != (beside.earlier, beside.later):
                    raise NeighboursChanged
                beside = now
                continue
            if self._replace(newest, boundary):
                return boundary

    def _replace(self, newest: Newest | None, boundary: Boundary) -> bool:
        token = uuid.uuid4().hex
        version = newest.version + 1 if newest else 1
        condition: Absent | Holds = Holds("version", newest.version) if newest else Absent()
        if newest is not None:
            own = newest.boundary
            self._table.put(own.stream_id, BOUNDARY, _micros(own.micros), packed(own.to_json()))
        cells: dict[str, Value] = {"version": version, "token": token, **packed(boundary.to_json())}
        if self._table.put(boundary.stream_id, NEWEST, "0", cells, condition):
            return True
        now = self.newest(boundary.stream_id)
        return now is not None and now.token == token  # done, and the answer was lost

    # ---- windows

    def window(self, start: datetime) -> WindowEntry | None:
        """What became of the window that starts then."""
        row = self._table.get(self._owner, WINDOW, _micros(micros_of(start)))
        return None if row is None else _entry(row)

    def windows(self, begin: datetime, end: datetime) -> Iterator[WindowEntry]:
        """The entries of the windows that start in `[begin, end)`, in order."""
        rows = self._table.rows(self._owner, WINDOW, _micros(micros_of(begin)), _micros(micros_of(end)))
        return (_entry(row) for row in rows)

    def record(self, entry: WindowEntry) -> None:
        """Write down what became of a window, over what was said of it before."""
        cells: dict[str, Value] = {
            "end": micros_of(entry.window.end),
            "state": entry.state.value,
            "run": entry.run,
            "stream": entry.stream_id,
            "rows": entry.rows,
            "objects": entry.objects,
            "manifest": entry.manifest,
            "reason": entry.reason,
        }
        if entry.predecessor is not None:
            cells["predecessor"] = entry.predecessor
        if entry.recorded_at is not None:
            cells["recorded_at"] = micros_of(entry.recorded_at)
        self._table.put(self._owner, WINDOW, _micros(micros_of(entry.window.start)), cells)


def load_key(window: Window) -> str:
    """What a window's load is kept under: its beginning."""
    return _micros(micros_of(window.start))


def _micros(micros: int) -> str:
    return f"{micros:016d}"


def _boundary(stream_id: str, row: StatusRow) -> Boundary:
    return Boundary.from_json(unpacked(row.cells, f"{BOUNDARY} {row.value} of {stream_id}"))


def _entry(row: StatusRow) -> WindowEntry:
    cells, place = row.cells, f"{WINDOW} {row.value}"
    recorded = cells.get("recorded_at")
    return WindowEntry(
        window=Window(moment_of(int(row.value)), moment_of(_integer(cells, "end", place))),
        state=WindowState(str(cells["state"])),
        run=str(cells.get("run", "")),
        stream_id=str(cells.get("stream", "")),
        rows=_integer(cells, "rows", place),
        objects=_integer(cells, "objects", place),
        manifest=str(cells.get("manifest", "")),
        predecessor=str(cells["predecessor"]) if "predecessor" in cells else None,
        reason=str(cells.get("reason", "")),
        recorded_at=moment_of(recorded) if isinstance(recorded, int) else None,
    )


def _integer(cells: Mapping[str, Value], name: str, place: str) -> int:
    value = cells.get(name)
    if not isinstance(value, int):
        raise ProtocolError(f"{place} of the ledger has no {name}: {value!r}")
    return value
