"""What a pipeline is made of: the protocols, and the values that pass between its parts.

Data are Arrow record batches from the source to the sink. What comes back up is small: receipts and a report.
Nothing here knows Airflow, a spec file or a service.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from airflow_tablestore.pipeline.dirty import DirtySample
from airflow_tablestore.wire.row import ColumnType, Value

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Column:
    """One pinned column of a source: its name there and its type. `is_declared` says that the author named the type,
    so that a lossless conversion into it is wanted and not a silent cast."""

    name: str
    type: ColumnType
    is_key: bool = False
    is_declared: bool = False


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns that one run, and every later one of its pipeline, has agreed on. Key columns come first.

    `keeps_others` adds the JSON column `_other` for cells of columns that are not listed. `is_picked`: the author named
    the columns, so that what the schema lacks was not wanted, rather than not known.
    """

    columns: tuple[Column, ...]
    keeps_others: bool = False
    is_picked: bool = False

    def to_json(self) -> dict[str, Any]:
        """The form that manifests and XCom hold."""
        return {
            "columns": [
                {"name": c.name, "type": c.type.value}
                | ({"key": True} if c.is_key else {})
                | ({"declared": True} if c.is_declared else {})
                for c in self.columns
            ],
            "other": self.keeps_others,
            "picked": self.is_picked,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Schema:
        columns = tuple(
            Column(c["name"], ColumnType(c["type"]), c.get("key", False), c.get("declared", False))
            for c in data["columns"]
        )
        return cls(columns, data["other"], data["picked"])


OTHER_COLUMN = "_other"

JSON_MARK = b"json"
"""The metadata key of an Arrow field whose strings are JSON documents."""


@dataclass(frozen=True, slots=True)
class Picked:
    """One output column taken from the source: `name` there, `to` in the output."""

    name: str
    to: str


@dataclass(frozen=True, slots=True)
class Constant:
    """One output column that holds the same value in every row."""

    value: Value | None
    type: ColumnType
    to: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Some records as columns. `position` says where to resume after them; it is opaque outside its source."""

    records: pa.RecordBatch
    position: object = None
    bytes_read: int = 0


class Source(Protocol):
    """Reads one slice of a table, a shard or a channel, in order."""

    def schema(self) -> pa.Schema:
        """The schema of every batch."""
        ...

    def batches(self) -> Iterator[Batch]:
        """The records from the start of the slice to its end. Iterating again starts again."""
        ...


class Transform(Protocol):
    """Changes batches without changing how many records there are, their order or their position."""

    def schema(self, given: pa.Schema) -> pa.Schema: ...

    def apply(self, records: pa.RecordBatch) -> pa.RecordBatch: ...


class ByteSink(Protocol):
    """Where an encoder's bytes go. Never seeks."""

    def write(self, data: bytes | memoryview) -> int: ...


class Encoder(Protocol):
    """Turns the batches of one object into its bytes. `close` writes what must come last and leaves the sink open."""

    def write(self, records: pa.RecordBatch) -> None: ...

    def close(self) -> None: ...


class Format(Protocol):
    """How records become the bytes of an object. Equal batches give equal bytes, on every machine."""

    @property
    def suffix(self) -> str:
        """The end of an object's name: ".parquet", ".csv.gz"."""
        ...

    def describe(self) -> dict[str, Any]:
        """What a reader of the objects must know, as the manifest says it: the format's name and its settings."""
        ...

    def unfit(self, records: pa.RecordBatch) -> Sequence[Unfit]:
        """The rows that this format cannot hold without loss, in row order. They are dirty records."""
        ...

    def encoder(self, schema: pa.Schema, to: ByteSink) -> Encoder: ...


class OverLength(enum.StrEnum):
    """What becomes of a text or binary value that is too long for its column."""

    FAIL = "fail"
    TRUNCATE = "truncate"
    NULL = "null"


@dataclass(frozen=True, slots=True)
class Unfit:
    """A row that a format cannot write so that it reads back the same, and why. `row` counts from 0 in its batch."""

    row: int
    reason: str


@dataclass(frozen=True, slots=True)
class PendingObject:
    """An object whose bytes are uploaded and which nobody sees yet: what its publication needs, and its proof."""

    key: str
    upload_id: str
    rows: int
    bytes: int
    crc64: int


class Writer(Protocol):
    """Takes one slice's batches into a sink. Its receipt says that all of it is safe, though not yet visible."""

    def write(self, records: pa.RecordBatch) -> None: ...

    def finish(self) -> Sequence[PendingObject]: ...

    def abort(self) -> None:
        """Drop what was written. Never raises; what cannot be dropped is left for the run that follows."""
        ...


class Progress(Protocol):
    """Hears how a long piece of work goes. Called from several threads."""

    def expect(self, estimated_bytes: int) -> None:
        """About so many bytes more are to be read; 0 when nobody knows."""
        ...

    def advance(self, rows: int, bytes_read: int) -> None: ...

    def retried(self, reason: str) -> None: ...


class Quiet:
    """A progress that tells nobody."""

    def expect(self, estimated_bytes: int) -> None: ...

    def advance(self, rows: int, bytes_read: int) -> None: ...

    def retried(self, reason: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may use. 0 means no limit, except for `errors`, where it means none is accepted.

    `errors`, `mbps` (megabits per second) and `rows_per_second` are for the whole run and divided over its tasks.
    """

    errors: int = 0
    mbps: float = 0
    rows_per_second: float = 0
    workers: int = 0
    threads: int = 4
    memory_mb: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did, in numbers. `seconds` is wall time; `bytes` are those of the published objects.

    `samples` are some of the dirty records.
    """

    pipeline: str
    run: str
    rows: int
    bytes: int
    objects: int
    seconds: float
    dirty: int
    others: int
    manifest: str
    samples: tuple[DirtySample, ...] = ()

    @property
    def rows_per_second(self) -> float:
        return round(self.rows / self.seconds, 1) if self.seconds > 0 else 0.0

    def to_json(self) -> dict[str, Any]:
        return {
            "pipeline": self.pipeline,
            "run": self.run,
            "rows": self.rows,
            "bytes": self.bytes,
            "objects": self.objects,
            "seconds": round(self.seconds, 3),
            "rows_per_second": self.rows_per_second,
            "dirty": self.dirty,
            "others": self.others,
            "manifest": self.manifest,
            "samples": [sample.to_json() for sample in self.samples],
        }
