"""Another table of Tablestore as the target of a tunnel: as the author said it, values alone."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from airflow_tablestore.errors import Problem, SpecError
from airflow_tablestore.pipeline.contract import Limits
from airflow_tablestore.wire.batch_write import MOST_ROWS


class Versions(enum.StrEnum):
    """What becomes of the versions of cells: they are those of the source, or the service's time of writing."""

    KEEP = "keep"
    NEW = "new"


@dataclass(frozen=True, slots=True)
class TableCopy:
    """A table that follows the one that the tunnel tells of.

    :param columns: attributes that are copied, with their names in the target; None: all, as they are.
    :param creates: the table is made when it is missing, with the source's key, time to live and versions.
    :param batch_rows: rows of one request, at most 200.
    :param limits: `threads` requests at a time; its rates are shared by `workers`.
    """

    table: str
    columns: Mapping[str, str] | None = None
    versions: Versions = Versions.KEEP
    creates: bool = False
    batch_rows: int = MOST_ROWS
    limits: Limits = field(default_factory=Limits)
    workers: int = 1

    def __post_init__(self) -> None:
        names = list((self.columns or {}).values())
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SpecError([Problem(f"two columns are to be '{twice[0]}'", "give each a name", "sink.columns")])
