"""Rows as the Parquet files of a delivery: which folder each goes to, what its values become, which are dropped.

A value that does not fit the type asked for is dropped and counted; the row is delivered without it. pyarrow is loaded
when a file is written. What the service makes of dates, times, decimals, lists and maps is not documented: here text in
ISO form and whole numbers (days, milliseconds, microseconds) become times, text that is JSON becomes a list or a map,
and INTERVAL and INT96 take nothing.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from airflow_tablestore.wire.proto import delivery_pb2 as pb
from airflow_tablestore.wire.row import INT64_MAX, INT64_MIN, Row

if TYPE_CHECKING:
    import pyarrow as pa

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MILLIS = 86_400_000
_VARIABLES = {"$yyyy": "%Y", "$MM": "%m", "$dd": "%d", "$HH": "%H", "$mm": "%M"}
_MILLIS_FROM = 10**11
"""Unix times from here on are milliseconds; as seconds they would be after the year 5000."""

Values = tuple[Any, ...]


class Mismatch(Exception):
    """The value does not fit the type."""


def folder_of(config: pb.OSSTaskConfig, row: Row, written_micros: int, dropped: Callable[[str], None]) -> str:
    """The folder of a row, ending in a slash unless it is the bucket itself. By UTC.

    A row whose event time is absent or cannot be read goes by the time when it was written.
    """
    moment = _EPOCH + timedelta(microseconds=written_micros)
    if config.HasField("eventTimeColumn"):
        event = config.eventTimeColumn
        given = _values(row).get(event.columnName)
        try:
            moment = _event_time(given, event.timeFormat)
        except (Mismatch, ValueError, OverflowError, TypeError):
            dropped(event.columnName)
    text = config.ossPrefix
    for variable, form in _VARIABLES.items():
        text = text.replace(variable, f"{moment.year:04d}" if form == "%Y" else moment.strftime(form))
    return f"{text.rstrip('/')}/" if text.strip("/") else ""


def _event_time(given: object, form: int) -> datetime:
    if form == pb.Unix:
        if type(given) is not int:
            raise Mismatch
        return _EPOCH + (timedelta(milliseconds=given) if given >= _MILLIS_FROM else timedelta(seconds=given))
    if not isinstance(given, str):
        raise Mismatch
    if form == pb.RFC3339:
        moment = datetime.fromisoformat(given)
    elif form == pb.RFC850:
        moment = datetime.strptime(given.replace("GMT", "+0000").replace("UTC", "+0000"), "%A, %d-%b-%y %H:%M:%S %z")
    else:
        moment = parsedate_to_datetime(given)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def values_of(config: pb.OSSTaskConfig, row: Row, dropped: Callable[[str], None]) -> Values:
    """What of a row is delivered, in the order of the columns asked for."""
    given, found = _values(row), []
    for column in config.schema:
        value = given.get(column.columnName)
        try:
            found.append(None if value is None else CONVERSIONS[column.type](value, column.typeExtend))
        except (Mismatch, ValueError, OverflowError, TypeError, ArithmeticError):
            dropped(column.columnName)
            found.append(None)
    return tuple(found)


def _values(row: Row) -> dict[str, Any]:
    cells = {cell.name: cell.value for cell in reversed(row.cells) if cell.value is not None}
    return {**cells, **dict(row.key)}


# ---- values


def _only(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise Mismatch
    return value


def _whole(least: int, most: int) -> Callable[[Any, str], Any]:
    def convert(value: Any, extension: str) -> Any:
        if not least <= _only(int, value) <= most:
            raise Mismatch
        return value

    return convert


def _text(value: Any, extension: str) -> Any:
    return value.decode() if isinstance(value, bytes) else _only(str, value)


def _date(value: Any, extension: str) -> Any:
    if type(value) is int:
        return _EPOCH.date() + timedelta(days=value if abs(value) < _DAY_MILLIS else value // _DAY_MILLIS)
    return date.fromisoformat(_only(str, value)[:10])


def _time(per_second: int) -> Callable[[Any, str], Any]:
    def convert(value: Any, extension: str) -> Any:
        if type(value) is int:
            if not 0 <= value < 86_400 * per_second:
                raise Mismatch
            return (datetime.min + timedelta(microseconds=value * 1_000_000 // per_second)).time()
        return time.fromisoformat(_only(str, value))

    return convert


def _timestamp(per_second: int) -> Callable[[Any, str], Any]:
    def convert(value: Any, extension: str) -> Any:
        if type(value) is int:
            return _EPOCH + timedelta(microseconds=value * 1_000_000 // per_second)
        moment = datetime.fromisoformat(_only(str, value))
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    return convert


def _decimal(value: Any, extension: str) -> Any:
    precision, scale = _digits(extension)
    try:
        number = Decimal(value if isinstance(value, str) else repr(value)).quantize(Decimal(1).scaleb(-scale))
    except InvalidOperation as error:
        raise Mismatch from error
    if isinstance(value, bool | bytes) or not number.is_finite() or number.adjusted() >= precision - scale:
        raise Mismatch
    return number


def _digits(extension: str) -> tuple[int, int]:
    """Precision and scale of a decimal. The form of the service's `typeExtend` is not documented; ours is 38,18."""
    found = re.fullmatch(r"\(?(\d{1,2}),\s*(\d{1,2})\)?", extension)
    return (int(found[1]), int(found[2])) if found and 0 < int(found[1]) <= 38 else (38, 18)


