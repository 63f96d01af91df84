"""Where a window begins and ends in the stream, and whether all of it is still there.

What the ledger knows is used as it is. What it does not know is taken from the manifests that stand, since a ledger can
be lost, or else searched; whoever writes it down first decides for everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from airflow_tablestore.consumer.shards import StreamShape, families
from airflow_tablestore.consumer.stream import BEGIN, END, SEEK_MICROS, Place, Position, Search, StreamSender, begin_of
from airflow_tablestore.pipeline.boundaries import Boundary, micros_of, moment_of
from airflow_tablestore.pipeline.incremental.ledger import Ledger, Neighbours, NeighboursChanged
from airflow_tablestore.pipeline.incremental.plan import ShardPart, ShardTask
from airflow_tablestore.pipeline.incremental.takeover import Takeover
from airflow_tablestore.pipeline.window import Window
from airflow_tablestore.wire.stream import Shard

RETENTION_MARGIN = timedelta(minutes=10)
"""Searching takes a moment, and the service removes records all the time. Source: OTSStreamReader keeps as much off."""


class Lost(Exception):
    """Records of the window are gone, or may be; the text is the reason. It never leaves the pipeline."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is known of a window before it is read. Without `end`, `beside` and `later` say where to look for it.

    `takeover`: what DataX has left at its beginning, when this is the first window of the stream.
    """

    begin: Boundary
    end: Boundary | None = None
    beside: Neighbours | None = None
    later: Boundary | None = None
    takeover: Takeover | None = None


@dataclass(frozen=True, slots=True)
class Scout:
    """Finds the bounds of windows of one stream.

    :param now: by the service's clock.
    :param takeover: what DataX has left at a time, asked only when nothing else knows it.
    :param manifests: the boundaries that manifests tell, asked only for what the ledger does not know.
    """

    client: StreamSender
    table: str
    shape: StreamShape
    ledger: Ledger
    now: datetime
    manifests: Callable[[], Iterable[Boundary]]
    threads: int = 1
    takeover: Callable[[datetime], Takeover | None] = lambda start: None

    def bounds(self, window: Window, before: str | None) -> Bounds:
        """:param before: the stream that the window before was published from, if it was.

        :raises Lost: the stream does not keep all of the window.
        """
        start, end = micros_of(window.start), micros_of(window.end)
        begin, takeover = self._known(start), None
        if begin is None:
            takeover = self.takeover(window.start)
            told = takeover.boundary if takeover else None
            begin = self._put(lambda beside, earlier, later: told, start) if told else None
        self._refuse_lost(window, begin is not None, before)
        begin = begin or self._found(start)
        fixed = self._known(end)
        if fixed is not None:
            return Bounds(begin, fixed, takeover=takeover)
        beside, _, later = self.ledger.neighbours(self.shape.id, end)
        return Bounds(begin, None, beside, later, takeover)

    def _known(self, micros: int) -> Boundary | None:
        newest = self.ledger.newest(self.shape.id)
        known = self.ledger.boundary(self.shape.id, micros, newest)
        if known is not None:
            return known
        wanted = (self.shape.id, micros)
        told = next((one for one in self.manifests() if (one.stream_id, one.micros) == wanted), None)
        return self._put(lambda beside, earlier, later: told, micros) if told else None

    def _found(self, micros: int) -> Boundary:
        return self._put(lambda beside, earlier, later: self._search(micros, earlier, later), micros)

    def _put(self, find: Callable[[Neighbours, Boundary | None, Boundary | None], Boundary], micros: int) -> Boundary:
        while True:
            beside, earlier, later = self.ledger.neighbours(self.shape.id, micros)
            try:
                return self.ledger.put_boundary(find(beside, earlier, later), beside)
            except NeighboursChanged:
                continue

    def _search(self, micros: int, earlier: Boundary | None, later: Boundary | None) -> Boundary:
        near = earlier is not None and micros - earlier.micros <= SEEK_MICROS
        search = Search(
            self.client,
            self.table,
            self.shape,
            micros,
            earlier.positions if earlier and near else None,
            later.positions if later else None,
        )
        return Boundary(self.shape.id, micros, search.positions(self.threads))

    def _refuse_lost(self, window: Window, is_known: bool, before: str | None) -> None:
        kept_since = self.now - timedelta(hours=self.shape.expiration_hours)
        oldest = kept_since if is_known else kept_since + RETENTION_MARGIN
        if window.start < oldest:
            raise Lost(
                f"it starts at {_told(window.start)}, and the stream keeps {self.shape.expiration_hours} hours: "
                f"all that is surely there is from {_told(oldest)} on"
            )
        if is_known:
            return
        created = moment_of(self.shape.created_micros)
        if window.start < created:
            raise Lost(f"the stream was created at {_told(created)}; what was written before is in no stream")
        if before not in (None, self.shape.id):
            raise Lost("the table's stream was switched off and on again since the window before was exported")


def shard_tasks(client: StreamSender, shape: StreamShape, bounds: Bounds) -> list[ShardTask]:
    """What is to be read of every shard, parents first; shards without a share are left out.

    :raises Lost: a shard that was not read to its end is gone.
    """
    listed = {shard.id for shard in shape.shards}
    for id_, position in bounds.begin.positions.items():
        if not position.is_end and id_ not in listed and _stop(bounds, id_, position) not in (position, BEGIN):
            raise Lost(f"the stream does not list shard {id_} any more, which was not read to its end")
    tasks: list[ShardTask] = []
    for shard in shape.shards:
        start = bounds.begin.at(shard.id)
        stop = _stop(bounds, shard.id, start)
        if start.is_end or (stop is not None and stop.place is Place.BEGIN):
            continue
        if not start.iterator:
            start = begin_of(client, shape.id, shard.id)
        tasks.append(ShardTask(shard.id, len(tasks), start, stop, _parents(bounds, shard, listed)))
    return tasks


def _stop(bounds: Bounds, shard: str, start: Position) -> Position | None:
    """Where reading must stop at the latest. A shard that a later boundary does not hold was born after that, or was
    read to its end before it and then forgotten."""
    limit = bounds.end or bounds.later
    if limit is None:
        return None
    return limit.positions.get(shard, BEGIN if start.place is Place.BEGIN else END)


def _parents(bounds: Bounds, shard: Shard, listed: set[str]) -> tuple[str, ...]:
    """Those to wait for. With a known end nobody waits: it says how far each shard is read."""
    if bounds.end is not None:
        return ()
    return tuple(parent for parent in shard.parents if parent in listed and not bounds.begin.at(parent).is_end)


def divided(tasks: list[ShardTask], most_parts: int) -> tuple[ShardPart, ...]:
    """The tasks in at most so many parts of about equally many shards; families stay together."""
    by_id = {task.shard: task for task in tasks}
    groups = families([Shard(task.shard, task.parents) for task in tasks], ())
    count = max(1, min(most_parts, len(groups)))
    bins: list[list[str]] = [[] for _ in range(count)]
    for group in sorted(groups, key=len, reverse=True):
        min(bins, key=len).extend(shard.id for shard in group)
    parts = []
    for number, ids in enumerate(ids for ids in bins if ids):
        shards = sorted((by_id[id_] for id_ in ids), key=lambda task: task.number)
        label = shards[0].shard[:12] + (f" and {len(shards) - 1} more" if len(shards) > 1 else "")
        parts.append(ShardPart(number, label, tuple(shards)))
    return tuple(parts)


def _told(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
