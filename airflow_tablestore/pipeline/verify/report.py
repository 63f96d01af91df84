"""What a comparison found, and what one would cost: values, for JSON and for people."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

MOST_NAMED = 20
"""Keys that are named of each kind of difference, unless the caller says otherwise."""


class Kind(enum.StrEnum):
    """How a key differs."""

    MISSING = "missing"
    EXTRA = "extra"
    CHANGED = "changed"
    DOUBLED = "doubled"


TOLD = {
    Kind.MISSING: "in the table and not published",
    Kind.EXTRA: "published and not in the table",
    Kind.CHANGED: "in both, with other cells",
    Kind.DOUBLED: "published more than once",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One key that differs; `columns` are those of a changed row that do."""

    kind: Kind
    key: str
    columns: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind.value, "key": self.key, "columns": list(self.columns)}

    def __str__(self) -> str:
        return f"{self.key} ({', '.join(self.columns)})" if self.columns else self.key


@dataclass(slots=True)
class Found:
    """The differences as they are met: all are counted, `most` of each kind are named."""

    most: int = MOST_NAMED
    counts: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(Kind, 0))
    named: list[Difference] = field(default_factory=list)

    def add(self, kind: Kind, key: str, columns: tuple[str, ...] = ()) -> None:
        self.counts[kind] += 1
        if self.counts[kind] <= self.most:
            self.named.append(Difference(kind, key, columns))


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """A table beside a publication.

    `rows` are the table's, `published` those of the objects; `dirty` rows of the table were left out as the export
    leaves them out. `ranges` were compared by checksum, `differing` of them row by row. `read_units` are as the service
    told them, `bytes_read` those of objects.
    """

    table: str
    place: str
    run: str
    rows: int
    published: int
    dirty: int
    ranges: int
    differing: int
    counts: dict[Kind, int]
    named: tuple[Difference, ...]
    read_units: int
    bytes_read: int
    seconds: float

    @property
    def is_same(self) -> bool:
        """Whether every row is there as it was published, and no other."""
        return not any(self.counts.values())

    def to_json(self) -> dict[str, Any]:
        return {
            "table": self.table,
            "place": self.place,
            "run": self.run,
            "is_same": self.is_same,
            "rows": self.rows,
            "published": self.published,
            "dirty": self.dirty,
            "ranges": self.ranges,
            "differing_ranges": self.differing,
            **{kind.value: count for kind, count in self.counts.items()},
            "named": [one.to_json() for one in self.named],
            "read_units": self.read_units,
            "bytes_read": self.bytes_read,
            "seconds": round(self.seconds, 3),
        }

    def lines(self) -> Iterator[str]:
        """For people."""
        word = "the same" if self.is_same else "not the same"
        run = f"run {self.run} at " if self.run else ""
        yield f"Table {self.table} and {run}{self.place} are {word}."
        yield f"  {self.rows:,} rows in the table, {self.published:,} published"
        if self.dirty:
            yield f"  {self.dirty:,} rows of the table are dirty records, which are not exported"
        yield f"  {self.differing:,} of {self.ranges:,} key ranges differed by their checksums"
        for kind, count in self.counts.items():
            if count:
                named = [str(one) for one in self.named if one.kind is kind]
                more = f"; and {count - len(named):,} more" if count > len(named) else ""
                yield f"  {count:,} {TOLD[kind]}: {'; '.join(named)}{more}"


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a comparison would read, when nothing differs; what differs is read twice.

    `rows`, `bytes`, `requests` and `read_units` are the table's and are estimates unless `is_counted`; those of objects
    are known.
    """

    table: str
    place: str
    run: str
    rows: int
    bytes: int
    requests: int
    read_units: int
    is_counted: bool
    objects: int
    published: int
    object_bytes: int
    object_requests: int

    def to_json(self) -> dict[str, Any]:
        return {
            "table": self.table,
            "place": self.place,
            "run": self.run,
            "rows": self.rows,
            "bytes": self.bytes,
            "requests": self.requests,
            "read_units": self.read_units,
            "is_counted": self.is_counted,
            "objects": self.objects,
            "published": self.published,
            "object_bytes": self.object_bytes,
            "object_requests": self.object_requests,
        }

    def lines(self) -> Iterator[str]:
        """For people."""
        about = "" if self.is_counted else "about "
        yield f"Table {self.table}: {about}{self.rows:,} rows, {about}{self.bytes:,} bytes"
        yield f"  {about}{self.requests:,} requests, {about}{self.read_units:,} read capacity units"
        if self.objects or self.run:
            yield f"Run {self.run or '-'} at {self.place}: {self.published:,} rows in {self.objects:,} objects"
            yield f"  {self.object_bytes:,} bytes, {self.object_requests:,} requests"
        else:
            yield f"Loaded at {self.place}: {self.published:,} rows, at least {self.object_requests:,} requests"
        yield "Key ranges that differ are read a second time. Nothing was compared."
