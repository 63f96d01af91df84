"""Objects back to values: how each format is read, exactly as it is written here.

A reader is given the file of one object and the columns that stand in it, and gives each row as a tuple of values, or
`Unread` with the reason when the row cannot be what it claims. Null and the empty string stay apart: in csv a quoted
cell is never null. What a cell means in a table is left to `sources.objects`.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_tablestore.errors import ProtocolError, SpecError
from airflow_tablestore.pipeline.formats.delimited import Dialect, Quoting, header_line
from airflow_tablestore.pipeline.formats.lines import is_utf8
from airflow_tablestore.pipeline.formats.read_format import ReadFormat
from airflow_tablestore.wire.row import INT64_MAX, INT64_MIN, ColumnType, Value

MOST_CHARACTERS = 64 * 1024 * 1024
"""Of one record: a quote that never ends must not fill the memory. A row of Tablestore is far smaller."""

BATCH_ROWS = 1000


@dataclass(frozen=True, slots=True)
class FieldType:
    """One column of an object: its name there, and its type; `is_json` is that of `_other`."""

    name: str
    type: ColumnType
    is_json: bool = False


@dataclass(frozen=True, slots=True)
class Unread:
    """A row that cannot be read, and why."""

    reason: str


Values = tuple[Any, ...]


KINDS = ("csv", "text", "jsonl", "parquet")


def described_format(data: Mapping[str, Any], names: Sequence[str], place: str) -> ReadFormat:
    """The format that a manifest describes.

    :param names: of the objects' columns.
    :raises ProtocolError: it is none that is known here.
    """
    kind = data.get("type")
    if kind not in KINDS:
        raise ProtocolError(f"{place}: the format {kind!r} is none that can be read back ({', '.join(KINDS)})")
    try:
        if kind == "parquet":
            return ReadFormat("parquet", is_ours=True)
        if kind == "jsonl":
            return ReadFormat("jsonl", compression=data["compress"], is_ours=True)
        quoting = Quoting(data["quote"]) if kind == "csv" else Quoting.NONE
        dialect = Dialect(data["delimiter"], data["null"], quoting, "", data["encoding"], marks_quotes=kind == "csv")
    except (KeyError, ValueError) as error:
        raise ProtocolError(f"{place}: the format that the manifest describes is not whole ({error!r})") from error
    return ReadFormat(
        kind,
        dialect.delimiter,
        dialect.null,
        encoding=dialect.encoding,
        compression=str(data.get("compress", "none")),
        has_quotes=quoting is not Quoting.NONE,
        is_ours=True,
        first_line=header_line(names, dialect) if data.get("header") else "",
    )


def rows_of(path: Path, format: ReadFormat, fields: Sequence[FieldType], place: str) -> Iterator[Values | Unread]:
    """The rows of an object that lies in a file.

    :param place: how people write where the object is, for messages.
    :raises ProtocolError: the bytes are not in this format: cut, damaged, or of other columns.
    """
    if format.kind == "parquet":
        for batch in columns_of(path, fields, place, BATCH_ROWS):
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
        return
    try:
        with _told_as_damage(place), _opened(path, format) as text:
            yield from (_json if format.kind == "jsonl" else _delimited)(text, format, fields, place)
    except UnicodeDecodeError as error:
        raise ProtocolError(f"{place} is not {format.encoding} text ({error.reason})") from error


def columns_of(path: Path, fields: Sequence[FieldType], place: str, rows: int) -> Iterator[pa.RecordBatch]:
    """The rows of a Parquet file as columns: the fields in their order, each of the one Arrow type that its type has.

    :param rows: of a batch at most.
    :raises ProtocolError: as `rows_of`.
    """
    with _told_as_damage(place), pq.ParquetFile(path) as file:
        problems = [problem for one in fields if (problem := _unlike(one, file.schema_arrow))]
        if problems:
            raise ProtocolError(f"{place}: {'; '.join(problems)}")
        names = [one.name for one in fields]
        for group in range(file.num_row_groups):  # a batch of several would be as large as their rows are wide
            for batch in file.iter_batches(rows, row_groups=[group], columns=names):
                columns = [_plain(batch.column(one.name), one) for one in fields]
                made = pa.RecordBatch.from_arrays(columns, names)
                made.validate(full=True)  # texts that are none are found here, and not wherever they are used
                yield made


@contextmanager
def _told_as_damage(place: str) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        raise ProtocolError(f"{place} is cut or damaged, or not in the format that is said: {error}") from error


def value_of(text: str, field: FieldType) -> Value | Unread:
    """A cell's text as csv has it, as a value."""
    parsed = _parsed([text], [field])
    return parsed if isinstance(parsed, Unread) else parsed[0]


