"""A tunnel drained into objects: read, encode, list as pending, write, confirm, publish.

Batches of a channel are gathered into one object until it is large or old enough. What counts and what does not is
decided in `channels`, by the checkpoint that the service has kept; any number of drains work on one tunnel, and the
service shares its channels between them. A process that dies at any moment leaves what the next owner settles.
"""

from __future__ import annotations

import io
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from airflow_tablestore.consumer.table import show_key
from airflow_tablestore.consumer.tunnel import Batch, Settings, TunnelReader, Until
from airflow_tablestore.errors import Superseded
from airflow_tablestore.pipeline.contract import Limits, Progress, Quiet
from airflow_tablestore.pipeline.dirty import DirtyRecords
from airflow_tablestore.pipeline.sources.tunnel import TunnelRows
from airflow_tablestore.pipeline.store import Store, crc64_of
from airflow_tablestore.pipeline.target import ObjectTarget
from airflow_tablestore.pipeline.tunnel.channels import ChannelBook, Entry, channels_at, claim_prefix, object_key
from airflow_tablestore.pipeline.tunnel.tunnels import Wanted, ensure_tunnel, find_tunnel
from airflow_tablestore.wire.table import describe_table
from airflow_tablestore.wire.tunnel import Tunnel, describe_tunnel
from airflow_tablestore.wire.tunnel_channel import ChannelStatus, Checkpoint, Place, get_checkpoint

if TYPE_CHECKING:
    from airflow_tablestore.client import Client

log = logging.getLogger(__name__)

TAKE_SECONDS = 0.2
"""So often it is looked whether to stop, and whether an object is old enough."""

MOST_GATHERED_BYTES = 16 * 1024 * 1024
"""Of records, as they were read; an object is begun and ended well within a worker's memory."""

FLUSH_SECONDS = 5.0
"""The oldest record in hands is written after so long, whatever its object's size."""


@dataclass(frozen=True, slots=True)
class Drain:
    """Which tunnel goes where.

    :param wanted: the tunnel; it is made when it is absent and `creates` is set.
    :param until_caught_up: ends when everything is taken that was there at the beginning; else it goes on.
    :param at_most_seconds: ends after so long in any case; None: no limit.
    """

    pipeline: str
    wanted: Wanted
    target: ObjectTarget
    creates: bool = False
    until_caught_up: bool = True
    at_most_seconds: float | None = None
    flush_seconds: float = FLUSH_SECONDS
    limits: Limits = field(default_factory=Limits)
    settings: Settings | None = None


