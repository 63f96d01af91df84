"""Plain text: fields joined by a delimiter of any length, one line a row, no quotes and no escapes.

Guarantees: a row that would not read back the same (a cell holds the delimiter or a line break, or is the word for
null) is a dirty record, never a damaged line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_tablestore.errors import SpecError
from airflow_tablestore.pipeline.contract import ByteSink, Encoder, Unfit
from airflow_tablestore.pipeline.formats.compression import Compression
from airflow_tablestore.pipeline.formats.csv import check_encoding
from airflow_tablestore.pipeline.formats.dates import ISO, strftime_of

if TYPE_CHECKING:
    import pyarrow as pa

    from airflow_tablestore.pipeline.formats.delimited import Dialect


@dataclass(frozen=True, slots=True)
class Text:
    """The settings of a text object."""

    delimiter: str = ","
    null: str = r"\N"
    header: bool = False
    encoding: str = "UTF-8"
    date_format: str = ISO
    compression: Compression = Compression.NONE

    def __post_init__(self) -> None:
        if not self.delimiter or set(self.delimiter) & set("\r\n"):
            raise SpecError(f"text delimiter {self.delimiter!r}: at least one character is expected, and no line break")
        if self.delimiter in self.null or set(self.null) & set("\r\n"):
            raise SpecError(f"text null {self.null!r}: it must hold neither the delimiter nor a line break")
        check_encoding(self.encoding)
        strftime_of(self.date_format)

    @property
    def suffix(self) -> str:
        return ".txt" + self.compression.suffix

    def describe(self) -> dict[str, Any]:
        return {
            "type": "text",
            "delimiter": self.delimiter,
            "null": self.null,
            "header": self.header,
            "encoding": self.encoding,
            "date_format": self.date_format,
            "compress": self.compression.value,
        }

    def unfit(self, records: pa.RecordBatch) -> Sequence[Unfit]:
        from airflow_tablestore.pipeline.formats.delimited import unfit_rows

        return unfit_rows(records, self._dialect())

    def encoder(self, schema: pa.Schema, to: ByteSink) -> Encoder:
        from airflow_tablestore.pipeline.formats.delimited import line_encoder

        return line_encoder(schema, to, self._dialect(), self.header, self.compression)

    def _dialect(self) -> Dialect:
        from airflow_tablestore.pipeline.formats.delimited import Dialect, Quoting

        pattern = strftime_of(self.date_format)
        return Dialect(self.delimiter, self.null, Quoting.NONE, pattern, self.encoding, marks_quotes=False)
