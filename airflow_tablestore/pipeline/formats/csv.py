"""Comma separated values, so that every value reads back as it was.

Guarantees: null, the empty string and the word for null stay apart (an empty string is quoted, a null never); a lone
carriage return, a quote, a delimiter and outer blanks are quoted; nothing is trimmed. With `quote: none` a row that
would need a quote is a dirty record.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_tablestore.errors import SpecError
from airflow_tablestore.pipeline.contract import ByteSink, Encoder, Unfit
from airflow_tablestore.pipeline.formats.compression import Compression
from airflow_tablestore.pipeline.formats.dates import ISO, strftime_of

if TYPE_CHECKING:
    import pyarrow as pa

    from airflow_tablestore.pipeline.formats.delimited import Dialect

QUOTES = ("needed", "all", "none")

SWITCHING = frozenset({"hz", "utf-7"})
"""Encodings with a state, by Python's names, beside those of the ISO-2022 family."""


@dataclass(frozen=True, slots=True)
class Csv:
    """The settings of a csv object; `quote` is one of QUOTES."""

    delimiter: str = ","
    null: str = ""
    header: bool = True
    quote: str = "needed"
    encoding: str = "UTF-8"
    date_format: str = ISO
    compression: Compression = Compression.NONE

    def __post_init__(self) -> None:
        if len(self.delimiter) != 1 or self.delimiter in '"\r\n':
            raise SpecError(f"csv delimiter {self.delimiter!r}: one character is expected, no quote and no line break")
        if any(mark in self.null for mark in ('"', "\r", "\n", self.delimiter)):
            raise SpecError(f"csv null {self.null!r}: it must hold neither a quote, a line break nor the delimiter")
        if self.quote not in QUOTES:
            raise SpecError(f"csv quote {self.quote!r}: one of {', '.join(QUOTES)} is expected")
        check_encoding(self.encoding)
        strftime_of(self.date_format)

    @property
    def suffix(self) -> str:
        return ".csv" + self.compression.suffix

    def describe(self) -> dict[str, Any]:
        return {
            "type": "csv",
            "delimiter": self.delimiter,
            "null": self.null,
            "header": self.header,
            "quote": self.quote,
            "encoding": self.encoding,
            "date_format": self.date_format,
            "compress": self.compression.value,
        }

    def unfit(self, records: pa.RecordBatch) -> Sequence[Unfit]:
        from airflow_tablestore.pipeline.formats.delimited import unfit_rows
        from airflow_tablestore.pipeline.formats.lines import is_utf8

        if self.quote != "none" and is_utf8(self.encoding) and (records.num_columns > 1 or self.null):
            return ()
        return unfit_rows(records, self._dialect())

    def encoder(self, schema: pa.Schema, to: ByteSink) -> Encoder:
        from airflow_tablestore.pipeline.formats.delimited import line_encoder

        return line_encoder(schema, to, self._dialect(), self.header, self.compression)

    def _dialect(self) -> Dialect:
        from airflow_tablestore.pipeline.formats.delimited import Dialect, Quoting

        pattern = strftime_of(self.date_format)
        return Dialect(self.delimiter, self.null, Quoting(self.quote), pattern, self.encoding, marks_quotes=True)


def check_encoding(encoding: str) -> None:
    """:raises SpecError: Python knows no such character set, or it switches between several as it goes.

    Such text (ISO-2022, HZ, UTF-7) ends with a switch back and cannot be cut at a row.
    """
    try:
        "".encode(encoding)
    except LookupError as error:
        raise SpecError(
            f"encoding '{encoding}' is not known; UTF-8, GBK, GB18030 and UTF-16 are some that are"
        ) from error
    name = codecs.lookup(encoding).name
    if name.startswith("iso2022") or name in SWITCHING:
        raise SpecError(f"encoding '{encoding}' switches between character sets within a text; choose UTF-8 or GB18030")
