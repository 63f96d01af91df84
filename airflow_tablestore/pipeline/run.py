"""The loop: read, transform, write; one thread per slice, and an end to all of them when one fails.

Knows neither tables nor object stores. What can be undone is undone on failure (uploads are aborted); what cannot is on
record for the next attempt.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, Self, TypeVar, runtime_checkable

import pyarrow as pa

from airflow_tablestore.consumer.table import show_key
from airflow_tablestore.errors import RetryLater
from airflow_tablestore.pipeline.contract import Format, PendingObject, Progress, Source, Transform, Writer
from airflow_tablestore.pipeline.dirty import DirtyRecords
from airflow_tablestore.pipeline.throttle import Throttle

log = logging.getLogger(__name__)

T = TypeVar("T")


def run_key(moment: datetime, run_id: str) -> str:
    """The short name of a run in objects' keys: `20261121T042212Z-3fa9c1`. The same for every attempt of the run.

    :param moment: the time that the run is about, with its zone.
    """
    if moment.tzinfo is None:
        raise ValueError("a run's moment needs a time zone")
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}-{hashlib.sha256(run_id.encode()).hexdigest()[:6]}"


class Stopped(Exception):
    """Another thread has failed, or the process is asked to end; this one gives up its slice."""


@runtime_checkable
class Pausing(Protocol):
    """A service that waits between attempts at a request, and can be told how."""

    def pausing(self, sleep: Callable[[float], bool | None]) -> Self: ...


def stopped_by(stop: threading.Event, service: T) -> T:
    """The service, giving up at its next pause once `stop` is set; itself when it makes no pauses."""
    return service.pausing(stop.wait) if isinstance(service, Pausing) else service


@dataclass(frozen=True, slots=True)
class Work:
    """One slice's way from its source to its writer, and what it shares with the others.

    `key` are the source's columns that name a record.
    """

    source: Source
    transforms: Sequence[Transform]
    format: Format
    writer: Writer
    dirty: DirtyRecords
    throttle: Throttle
    progress: Progress
    stop: threading.Event
    key: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one slice: its objects are uploaded. `unfit` rows could not be written in the format."""

    objects: tuple[PendingObject, ...]
    rows: int
    bytes_read: int
    unfit: int


def keep_memory_flat() -> None:
    """Have freed memory given back, for this process and for good.

    Pages of 4 MB are read, cut and freed without end. glibc learns from that to keep such blocks in its heaps, where
    they break it into pieces; with the threshold fixed, each is a mapping of its own and gone when it is freed.
    Measured with four threads and rows of 700 bytes: 100 MB less. Source: mallopt(3).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES)


M_MMAP_THRESHOLD, MAPPED_BYTES = -3, 256 * 1024
"""The option's number in malloc.h, and glibc's own first value twice."""


def output_schema(source: pa.Schema, transforms: Sequence[Transform]) -> pa.Schema:
    """The schema of what the transforms make of a source's batches."""
    for transform in transforms:
        source = transform.schema(source)
    return source


def carry(work: Work) -> Receipt:
    """Read a slice to its end and write it.

    :raises Stopped: `work.stop` was set. What was uploaded has been aborted, as after any other failure.
    """
    rows = bytes_read = unfit = 0
    try:
        _stop_if_asked(work)
        for batch in work.source.batches():
            _stop_if_asked(work)
            records = batch.records
            for transform in work.transforms:
                records = transform.apply(records)
            fitting = _fitting(work, batch.records, records)
            unfit += records.num_rows - fitting.num_rows
            work.writer.write(fitting)
            rows, bytes_read = rows + fitting.num_rows, bytes_read + batch.bytes_read
            work.progress.advance(fitting.num_rows, batch.bytes_read)
            work.throttle.took(records.num_rows, batch.bytes_read)
            _stop_if_asked(work)  # it may have come during the wait, and the next batch is a request
        return Receipt(tuple(work.writer.finish()), rows, bytes_read, unfit)
    except BaseException as error:
        was_stopped = work.stop.is_set()
        work.stop.set()
        work.writer.abort()
        if was_stopped and isinstance(error, RetryLater):
            raise Stopped from error  # another attempt might have helped, and was not made because of the stop
        raise


def _stop_if_asked(work: Work) -> None:
    if work.stop.is_set():
        raise Stopped


def _fitting(work: Work, read: pa.RecordBatch, records: pa.RecordBatch) -> pa.RecordBatch:
    """The rows that the format can hold; the others are dirty records.

    They are named by the source's key, since the output may lack it; a transform changes neither rows nor their order.
    """
    unfit = work.format.unfit(records)
    if not unfit:
        return records
    for one in unfit:
        key = tuple((name, read.column(name)[one.row].as_py()) for name in work.key)
        work.dirty.add(show_key(key), one.reason)
    out = {one.row for one in unfit}
    return records.filter(pa.array([row not in out for row in range(records.num_rows)]))


def side_by_side(jobs: Iterable[Callable[[], T]], threads: int, stop: threading.Event) -> list[T]:
    """What the jobs return, in their order. The first real failure stops the others and is raised.

    :param stop: is set when anything fails, also by a signal to this thread; the jobs look at it.
    """
    with ThreadPoolExecutor(threads, thread_name_prefix="slice") as pool:
        try:
            futures = [pool.submit(job) for job in jobs]
            wait(futures, return_when=FIRST_EXCEPTION)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            stop.set()
            raise
        failed = [future for future in futures if future.done() and future.exception()]
        if failed:
            stop.set()
            for future in futures:
                future.cancel()
            wait(futures)
            raise _cause(futures)
    return [future.result() for future in futures]


def _cause(futures: Sequence[Future[T]]) -> BaseException:
    errors = [e for f in futures if not f.cancelled() and (e := f.exception()) is not None]
    return next((error for error in errors if not isinstance(error, Stopped)), errors[0])
