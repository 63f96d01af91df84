"""Another table as a tunnel's sink: puts, updates and deletes of each key in their order, then the checkpoint.

Guarantees: a change is carried out, or it is a dirty record, or the drain ends with an error. A crash between write and
checkpoint lets the next owner carry out the same changes again from the checkpoint on, all of them and in the order of
each key; each of them says what a row, a column or a version is from then on, and none what it is by how much more
(increments are refused). So the table ends as it would have without the crash; meanwhile it may show a state that it
had before. Requests are sent only while the channel is this worker's.

What each change becomes is in `copy_changes`; how rows are sent, tried again and refused, in `sinks.tablestore`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from airflow_tablestore.consumer.table import show_key
from airflow_tablestore.consumer.tunnel.records import place_of
from airflow_tablestore.errors import Problem, ProtocolError, RecordError, Rejected, RetryLater, SpecError, Superseded
from airflow_tablestore.pipeline.restore.job import RowTarget
from airflow_tablestore.pipeline.sinks.tablestore import RowWriter, target_keys
from airflow_tablestore.pipeline.throttle import Throttle
from airflow_tablestore.pipeline.tunnel.copy_changes import CopyChanges
from airflow_tablestore.pipeline.tunnel.copy_target import TableCopy, Versions
from airflow_tablestore.pipeline.tunnel.sink import Job, Receipt
from airflow_tablestore.wire.call import Call
from airflow_tablestore.wire.row import type_of
from airflow_tablestore.wire.single_row import create_table
from airflow_tablestore.wire.table import KeyColumn, TableDescription, describe_table

if TYPE_CHECKING:
    from airflow_tablestore.client import Client
    from airflow_tablestore.consumer.tunnel import Batch
    from airflow_tablestore.wire.tunnel_channel import Checkpoint, Place

MOST_BYTES = 4 * 1024 * 1024
"""Of records that are gathered for one write: some requests, all of which must land before the checkpoint."""

DEVIATION_SECONDS = 100 * 365 * 86400
"""How far versions may be from now in a table that is made to keep them: rows may be of any age."""


class TunnelCopy:
    """A table, as `pipeline.tunnel.sink.TunnelSink` says."""

    def __init__(self, client: Client, target: TableCopy, job: Job):
        self._client, self._target, self._job = client, target, job
        self._stop = threading.Event()
        self._keys = tuple(KeyColumn(key.name, key.type) for key in job.table.keys)
        self._refuse_own_source()
        self._refuse_key_among_columns()
        self._sender = _Guarded(client, self._stop)
        throttle = Throttle(target.limits, target.workers, sleep=self._stop.wait)
        self._writer = RowWriter(
            self._sender,
            RowTarget(target.table, batch_rows=target.batch_rows),
            job.refused.add,
            in_flight=target.limits.threads,
            paced=throttle.took,
            stop=self._stop,
        )
        self._changes: CopyChanges | None = None

    @property
    def most_bytes(self) -> int:
        return MOST_BYTES

    # ---- at the beginning

    def begin(self) -> int:
        """Makes the table when it is missing and shall be, and looks whether it can take the changes."""
        target = RowTarget(self._target.table, creates=self._target.creates)
        if not target_keys(self._client, target, self._keys)[1]:
            self._make()
        found = self._client.send(describe_table(self._target.table))
        self._refuse_lost_versions(found)
        self._changes = CopyChanges(self._target.columns, self._target.versions, found.ttl_seconds)
        return 0

    def _make(self) -> None:
        source, keeps = self._job.table, self._target.versions is Versions.KEEP
        made = create_table(
            self._target.table,
            self._keys,
            source.ttl_seconds,
            max_versions=source.max_versions if keeps else 1,
            deviation_seconds=DEVIATION_SECONDS if keeps else None,
        )
        try:
            self._client.send(made)
        except Rejected as error:
            if error.code != "OTSObjectAlreadyExist":
                raise
            target_keys(self._client, RowTarget(self._target.table), self._keys)

    def _refuse_own_source(self) -> None:
        ours, theirs = self._client.endpoint, self._job.client.endpoint
        if (ours.url, ours.instance, self._target.table) == (theirs.url, theirs.instance, self._job.table.name):
            told = f"table '{self._target.table}' is the one that the tunnel tells of: it would be told its own changes"
            raise SpecError([Problem(told, "name another table, or another instance", "sink.table")])

    def _refuse_key_among_columns(self) -> None:
        keys = {key.name for key in self._keys}
        for name, to in (self._target.columns or {}).items():
            if name in keys or to in keys:
                told = f"'{name if name in keys else to}' is a column of the key, which is always copied as it is"
                raise SpecError([Problem(told, "list attributes alone", "sink.columns")])

    def _refuse_lost_versions(self, found: TableDescription) -> None:
        source, versions = self._job.table, self._target.versions
        if versions is Versions.NEW and found.max_versions != 1:
            told = f"table '{found.name}' keeps {found.max_versions} versions, and repeated changes would fill them"
            raise SpecError([Problem(told, "write versions: keep, or a table of one version", "sink.versions")])
        needed = source.stream.expiration_hours * 3600 if source.stream else 0
        if versions is Versions.KEEP and found.deviation_seconds < needed:
            told = (
                f"table '{found.name}' takes versions that are at most {found.deviation_seconds} s from now, and the "
                f"changes may be {needed} s old"
            )
            hint = "raise its max version offset (deviation_cell_version_in_sec), or write versions: new"
            raise SpecError([Problem(told, hint, "sink.versions")])
        if versions is Versions.KEEP and found.max_versions < source.max_versions:
            told = f"table '{found.name}' keeps {found.max_versions} versions, the source {source.max_versions}"
            raise SpecError([Problem(told, f"raise its max versions to {source.max_versions}", "sink.versions")])

    # ---- changes

    def open(self, at: Place, kept: Checkpoint) -> int:
        """Nothing is left open by the last owner: its changes are carried out again."""
        return 0

    def write(self, at: Place, batches: Sequence[Batch]) -> Receipt:
        """Carries the changes out, and returns when all of them are.

        :raises Superseded: the channel is another worker's; it carries them out again.
        """
        self._sender.may_send = lambda: all(batch.is_current for batch in batches)
        before, writer = (self._writer.written, self._writer.requests), self._writer
        try:
            for batch in batches:
                self._take(batch)
            writer.flush()
        except RetryLater as error:
            writer.discard()
            if not self._sender.may_send():
                raise Superseded(f"The channel {at.channel_id} is another worker's now.") from error
            raise
        except BaseException:
            writer.discard()
            raise
        size = sum(batch.size for batch in batches)
        return Receipt(writer.written - before[0], writer.requests - before[1], size)

    def _take(self, batch: Batch) -> None:
        changes = self._changes
        if changes is None:
            raise ProtocolError("a sink must begin before it writes")
        now = self._client.service_time()
        millis = None if now is None else int(now.timestamp() * 1000)
        for number, record in enumerate(batch.records):
            try:
                row = record.decoded()
            except ProtocolError as error:
                self._job.refused.add(place_of(batch, number), f"it cannot be read: {error}")
                continue
            try:
                self._refuse_other_key(row.key)
                write = changes.write(record.action, row, millis)
            except RecordError as error:
                self._job.refused.add(show_key(row.key), str(error))
                continue
            if write is not None:
                self._writer.send(row.key, write)

    def _refuse_other_key(self, key: Iterable[tuple[str, Any]]) -> None:
        found = [(name, type_of(value)) for name, value in key if isinstance(value, int | str | bytes)]
        if found != [(one.name, one.type) for one in self._keys]:
            raise RecordError("its key is not that of the table")

    def close(self) -> None:
        """What is on its way lands; nothing more is sent."""
        self._writer.abort()


class _Guarded:
    """Sends while it may, also between the attempts of one call."""

    def __init__(self, client: Client, stop: threading.Event):
        self._client, self._stop = client.pausing(self._wait), stop
        self.may_send: Callable[[], bool] = lambda: True

    def send(self, call: Call[Any]) -> Any:
        """:raises Superseded: it may not."""
        if not self.may_send():
            raise Superseded("The channel is another worker's now; it carries out these changes again.")
        return self._client.send(call)

    def _wait(self, seconds: float) -> bool:
        return self._stop.wait(seconds) or not self.may_send()
