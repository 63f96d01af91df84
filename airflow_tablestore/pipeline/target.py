"""Where rows go and how they look there: what an author says about a sink of objects, or of a table."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from airflow_tablestore.errors import SpecError
from airflow_tablestore.pipeline.contract import Format, OverLength


class WriteMode(enum.StrEnum):
    """What a publication does about what stands under its prefix."""

    TRUNCATE = "truncate"
    APPEND = "append"
    NON_CONFLICT = "non_conflict"


@dataclass(frozen=True, slots=True)
class ObjectTarget:
    """Where the objects go and how they look. `prefix` is already rendered and ends at a slash.

    `max_object_bytes`: an object that has reached it is followed by another; 0 for no limit of ours.
    """

    bucket: str
    prefix: str
    format: Format
    write_mode: WriteMode = WriteMode.TRUNCATE
    truncates_foreign: bool = False
    max_object_bytes: int = 0

    def __post_init__(self) -> None:
        if not self.prefix.strip("/") or not self.prefix.endswith("/") or self.prefix.startswith("/"):
            raise SpecError(f"prefix {self.prefix!r}: a name that ends at a slash is expected, such as gps/full/")
        if any(part.startswith(("_", ".")) for part in self.prefix.split("/")):
            raise SpecError(
                f"prefix {self.prefix!r}: readers such as Spark and Hive skip names that begin with _ or .; "
                "choose other names"
            )


class BlockCompression(enum.StrEnum):
    """What is done to the blocks of a table's load on their way."""

    NONE = "none"
    ZLIB = "zlib"
    ZSTD = "zstd"
    LZ4 = "lz4"
    SNAPPY = "snappy"


@dataclass(frozen=True, slots=True)
class TableTarget:
    """A table of a warehouse, or one partition of it; `partition` is already rendered, names with values.

    `columns` names the table's column for each of the output's, in order; None: those of the same name. `truncates`:
    the rows come in the place of what is there. `creates`: the table is made when it is missing.
    """

    table: str
    partition: tuple[tuple[str, str], ...] = ()
    columns: tuple[str, ...] | None = None
    truncates: bool = False
    creates: bool = False
    over_length: OverLength = OverLength.FAIL
    pre_sql: tuple[str, ...] = ()
    post_sql: tuple[str, ...] = ()
    compression: BlockCompression = BlockCompression.ZSTD
