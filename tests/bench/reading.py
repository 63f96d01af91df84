"""Readers against each other: answers to columns, to csv, over HTTP, with one thread and with two.

Ours is the package's own code, put together as a task does; theirs is the loop that people write today.
"""

from __future__ import annotations

import csv
import gc
import io
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from airflow_tablestore.client import Client, Endpoint
from airflow_tablestore.consumer.table import KeyRange
from airflow_tablestore.pipeline.contract import Column, Schema
from airflow_tablestore.pipeline.formats.csv import Csv
from airflow_tablestore.pipeline.full_export.plan import Slice
from airflow_tablestore.pipeline.selection import TableSelection
from airflow_tablestore.pipeline.sources.table import TableSlice
from airflow_tablestore.wire.decode import Decoder
from airflow_tablestore.wire.decode.lockstep import LockstepDecoder
from airflow_tablestore.wire.decode.native import NativeDecoder
from airflow_tablestore.wire.decode.plain import PlainDecoder
from airflow_tablestore.wire.row import INF_MAX, INF_MIN
from airflow_tablestore.wire.sign import md5_of
from tests.bench import answers, canned
from tests.bench.pairs import Figure, in_turns, per_cpu_second, per_second

KROWS = "thousand rows per CPU second"
KROWS_WALL = "thousand rows per second"
SCHEMA = Schema(tuple(Column(one.name, one.type, one.is_key) for one in answers.WANTED))
BEGIN = tuple((name, INF_MIN) for name, _ in answers.KEYS)
END = tuple((name, INF_MAX) for name, _ in answers.KEYS)

THREAD_TURNS = 4
"""How often each thread reads its pages: long enough that their start is nothing beside it."""


class Nothing:
    """A byte sink that forgets."""

    def write(self, data: bytes | memoryview) -> int:
        return len(data)


class Prepared:
    """A sender whose answers are in memory already; each is read as one that came from a socket."""

    def __init__(self, bodies: Iterable[bytes], *, is_digested: bool = False):
        self._bodies, self._is_digested = iter(bodies), is_digested

    def send(self, call: Any) -> Any:
        body = next(self._bodies)
        if self._is_digested:
            md5_of(body)
        return call.read(body)


def sliced(sender: Any) -> TableSlice:
    """The whole table as a task reads it; a dirty record would be an error of the bench."""

    def refuse(key: str, reason: str) -> None:
        raise RuntimeError(f"{key}: {reason}")

    return TableSlice(sender, TableSelection(answers.TABLE), SCHEMA, Slice(KeyRange(BEGIN, END)), refuse)


def to_csv(sender: Any, to: Any) -> int:
    """All rows as csv; how many there were."""
    source = sliced(sender)
    encoder = Csv().encoder(source.schema(), to)
    rows = 0
    for batch in source.batches():
        encoder.write(batch.records)
        rows += batch.records.num_rows
    encoder.close()
    return rows


def sdk_to_csv(bodies: Iterable[bytes], to: Any) -> int:
    """The same by the SDK's decoder, which is the C one here, and the loop around it."""
    from tablestore.decoder import OTSProtoBufferDecoder

    decoder, writer, count = OTSProtoBufferDecoder("utf-8"), csv.writer(to), 0
    for body in bodies:
        (_, _, rows, _), _ = decoder.decode_response("GetRange", body, "")
        count += _write(rows, writer)
    return count


def _write(rows: Iterable[Any], writer: Any) -> int:
    count = 0
    names = [name for name, _ in answers.ATTRIBUTES]
    for row in rows:
        cells = {name: value for name, value, _ in row.attribute_columns}
        writer.writerow([value for _, value in row.primary_key] + [cells.get(name) for name in names])
        count += 1
    return count


def sdk_tuples(blocks: Sequence[bytes]) -> int:
    """The SDK's own C parser by itself: a tuple a row."""
    from tablestore.native import parse_multiple_rows

    return sum(len(parse_multiple_rows(block)) for block in blocks)


def without_gc(work: Callable[[], object]) -> Callable[[], object]:
    """The same work while nobody looks for cycles."""

    def done() -> None:
        gc.disable()
        try:
            work()
        finally:
            gc.enable()

    return done


