"""Parquet, with the columns' own types: what Athena, DuckDB, Spark and MaxCompute read best.

Guarantees: a row group ends after a fixed number of rows (or GROUP_BYTES of them), so equal rows give equal bytes with
one version of pyarrow; integers, doubles (NaN too) and binary are stored as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_tablestore.errors import SpecError
from airflow_tablestore.pipeline.contract import ByteSink, Encoder, Unfit
from airflow_tablestore.pipeline.formats.compression import as_arrow_file

if TYPE_CHECKING:
    import pyarrow as pa

COMPRESSIONS = ("zstd", "snappy", "gzip", "lz4", "none")

GROUP_BYTES = 16 * 1024 * 1024
"""What a writer holds in memory before it encodes: several threads write at once, and memory must stay flat."""


@dataclass(frozen=True, slots=True)
class Parquet:
    """The settings of a parquet object; `compression` is one of COMPRESSIONS."""

    compression: str = "zstd"
    row_group_rows: int = 100_000

    def __post_init__(self) -> None:
        if self.compression not in COMPRESSIONS:
            raise SpecError(f"parquet compression '{self.compression}': one of {', '.join(COMPRESSIONS)} is expected")
        if self.row_group_rows < 1:
            raise SpecError(f"parquet row_group_rows {self.row_group_rows}: at least 1 is expected")

    @property
    def suffix(self) -> str:
        return ".parquet"

    def describe(self) -> dict[str, Any]:
        return {"type": "parquet", "compression": self.compression}

    def unfit(self, records: pa.RecordBatch) -> Sequence[Unfit]:
        return ()

    def encoder(self, schema: pa.Schema, to: ByteSink) -> Encoder:
        return _ParquetEncoder(schema, to, self.compression, self.row_group_rows)


class _ParquetEncoder:
    def __init__(self, schema: pa.Schema, to: ByteSink, compression: str, row_group_rows: int):
        import pyarrow.parquet as pq

        from airflow_tablestore.pipeline.formats.groups import Groups

        self._groups = Groups(schema, row_group_rows, GROUP_BYTES)
        self._file = as_arrow_file(to)
        self._writer = pq.ParquetWriter(self._file, schema, compression=compression)

    def write(self, records: pa.RecordBatch) -> None:
        for group in self._groups.add(records):
            self._writer.write_table(group, group.num_rows)

    def close(self) -> None:
        for group in self._groups.rest():
            self._writer.write_table(group, group.num_rows)
        self._writer.close()
        self._file.close()
