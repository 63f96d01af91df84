"""A tunnel drained into a sink: take batches, gather them per channel, write, confirm.

Batches of a channel are gathered until they are many or old enough, and written as one. Any number of drains work on
one tunnel, and the service shares its channels between them. What is written twice after a crash, and what that means,
is the sink's to say: `tunnel.sink` is all that is known of it here.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_tablestore.consumer.tunnel import Batch, Settings, TunnelReader, Until
from airflow_tablestore.errors import Superseded
from airflow_tablestore.pipeline.contract import Limits, Progress, Quiet
from airflow_tablestore.pipeline.dirty import DirtyRecords, DirtySample
from airflow_tablestore.pipeline.tunnel.sink import Job, Receipt, Refused, Target, TunnelSink, tunnel_sink
from airflow_tablestore.pipeline.tunnel.tunnels import Wanted, ensure_tunnel, find_tunnel, forgotten
from airflow_tablestore.wire.table import TableDescription, describe_table
from airflow_tablestore.wire.tunnel import Tunnel, describe_tunnel
from airflow_tablestore.wire.tunnel_channel import Checkpoint, Place

if TYPE_CHECKING:
    from airflow_tablestore.client import Client

log = logging.getLogger(__name__)

TAKE_SECONDS = 0.2
"""So often it is looked whether to stop, and whether what is gathered is old enough."""

MOST_GATHERED_BYTES = 16 * 1024 * 1024
"""Of records, as they were read; what is written at once stays well within a worker's memory."""

FLUSH_SECONDS = 5.0
"""The oldest record in hands is written after so long, however few there are."""


@dataclass(frozen=True, slots=True)
class Drain:
    """Which tunnel goes where.

    :param wanted: the tunnel; it is made when it is absent and `creates` is set.
    :param until_caught_up: ends when everything is taken that was there at the beginning; else it goes on.
    :param at_most_seconds: ends after so long in any case; None: no limit.
    """

    pipeline: str
    wanted: Wanted
    target: Target
    creates: bool = False
    until_caught_up: bool = True
    at_most_seconds: float | None = None
    flush_seconds: float = FLUSH_SECONDS
    limits: Limits = field(default_factory=Limits)
    settings: Settings | None = None


@dataclass(frozen=True, slots=True)
class DrainReport:
    """What one worker did. `settled` objects were left by workers before it, `lost_channels` went to others meanwhile.

    `read_units`: what its reads took, as `consumer.tunnel.meter` reckons; `samples`: some of the dirty records;
    `most_held`: bytes of records that were in memory at a time.
    `gap`: what was forgotten before anybody read it, in a sentence, or "".
    `is_caught_up`: it ended because everything was taken, not because its time was over or it was told to.
    """

    pipeline: str
    tunnel: str
    rows: int
    objects: int
    bytes: int
    channels: int
    settled: int
    lost_channels: int
    dirty: int
    seconds: float
    is_caught_up: bool
    read_units: int = 0
    most_held: int = 0
    samples: tuple[DirtySample, ...] = ()
    gap: str = ""

    def to_json(self) -> dict[str, Any]:
        """For XCom and programs."""
        told = {"seconds": round(self.seconds, 3), "samples": [sample.to_json() for sample in self.samples]}
        return {name: getattr(self, name) for name in self.__slots__} | told