@dataclass(frozen=True, slots=True)
class DrainReport:
    """What one worker did. `settled` objects were left by workers before it, `lost_channels` went to others meanwhile.

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

    def to_json(self) -> dict[str, Any]:
        """For XCom and programs."""
        return {name: getattr(self, name) for name in self.__slots__} | {"seconds": round(self.seconds, 3)}


def drain(
    export: Drain,
    client: Client,
    store: Store,
    *,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
) -> DrainReport:
    """Works on the tunnel until its end, until it has caught up, until its time is over, or until it is told to stop.

    :raises SpecError: the tunnel is not there or not as it is wanted, or the prefix is another pipeline's.
    :raises DirtyLimitExceeded: a record cannot be written; it and what follows it are not confirmed.
    """
    wanted = export.wanted
    claim_prefix(store, export.target.prefix, export.pipeline)
    tunnel = ensure_tunnel(client, wanted).tunnel if export.creates else find_tunnel(client, wanted.table, wanted.name)
    worker = _Worker(export, client, store, tunnel, progress or Quiet())
    return worker.work(stop or threading.Event())


@dataclass(slots=True)
class _Gathered:
    """Batches of one life of one channel, on their way into one object."""

    since: float
    batches: list[Batch] = field(default_factory=list)
    size: int = 0


class _Worker:
    def __init__(self, export: Drain, client: Client, store: Store, tunnel: Tunnel, progress: Progress):
        self._export, self._client, self._store, self._tunnel = export, client, store, tunnel
        self._progress = progress
        self._dirty = DirtyRecords(export.limits.errors)
        self._rows = TunnelRows.of_table(client.send(describe_table(tunnel.table)), self._refuse)
        self._unfit = 0
        self._lock = threading.Lock()
        self._epochs: dict[Place, int] = {}
        self._settled = 0
        self._lost = 0
        self._written: list[Entry] = []
        self._gathered: dict[Place, _Gathered] = {}

    def work(self, stop: threading.Event) -> DrainReport:
        began = time.monotonic()
        self._settle_finished()
        until = Until.CAUGHT_UP if self._export.until_caught_up else Until.NEVER
        reader = TunnelReader(
            self._client,
            self._tunnel.id,
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
            tunnel=self._tunnel.id,
            rows=sum(entry.rows for entry in self._written),
            objects=len(self._written),
            bytes=sum(entry.size for entry in self._written),
            channels=len({place.channel_id for place in self._epochs}),
            settled=self._settled,
            lost_channels=self._lost,
            dirty=self._rows.dirty + self._unfit,
            seconds=time.monotonic() - began,
            is_caught_up=is_caught_up,
        )

    # ---- openings

    def _open(self, at: Place, kept: Checkpoint) -> None:
        """Settles what the last owner left; called by the channel's thread before it reads."""
        book = ChannelBook(self._store, self._export.target.prefix, at.channel_id)
        epoch, settled = book.open(at.client_id, lambda: self._client.send(get_checkpoint(at)))
        with self._lock:
            self._epochs[at] = epoch
            self._settled += len(settled.published)
        if settled.published or settled.removed:
            told = "Channel %s: of the last owner's objects %d count, %d were not confirmed and are removed."
            log.info(told, at.channel_id, len(settled.published), len(settled.removed))

    def _settle_finished(self) -> None:
        """Of channels that ended right before their last worker did: nobody opens these any more."""
        prefix = self._export.target.prefix
        waiting = channels_at(self._store, prefix, "pending")
        if not waiting:
            return
        channels = self._client.send(describe_tunnel(self._tunnel.table, self._tunnel.name)).channels
        finished = {one.id for one in channels if one.status == ChannelStatus.TERMINATED}
        for channel in finished.intersection(waiting):
            self._settled += len(ChannelBook(self._store, prefix, channel).settle_finished().published)

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

    @property
    def _most_bytes(self) -> int:
        return min(self._export.target.max_object_bytes or MOST_GATHERED_BYTES, MOST_GATHERED_BYTES)

    def _flush_old(self, *, is_idle: bool = False) -> None:
        """Writes what is old enough; with nothing more to take, what was there for a moment."""
        patience = min(self._export.flush_seconds, 1.0) if is_idle else self._export.flush_seconds
        old = time.monotonic() - patience
        for place in [place for place, found in self._gathered.items() if found.since <= old]:
            self._flush(place)

    def _flush(self, at: Place) -> None:
        """One object, in the order that makes it count once: pending, written, confirmed, published."""
        batches = self._gathered.pop(at).batches
        records = self._fitting(batches)
        book = ChannelBook(self._store, self._export.target.prefix, at.channel_id)
        entry: Entry | None = None
        if records.num_rows:
            data = self._encoded(records)
            entry = self._entry(at, batches, records, data)
            book.list_pending(entry)
            self._store.put(entry.key, data)
        try:
            batches[-1].commit()
        except Superseded as error:
            log.info("Channel %s went to another worker, who reads these records again: %s", at.channel_id, error)
            self._lost += 1
            if entry is not None:
                book.list_pending(entry)  # its next owner may have settled before the object was written
            for batch in batches:
                batch.done()
            return
        if entry is not None:
            book.publish(entry)
            self._written.append(entry)
            self._progress.advance(entry.rows, sum(batch.size for batch in batches))

    def _fitting(self, batches: Sequence[Batch]) -> pa.RecordBatch:
        records = self._rows.batch(record for batch in batches for record in batch.records)
        unfit = self._export.target.format.unfit(records)
        for one in unfit:
            self._unfit += 1
            key = tuple((name.name, records.column(name.name)[one.row].as_py()) for name in self._rows.keys)
            self._dirty.add(show_key(key), one.reason)
        out = {one.row for one in unfit}
        return records.filter(pa.array([row not in out for row in range(records.num_rows)])) if out else records

    def _refuse(self, key: str, reason: str) -> None:
        self._dirty.add(key, reason)

    def _encoded(self, records: pa.RecordBatch) -> bytes:
        out = io.BytesIO()
        encoder = self._export.target.format.encoder(records.schema, out)
        encoder.write(records)
        encoder.close()
        return out.getvalue()

    def _entry(self, at: Place, batches: Sequence[Batch], records: pa.RecordBatch, data: bytes) -> Entry:
        last, target = batches[-1], self._export.target
        with self._lock:
            epoch = self._epochs[at]
        number = last.checkpoint_number
        times = [micros for micros in records.column("time").to_pylist() if micros is not None]
        place = (at.channel_id, number, epoch, at.client_id)
        return Entry(
            pipeline=self._export.pipeline,
            tunnel=at.tunnel_id,
            channel=at.channel_id,
            number=number,
            epoch=epoch,
            client=at.client_id,
            before=batches[0].before,
            token=last.token,
            key=object_key(target.prefix, self._export.pipeline, place, target.format.suffix),
            rows=records.num_rows,
            size=len(data),
            crc64=crc64_of(data),
            is_stream=last.is_stream,
            first_micros=min(times, default=0),
            last_micros=max(times, default=0),
        )
