"""Objects as a tunnel's sink: encode, list as pending, write; once the checkpoint is kept, publish.

What counts and what does not is decided in `channels`, by the checkpoint that the service has kept. A process that dies
at any moment leaves what the next owner of the channel settles.
"""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from airflow_tablestore.consumer.table import show_key
from airflow_tablestore.consumer.tunnel import Batch
from airflow_tablestore.pipeline.dirty import DirtySample, samples_of
from airflow_tablestore.pipeline.sources.tunnel import TunnelRows
from airflow_tablestore.pipeline.store import Store, crc64_of
from airflow_tablestore.pipeline.target import ObjectTarget
from airflow_tablestore.pipeline.tunnel.channels import ChannelBook, Entry, channels_at, claim_prefix, object_key
from airflow_tablestore.pipeline.tunnel.sink import Job, Receipt
from airflow_tablestore.wire.tunnel import describe_tunnel
from airflow_tablestore.wire.tunnel_channel import ChannelStatus, Checkpoint, Place, get_checkpoint

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ObjectReceipt(Receipt):
    """One object that waits for its checkpoint."""

    book: ChannelBook = field(kw_only=True)
    entry: Entry = field(kw_only=True)

    def confirm(self) -> None:
        self.book.publish(self.entry)

    def give_up(self) -> None:
        self.book.list_pending(self.entry)  # its next owner may have settled before the object was written


class TunnelObjects:
    """A prefix in a bucket, as `pipeline.tunnel.sink.TunnelSink` says."""

    def __init__(self, store: Store, target: ObjectTarget, job: Job):
        self._store, self._target, self._job = store, target, job
        self._rows = TunnelRows.of_table(job.table, self._set_aside)
        self._aside: list[DirtySample] = []  # what the object that is being written lacks
        self._lock = threading.Lock()
        self._epochs: dict[Place, int] = {}

    @property
    def most_bytes(self) -> int:
        return self._target.max_object_bytes

    def close(self) -> None:
        """Nothing is held open."""

    # ---- openings

    def begin(self) -> int:
        """Takes the prefix, and settles what is left of channels that ended right before their last worker did: nobody
        opens these any more.

        :raises SpecError: the prefix is another pipeline's.
        """
        prefix, tunnel = self._target.prefix, self._job.tunnel
        claim_prefix(self._store, prefix, self._job.pipeline)
        waiting = channels_at(self._store, prefix, "pending")
        if not waiting:
            return 0
        channels = self._job.client.send(describe_tunnel(tunnel.table, tunnel.name)).channels
        finished = {one.id for one in channels if one.status == ChannelStatus.TERMINATED}
        books = [ChannelBook(self._store, prefix, channel) for channel in finished.intersection(waiting)]
        return sum(len(book.settle_finished().published) for book in books)

    def open(self, at: Place, kept: Checkpoint) -> int:
        """Settles what the last owner left."""
        book = self._book(at)
        epoch, settled = book.open(at.client_id, lambda: self._job.client.send(get_checkpoint(at)))
        with self._lock:
            self._epochs[at] = epoch
        if settled.published or settled.removed:
            told = "Channel %s: of the last owner's objects %d count, %d were not confirmed and are removed."
            log.info(told, at.channel_id, len(settled.published), len(settled.removed))
        return len(settled.published)

    # ---- one object

    def write(self, at: Place, batches: Sequence[Batch]) -> Receipt:
        """One object, listed as pending before it is written."""
        self._aside = []
        records = self._fitting(batches)
        if not records.num_rows:
            return Receipt()
        data = self._encoded(records)
        book, entry = self._book(at), self._entry(at, batches, records, data)
        book.list_pending(entry)
        self._store.put(entry.key, data)
        return ObjectReceipt(entry.rows, 1, entry.size, book=book, entry=entry)

    def _book(self, at: Place) -> ChannelBook:
        return ChannelBook(self._store, self._target.prefix, at.channel_id)

    def _fitting(self, batches: Sequence[Batch]) -> pa.RecordBatch:
        records = self._rows.batch(batches)
        unfit = self._target.format.unfit(records)
        for one in unfit:
            key = tuple((name.name, records.column(name.name)[one.row].as_py()) for name in self._rows.keys)
            self._set_aside(show_key(key), one.reason)
        out = {one.row for one in unfit}
        return records.filter(pa.array([row not in out for row in range(records.num_rows)])) if out else records

    def _set_aside(self, key: str, reason: str) -> None:
        self._job.refused.add(key, reason)
        self._aside.append(DirtySample(key, reason))

    def _encoded(self, records: pa.RecordBatch) -> bytes:
        out = io.BytesIO()
        encoder = self._target.format.encoder(records.schema, out)
        encoder.write(records)
        encoder.close()
        return out.getvalue()

    def _entry(self, at: Place, batches: Sequence[Batch], records: pa.RecordBatch, data: bytes) -> Entry:
        last, target, pipeline = batches[-1], self._target, self._job.pipeline
        with self._lock:
            epoch = self._epochs[at]
        number = last.checkpoint_number
        times = [micros for micros in records.column("time").to_pylist() if micros is not None]
        place = (at.channel_id, number, epoch, at.client_id)
        return Entry(
            pipeline=pipeline,
            tunnel=at.tunnel_id,
            channel=at.channel_id,
            number=number,
            epoch=epoch,
            client=at.client_id,
            before=batches[0].before,
            token=last.token,
            key=object_key(target.prefix, pipeline, place, target.format.suffix),
            rows=records.num_rows,
            size=len(data),
            crc64=crc64_of(data),
            is_stream=last.is_stream,
            first_micros=min(times, default=0),
            last_micros=max(times, default=0),
            read_units=sum(batch.read_units for batch in batches),
            dirty=len(self._aside),
            samples=samples_of([self._aside]),
        )