def drain(
    export: Drain,
    client: Client,
    place: Any,
    *,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> DrainReport:
    """Works on the tunnel until its end, until it has caught up, until its time is over, or until it is told to stop.

    :param place: what the target's connection leads to: a `Store` for objects, a `Warehouse` or a `Client`
        for a table.
    :raises SpecError: the tunnel is not there or not as it is wanted, or the sink cannot take its records.
    :raises DirtyLimitExceeded: a record cannot be written; it and what follows it are not confirmed.
    """
    wanted = export.wanted
    tunnel = ensure_tunnel(client, wanted).tunnel if export.creates else find_tunnel(client, wanted.table, wanted.name)
    table = client.send(describe_table(tunnel.table))
    gap = _gap(client, tunnel, table)
    if gap:
        log.warning("%s", gap)
    job = Job(export.pipeline, client, tunnel, table, Refused(DirtyRecords(export.limits.errors)))
    with closing(tunnel_sink(export.target, place, job)) as sink:
        report = _Worker(export, job, sink, progress or Quiet()).work(stop or threading.Event())
    return replace(report, gap=gap)


def _gap(client: Client, tunnel: Tunnel, table: TableDescription) -> str:
    if table.stream is None:
        return ""
    found = client.send(describe_tunnel(tunnel.table, tunnel.name))
    now = client.service_time() or datetime.now(UTC)
    return forgotten(found, timedelta(hours=table.stream.expiration_hours), now)


@dataclass(slots=True)
class _Gathered:
    """Batches of one life of one channel, on their way to be written as one."""

    since: float
    batches: list[Batch] = field(default_factory=list)
    size: int = 0


class _Worker:
    def __init__(self, export: Drain, job: Job, sink: TunnelSink, progress: Progress):
        self._export, self._job, self._sink, self._progress = export, job, sink, progress
        self._most_bytes = min(sink.most_bytes or MOST_GATHERED_BYTES, MOST_GATHERED_BYTES)
        self._lock = threading.Lock()
        self._channels: set[str] = set()
        self._settled = 0
        self._lost = 0
        self._done = Receipt()
        self._gathered: dict[Place, _Gathered] = {}

    def work(self, stop: threading.Event) -> DrainReport:
        began = time.monotonic()
        self._settled += self._sink.begin()
        until = Until.CAUGHT_UP if self._export.until_caught_up else Until.NEVER
        reader = TunnelReader(
            self._job.client,
            self._job.tunnel.id,
            settings=self._export.settings,
            until=until,
            on_open=self._open,
            confirms_itself=False,
        )
        most = self._export.at_most_seconds
        with reader:
            while not self._is_over(stop, began, most):
                batch = reader.take(TAKE_SECONDS)
                if batch is not None:
                    self._gather(batch)
                elif reader.has_ended:
                    break
                else:
                    self._flush_old(is_idle=True)
                self._flush_old()
            is_caught_up = reader.has_ended
            reader.stop()
            for place in list(self._gathered):
                self._flush(place)
        return DrainReport(
            pipeline=self._export.pipeline,
            tunnel=self._job.tunnel.id,
            rows=self._done.rows,
            objects=self._done.objects,
            bytes=self._done.size,
            channels=len(self._channels),
            settled=self._settled,
            lost_channels=self._lost,
            dirty=self._job.refused.count,
            seconds=time.monotonic() - began,
            is_caught_up=is_caught_up,
            read_units=reader.usage.read_units,
            most_held=reader.usage.most_held,
            samples=self._job.refused.samples,
        )

    def _open(self, at: Place, kept: Checkpoint) -> None:
        """Called by the channel's thread before it reads."""
        settled = self._sink.open(at, kept)
        with self._lock:
            self._channels.add(at.channel_id)
            self._settled += settled

    # ---- batches

    @staticmethod
    def _is_over(stop: threading.Event, began: float, most: float | None) -> bool:
        return stop.is_set() or (most is not None and time.monotonic() - began >= most)

    def _gather(self, batch: Batch) -> None:
        found = self._gathered.setdefault(batch.at, _Gathered(time.monotonic()))
        found.batches.append(batch)
        found.size += batch.size
        if found.size >= self._most_bytes:
            self._flush(batch.at)

    def _flush_old(self, *, is_idle: bool = False) -> None:
        """Writes what is old enough; with nothing more to take, what was there for a moment."""
        patience = min(self._export.flush_seconds, 1.0) if is_idle else self._export.flush_seconds
        old = time.monotonic() - patience
        for place in [place for place, found in self._gathered.items() if found.since <= old]:
            self._flush(place)

    def _flush(self, at: Place) -> None:
        """Written, then confirmed: a checkpoint never tells of records that the sink has not taken."""
        batches = self._gathered.pop(at).batches
        receipt = Receipt()
        try:
            receipt = self._sink.write(at, batches)
            batches[-1].commit()
        except Superseded as error:
            log.info("Channel %s went to another worker, who reads these records again: %s", at.channel_id, error)
            self._lost += 1
            receipt.give_up()
            for batch in batches:
                batch.done()
            return
        receipt.confirm()
        if receipt.rows:
            done = self._done
            self._done = Receipt(done.rows + receipt.rows, done.objects + receipt.objects, done.size + receipt.size)
            self._progress.advance(receipt.rows, sum(batch.size for batch in batches))
