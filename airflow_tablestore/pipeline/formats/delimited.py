"""Rows as delimited fields: the work behind csv and text.

Quoting is decided by cell, for whole columns at once. What needs no quote is not touched, so a table of plain values
passes at Arrow's speed.
"""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from airflow_tablestore.pipeline.contract import ByteSink, Unfit
from airflow_tablestore.pipeline.formats import native_lines
from airflow_tablestore.pipeline.formats.compression import Compression
from airflow_tablestore.pipeline.formats.lines import LineEncoder, unencodable
from airflow_tablestore.pipeline.formats.render import alphabet, as_text, text_bytes


class Quoting(enum.StrEnum):
    """Which cells stand in quotes. A null never does: that is how it differs from an equal string."""

    NEEDED = "needed"
    ALL = "all"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How fields become a line."""

    delimiter: str
    null: str
    quoting: Quoting
    date_pattern: str
    encoding: str
    marks_quotes: bool
    """Whether readers give quotes a meaning, so that an unquoted cell must hold none."""


def line_encoder(
    schema: pa.Schema, to: ByteSink, dialect: Dialect, has_header: bool, compression: Compression
) -> LineEncoder:
    """What writes the objects of both formats."""
    header = header_line(schema.names, dialect) if has_header else ""
    write = native_lines.lines if native_lines.can_write(dialect) else rows_as_lines
    return LineEncoder(to, header, lambda records: write(records, dialect), dialect.encoding, compression)


def rows_as_lines(records: pa.RecordBatch, dialect: Dialect) -> memoryview:
    """One line per row, newline included, as UTF-8."""
    return text_bytes(rows_as_text(records, dialect))


def rows_as_text(records: pa.RecordBatch, dialect: Dialect) -> pa.Array:
    """One line per row, newline included."""
    cells = [_cells(column, dialect) for column in records.columns]
    cells[-1] = pc.binary_join_element_wise(cells[-1], "\n", "")
    return pc.binary_join_element_wise(*cells, dialect.delimiter) if len(cells) > 1 else cells[0]


def header_line(names: Iterable[str], dialect: Dialect) -> str:
    """The columns' names as the first line, quoted as the cells are."""
    names = list(names)
    row = pa.record_batch([pa.array([name]) for name in names], names=names)
    return str(rows_as_text(row, dialect)[0].as_py())


def unfit_rows(records: pa.RecordBatch, dialect: Dialect) -> list[Unfit]:
    """The rows that these settings cannot show so that they read back the same."""
    found: dict[int, str] = {}
    if records.num_columns == 1 and not dialect.null and records.column(0).null_count:
        for row in _rows_of(pc.is_null(records.column(0))):
            found[row] = "a null in the only column is an empty line, which readers skip; give null a word of its own"
    if dialect.quoting is Quoting.NONE:
        for name, column in zip(records.schema.names, records.columns, strict=True):
            for row in _rows_of(_ambiguous(as_text(column, dialect.date_pattern), column.type, dialect)):
                found.setdefault(
                    row, f"column '{name}' holds the delimiter, a line break, a quote or the word for null"
                )
    lines = unencodable(rows_as_text(records, dialect), dialect.encoding) if records.num_rows else []
    return [Unfit(row, reason) for row, reason in sorted({**{u.row: u.reason for u in lines}, **found}.items())]


def _cells(column: pa.Array, dialect: Dialect) -> pa.Array:
    text = as_text(column, dialect.date_pattern)
    if dialect.quoting is Quoting.ALL:
        text = _quoted(text)
    elif dialect.quoting is Quoting.NEEDED:
        needed = _ambiguous(text, column.type, dialect)
        if needed is not None and pc.any(needed).as_py():
            text = pc.if_else(needed, _quoted(text), text)
    return pc.fill_null(text, dialect.null) if text.null_count else text


def _quoted(text: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise('"', pc.replace_substring(text, '"', '""'), '"', "")


def _ambiguous(text: pa.Array, kind: pa.DataType, dialect: Dialect) -> pa.Array | None:
    """True where a bare cell would not read back as itself; None when no cell of this type can be so."""
    letters = alphabet(kind)
    if letters is not None:
        may_be_null = set(dialect.null) <= letters and (dialect.null or pa.types.is_binary(kind))
        if not may_be_null and not letters & set(dialect.delimiter):
            return None
    return pc.match_substring_regex(text, _pattern(dialect))


@functools.cache
def _pattern(dialect: Dialect) -> str:
    """A cell that holds the delimiter or a line break, equals null, or that common readers would trim or unquote.

    A delimiter that overlaps itself ("||") also forbids a cell's end that could be taken for the delimiter's start.
    """
    mark = dialect.delimiter
    overlaps = [mark[:size] for size in range(1, len(mark)) if mark[size:] == mark[: len(mark) - size]]
    choices = [
        re.escape(mark),
        r"[\r\n]",
        f"^{re.escape(dialect.null)}$",
        *(f"{re.escape(part)}$" for part in overlaps),
    ]
    if dialect.marks_quotes:
        choices += ['"']
    if dialect.quoting is Quoting.NEEDED:
        choices += ["^$", r"^\s", r"\s$"]
    return "|".join(choices)


def _rows_of(mask: pa.Array | None) -> list[int]:
    return [] if mask is None else pc.indices_nonzero(pc.fill_null(mask, False)).to_pylist()
