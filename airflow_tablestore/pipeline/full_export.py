"""A table's rows into objects: plan, export each split, publish.

The three steps are three functions because they are three tasks in Airflow; `run` calls them one after another in one
process. What passes between them is in `plan`; who publishes and when is in `publish`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from airflow_tablestore.pipeline.contract import Constant, Format, Limits, Picked
from airflow_tablestore.wire.row import ColumnType, KeyValue


class Unknown(enum.StrEnum):
    """What happens to cells of columns that the pinned schema does not know."""

    OTHER = "other"
    FAIL = "fail"
    DROP = "drop"


class WriteMode(enum.StrEnum):
    """What a publication does about what stands under its prefix."""

    TRUNCATE = "truncate"
    APPEND = "append"
    NON_CONFLICT = "non_conflict"


@dataclass(frozen=True, slots=True)
class TableSelection:
    """Which rows and columns of which table.

    `columns` None means all. `types` are those that the author declared, by source column name. `begin` and `end` may
    name only the first key columns; `points` are the author's own split points of the first key column; `tasks` is the
    number of splits asked for (0: by size).
    """

    table: str
    columns: tuple[Picked | Constant, ...] | None = None
    types: dict[str, ColumnType] = field(default_factory=dict)
    unknown: Unknown = Unknown.OTHER
    begin: tuple[KeyValue, ...] = ()
    end: tuple[KeyValue, ...] = ()
    points: tuple[KeyValue, ...] = ()
    tasks: int = 0


@dataclass(frozen=True, slots=True)
class ObjectTarget:
    """Where the objects go and how they look. `prefix` is already rendered and ends at a slash."""

    bucket: str
    prefix: str
    format: Format
    write_mode: WriteMode = WriteMode.TRUNCATE
    truncates_foreign: bool = False
    max_object_bytes: int = 0


@dataclass(frozen=True, slots=True)
class FullExport:
    """One full export, ready to run once its services are given."""

    pipeline: str
    source: TableSelection
    target: ObjectTarget
    limits: Limits = field(default_factory=Limits)