def _opened(path: Path, format: ReadFormat) -> io.TextIOWrapper:
    data: Any
    match format.compression:
        case "gzip":
            data = gzip.GzipFile(path, "rb")
        case "zstd":
            data = pa.input_stream(str(path), compression="zstd", buffer_size=1024 * 1024)
        case "none":
            data = path.open("rb")
        case other:
            raise SpecError(f"compression {other!r} cannot be read; none, gzip and zstd can")
    encoding = "utf-8-sig" if is_utf8(format.encoding) and not format.is_ours else format.encoding
    return io.TextIOWrapper(data, encoding=codecs.lookup(encoding).name, newline="\n")


# ---- csv and text


def _delimited(text: IO[str], format: ReadFormat, fields: Sequence[FieldType], place: str) -> Iterator[Values | Unread]:
    if text.read(len(format.first_line)) != format.first_line:
        raise ProtocolError(f"{place} does not begin with the names of its columns")
    has_quotes = format.kind == "csv" and format.has_quotes
    records = _records(text, place) if has_quotes else _lines(text)
    cut: Callable[[str], list[str | None] | None]
    cut = _csv_cells(format.delimiter, format.null) if has_quotes else _text_cells(format)
    order: Sequence[int] = range(len(fields))
    width = len(fields)
    if format.header:
        first = next(iter(records := iter(records)), None)
        if first is None:
            raise ProtocolError(f"{place} is empty and lacks the line of names")
        names = cut(first) or []
        order, width = _order([name or "" for name in names], fields, place), len(names)
    for record in records:
        if not record and width > 1:
            continue
        cells = cut(record)
        if cells is None or len(cells) != width:
            count = "a quote in the wrong place" if cells is None else f"{len(cells)} values instead of {width}"
            if format.is_ours:
                raise ProtocolError(f"{place}: a row has {count}")
            yield Unread(count)
            continue
        yield _parsed([cells[index] for index in order], fields)


def _order(names: Sequence[str], fields: Sequence[FieldType], place: str) -> list[int]:
    missing = [one.name for one in fields if one.name not in names]
    if missing:
        raise ProtocolError(f"{place}: its first line has no column {', '.join(missing)}; it has {', '.join(names)}")
    return [names.index(one.name) for one in fields]


def _lines(text: IO[str]) -> Iterator[str]:
    return (line.removesuffix("\n") for line in text)


def _records(text: IO[str], place: str) -> Iterator[str]:
    """Lines, those joined again whose break stands in quotes: a record has an even number of quotes."""
    held, quotes = "", 0
    for line in text:
        quotes += line.count('"')
        held = held + line if held else line
        if quotes % 2 == 0:
            yield held.removesuffix("\n")
            held, quotes = "", 0
        elif len(held) > MOST_CHARACTERS:
            break
    if held:
        raise ProtocolError(f"{place}: a quote is opened and never closed")


def _csv_cells(delimiter: str, null: str) -> Callable[[str], list[str | None] | None]:
    mark = re.escape(delimiter)
    cell = re.compile(rf'(?:"((?:[^"]|"")*)"|([^"\r{mark}]*))(?:({mark})|\r?\Z)', re.DOTALL)

    def cut(record: str) -> list[str | None] | None:
        if '"' not in record:
            return [None if one == null else one for one in record.removesuffix("\r").split(delimiter)]
        cells: list[str | None] = []
        place = 0
        while True:
            found = cell.match(record, place)
            if found is None:
                return None
            quoted, bare, onward = found.groups()
            cells.append(quoted.replace('""', '"') if quoted is not None else None if bare == null else bare)
            place = found.end()
            if onward is None:
                return cells if place == len(record) else None

    return cut


def _text_cells(format: ReadFormat) -> Callable[[str], list[str | None]]:
    def cut(record: str) -> list[str | None]:
        record = record if format.is_ours else record.removesuffix("\r")
        return [None if one == format.null else one for one in record.split(format.delimiter)]

    return cut


