"""JSON Lines: one object a row, its keys in the order of the columns, UTF-8.

Guarantees: integers are exact numbers; doubles are numbers with all their digits, and NaN, Infinity and -Infinity are
strings, since JSON has no such numbers; binary is base64; a null is null. `_other` is an object, not a string of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_tablestore.pipeline.contract import ByteSink, Encoder, Unfit
from airflow_tablestore.pipeline.formats.compression import Compression

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class JsonLines:
    """The settings of a jsonl object."""

    compression: Compression = Compression.NONE

    @property
    def suffix(self) -> str:
        return ".jsonl" + self.compression.suffix

    def describe(self) -> dict[str, Any]:
        return {"type": "jsonl", "compress": self.compression.value}

    def unfit(self, records: pa.RecordBatch) -> Sequence[Unfit]:
        return ()

    def encoder(self, schema: pa.Schema, to: ByteSink) -> Encoder:
        from airflow_tablestore.pipeline.formats.json_rows import rows_as_json
        from airflow_tablestore.pipeline.formats.lines import LineEncoder
        from airflow_tablestore.pipeline.formats.render import text_bytes

        return LineEncoder(to, "", lambda records: text_bytes(rows_as_json(records)), "UTF-8", self.compression)
