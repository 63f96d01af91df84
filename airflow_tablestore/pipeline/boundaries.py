"""Boundaries of windows as values: a time, and where it begins in every shard of a stream.

A boundary is complete or it is not: it holds all shards of its moment, in one value, so that no two readers disagree
about which shards there were. A shard that it does not hold was born later, or is gone. How one is found is
`consumer.stream`; where it is kept, and who wins, is the ledger's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from airflow_tablestore.consumer.stream import BEGIN, Place, Position
from airflow_tablestore.pipeline.window import EPOCH
from airflow_tablestore.wire.row import SequenceInfo


@dataclass(frozen=True, slots=True)
class Boundary:
    """Where a time (microseconds since 1970) begins in the shards of a stream."""

    stream_id: str
    micros: int
    positions: Mapping[str, Position] = field(repr=False)

    def at(self, shard: str) -> Position:
        """The position in a shard; before all of its records when the boundary does not know it."""
        return self.positions.get(shard, BEGIN)

    @property
    def ended(self) -> tuple[str, ...]:
        """The shards that have been read to their end."""
        return tuple(sorted(shard for shard, position in self.positions.items() if position.is_end))

    def to_json(self) -> dict[str, Any]:
        """The form that the ledger, manifests and XCom hold."""
        positions = {shard: position_to_json(self.positions[shard]) for shard in sorted(self.positions)}
        return {"stream": self.stream_id, "micros": self.micros, "positions": positions}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Boundary:
        positions = {shard: position_from_json(told) for shard, told in data["positions"].items()}
        return cls(data["stream"], data["micros"], positions)


def position_to_json(position: Position) -> list[Any]:
    """A position as JSON: its place, and what it has of an iterator and a next record."""
    first = position.first
    told = [first.epoch, first.timestamp, first.row_index] if first else None
    return [position.place.value, position.iterator, told][: 3 if told else 2 if position.iterator else 1]


def position_from_json(data: list[Any]) -> Position:
    first = SequenceInfo(*data[2]) if len(data) > 2 else None
    return Position(Place(data[0]), data[1] if len(data) > 1 else "", first)


def micros_of(moment: datetime) -> int:
    """Microseconds since 1970, exactly."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def moment_of(micros: int) -> datetime:
    """The moment of so many microseconds since 1970, in UTC."""
    return EPOCH + timedelta(microseconds=micros)
