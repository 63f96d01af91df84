"""A restore as its author describes it: values alone, so that a spec is read without what carries it out."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from airflow_tablestore.errors import Problem, SpecError
from airflow_tablestore.pipeline.contract import Column, Limits
from airflow_tablestore.pipeline.fold.moment import PointInTime
from airflow_tablestore.pipeline.formats.read_format import ReadFormat
from airflow_tablestore.wire.batch_write import MOST_ROWS


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


@dataclass(frozen=True, slots=True)
class RowTarget:
    """A table that rows are written to. `creates`: it is made when it is missing; `batch_rows` is at most 200."""

    table: str
    mode: RowMode = RowMode.PUT
    creates: bool = False
    batch_rows: int = MOST_ROWS

    def __post_init__(self) -> None:
        if not 1 <= self.batch_rows <= MOST_ROWS:
            raise SpecError([Problem(f"must be from 1 to {MOST_ROWS}", path="sink.batch_rows")])


@dataclass(frozen=True, slots=True)
class Restore:
    """One restore, ready to run once its services are given."""

    pipeline: str
    source: PublishedSource | PlainSource | PointInTime
    target: RowTarget
    limits: Limits = field(default_factory=Limits)
