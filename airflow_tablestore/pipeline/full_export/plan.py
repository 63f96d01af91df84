"""How a full export is divided, and what its tasks tell each other.

A *split* is the work of one task; its *slices* are key ranges that the task's threads read side by side, each into its
own objects, so that the same plan gives the same objects whoever carries it out. These values travel between Airflow
tasks (XCom) as JSON: keys, ids and counts, never secrets, never lists of part tags.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from airflow_tablestore.consumer.table import KeyRange as KeyRange
from airflow_tablestore.pipeline.contract import PendingObject, Schema
from airflow_tablestore.pipeline.dirty import DirtySample, samples_from_json
from airflow_tablestore.wire.row import AutoIncrement, Bound, KeyValue, PrimaryKey


@dataclass(frozen=True, slots=True)
class Slice:
    """One key range, and the service's estimate of its bytes (0: not known)."""

    range: KeyRange
    estimated_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Split:
    """The work of one task. `label` is what a person sees in the grid."""

    number: int
    label: str
    slices: tuple[Slice, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "label": self.label,
            "slices": [
                {
                    "begin": key_to_json(s.range.begin),
                    "end": key_to_json(s.range.end),
                    "backward": s.range.is_backward,
                    "bytes": s.estimated_bytes,
                }
                for s in self.slices
            ],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Split:
        return cls(
            data["number"],
            data["label"],
            tuple(
                Slice(KeyRange(key_from_json(s["begin"]), key_from_json(s["end"]), s["backward"]), s["bytes"])
                for s in data["slices"]
            ),
        )


@dataclass(frozen=True, slots=True)
class PlanHead:
    """What every task of a run shares. `claim` is the run's number at its prefix: a later claim outranks it.

    `splits` is how many tasks there are, so that limits can be divided. `name` is what the run's objects are
    named after; for a table it is the upload session, and `width` the most slices of a split. `begun` is a moment of
    the service's clock (ISO 8601) before any row was read; "" when the service told none.
    """

    run: str
    claim: int
    schema: Schema
    splits: int
    name: str
    width: int = 0
    begun: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "run": self.run,
            "claim": self.claim,
            "schema": self.schema.to_json(),
            "splits": self.splits,
            "name": self.name,
            "width": self.width,
            "begun": self.begun,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> PlanHead:
        return cls(
            data["run"],
            data["claim"],
            Schema.from_json(data["schema"]),
            data["splits"],
            data["name"],
            data.get("width", 0),
            data.get("begun", ""),
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """A run, divided."""

    head: PlanHead
    splits: tuple[Split, ...]


@dataclass(frozen=True, slots=True)
class SplitReport:
    """What one task uploaded and counted. `claim` is that of the plan which made the split.

    A split of another plan has other bounds: published beside those of this plan, rows would be lost or doubled.
    `samples` are some of the dirty records. `ended` is a moment of the service's clock after the last row was read.
    """

    claim: int
    split: int
    objects: tuple[PendingObject, ...]
    rows: int
    bytes_read: int
    dirty: int
    others: int
    seconds: float
    samples: tuple[DirtySample, ...] = ()
    ended: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "claim": self.claim,
            "split": self.split,
            "objects": [
                {"key": o.key, "upload_id": o.upload_id, "rows": o.rows, "bytes": o.bytes, "crc64": str(o.crc64)}
                for o in self.objects
            ],
            "rows": self.rows,
            "bytes_read": self.bytes_read,
            "dirty": self.dirty,
            "others": self.others,
            "seconds": round(self.seconds, 3),
            "samples": [sample.to_json() for sample in self.samples],
            "ended": self.ended,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> SplitReport:
        objects = tuple(
            PendingObject(o["key"], o["upload_id"], o["rows"], o["bytes"], int(o["crc64"])) for o in data["objects"]
        )
        return cls(
            data["claim"],
            data["split"],
            objects,
            data["rows"],
            data["bytes_read"],
            data["dirty"],
            data["others"],
            data["seconds"],
            samples_from_json(data.get("samples", ())),
            data.get("ended", ""),
        )


def key_to_json(key: PrimaryKey) -> list[list[Any]]:
    """A key as JSON: [name, value] pairs, a value that JSON cannot hold as {"bound": …} or {"binary": base64}."""
    return [[name, _value_to_json(value)] for name, value in key]


def key_from_json(data: list[list[Any]]) -> PrimaryKey:
    return tuple((name, _value_from_json(value)) for name, value in data)


def _value_to_json(value: KeyValue) -> int | str | dict[str, str]:
    if isinstance(value, bytes):
        return {"binary": base64.b64encode(value).decode()}
    if isinstance(value, Bound):
        return {"bound": value.value}
    if isinstance(value, AutoIncrement):
        raise ValueError("a range holds no AUTO_INCREMENT")
    return value


def _value_from_json(data: int | str | dict[str, str]) -> KeyValue:
    if isinstance(data, dict):
        return Bound(data["bound"]) if "bound" in data else base64.b64decode(data["binary"])
    return data