def decoding(pages: int, rounds: int, rows: int = answers.ROWS_PER_PAGE) -> Iterator[Figure]:
    """Blocks to columns, against the SDK's C parser to tuples."""
    quiet()
    blocks, matrices = ([make(page, rows) for page in range(pages)] for make in (answers.block, answers.matrix))
    fast, middle, plain = (make(answers.WANTED) for make in (NativeDecoder, LockstepDecoder, PlainDecoder))
    few = blocks[: max(1, pages // 10)]

    def decoded(decoder: Decoder, given: Sequence[bytes]) -> Callable[[], int]:
        return lambda: sum(decoder.decode(one).records.num_rows for one in given)

    theirs = lambda: sdk_tuples(blocks)  # noqa: E731 - a name for the table below
    turns = in_turns(
        decoded(fast, blocks),
        theirs,
        without_gc(theirs),
        decoded(fast, matrices),
        decoded(middle, blocks),
        decoded(plain, few),
        rounds=rounds,
    )
    total = pages * rows / 1000
    ours, sdk, sdk_quiet, matrix, lockstep, slow = (
        per_cpu_second(total if index < 5 else len(few) * rows / 1000, turn) for index, turn in enumerate(turns)
    )
    how = f"{pages * rows:,} rows of 12 cells to Arrow; theirs: the official Python SDK's C parser, to tuples"
    yield Figure("decode PlainBuffer, C / SDK C", ours, sdk, KROWS, how, 12, 20)
    yield Figure("decode PlainBuffer, C / SDK C without its gc", ours, sdk_quiet, KROWS, how)
    yield Figure("decode SimpleRowMatrix, C / SDK C PlainBuffer", matrix, sdk, KROWS, how)
    yield Figure("decode PlainBuffer, numpy / SDK C", lockstep, sdk, KROWS, how + "; where no C library is", 2.5, 4)
    yield Figure("decode PlainBuffer, plain Python / SDK C", slow, sdk, KROWS, how + "; reads what numpy leaves")


def in_memory(pages: int, rounds: int, rows: int = answers.ROWS_PER_PAGE) -> Iterator[Figure]:
    """Answers in memory to csv, against the SDK's decoder and csv.writer."""
    quiet()
    bodies = list(answers.bodies(pages, rows))
    ours, theirs = in_turns(
        lambda: to_csv(Prepared(bodies), Nothing()), lambda: sdk_to_csv(bodies, io.StringIO()), rounds=rounds
    )
    total = pages * rows / 1000
    yield Figure(
        "answers in memory to csv / SDK",
        per_cpu_second(total, ours),
        per_cpu_second(total, theirs),
        KROWS,
        f"{pages * rows:,} rows; theirs: the SDK's decoder (C) into csv.writer",
        15,
        25,
    )


def over_http(folder: Path, pages: int, rounds: int, rows: int = answers.ROWS_PER_PAGE) -> Iterator[Figure]:
    """A csv file from a server on this machine, body digests checked, against xget_range into csv.writer."""
    quiet()
    with canned.running(pages, rows) as url, Client(endpoint(url)) as client:

        def ours() -> None:
            with (folder / "ours.csv").open("wb") as file:
                to_csv(client, file)

        turns = in_turns(ours, lambda: sdk_file(url, folder / "theirs.csv"), rounds=rounds)
    total = pages * rows / 1000
    how = f"{pages * rows:,} rows from a server of prepared bytes; theirs: xget_range into csv.writer"
    for name, per, unit, least, aim in (
        ("HTTP to a csv file with MD5 / SDK", per_cpu_second, KROWS, 8, 12),
        ("HTTP to a csv file with MD5 / SDK, by the clock", per_second, KROWS_WALL, None, None),
    ):
        yield Figure(name, per(total, turns[0]), per(total, turns[1]), unit, how, least, aim)


def threads(pages: int, rounds: int, rows: int = answers.ROWS_PER_PAGE) -> Iterator[Figure]:
    """Two slices in memory, one after the other and at once, each as a task reads one.

    No server takes part: on two cores it would have one of them, and two threads could not show what they gain.
    """
    bodies = list(answers.bodies(pages // 2, rows)) * THREAD_TURNS

    def one() -> None:
        for _ in range(2):
            to_csv(Prepared(bodies, is_digested=True), Nothing())

    def two() -> None:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda _: to_csv(Prepared(bodies, is_digested=True), Nothing()), range(2)))

    one_turns, two_turns = in_turns(one, two, rounds=rounds)
    count = 2 * len(bodies) * rows
    total = count / 1000
    yield Figure(
        "two threads / one",
        per_second(total, two_turns),
        per_second(total, one_turns),
        KROWS_WALL,
        f"{count:,} rows in memory, their MD5 and csv of them, by the clock; no server beside them",
        1.5,
        1.8,
    )


def sdk_file(url: str, path: Path) -> int:
    """All rows by the SDK's client into a csv file."""
    from tablestore import INF_MAX as LAST
    from tablestore import INF_MIN as FIRST
    from tablestore import CapacityUnit, OTSClient

    client = OTSClient(url, canned.KEY_ID, canned.SECRET, canned.INSTANCE)
    start, end = ([(name, bound) for name, _ in answers.KEYS] for bound in (FIRST, LAST))
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = client.xget_range(answers.TABLE, "FORWARD", start, end, CapacityUnit(0, 0))
        return _write(rows, csv.writer(file))


def endpoint(url: str) -> Endpoint:
    return Endpoint(url, canned.INSTANCE, canned.KEY_ID, canned.SECRET)


def quiet() -> None:
    """Keep the SDK's words about its codecs out of the table."""
    logging.getLogger("tablestore").addHandler(logging.NullHandler())