def _parsed(cells: Sequence[str | None], fields: Sequence[FieldType]) -> Values | Unread:
    try:
        return tuple(
            None if cell is None else cell if one.is_json else _value(cell, one.type)
            for cell, one in zip(cells, fields, strict=True)
        )
    except ValueError:
        wrong = next(
            one for cell, one in zip(cells, fields, strict=True) if cell is not None and not _is_valid(cell, one)
        )
        return Unread(f"column '{wrong.name}' holds no {wrong.type.value}")


def _is_valid(cell: str, field: FieldType) -> bool:
    try:
        _value(cell, field.type)
    except ValueError:
        return field.is_json
    return True


_INTEGER = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_DOUBLE = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|NaN|Infinity)", re.ASCII)


def _value(cell: str, kind: ColumnType) -> Value:
    """:raises ValueError: the text is no such value, or one that does not fit."""
    if kind is ColumnType.STRING:
        return cell
    if kind is ColumnType.INTEGER:
        return _integer(int(cell)) if _INTEGER.fullmatch(cell) else _refuse(cell)
    if kind is ColumnType.DOUBLE:
        return float(cell) if _DOUBLE.fullmatch(cell) else _refuse(cell)
    if kind is ColumnType.BINARY:
        return base64.b64decode(cell, validate=True)
    words = {"true": True, "false": False}
    return words[cell] if cell in words else _refuse(cell)


def _integer(value: int) -> int:
    return value if INT64_MIN <= value <= INT64_MAX else _refuse(str(value))


def _refuse(cell: str) -> Any:
    raise ValueError(cell)


# ---- jsonl


def _json(text: IO[str], format: ReadFormat, fields: Sequence[FieldType], place: str) -> Iterator[Values | Unread]:
    for number, line in enumerate(text, 1):
        if not line.strip():
            continue
        try:
            document = json.loads(line)
        except (ValueError, RecursionError) as error:
            if format.is_ours:
                raise ProtocolError(f"{place}: line {number} is no JSON ({error})") from error
            yield Unread(f"line {number} is no JSON")
            continue
        yield _from_json(document, fields)


def _from_json(document: object, fields: Sequence[FieldType]) -> Values | Unread:
    if not isinstance(document, dict):
        return Unread("the line is no JSON object")
    values: list[Any] = []
    for one in fields:
        given = document.get(one.name)
        try:
            values.append(None if given is None else given if one.is_json else _json_value(given, one.type))
        except (ValueError, binascii.Error):
            return Unread(f"column '{one.name}' holds no {one.type.value}")
    return tuple(values)


def _json_value(given: Any, kind: ColumnType) -> Value:
    """:raises ValueError: it is no value of this type."""
    if kind is ColumnType.BOOLEAN and isinstance(given, bool):
        return given
    if kind is ColumnType.INTEGER and type(given) is int:
        return _integer(given)
    if kind is ColumnType.DOUBLE and type(given) in (int, float):
        return float(given)
    if isinstance(given, str) and kind in (ColumnType.STRING, ColumnType.BINARY, ColumnType.DOUBLE):
        return _value(given, kind)
    raise ValueError(kind)


# ---- parquet


_ARROW = {
    ColumnType.INTEGER: pa.int64(),
    ColumnType.DOUBLE: pa.float64(),
    ColumnType.BOOLEAN: pa.bool_(),
    ColumnType.STRING: pa.string(),
    ColumnType.BINARY: pa.binary(),
}


def _unlike(field: FieldType, schema: pa.Schema) -> str:
    if field.name not in schema.names:
        return f"there is no column '{field.name}' (there are {', '.join(schema.names)})"
    kind = schema.field(field.name).type
    wanted = pa.string() if field.is_json else _ARROW[field.type]
    same = kind == wanted or any(
        test(kind) and test(wanted) for test in (pa.types.is_signed_integer, pa.types.is_floating, _is_text, _is_bytes)
    )
    return "" if same else f"column '{field.name}' is {kind}, not {wanted}"


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _plain(column: pa.Array, field: FieldType) -> pa.Array:
    wanted = pa.string() if field.is_json else _ARROW[field.type]
    return column if column.type == wanted else column.cast(wanted)
