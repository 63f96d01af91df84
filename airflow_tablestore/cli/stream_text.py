"""What `stream describe` tells: as JSON, and as text with the shards as a tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_tablestore.cli.change_line import time_text
from airflow_tablestore.cli.table import lines
from airflow_tablestore.consumer.shards import StreamShape
from airflow_tablestore.wire.stream import Shard

NOT_TOLD = "how many records wait is not told by the service"


@dataclass(frozen=True, slots=True)
class Described:
    """A stream as it was found. `oldest` holds the time of each shard's oldest record in microseconds, None: no record.

    `now` is the service's time; `columns` are those of the row before that every record holds.
    """

    table: str
    shape: StreamShape
    oldest: Mapping[str, int | None]
    now: datetime
    is_active: bool = True
    columns: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Everything, for programs."""
        first = self._first()
        return {
            "table": self.table,
            "stream": self.shape.id,
            "is_active": self.is_active,
            "created": time_text(self.shape.created_micros),
            "retention_hours": self.shape.expiration_hours,
            "columns_before": list(self.columns),
            "service_time": self.now.astimezone(UTC).isoformat(),
            "oldest_record": None if first is None else time_text(first),
            "oldest_age_seconds": None if first is None else round(self._age(first).total_seconds(), 3),
            "shards": [
                {
                    "id": shard.id,
                    "parents": list(shard.parents),
                    "has_ended": shard.id in self._ended(),
                    "oldest_record": None if (at := self.oldest[shard.id]) is None else time_text(at),
                }
                for shard in self.shape.shards
            ],
        }

    def text(self) -> Iterator[str]:
        """Lines for people."""
        yield from lines(self._facts())
        yield ""
        yield from lines(self._shards(), indent="  ")

    def _facts(self) -> list[tuple[str, str]]:
        open_shards = len(self.shape.shards) - len(self._ended())
        return [
            ("table", self.table),
            ("stream", self.shape.id if self.is_active else f"{self.shape.id} (being made; it has no records yet)"),
            ("created", time_text(self.shape.created_micros)),
            ("retention", hours_text(self.shape.expiration_hours)),
            *([("columns before", ", ".join(self.columns))] if self.columns else []),
            ("backlog", self._backlog()),
            ("shards", f"{len(self.shape.shards)}, {open_shards} of them open"),
        ]

    def _backlog(self) -> str:
        first = self._first()
        if first is None:
            return "no records are kept now"
        age, kept = self._age(first), timedelta(hours=self.shape.expiration_hours)
        left = f"expires in {span_text(kept - age)}" if kept > age else "may expire at any moment"
        return f"the oldest record is {span_text(age)} old and {left}; {NOT_TOLD}"

    def _shards(self) -> list[tuple[str, str, str]]:
        rows = []
        for lead, shard in tree(self.shape.shards):
            at = self.oldest[shard.id]
            records = "no records" if at is None else f"oldest {time_text(at)}, {span_text(self._age(at))} ago"
            merged = f"; merged of {' and '.join(shard.parents)}" if len(shard.parents) > 1 else ""
            rows.append((lead + shard.id, "ended" if shard.id in self._ended() else "open", records + merged))
        return rows

    def _ended(self) -> set[str]:
        """The shards that have children, so no record is added to them; the service says it in no other way."""
        parents = {parent for shard in self.shape.shards for parent in shard.parents}
        return parents & {shard.id for shard in self.shape.shards}

    def _first(self) -> int | None:
        return min((micros for micros in self.oldest.values() if micros is not None), default=None)

    def _age(self, micros: int) -> timedelta:
        return max(self.now - datetime.fromtimestamp(micros / 1_000_000, UTC), timedelta(0))


def tree(shards: Sequence[Shard]) -> Iterator[tuple[str, Shard]]:
    """Each shard with what stands before its id: lines that lead from its parent.

    A merged shard stands once, under the last of its parents. A shard whose parents are not listed is a root.

    :param shards: parents before their children.
    """
    place = {shard.id: number for number, shard in enumerate(shards)}
    children: dict[str, list[Shard]] = {}
    for shard in shards:
        parents = [parent for parent in shard.parents if parent in place]
        children.setdefault(max(parents, key=place.__getitem__, default=""), []).append(shard)
    for root in children.get("", ()):
        yield "", root
        yield from _below(root, children, "")


def _below(parent: Shard, children: Mapping[str, Sequence[Shard]], indent: str) -> Iterator[tuple[str, Shard]]:
    found = children.get(parent.id, ())
    for number, child in enumerate(found, 1):
        is_last = number == len(found)
        yield indent + ("└─ " if is_last else "├─ "), child
        yield from _below(child, children, indent + ("   " if is_last else "│  "))


def span_text(span: timedelta) -> str:
    """A length of time in its two largest units: 2 h 03 min."""
    seconds = int(span.total_seconds())
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    if seconds < 86_400:
        return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
    return f"{seconds // 86_400} d {seconds % 86_400 // 3600:02d} h"


def hours_text(hours: int) -> str:
    """1 hour, 24 hours."""
    return f"{hours} hour{'' if hours == 1 else 's'}"
