"""Whether what a task has delivered into a partition is what the table holds.

The service drops values that do not fit, without a word. So the delivered Parquet is read back and laid beside the
table: which rows and which values are missing, and why. A row belongs to a partition by the versions of its cells,
which are the times of the writes unless writers choose their own, or by its event time. What was deleted, or written
again later, is told apart and is no loss. What was delivered is kept by key in a temporary file (`delivered`), the
table's rows pass by: memory does not grow with the partition.
"""

from __future__ import annotations

import io
import struct
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_tablestore.client import Client
from airflow_tablestore.consumer.table import full_range, pages, show_key
from airflow_tablestore.pipeline.delivery.checks import DOCUMENTED, fits
from airflow_tablestore.pipeline.delivery.delivered import ROWS, Delivered
from airflow_tablestore.pipeline.delivery.prefix import Partition
from airflow_tablestore.pipeline.store import Store
from airflow_tablestore.wire.delivery import DeliveredColumn, DeliveryTask, EventTime, ParquetType, TimeFormat
from airflow_tablestore.wire.plainbuffer import decode_rows
from airflow_tablestore.wire.row import Row, Value, type_of
from airflow_tablestore.wire.table import RangeRead, TableDescription, describe_table

if TYPE_CHECKING:
    import pyarrow.parquet as pq

EXAMPLES = 5
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLIS_FROM = 10**11
"""A Unix time from here on is in milliseconds."""


@dataclass(slots=True)
class ColumnAudit:
    """One column: how many values arrived, how many of the table's are missing, and why.

    `allowed` of the lost ones are of another type in a column whose author has said that this may be.
    """

    name: str
    to: str
    type: ParquetType
    is_optional: bool = False
    delivered: int = 0
    lost: int = 0
    allowed: int = 0
    differing: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {
            "column": self.name,
            "to": self.to,
            "type": self.type.value,
            "delivered": self.delivered,
            "lost": self.lost,
            "allowed": self.allowed,
            "differing": self.differing,
            "reasons": dict(self.reasons),
            "examples": self.examples,
        }


