"""Reads the parts of a window into objects: shards side by side, children after their parents.

What is read is uploaded and not visible. How far each shard was read is in the part's report: it becomes the window's
end, unless somebody else has fixed that elsewhere.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from airflow_tablestore.consumer.shards import describe
from airflow_tablestore.consumer.stream import Ahead, Position, Reach, SpanReader, begin_of
from airflow_tablestore.pipeline.boundaries import micros_of
from airflow_tablestore.pipeline.contract import Format, Limits, Progress, Writer
from airflow_tablestore.pipeline.dirty import DirtyRecords
from airflow_tablestore.pipeline.incremental.plan import PartReport, ShardPart, ShardTask, WindowHead
from airflow_tablestore.pipeline.incremental.sink import PartSink, WindowSink
from airflow_tablestore.pipeline.run import (
    Receipt,
    Work,
    carry,
    keep_memory_flat,
    output_schema,
    side_by_side,
    stopped_by,
)
from airflow_tablestore.pipeline.selection import ChangeSelection
from airflow_tablestore.pipeline.sources.stream import Decoding, StreamSource, output_columns
from airflow_tablestore.pipeline.throttle import Throttle
from airflow_tablestore.pipeline.transforms.columns import Columns

if TYPE_CHECKING:
    from airflow_tablestore.consumer.stream import StreamSender


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading a window needs. `ahead` keeps what was fetched from beyond it, for the next one."""

    selection: ChangeSelection
    sink: WindowSink
    limits: Limits
    client: StreamSender
    head: WindowHead
    attempt: int
    progress: Progress
    ahead: Ahead | None = None

    def part(self, part: ShardPart) -> PartReport:
        """Upload one part.

        :raises PositionLost: the stream no longer keeps all of it. Nothing is left, as after any other failure.
        """
        keep_memory_flat()
        self.progress.expect(0)
        began, stop = time.monotonic(), threading.Event()
        sink = self.sink.stopped_by(stop)
        work = _PartWork(self, sink.part(self.head, part.number, self.attempt), stop)
        try:
            ends = work.read(part)
        except BaseException:  # also Ctrl-C: what was uploaded is of no use without the rest
            for shard in work.shards:
                shard.writer.abort()
            raise
        return PartReport(
            claim=self.head.claim,
            part=part.number,
            objects=tuple(o for shard in work.shards for o in shard.receipt.objects),
            rows=sum(shard.receipt.rows for shard in work.shards),
            bytes_read=sum(shard.receipt.bytes_read for shard in work.shards),
            dirty=sum(shard.source.dirty + shard.receipt.unfit for shard in work.shards),
            late=sum(shard.span.late for shard in work.shards),
            partial_rows=sum(shard.source.partial_rows for shard in work.shards),
            seconds=time.monotonic() - began,
            ends=ends,
            samples=work.dirty.samples,
        )


@dataclass(slots=True)
class _ShardWork:
    """One shard on its way."""

    task: ShardTask
    span: SpanReader
    source: StreamSource
    format: Format
    writer: Writer
    receipt: Receipt = field(default_factory=lambda: Receipt((), 0, 0, 0))


class _PartWork:
    """The shards of a part, as they are read."""

    def __init__(self, reading: Reading, place: PartSink, stop: threading.Event):
        self.shards: list[_ShardWork] = []
        self._reading, self._place, self._stop = reading, place, stop
        self._client = stopped_by(stop, reading.client)
        self.dirty = DirtyRecords(reading.limits.errors)
        self._throttle = Throttle(reading.limits, max(reading.head.parts, 1), sleep=stop.wait)
        columns = output_columns(reading.selection)
        self._transforms = () if columns is None else (Columns(columns),)
        self._micros = micros_of(reading.head.window.start), micros_of(reading.head.window.end)

    def read(self, part: ShardPart) -> dict[str, Position]:
        """Where reading has ended in each shard. One whose parents have not ended stays where it was."""
        ends: dict[str, Position] = {}
        waiting = list(part.shards)
        while ready := [task for task in waiting if _is_ready(task, ends)]:
            shards = [self._shard(task) for task in ready]
            self.shards += shards
            side_by_side((partial(self._carry, shard) for shard in shards), self._threads(), self._stop)
            ends.update((shard.task.shard, shard.span.end) for shard in shards)
            waiting = [task for task in waiting if task.shard not in ends]
            if any(shard.span.end.is_end for shard in shards):
                waiting += self._born(ends, waiting)
        return ends | {task.shard: task.start for task in waiting}

    def _threads(self) -> int:
        return max(1, self._reading.limits.threads)

    def _born(self, ends: dict[str, Position], waiting: Sequence[ShardTask]) -> Iterable[ShardTask]:
        """The children of shards that have ended, if the plan has not seen them yet.

        What they hold belongs to this window, or its time is past it and they are left at their beginning. A boundary
        that stands later may have been made without them; so then they are left to it.
        """
        head = self._reading.head
        if head.is_fixed or head.beside is None or head.beside.later is not None:
            return
        known = {*ends, *(task.shard for task in waiting), *head.ended}
        numbers = {shard.task.shard: shard.task.number for shard in self.shards}
        branch = max(shard.task.branch for shard in self.shards)
        for shard in describe(self._client, head.stream_id).shards:
            if shard.id in known or not shard.parents:
                continue
            if all(parent in ends and ends[parent].is_end for parent in shard.parents):
                branch += 1
                start = begin_of(self._client, head.stream_id, shard.id)
                yield ShardTask(shard.id, numbers[shard.parents[0]], start, None, (), branch)

    def _shard(self, task: ShardTask) -> _ShardWork:
        reading, (since, until) = self._reading, self._micros
        reach = Reach(None if reading.head.is_fixed else until, task.stop)
        span = SpanReader(
            self._client,
            reading.selection.table,
            task.shard,
            task.start,
            reach,
            since_micros=since,
            ahead=reading.ahead,
        )
        source = StreamSource(span, Decoding(reading.selection, reading.head.schema, self.dirty.add))
        schema = output_schema(source.schema(), self._transforms)
        format = self._place.format(schema)
        return _ShardWork(task, span, source, format, self._place.writer(task, schema, format))

    def _carry(self, shard: _ShardWork) -> None:
        keys = tuple(column.name for column in self._reading.head.schema.columns if column.is_key)
        shard.receipt = carry(
            Work(
                shard.source,
                self._transforms,
                shard.format,
                shard.writer,
                self.dirty,
                self._throttle,
                self._reading.progress,
                self._stop,
                keys,
            )
        )


def _is_ready(task: ShardTask, ends: dict[str, Position]) -> bool:
    return all(parent in ends and ends[parent].is_end for parent in task.parents)