def _list(value: Any, extension: str) -> Any:
    found = json.loads(_only(str, value))
    return [None if one is None else str(one) for one in _only(list, found)]


def _map(value: Any, extension: str) -> Any:
    found = json.loads(_only(str, value))
    return [(key, None if one is None else str(one)) for key, one in _only(dict, found).items()]


def _nothing(value: Any, extension: str) -> Any:
    raise Mismatch


CONVERSIONS: Mapping[int, Callable[[Any, str], Any]] = {
    pb.BOOL: lambda value, _: _only(bool, value),
    pb.INT64: _whole(INT64_MIN, INT64_MAX),
    pb.INT32: _whole(-(2**31), 2**31 - 1),
    pb.UTF8: _text,
    pb.DOUBLE: lambda value, _: _only(float, value),
    pb.FLOAT: lambda value, _: _only(float, value),
    pb.DATE: _date,
    pb.TIME_MILLIS: _time(1000),
    pb.TIME_MICROS: _time(1_000_000),
    pb.TIMESTAMP_MILLIS: _timestamp(1000),
    pb.TIMESTAMP_MICROS: _timestamp(1_000_000),
    pb.DECIMAL: _decimal,
    pb.LIST: _list,
    pb.MAP: _map,
    pb.INTERVAL: _nothing,
    pb.INT96: _nothing,
}


# ---- files


def parquet(config: pb.OSSTaskConfig, rows: Sequence[Values]) -> bytes:
    """A file of these rows, columns in the order asked for."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = [(column.ossColumnName, _arrow_type(column)) for column in config.schema]
    arrays = [pa.array(values, type_) for (_, type_), values in zip(columns, _columns(rows, len(columns)), strict=True)]
    table = pa.table(arrays, schema=pa.schema([pa.field(name, type_) for name, type_ in columns]))
    named = {column.ossColumnName: pb.Encoding.Name(column.encode) for column in config.schema}
    out = io.BytesIO()
    pq.write_table(
        table,
        out,
        use_dictionary=[name for name, encoding in named.items() if encoding == "PLAIN_DICTIONARY"],
        column_encoding={name: encoding for name, encoding in named.items() if encoding.startswith("DELTA")} or None,
    )
    return out.getvalue()


def _columns(rows: Sequence[Values], count: int) -> Iterable[Sequence[Any]]:
    return zip(*rows, strict=True) if rows else [()] * count


def _arrow_type(column: pb.ParquetSchema) -> pa.DataType:
    import pyarrow as pa

    if column.type == pb.DECIMAL:
        return pa.decimal128(*_digits(column.typeExtend))
    return {
        pb.BOOL: pa.bool_(),
        pb.INT64: pa.int64(),
        pb.INT32: pa.int32(),
        pb.UTF8: pa.string(),
        pb.DOUBLE: pa.float64(),
        pb.FLOAT: pa.float32(),
        pb.DATE: pa.date32(),
        pb.TIME_MILLIS: pa.time32("ms"),
        pb.TIME_MICROS: pa.time64("us"),
        pb.TIMESTAMP_MILLIS: pa.timestamp("ms", "UTC"),
        pb.TIMESTAMP_MICROS: pa.timestamp("us", "UTC"),
        pb.LIST: pa.list_(pa.string()),
        pb.MAP: pa.map_(pa.string(), pa.string()),
        pb.INTERVAL: pa.binary(12),
        pb.INT96: pa.timestamp("ns"),
    }[column.type]
