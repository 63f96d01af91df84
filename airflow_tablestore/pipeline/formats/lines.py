"""What csv, text and jsonl have in common: rows become lines, lines become bytes, bytes are compressed.

A format gives the header and a function from a batch to its lines in UTF-8.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable

import pyarrow as pa

from airflow_tablestore.errors import RecordError
from airflow_tablestore.pipeline.contract import ByteSink, Unfit
from airflow_tablestore.pipeline.formats.compression import Compression, compressor
from airflow_tablestore.pipeline.formats.render import sliced

RowsAsLines = Callable[[pa.RecordBatch], memoryview]


class LineEncoder:
    """Writes an object of lines. A character set with a byte order mark gets one, at the start."""

    def __init__(self, to: ByteSink, header: str, rows: RowsAsLines, encoding: str, compression: Compression):
        self._to = compressor(compression, to)
        self._rows = rows
        self._encode = None if is_utf8(encoding) else codecs.getincrementalencoder(encoding)()
        if header:
            self._put(header.encode())

    def write(self, records: pa.RecordBatch) -> None:
        for piece in sliced(records):
            self._put(self._rows(piece))

    def close(self) -> None:
        self._to.close()

    def _put(self, utf8: bytes | memoryview) -> None:
        if self._encode is None:
            self._to.write(utf8)
            return
        try:
            self._to.write(self._encode.encode(str(utf8, "utf-8")))
        except UnicodeEncodeError as error:
            raise RecordError(f"{_cannot_hold(error)} in a column's name or value") from error


def is_utf8(encoding: str) -> bool:
    """Whether the encoding is plain UTF-8, by any of its names."""
    return codecs.lookup(encoding).name == "utf-8"


def unencodable(rows: pa.Array, encoding: str) -> list[Unfit]:
    """The rows that hold a character which the encoding lacks."""
    if is_utf8(encoding) or codecs.lookup(encoding).name.startswith(("utf-", "utf_")):
        return []
    found = []
    for number, text in enumerate(rows.to_pylist()):
        try:
            text.encode(encoding)
        except UnicodeEncodeError as error:
            found.append(Unfit(number, f"{_cannot_hold(error)}; use UTF-8"))
    return found


def _cannot_hold(error: UnicodeEncodeError) -> str:
    return f"the encoding {error.encoding} has no character U+{ord(error.object[error.start]):04X}"
