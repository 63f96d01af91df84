"""Which rows and columns of which table: what an author says about a source."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from airflow_tablestore.pipeline.contract import Constant, Picked
from airflow_tablestore.wire.row import ColumnType, KeyValue


class Unknown(enum.StrEnum):
    """What happens to cells of columns that the pinned schema does not know."""

    OTHER = "other"
    FAIL = "fail"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class TableSelection:
    """Which rows and columns of which table.

    `columns` None means all. `types` are those that the author declared, by source column name. `begin` and `end` may
    name only the first key columns; `points` are the author's own split points of the first key column; `tasks` is the
    number of splits asked for (0: by size). `asks_compact`: rows may come as SimpleRowMatrix,
    by BulkExport or GetRange.
    """

    table: str
    columns: tuple[Picked | Constant, ...] | None = None
    types: dict[str, ColumnType] = field(default_factory=dict)
    unknown: Unknown = Unknown.OTHER
    begin: tuple[KeyValue, ...] = ()
    end: tuple[KeyValue, ...] = ()
    points: tuple[KeyValue, ...] = ()
    tasks: int = 0
    asks_compact: bool = False

    @property
    def picked(self) -> tuple[str, ...] | None:
        """The source columns that were named, each once; None when all are wanted."""
        if self.columns is None:
            return None
        return tuple(dict.fromkeys(c.name for c in self.columns if isinstance(c, Picked)))


class ChangeMode(enum.StrEnum):
    """What one change of a row becomes: one row with the columns chosen, or one row per cell."""

    SINGLE_VERSION = "single_version_and_update_only"
    MULTI_VERSION = "multi_version"


@dataclass(frozen=True, slots=True)
class ChangeSelection:
    """Which changes of which table.

    `columns` and `types` are for SINGLE_VERSION, as in `TableSelection`; there `columns` None is no choice. The columns
    of MULTI_VERSION follow from the table's key. `with_sequence` adds where each change stands in its shard.
    """

    table: str
    mode: ChangeMode
    columns: tuple[Picked | Constant, ...] | None = None
    types: Mapping[str, ColumnType] = field(default_factory=dict)
    with_sequence: bool = False

    @property
    def picked(self) -> tuple[str, ...]:
        """The source columns that were named, each once."""
        return tuple(dict.fromkeys(c.name for c in self.columns or () if isinstance(c, Picked)))
