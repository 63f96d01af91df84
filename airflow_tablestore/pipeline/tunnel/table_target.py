"""A warehouse's table as the target of a tunnel: which rows go where, as the author said it."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from airflow_tablestore.pipeline.contract import OverLength
from airflow_tablestore.wire.row import ColumnType

Values = tuple[tuple[str, str], ...]
"""A partition: names with values, in the table's order."""

MOST_KNOWN = 4096
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TableMode(enum.StrEnum):
    """How rows come into the table: each change is added, or the row of its key is changed."""

    STREAM = "stream"
    UPSERT = "upsert"


@dataclass(frozen=True, slots=True)
class Pick:
    """One column of the table, and what of a record goes into it: a key column, an added one, else an attribute.

    `type` is the attribute's, where the author says it.
    """

    name: str
    to: str
    type: ColumnType | None = None


@dataclass(frozen=True, slots=True)
class Partitions:
    """The partition of each record.

    :param base: that of records without a time, which are rows of the table; None: they are not expected.
    :param of_time: that of a change made at a time; None: all go into `base`.
    :param step_seconds: times of one such step, counted from 1970 UTC, have one partition.
    """

    base: Values | None = ()
    of_time: Callable[[datetime], Values] | None = field(default=None, compare=False)
    step_seconds: int = 900
    _known: dict[int, Values] = field(default_factory=dict, init=False, repr=False, compare=False)

    def of(self, micros: int | None) -> Values | None:
        """:param micros: when the change was made; None for a row of the table."""
        if micros is None or self.of_time is None:
            return self.base
        step = micros // (self.step_seconds * 1_000_000)
        if step not in self._known:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[step] = self.of_time(datetime.fromtimestamp(step * self.step_seconds, UTC))
        return self._known[step]

    @property
    def names(self) -> tuple[str, ...]:
        """The partition columns, in their order."""
        values = self.base if self.base is not None else self.of(0)
        return tuple(name for name, _ in values or ())


@dataclass(frozen=True, slots=True)
class StreamTable:
    """A table that a tunnel is drained into.

    :param columns: None: each column of the table, by its name.
    :param creates: a table that is missing is made.
    :param slots: of a stream session; several take more rows at once.
    :param max_bytes: of records, as they were read, that are written at once; 0 for the loop's own measure.
    """

    table: str
    mode: TableMode
    partitions: Partitions = field(default_factory=Partitions)
    columns: tuple[Pick, ...] | None = None
    creates: bool = False
    over_length: OverLength = OverLength.FAIL
    slots: int = 1
    max_bytes: int = 0