@dataclass(slots=True)
class Audit:
    """A partition beside the table. `rows` are those in the files; a row that changed twice is there twice.

    `table_rows` are those of the table that belong to the partition, `missing_rows` of them are in no file; -1: the
    whole key is not delivered, so rows cannot be found again and only counted. `gone_since` are delivered rows that the
    table no longer has, or has with later values, each counted once. `wrong_files` are objects that are no Parquet of
    this definition.
    """

    prefix: str
    files: int = 0
    rows: int = 0
    table_rows: int = 0
    missing_rows: int = 0
    gone_since: int = 0
    columns: list[ColumnAudit] = field(default_factory=list)
    wrong_files: dict[str, str] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing but what may be."""
        is_counted = self.missing_rows <= 0 and not (self.missing_rows < 0 and self.rows < self.table_rows)
        return (
            is_counted
            and not self.wrong_files
            and not any(one.lost > one.allowed or one.differing for one in self.columns)
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "prefix": self.prefix,
            "is_whole": self.is_whole,
            "files": self.files,
            "rows": self.rows,
            "table_rows": self.table_rows,
            "missing_rows": self.missing_rows,
            "gone_since": self.gone_since,
            "columns": [one.to_json() for one in self.columns],
            "wrong_files": self.wrong_files,
            "examples": self.examples,
        }

    def lines(self) -> Iterator[str]:
        """For people."""
        yield (
            f"{self.prefix}: {self.rows} rows in {self.files} files; the table has {self.table_rows} rows that belong "
            "there" + (f", {self.missing_rows} of them are missing" if self.missing_rows > 0 else "") + "."
        )
        if self.table_rows and not self.files:
            yield "  No file is there. Does the service fill in the time variables in another zone (`timezone`)?"
        if self.missing_rows < 0:
            yield "  The whole key is not delivered: rows are counted, not compared."
        if self.gone_since:
            yield f"  {self.gone_since} delivered rows were deleted or written again since."
        if self.examples:
            yield f"  missing, for example: {'; '.join(self.examples)}"
        for key, why in self.wrong_files.items():
            yield f"  {key}: {why}"
        for one in self.columns:
            if one.lost or one.differing:
                why = ", ".join(f"{count} {reason}" for reason, count in one.reasons.items())
                lost = f"{one.lost} values lost" + (f" ({one.allowed} of them may be)" if one.allowed else "")
                yield f"  {one.name} as {one.to} ({one.type}): {lost}, {one.differing} differ: {why}"
                yield f"    for example: {'; '.join(one.examples)}"


def audit(
    client: Client, store: Store, task: DeliveryTask, partition: Partition, optional: Collection[str] = ()
) -> Audit:
    """Reads the files of a partition and the whole table.

    :param optional: columns whose values may be of another type; what is dropped for that is told and is no failure.
    """
    columns = [ColumnAudit(c.name, c.to, c.type, c.name in optional) for c in task.destination.columns]
    found = Audit(store.uri(partition.prefix), columns=columns)
    table = client.send(describe_table(task.table))
    keys = _key_columns(table, task.destination.columns)
    with (
        tempfile.TemporaryDirectory(prefix="tablestore-audit-") as folder,
        closing(Delivered(Path(folder), keys)) as delivered,
    ):
        _read_files(store, task, partition, delivered, found)
        for row in _expected(client, task, table, partition):
            found.table_rows += 1
            if keys:
                _compare(row, delivered.of(value for _, value in row.key), task, partition, found)
        if keys:
            found.gone_since += delivered.left()
        else:
            found.missing_rows = -1
    return found


def _key_columns(table: TableDescription, columns: Sequence[DeliveredColumn]) -> list[str]:
    """The names of the key in the files; empty when not all of it is there in the type that it has."""
    by_name = {column.name: column for column in columns}
    found = [by_name.get(key.name) for key in table.keys]
    is_there = all(
        one is not None and one.type is DOCUMENTED[key.type] for one, key in zip(found, table.keys, strict=True)
    )
    return [one.to for one in found if one is not None] if is_there else []


# ---- what was delivered


def _read_files(store: Store, task: DeliveryTask, partition: Partition, delivered: Delivered, found: Audit) -> None:
    """The records of all files."""
    wanted = [column.to for column in task.destination.columns]
    for one in store.list(partition.prefix):
        file = None if one.key.endswith("/") else _file(store, one.key, wanted, found)
        if file is None:
            continue
        found.files += 1
        for batch in file.iter_batches(ROWS, columns=wanted):
            found.rows += batch.num_rows
            for column in found.columns:
                column.delivered += batch.num_rows - batch.column(column.to).null_count
            delivered.add(batch.to_pylist())


def _file(store: Store, key: str, wanted: Sequence[str], found: Audit) -> pq.ParquetFile | None:
    """An open file of this definition; what it is otherwise is noted."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    body = store.get(key) or b""
    try:
        file = pq.ParquetFile(io.BytesIO(body))
        for _ in file.iter_batches(ROWS):
            pass  # damage shows before the first of its rows counts
    except (pa.ArrowException, OSError, ValueError) as error:
        found.wrong_files[key] = f"is no Parquet file ({type(error).__name__})"
        return None
    lacking = [name for name in wanted if name not in file.schema_arrow.names]
    if lacking:
        found.wrong_files[key] = f"has no column {', '.join(lacking)}; it is of another definition"
        return None
    return file


# ---- what the table holds


def _expected(client: Client, task: DeliveryTask, table: TableDescription, partition: Partition) -> Iterator[Row]:
    """The table's rows that belong to the partition, each with all of its cells."""
    whole = full_range(table)
    for row in _rows(client, RangeRead(task.table, whole.begin, whole.end)):
        if _belongs(row, task.destination.event_time, partition):
            yield row


def _rows(client: Client, read: RangeRead) -> Iterator[Row]:
    """Whole rows; one that is wider than a page comes in parts."""
    last: Row | None = None
    for page in pages(client, read):
        for row in decode_rows(page.rows):
            if last is not None and last.key == row.key:
                last = Row(last.key, (*last.cells, *row.cells))
                continue
            if last is not None:
                yield last
            last = row
    if last is not None:
        yield last


