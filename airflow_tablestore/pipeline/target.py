"""Where objects go and how they look: what an author says about a sink of objects."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from airflow_tablestore.errors import SpecError
from airflow_tablestore.pipeline.contract import Format


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
