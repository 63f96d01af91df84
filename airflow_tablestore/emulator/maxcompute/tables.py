"""What a table is: its columns, how it is partitioned, its properties; and partition specs as clients write them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_tablestore.emulator.maxcompute.columns import Column, column_from
from airflow_tablestore.emulator.maxcompute.errors import Refusal

_PART = re.compile(
    r"""\s*`?(\w+)`?\s*=\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|([^'",/\s][^,/]*?)?)\s*(?:[,/]|\Z)"""
)


@dataclass(frozen=True, slots=True)
class Definition:
    """A table's definition. `lifecycle_days` 0 is none; a primary key makes it a delta table."""

    columns: tuple[Column, ...]
    partition_columns: tuple[Column, ...] = ()
    comment: str = ""
    lifecycle_days: int = 0
    primary_key: tuple[str, ...] = ()
    properties: tuple[tuple[str, str], ...] = ()

    @property
    def is_transactional(self) -> bool:
        """Whether the table was made with `transactional=true`."""
        return dict(self.properties).get("transactional", "").lower() == "true"

    @property
    def is_delta(self) -> bool:
        """Whether rows are upserted by key."""
        return bool(self.primary_key)

    def column(self, name: str) -> Column | None:
        """The column of this name, which is not case-sensitive; partition columns are columns too."""
        wanted = name.lower()
        return next((c for c in (*self.columns, *self.partition_columns) if c.name.lower() == wanted), None)

    def partition_from(self, text: str) -> tuple[str, ...]:
        """The values of a whole partition spec, in the order of the partition columns.

        :raises Refusal: MissingPartitionSpec, InvalidPartitionSpec.
        """
        given = spec_from(text)
        if not self.partition_columns:
            if given:
                raise Refusal("InvalidPartitionSpec", "The table is not partitioned.")
            return ()
        if not given:
            raise Refusal("MissingPartitionSpec")
        return self.partition_of(given)

    def partition_of(self, given: Mapping[str, str]) -> tuple[str, ...]:
        """The values of a spec by column. :raises Refusal: InvalidPartitionSpec."""
        names = [column.name.lower() for column in self.partition_columns]
        if sorted(given) != sorted(names):
            raise Refusal("InvalidPartitionSpec", f"The table is partitioned by {', '.join(names)}.")
        for column in self.partition_columns:
            _check_value(column, given[column.name.lower()])
        return tuple(given[name] for name in names)

    def spec_text(self, values: Sequence[str]) -> str:
        """The values as clients write them: pt=20240101,hh=08."""
        return ",".join(f"{column.name}={value}" for column, value in zip(self.partition_columns, values, strict=True))

    def to_json(self) -> str:
        """What the database keeps."""
        return json.dumps(
            {
                "columns": [column.as_json() for column in self.columns],
                "partition_columns": [column.as_json() for column in self.partition_columns],
                "comment": self.comment,
                "lifecycle_days": self.lifecycle_days,
                "primary_key": self.primary_key,
                "properties": dict(self.properties),
            }
        )

    def schema_json(self) -> dict[str, Any]:
        """What sessions tell of the columns."""
        return {
            "IsVirtualView": False,
            "columns": [column.as_json() for column in self.columns],
            "partitionKeys": [column.as_json() for column in self.partition_columns],
        }


def definition_from(text: str) -> Definition:
    """The definition that `to_json` wrote."""
    told = json.loads(text)
    return Definition(
        tuple(map(column_from, told["columns"])),
        tuple(map(column_from, told["partition_columns"])),
        told["comment"],
        told["lifecycle_days"],
        tuple(told["primary_key"]),
        tuple(told["properties"].items()),
    )


def spec_from(text: str) -> dict[str, str]:
    """A partition spec by lower-case column: pt=20240101,hh=08 or pt='20240101'/hh='08'.

    :raises Refusal: InvalidPartitionSpec.
    """
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        part = _PART.match(text, at)
        if part is None or part[1].lower() in found:
            raise Refusal("InvalidPartitionSpec", f"{text[:200]!r} is no partition spec.")
        found[part[1].lower()] = next((value for value in part.groups()[1:] if value is not None), "")
        at = part.end()
    return found


def _check_value(column: Column, value: str) -> None:
    if not value or len(value.encode("utf-8", "surrogateescape")) > 255:
        raise Refusal("InvalidPartitionSpec", f"{value[:50]!r} is no value of {column.name}: 1 to 255 bytes are.")
    if column.kind.name in ("tinyint", "smallint", "int", "bigint") and not re.fullmatch("-?[0-9]{1,18}", value):
        raise Refusal("InvalidPartitionSpec", f"{value!r} is no {column.kind}, which {column.name} is.")
