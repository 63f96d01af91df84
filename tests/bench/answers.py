"""Answers of GetRange, made before anything is measured: the table that readers are compared on.

Rows repeat after a few pages, their number does not matter to a reader; each answer names the key at which the next
begins, so that official clients and ours walk through all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from airflow_tablestore.wire.decode import Wanted
from airflow_tablestore.wire.matrix import Matrix, encode_matrix
from airflow_tablestore.wire.plainbuffer import encode_key, encode_rows
from airflow_tablestore.wire.proto import table_pb2
from airflow_tablestore.wire.row import Cell, ColumnType, PrimaryKey, Row, Value

TABLE = "readings"
ROWS_PER_PAGE = 5_000
DISTINCT_PAGES = 4
VERSION_MILLIS = 1_700_000_000_000

KEYS = (("device", ColumnType.STRING), ("number", ColumnType.INTEGER))
ATTRIBUTES = (
    ("city", ColumnType.STRING),
    ("driver", ColumnType.STRING),
    ("note", ColumnType.STRING),
    ("plate", ColumnType.STRING),
    ("fix", ColumnType.INTEGER),
    ("mileage", ColumnType.INTEGER),
    ("satellites", ColumnType.INTEGER),
    ("latitude", ColumnType.DOUBLE),
    ("longitude", ColumnType.DOUBLE),
    ("moving", ColumnType.BOOLEAN),
)
NAMES = tuple(name for name, _ in (*KEYS, *ATTRIBUTES))
WANTED = (*(Wanted(name, type, is_key=True) for name, type in KEYS), *(Wanted(name, type) for name, type in ATTRIBUTES))


def key_of(number: int) -> PrimaryKey:
    """The key of the row with this number."""
    return ("device", f"device-{number // 500:08d}"), ("number", number)


def values_of(number: int) -> tuple[Value, ...]:
    """The attributes of the row with this number, in the order of ATTRIBUTES: texts of about twenty bytes."""
    return (
        f"city of {number % 331} bridges",
        f"driver {number * 7919 % 100_003:>12}",
        f"nothing to say {number % 97:04d}",
        f"HZ-{number % 77_777:08d}-{number % 13:04d}",
        number,
        number * 11,
        number % 24,
        30.0 + number * 7919 % 100_000 / 100_000,
        120.0 + number * 104_729 % 100_000 / 100_000,
        number % 3 != 0,
    )


@cache
def block(page: int, rows: int = ROWS_PER_PAGE) -> bytes:
    """The rows of one page as PlainBuffer, each cell with its version, as the service sends them."""
    first = page % DISTINCT_PAGES * rows
    names = [name for name, _ in ATTRIBUTES]
    return encode_rows(
        Row(
            key_of(number),
            tuple(Cell(name, value, VERSION_MILLIS) for name, value in zip(names, values_of(number), strict=True)),
        )
        for number in range(first, first + rows)
    )


@cache
def matrix(page: int, rows: int = ROWS_PER_PAGE) -> bytes:
    """The same rows as SimpleRowMatrix."""
    first = page % DISTINCT_PAGES * rows
    return encode_matrix(
        Matrix(
            NAMES,
            len(KEYS),
            tuple(
                (*(value for _, value in key_of(number)), *values_of(number)) for number in range(first, first + rows)
            ),
        )
    )


def body(page: int, pages: int, rows: int = ROWS_PER_PAGE, *, is_matrix: bool = False) -> bytes:
    """The body of the answer with this page, which says where the next one begins unless it is the last."""
    answer = table_pb2.GetRangeResponse(rows=(matrix if is_matrix else block)(page, rows))
    answer.consumed.capacity_unit.read = rows // 8
    answer.consumed.capacity_unit.write = 0
    if is_matrix:
        answer.data_block_type = table_pb2.DBT_SIMPLE_ROW_MATRIX
    if page + 1 < pages:
        answer.next_start_primary_key = encode_key(key_of((page + 1) * rows))
    return answer.SerializeToString()


def bodies(pages: int, rows: int = ROWS_PER_PAGE, *, is_matrix: bool = False) -> Iterator[bytes]:
    """The bodies of a whole table's pages, in key order."""
    return (body(page, pages, rows, is_matrix=is_matrix) for page in range(pages))