def _belongs(row: Row, event: EventTime | None, partition: Partition) -> bool:
    if partition.start is None:
        return True
    if event is not None:
        moment = event_time(row, event)
        if moment is not None:
            return partition.holds(moment)
    stamps = [cell.timestamp for cell in row.cells if cell.timestamp is not None]
    return any(partition.holds(_moment(stamp)) for stamp in stamps)


def _moment(millis: int) -> datetime:
    return EPOCH + timedelta(milliseconds=millis)


def event_time(row: Row, event: EventTime) -> datetime | None:
    """The event time of a row; None: it has none that can be read."""
    given = dict(row.key).get(event.column) or next((c.value for c in row.cells if c.name == event.column), None)
    try:
        if event.format is TimeFormat.UNIX:
            if type(given) is not int:
                return None
            return EPOCH + (timedelta(milliseconds=given) if given >= _MILLIS_FROM else timedelta(seconds=given))
        if not isinstance(given, str):
            return None
        moment = _read(given, event.format)
    except (ValueError, OverflowError, TypeError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _read(given: str, form: TimeFormat) -> datetime:
    if form is TimeFormat.RFC3339:
        return datetime.fromisoformat(given)
    if form is TimeFormat.RFC850:
        return datetime.strptime(given.replace("GMT", "+0000").replace("UTC", "+0000"), "%A, %d-%b-%y %H:%M:%S %z")
    return parsedate_to_datetime(given)


# ---- one beside the other


def _compare(
    row: Row, records: Sequence[Mapping[str, Any]], task: DeliveryTask, partition: Partition, found: Audit
) -> None:
    is_by_write = task.destination.event_time is None and partition.start is not None
    stamps = {cell.name: cell.timestamp for cell in row.cells}
    is_later = is_by_write and any(stamp is not None and _is_after(stamp, partition) for stamp in stamps.values())
    found.gone_since += is_later
    if not records:
        if not is_later:
            found.missing_rows += 1
            _exemplify(found.examples, row)
        return
    values = {cell.name: cell.value for cell in row.cells if cell.value is not None}
    for column in found.columns:
        stamp = stamps.get(column.name)
        is_elsewhere = is_by_write and stamp is not None and not partition.holds(_moment(stamp))
        if column.name in values and not is_elsewhere:
            _compare_value(row, values[column.name], [record.get(column.to) for record in records], column)


def _compare_value(row: Row, value: Value, delivered: Iterable[Any], column: ColumnAudit) -> None:
    given = [one for one in delivered if one is not None]
    if not given:
        column.lost += 1
        is_dropped = not fits(type_of(value), column.type)
        column.allowed += is_dropped and column.is_optional
        reason = f"{type_of(value)}, which is not delivered as {column.type}" if is_dropped else "not delivered"
    elif (wanted := _comparable(value, column.type)) is not None and not any(_same(wanted, one) for one in given):
        column.differing += 1
        reason = "delivered with another value"
    else:
        return
    column.reasons[reason] += 1
    _exemplify(column.examples, row)


def _exemplify(examples: list[str], row: Row) -> None:
    if len(examples) < EXAMPLES:
        examples.append(show_key(row.key))


def _is_after(stamp: int, partition: Partition) -> bool:
    return partition.end is not None and _moment(stamp) >= partition.end


def _comparable(value: Any, type_: ParquetType) -> Any:
    """What a value is in a file; None where the service's conversion is not documented."""
    match type_:
        case ParquetType.INT64 | ParquetType.INT32 | ParquetType.DOUBLE | ParquetType.BOOL:
            return value
        case ParquetType.FLOAT:
            return struct.unpack("<f", struct.pack("<f", value))[0]
        case ParquetType.UTF8:
            return value if isinstance(value, str) else None
    return None


def _same(one: Any, other: Any) -> bool:
    is_equal: bool = one == other
    return is_equal or (one != one and other != other)  # NaN is delivered too
