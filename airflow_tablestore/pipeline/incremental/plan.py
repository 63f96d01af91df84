"""How a window is divided, and what its tasks tell each other.

A *part* is the work of one task: shards that hang together by parents which are still being read. These values travel
between Airflow tasks (XCom) as JSON: positions, keys, ids and counts, never secrets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airflow_tablestore.consumer.stream import Position
from airflow_tablestore.pipeline.boundaries import position_from_json, position_to_json
from airflow_tablestore.pipeline.contract import PendingObject, Schema
from airflow_tablestore.pipeline.dirty import DirtySample, samples_from_json
from airflow_tablestore.pipeline.incremental.ledger import Neighbours
from airflow_tablestore.pipeline.window import Window


def window_key(window: Window) -> str:
    """What a window's objects are named after, whoever exports it: `20261121T040000Z-20261121T040500Z`."""
    return f"{_stamp(window.start)}-{_stamp(window.end)}"


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y%m%dT%H%M%S}{f'{moment:%f}' if moment.microsecond else ''}Z"


@dataclass(frozen=True, slots=True)
class ShardTask:
    """One shard's share of a window: from `start` to the first record beyond the window, but not beyond `stop`.

    It is read when all of `parents` have been read to their end. `number` is its place in the objects' keys; `branch`
    tells apart those that were born while the part was read.
    """

    shard: str
    number: int
    start: Position
    stop: Position | None = None
    parents: tuple[str, ...] = ()
    branch: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "shard": self.shard,
            "number": self.number,
            "start": position_to_json(self.start),
            "stop": position_to_json(self.stop) if self.stop else None,
            "parents": list(self.parents),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ShardTask:
        stop = position_from_json(data["stop"]) if data["stop"] else None
        return cls(data["shard"], data["number"], position_from_json(data["start"]), stop, tuple(data["parents"]))


@dataclass(frozen=True, slots=True)
class ShardPart:
    """The work of one task: shards of the stream, parents first. `label` is what a person sees in the grid."""

    number: int
    label: str
    shards: tuple[ShardTask, ...]

    def to_json(self) -> dict[str, Any]:
        return {"number": self.number, "label": self.label, "shards": [task.to_json() for task in self.shards]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ShardPart:
        return cls(data["number"], data["label"], tuple(ShardTask.from_json(task) for task in data["shards"]))


@dataclass(frozen=True, slots=True)
class WindowHead:
    """What every task of a window shares.

    `is_fixed`: it is known where the window ends. Else `beside` says between which boundaries the end is looked for.
    `ended` are the shards that were read to their end before this window. `is_published`: the window stands already,
    there are no parts, and publishing reports it. `loss`: it was accepted as lost; again there are no parts, and
    publishing says so in the manifest. `width`: how many blocks an attempt may make, for a table, and `branches` how
    many of them are one shard's. `takeover`: what was found of DataX at the beginning of the first window.
    """

    window: Window
    run: str
    schema: Schema
    stream_id: str = ""
    claim: int = 0
    name: str = ""
    parts: int = 0
    is_fixed: bool = False
    beside: Neighbours | None = None
    ended: tuple[str, ...] = ()
    predecessor: str | None = None
    is_published: bool = False
    loss: str | None = None
    width: int = 0
    branches: int = 0
    takeover: str = ""

    def to_json(self) -> dict[str, Any]:
        beside = self.beside
        return {
            "start": self.window.start.isoformat(),
            "end": self.window.end.isoformat(),
            "run": self.run,
            "schema": self.schema.to_json(),
            "stream": self.stream_id,
            "claim": self.claim,
            "name": self.name,
            "parts": self.parts,
            "fixed": self.is_fixed,
            "beside": [beside.version, beside.earlier, beside.later] if beside else None,
            "ended": list(self.ended),
            "predecessor": self.predecessor,
            "published": self.is_published,
            "loss": self.loss,
            "width": self.width,
            "branches": self.branches,
            "takeover": self.takeover,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> WindowHead:
        return cls(
            Window(datetime.fromisoformat(data["start"]), datetime.fromisoformat(data["end"])),
            data["run"],
            Schema.from_json(data["schema"]),
            data["stream"],
            data["claim"],
            data["name"],
            data["parts"],
            data["fixed"],
            Neighbours(*data["beside"]) if data["beside"] else None,
            tuple(data["ended"]),
            data["predecessor"],
            data["published"],
            data["loss"],
            data.get("width", 0),
            data["branches"],
            data.get("takeover", ""),
        )


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """A window, divided. Without parts there is nothing to map; publish it with no reports."""

    head: WindowHead
    parts: tuple[ShardPart, ...]


@dataclass(frozen=True, slots=True)
class PartReport:
    """What one task uploaded and counted, and where it ended in each shard. `claim` is that of the plan.

    `samples` are some of the dirty records.
    """

    claim: int
    part: int
    objects: tuple[PendingObject, ...]
    rows: int
    bytes_read: int
    dirty: int
    late: int
    partial_rows: int
    seconds: float
    ends: Mapping[str, Position] = field(default_factory=dict, repr=False)
    samples: tuple[DirtySample, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "claim": self.claim,
            "part": self.part,
            "objects": [
                {"key": o.key, "upload_id": o.upload_id, "rows": o.rows, "bytes": o.bytes, "crc64": str(o.crc64)}
                for o in self.objects
            ],
            "rows": self.rows,
            "bytes_read": self.bytes_read,
            "dirty": self.dirty,
            "late": self.late,
            "partial_rows": self.partial_rows,
            "seconds": round(self.seconds, 3),
            "ends": {shard: position_to_json(position) for shard, position in self.ends.items()},
            "samples": [sample.to_json() for sample in self.samples],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> PartReport:
        objects = tuple(
            PendingObject(o["key"], o["upload_id"], o["rows"], o["bytes"], int(o["crc64"])) for o in data["objects"]
        )
        ends = {shard: position_from_json(told) for shard, told in data["ends"].items()}
        return cls(
            data["claim"],
            data["part"],
            objects,
            data["rows"],
            data["bytes_read"],
            data["dirty"],
            data["late"],
            data["partial_rows"],
            data["seconds"],
            ends,
            samples_from_json(data.get("samples", ())),
        )
