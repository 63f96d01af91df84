"""A restore as its author describes it: values alone, so that a spec is read without what carries it out."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from airflow_tablestore.errors import Problem, SpecError
from airflow_tablestore.pipeline.contract import Column, Constant, Limits
from airflow_tablestore.pipeline.fold.moment import PointInTime
from airflow_tablestore.pipeline.formats.read_format import ReadFormat
from airflow_tablestore.wire.batch_write import MOST_BYTES, MOST_ROWS
from airflow_tablestore.wire.row import ColumnType

BATCH_BYTES = MOST_BYTES - 512 * 1024
"""Most bytes of a batch's rows; what the request needs beside them is far less than the rest."""

MAX_RETRIES = 15
"""How often a row is sent again unless the author says otherwise: as often as a request."""


@dataclass(frozen=True, slots=True)
class PublishedSource:
    """An export under a prefix. `run` names one of several that were appended there; "" when there is one."""

    prefix: str
    run: str = ""


@dataclass(frozen=True, slots=True)
class PlainSource:
    """Objects that anybody wrote: keys as shell patterns, how they look, and their columns in order.

    With a header (and in jsonl and parquet) columns are found by name.
    """

    patterns: tuple[str, ...]
    format: ReadFormat
    columns: tuple[Column, ...]


class RowMode(enum.StrEnum):
    """What becomes of a row that stands in the table already."""

    PUT = "put"
    UPDATE = "update"


class Nulls(enum.StrEnum):
    """What an update does for a null: leaves the column, or deletes it as OTSWriter does."""

    KEEP = "keep"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Written:
    """One column that is written: `name` in the objects, `to` in the table, and its type there when it is another."""

    name: str
    to: str
    type: ColumnType | None = None


@dataclass(frozen=True, slots=True)
class RowTarget:
    """A table that rows are written to, and how.

    `creates`: it is made when it is missing. `columns`: those that are written; None: all. `primary_key`: the table's
    key columns in their order; empty: those of the export, or of the table. `batch_rows` is at most 200, `batch_bytes`
    at most BATCH_BYTES; `requests_per_second` 0: no limit.
    """

    table: str
    mode: RowMode = RowMode.PUT
    creates: bool = False
    batch_rows: int = MOST_ROWS
    columns: tuple[Written | Constant, ...] | None = None
    primary_key: tuple[str, ...] = ()
    nulls: Nulls = Nulls.KEEP
    batch_bytes: int = BATCH_BYTES
    requests_per_second: float = 0
    max_retries: int = MAX_RETRIES

    def __post_init__(self) -> None:
        if not 1 <= self.batch_rows <= MOST_ROWS:
            raise SpecError([Problem(f"must be from 1 to {MOST_ROWS}", path="sink.batch_rows")])
        if not 1 <= self.batch_bytes <= BATCH_BYTES:
            raise SpecError([Problem(f"must be from 1 to {BATCH_BYTES}", path="sink.batch_bytes")])


@dataclass(frozen=True, slots=True)
class Restore:
    """One restore, ready to run once its services are given."""

    pipeline: str
    source: PublishedSource | PlainSource | PointInTime
    target: RowTarget
    limits: Limits = field(default_factory=Limits)
