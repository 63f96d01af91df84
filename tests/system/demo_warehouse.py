"""MaxCompute as its users read it: with pyodps, nothing of ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from odps import ODPS

Partition = dict[str, str]
"""Column and value of each level, as `pt=20261121,hm=1005` says it."""


class Warehouse:
    """A project, as `emulator up --json` tells of it."""

    def __init__(self, told: dict[str, str]):
        keys = told["access_key_id"], told["access_key_secret"]
        self._odps = ODPS(*keys, project=told["project"], endpoint=told["endpoint"])

    def partitions(self, table: str) -> list[Partition]:
        """Those of a table; none when there is no table."""
        if not self._odps.exist_table(table):
            return []
        return [dict(one.partition_spec.kv) for one in self._odps.get_table(table).partitions]

    def count(self, table: str, partition: Partition) -> int:
        """What `SELECT count(*)` says of a partition."""
        where = " and ".join(f"{name} = '{value}'" for name, value in partition.items())
        with self._odps.execute_sql(f"select count(*) from {table} where {where}").open_reader(tunnel=True) as reader:
            (record,) = reader
            return int(record[0])

    def rows(self, table: str, partition: Partition) -> Iterator[dict[str, Any]]:
        """Its rows, without the columns of the partition."""
        spec = ",".join(f"{name}={value}" for name, value in partition.items())
        with self._odps.get_table(table).open_reader(partition=spec) as reader:
            for record in reader:
                yield {name: value for name, value in record if name not in partition}
