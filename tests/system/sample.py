"""The table of the examples: `ots_gps_data`, GPS fixes of a fleet, in all five value types.

Rows are a pure function of their number, so that every process makes the same table. Some cells are there to catch
exporters: absent attributes, empty strings, texts with quotes, commas and line breaks, the least double, the largest
integers, bytes that are no text, and a column (`alarm`) that only a few late rows have.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

TABLE = "ots_gps_data"
KEYS = (("uid", "STRING"), ("ts", "INTEGER"))
FIXES_PER_UID = 500
FIRST_FIX_MILLIS = 1_700_000_000_000
TEXTS = (
    "",
    "plain",
    'quote " inside',
    "comma, inside",
    "line\nbreak",
    "carriage\rreturn",
    " padded ",
    "null",
    "\\N",
    "中文 ✓",
)
BATCH = 200
"""The most rows of one BatchWriteRow that the service takes."""

PrimaryKey = list[tuple[str, Any]]
Attributes = list[tuple[str, Any]]


def row(number: int) -> tuple[PrimaryKey, Attributes]:
    """The row with this number: its primary key and its attributes, as the official SDK takes them."""
    uid, fix = divmod(number, FIXES_PER_UID)
    speed = 5e-324 if number % 9973 == 0 else (number * 37 % 1400) / 10
    attributes: Attributes = [
        ("name", f"driver {uid % 89}"),
        ("latitude", 30.0 + (number * 7919 % 100_000) / 100_000),
        ("longitude", 120.0 + (number * 104_729 % 100_000) / 100_000),
        ("speed", speed),
        ("moving", number % 3 != 0),
        ("mileage", 2**63 - 1 - number if number % 5000 == 0 else number * 11),
    ]
    if number % 4:
        attributes.append(("raw", bytearray(number.to_bytes(4, "big") + b"\x00\xff")))
    if number % 10 == 0:
        attributes.append(("note", TEXTS[number // 10 % len(TEXTS)]))
    if number % 500 == 499:
        attributes = []  # a row may be nothing but its key
    if number % 20_011 == 20_010:
        attributes.append(("alarm", number))
    return [("uid", f"user_{uid:04d}"), ("ts", FIRST_FIX_MILLIS + fix * 1000)], attributes


def rows(count: int) -> Iterator[tuple[PrimaryKey, Attributes]]:
    return map(row, range(count))


def sdk_client(tablestore: dict[str, str]) -> Any:
    """The official SDK's client for an endpoint as `emulator up --json` prints it."""
    # The SDK warns which codec it uses; without a handler that would land among the demo's own lines.
    logging.getLogger("tablestore").addHandler(logging.NullHandler())
    from tablestore import OTSClient

    return OTSClient(
        tablestore["endpoint"], tablestore["access_key_id"], tablestore["access_key_secret"], tablestore["instance"]
    )


def create_table(client: Any, table: str = TABLE, keys: Sequence[tuple[str, str]] = KEYS) -> None:
    from tablestore import CapacityUnit, ReservedThroughput, TableMeta, TableOptions

    client.create_table(TableMeta(table, list(keys)), TableOptions(), ReservedThroughput(CapacityUnit(0, 0)))


def wait_until_writable(client: Any, table: str, seconds: float = 60) -> None:
    """A new table of the real service takes some seconds before it accepts rows."""
    from tablestore import OTSServiceError

    until = time.monotonic() + seconds
    while True:
        try:
            client.get_row(table, row(0)[0], max_version=1)
            return
        except OTSServiceError:
            if time.monotonic() > until:
                raise
            time.sleep(1)


def load(client: Any, count: int, progress: Callable[[int], None] = lambda done: None, *, table: str = TABLE) -> float:
    """Put rows 0 to `count` - 1 through the official SDK, 200 a request; the seconds it took."""
    began = time.monotonic()
    done = 0
    with ThreadPoolExecutor(4) as pool:
        batches = [
            pool.submit(_put, client, table, first, min(first + BATCH, count)) for first in range(0, count, BATCH)
        ]
        for batch in as_completed(batches):
            done += batch.result()
            progress(done)
    return time.monotonic() - began


def _put(client: Any, table: str, first: int, end: int) -> int:
    from tablestore import (
        BatchWriteRowRequest,
        Condition,
        PutRowItem,
        Row,
        RowExistenceExpectation,
        TableInBatchWriteRowItem,
    )

    items = []
    for number in range(first, end):
        key, attributes = row(number)
        items.append(PutRowItem(Row(key, attributes), Condition(RowExistenceExpectation.IGNORE)))
    request = BatchWriteRowRequest()
    request.add(TableInBatchWriteRowItem(table, items))
    answer = client.batch_write_row(request)
    failed = [item for item in answer.get_failed_of_put() if not item.is_ok]
    if failed:
        raise RuntimeError(f"{len(failed)} rows were refused, the first with {failed[0].error_message}")
    return end - first


def main() -> None:
    """Load the sample into the emulator whose JSON is given on stdin; progress goes to stdout, one count a line."""
    import json

    given = json.loads(sys.stdin.readline())
    count = int(sys.argv[1])
    client = sdk_client(given["tablestore"])
    create_table(client)
    load(client, count, lambda done: print(done, flush=True) if done % 10_000 == 0 or done == count else None)


if __name__ == "__main__":
    main()
