"""Going on where DataX has stopped: what its status table says about a stream, read as a boundary.

DataX keeps, for the end of each window, a row that describes the job and a row for each shard with the place that it
has come to. A window of ours that begins at that very time begins at those places. Nothing of DataX is changed.
Source: OTSStreamReader: types and forms of these rows, and when it takes them for valid itself.
"""

from __future__ import annotations

import enum
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from airflow_tablestore.consumer.stream import BEGIN, END, Place, Position
from airflow_tablestore.pipeline.boundaries import Boundary, micros_of, moment_of
from airflow_tablestore.pipeline.incremental.ledger import Ledger
from airflow_tablestore.pipeline.status_table import StatusRow, StatusTable
from airflow_tablestore.pipeline.window import Grid
from airflow_tablestore.wire.row import Value

CHECKPOINT, JOB = "CheckpointForDataxReader", "DataxJobDesc"
OLDEST, SHARD_ENDED = "TRIM_HORIZON", "SHARD_END"
LAST_SHARD = "\x7f"
"""DataX's own bound for a range of shards."""

NEWEST, NONE = "9" * 16, " " * 16
JOBS_LOOKED_AT = 50
"""A job's row is written when it begins, so the newest may have failed; so many are tried for one that has ended."""


class Meeting(enum.StrEnum):
    """How the end of DataX's last window and the beginning of our first one lie."""

    MEETS = "meets"
    GAP = "gap"
    OVERLAP = "overlap"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Takeover:
    """What DataX has left. `boundary` is there when reading goes on from its records. `reached`: how far it has read,
    None when that is not known. `told` is a sentence for people."""

    meeting: Meeting
    told: str
    reached: datetime | None = None
    boundary: Boundary | None = field(default=None, repr=False)


def takeover_at(ledger: Ledger, stream_id: str, table: str, start: datetime, grid: Grid) -> Takeover | None:
    """What DataX has left for a first window that begins at `start`; None when it has left nothing, or when windows of
    the stream that lie before have been exported by this package already: then their boundaries say where to go on.
    A boundary that lies behind is no hindrance, as after a first try with a gap: both are the first record of a time.

    :param grid: of our windows, for the advice.
    """
    micros = micros_of(start)
    newest = ledger.newest(stream_id)
    if newest is not None and (
        ledger.boundary(stream_id, micros, newest) is not None or ledger.earlier(stream_id, micros, newest) is not None
    ):
        return None
    records = DataxRecords(ledger.status, stream_id, table)
    found = records.at(micros // 1000)
    reached = records.newest()
    if isinstance(found, Boundary):
        return _met(found, start, reached)
    if reached is not None and reached != start:
        return _apart(start, reached, grid)
    if found:
        told = f"DataX's records of {_told(start)} cannot be used: {found}. The place of that time is searched for."
        return Takeover(Meeting.BROKEN, told)
    return None


def _met(boundary: Boundary, start: datetime, reached: datetime | None) -> Takeover:
    count = len(boundary.positions)
    shards = f"{count} shard{'s' * (count != 1)}"
    told = f"DataX has read to {_told(start)}: reading goes on from its records of {shards}."
    if reached is not None and reached > start:
        told += f" It has gone on to {_told(reached)} since, so what was written up to then comes a second time."
        return Takeover(Meeting.OVERLAP, told, reached, boundary)
    return Takeover(Meeting.MEETS, told, start, boundary)


def _apart(start: datetime, reached: datetime, grid: Grid) -> Takeover:
    begin = grid.floor(reached)
    twice = "" if begin == reached else f"; what was written from there to {_told(reached)} then comes a second time"
    advice = f"To go on there, write start: {begin.isoformat()}{twice}."
    if reached < start:
        told = (
            f"There is a gap: DataX has read to {_told(reached)}, and the first window begins at {_told(start)}. "
            f"What was written in these {start - reached} is exported by neither. {advice}"
        )
        return Takeover(Meeting.GAP, told, reached)
    told = (
        f"DataX has read to {_told(reached)}, and the first window begins at {_told(start)}. What was written in these "
        f"{reached - start} comes a second time. {advice}"
    )
    return Takeover(Meeting.OVERLAP, told, reached)


@dataclass(frozen=True, slots=True)
class DataxRecords:
    """What a status table holds of DataX about one stream."""

    status: StatusTable
    stream_id: str
    table: str

    def at(self, millis: int) -> Boundary | str:
        """Where this time begins in each shard; or why that cannot be said, "" when nothing is written about it."""
        key = f"{millis:16d}"
        job, rows = self.status.get(self.stream_id, JOB, key), self._checkpoints(key)
        if job is None:
            return self._legacy(millis, rows)
        if job.cells.get("TableName", self.table) != self.table:
            return f"they are of table {job.cells['TableName']!s}"
        shards = _shards(job)
        if shards is None:
            return "the list of shards cannot be read"
        if missing := sorted(shards - rows.keys()):
            return f"the job has not ended: {len(missing)} of {len(shards)} shards have none"
        if foreign := sorted(rows.keys() - shards):
            return f"shard {foreign[0]} does not belong to the job"
        version = job.cells.get("Version")
        if any(row.get("Version") != version for row in rows.values()):
            return "they were written by several runs"
        return self._boundary(millis, rows)

    def newest(self) -> datetime | None:
        """The end of the newest window that DataX has read completely."""
        for row in self.status.rows(self.stream_id, JOB, NEWEST, NONE, JOBS_LOOKED_AT):
            if row.value.strip().isdigit() and isinstance(self.at(int(row.value)), Boundary):
                return moment_of(int(row.value) * 1000)
        return None

    def _checkpoints(self, key: str) -> dict[str, Mapping[str, Value]]:
        rows = self.status.rows(self.stream_id, CHECKPOINT, f"{key}\t", f"{key}\t{LAST_SHARD}")
        return {row.value.partition("\t")[2]: row.cells for row in rows}

    def _legacy(self, millis: int, rows: Mapping[str, Mapping[str, Value]]) -> Boundary | str:
        """Older versions describe no job: one row says how many shards there were."""
        count = self.status.get(self.stream_id, CHECKPOINT, f"{millis:16d}")
        if count is None:
            return "the job that wrote them is not described" if rows else ""
        if count.cells.get("ShardCount") != len(rows):
            return f"{len(rows)} of {count.cells.get('ShardCount')!s} shards have one"
        return self._boundary(millis, rows)

    def _boundary(self, millis: int, rows: Mapping[str, Mapping[str, Value]]) -> Boundary | str:
        positions = {}
        for shard, cells in rows.items():
            place = cells.get("Checkpoint")
            if not isinstance(place, str) or not place:
                return f"that of shard {shard} holds no place"
            positions[shard] = _position(place)
        return Boundary(self.stream_id, millis * 1000, positions)


def _position(place: str) -> Position:
    if place == SHARD_ENDED:
        return END
    return BEGIN if place == OLDEST else Position(Place.AT, place)


def _shards(job: StatusRow) -> set[str] | None:
    """The shards of a job: a JSON list, compressed, cut into columns; None when it is something else."""
    chunks: list[bytes] = []
    while isinstance(chunk := job.cells.get(f"ShardIds_{len(chunks)}"), bytes):
        chunks.append(chunk)
    try:
        found = json.loads(zlib.decompress(b"".join(chunks)))
    except (zlib.error, ValueError):
        return None
    return set(found) if isinstance(found, list) and all(isinstance(one, str) for one in found) else None


def _told(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
