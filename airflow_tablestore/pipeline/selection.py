"""Which rows and columns of which table: what an author says about a source."""

from __future__ import annotations

import enum
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

    @property
    def picked(self) -> tuple[str, ...] | None:
        """The source columns that were named, each once; None when all are wanted."""
        if self.columns is None:
            return None
        return tuple(dict.fromkeys(c.name for c in self.columns if isinstance(c, Picked)))
