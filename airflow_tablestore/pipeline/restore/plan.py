"""What the steps of a restore hand to each other: which objects each part writes, and what became of them.

All of it goes through JSON, for the steps may be tasks on different machines. No rows, and nothing secret.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from airflow_tablestore.pipeline.sources.objects import Found, ListedObject
from airflow_tablestore.wire.row import ColumnType
from airflow_tablestore.wire.table import KeyColumn


@dataclass(frozen=True, slots=True)
class RestorePart:
    """The work of one task: some objects, in the order of their keys."""

    number: int
    objects: tuple[ListedObject, ...]

    @property
    def label(self) -> str:
        """For people: the names of the objects, the first of several."""
        first = self.objects[0].key.rpartition("/")[2] if self.objects else "nothing"
        return first if len(self.objects) < 2 else f"{first} and {len(self.objects) - 1} more"

    def to_json(self) -> dict[str, Any]:
        return {"number": self.number, "objects": [one.to_json() for one in self.objects]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> RestorePart:
        return cls(data["number"], tuple(ListedObject.from_json(one) for one in data["objects"]))


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """What a restore will do. `is_new`: the table is not there yet."""

    found: Found
    keys: tuple[KeyColumn, ...]
    is_new: bool
    parts: tuple[RestorePart, ...]

    def head_json(self) -> dict[str, Any]:
        """What all parts share, without the objects, which are the parts' own."""
        return {
            "found": self.found.to_json(),
            "keys": [{"name": key.name, "type": key.type.value} for key in self.keys],
            "is_new": self.is_new,
            "parts": len(self.parts),
        }

    @classmethod
    def from_json(cls, head: dict[str, Any], parts: Iterable[dict[str, Any]]) -> RestorePlan:
        """The plan of a head and of some of its parts; it knows of no others."""
        own = tuple(RestorePart.from_json(part) for part in parts)
        found = Found.from_json(head["found"], tuple(one for part in own for one in part.objects))
        keys = tuple(KeyColumn(key["name"], ColumnType(key["type"])) for key in head["keys"])
        return cls(found, keys, head["is_new"], own)


@dataclass(frozen=True, slots=True)
class PartReport:
    """What became of one part: all its rows are written, but for the dirty ones."""

    part: int
    objects: tuple[str, ...]
    rows: int
    written: int
    dirty: int
    bytes_read: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return {
            "part": self.part,
            "objects": list(self.objects),
            "rows": self.rows,
            "written": self.written,
            "dirty": self.dirty,
            "bytes_read": self.bytes_read,
            "seconds": round(self.seconds, 3),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> PartReport:
        return cls(**{**data, "objects": tuple(data["objects"])})


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What a restore did, in numbers. `run` is the export's; "" for plain objects."""

    pipeline: str
    table: str
    run: str
    rows: int
    written: int
    dirty: int
    objects: int
    bytes_read: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return {
            "pipeline": self.pipeline,
            "table": self.table,
            "run": self.run,
            "rows": self.rows,
            "written": self.written,
            "dirty": self.dirty,
            "objects": self.objects,
            "bytes_read": self.bytes_read,
            "seconds": round(self.seconds, 3),
        }
