"""Whether a tunnel has something that nobody has read yet, and when that is worth a run.

The service tells how far each channel is, never what lies behind. So a look asks for that, and then takes a peek at the
table's stream from there on: it takes no channel from a worker and confirms nothing. A peek is by time, so a change
that became visible after later ones were read may be missed until the next one comes, or until `Pace` looks by itself.
"""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime

from airflow_tablestore.consumer.shards import describe
from airflow_tablestore.consumer.table import Sender
from airflow_tablestore.errors import PositionLost, Rejected
from airflow_tablestore.pipeline.tunnel.tunnels import Asking, Looked, look
from airflow_tablestore.wire.stream import get_shard_iterator, get_stream_records
from airflow_tablestore.wire.tunnel import INITIALISING, WAIT, ChannelState, StartFlag, TunnelType, list_tunnels
from airflow_tablestore.wire.tunnel_channel import ChannelStatus

PEEK_RECORDS = 100
"""Asked for at once. A place that is found by time may lie before it."""

HELD = frozenset({ChannelStatus.OPEN, ChannelStatus.CLOSING})
DENIED = frozenset({"OTSNoPermissionAccess", "OTSAuthFailed", "OTSPermissionDenied"})
NANOS_OF_MICRO = 1000

AGAIN_SECONDS = 600.0
"""A run that was asked for and has not moved the tunnel is asked for again after so long."""

LOOK_SECONDS = 3600.0
"""So often a run looks for itself where nothing tells that there is something."""


class Found(enum.StrEnum):
    """What a look at a tunnel has found."""

    CHANGES = "changes that nobody has read"
    ROWS = "rows that nobody has read"
    NEVER_READ = "a channel that nobody has read"
    ABSENT = "no tunnel yet"
    UNKNOWN = "not known"
    BROKEN = "a run would fail"
    NOTHING = "nothing new"


@dataclass(frozen=True, slots=True)
class Unread:
    """What was found. `reached` changes when the tunnel's readers get on; `is_held`: somebody is reading now.

    `since`: the time of the first change that nobody has read; `count` of them were seen, more may follow if `is_more`.
    """

    found: Found
    told: str
    reached: str = ""
    is_held: bool = False
    since: datetime | None = None
    count: int = 0
    is_more: bool = False

    @property
    def is_there(self) -> bool:
        """Whether a run would find something to read, or to make."""
        return self.found in (Found.CHANGES, Found.ROWS, Found.NEVER_READ, Found.ABSENT)


def look_for_unread(client: Asking, table: str, tunnel: str, *, creates: bool = False, most: int = 1) -> Unread:
    """Looks once. Nothing is changed.

    :param creates: a run makes the tunnel when it is absent.
    :param most: so many changes are counted; with 1 the look ends at the first.
    :raises RetryLater: the service does not answer now.
    """
    if not any(one.name == tunnel for one in client.send(list_tunnels(table))):
        if creates:
            return Unread(Found.ABSENT, f"Table {table} has no tunnel {tunnel} yet; a run makes it.", "absent")
        return Unread(Found.BROKEN, f"Table {table} has no tunnel {tunnel}, and a run may not make it.", "absent")
    return unread_of(client, look(client, table, tunnel), most=most)


def unread_of(client: Sender, looked: Looked, *, most: int = 1) -> Unread:
    """The same, of a tunnel that was looked at."""
    tunnel, channels = looked.tunnel, looked.description.channels
    name = f"Tunnel {tunnel.name} of table {tunnel.table}"
    reached = _reached(channels)
    is_held = any(one.client_id and one.status in HELD for one in channels)
    if tunnel.is_expired:
        return Unread(Found.BROKEN, f"{name} is expired: nobody can read it any more.", "expired", is_held)
    left = [one for one in channels if one.status != ChannelStatus.TERMINATED]
    if any(one.type == TunnelType.BASE for one in left) or (tunnel.stage == INITIALISING and _has_rows(tunnel.type)):
        return Unread(Found.ROWS, f"{name} has rows that nobody has read.", reached, is_held)
    if channels and not left:
        return Unread(Found.NOTHING, f"{name} is read to its end.", reached, is_held)
    fresh = [one for one in left if not one.consumed_nanos and one.status != WAIT]
    if fresh and len(fresh) < len(channels):
        return Unread(Found.NEVER_READ, f"{name} has {len(fresh)} channel(s) that nobody has read.", reached, is_held)
    try:
        peek = _peeked(client, looked, left, most)
    except PositionLost as error:
        return Unread(Found.NEVER_READ, f"{name} was last read before what its stream keeps: {error}", reached, is_held)
    except Rejected as error:
        if error.code not in DENIED:
            raise
        return Unread(Found.UNKNOWN, f"{name}: the stream may not be read, so nobody knows: {error}", "", is_held)
    if not peek.count:
        return Unread(Found.NOTHING, f"{name} has nothing new.", reached, is_held)
    since = datetime.fromtimestamp(peek.first_micros / 1_000_000, UTC)
    told = f"{name} has changes since {since.isoformat()} that nobody has read."
    return Unread(Found.CHANGES, told, reached, is_held, since, peek.count, peek.is_more)


def _has_rows(type_: str) -> bool:
    return type_ in (TunnelType.BASE, TunnelType.BASE_AND_STREAM)


def _reached(channels: tuple[ChannelState, ...]) -> str:
    """The same as long as no reader gets on; short, for it is kept. A channel that is only new changes nothing."""
    told = [(one.id, one.consumed_nanos, one.records, one.status == ChannelStatus.TERMINATED) for one in channels]
    told = sorted(one for one in told if any(one[1:]))
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


# ---- a peek


@dataclass(slots=True)
class _Peek:
    count: int = 0
    first_micros: int = 0
    is_more: bool = False

    def note(self, micros: int) -> None:
        self.first_micros = min(self.first_micros or micros, micros)
        self.count += 1


def _peeked(client: Sender, looked: Looked, left: list[ChannelState], most: int) -> _Peek:
    """The changes behind the channel that is furthest behind, in every shard of the stream."""
    tunnel, peek = looked.tunnel, _Peek()
    if not tunnel.stream_id:
        return peek
    after = _read_until_micros(looked, left)
    end = tunnel.stream.end_nanos // NANOS_OF_MICRO if tunnel.stream and tunnel.stream.end_nanos else None
    for shard in describe(client, tunnel.stream_id).shards:
        if peek.count >= most:
            peek.is_more = True
            break
        _peek_shard(client, looked, shard.id, (after, end), (peek, most))
    return peek


def _peek_shard(
    client: Sender, looked: Looked, shard: str, span: tuple[int, int | None], taken: tuple[_Peek, int]
) -> None:
    (after, end), (peek, most) = span, taken
    iterator: str | None = _place(client, looked.tunnel.stream_id, shard, after)
    while iterator is not None:
        limit = min(1000, max(PEEK_RECORDS, most - peek.count))
        page = client.send(get_stream_records(iterator, limit, looked.tunnel.table))
        for record in page.records:
            micros = record.sequence.timestamp
            if micros <= after or (end is not None and micros >= end):
                continue
            if peek.count >= most:
                peek.is_more = True
                return
            peek.note(micros)
        has_more = bool(page.records) if page.may_more is None else page.may_more
        iterator = page.next_iterator if has_more and page.next_iterator != iterator else None


def _place(client: Sender, stream_id: str, shard: str, after: int) -> str:
    asked = after + 1 if after else None
    answer = client.send(get_shard_iterator(stream_id, shard, asked))
    while answer.next_token is not None:
        answer = client.send(get_shard_iterator(stream_id, shard, asked, answer.next_token))
    return answer.iterator


def _read_until_micros(looked: Looked, left: list[ChannelState]) -> int:
    """The newest record time up to which everything was read; 0: from the oldest that is kept."""
    read = [one.consumed_nanos for one in left if one.status != WAIT]
    if read and all(read):
        return min(read) // NANOS_OF_MICRO
    range_ = looked.tunnel.stream
    if range_ is not None and range_.start_nanos:
        return range_.start_nanos // NANOS_OF_MICRO - 1
    if range_ is not None and range_.flag is StartFlag.EARLIEST:
        return 0
    return looked.tunnel.created_nanos // NANOS_OF_MICRO


# ---- when it is worth a run


@dataclass(slots=True)
class Pace:
    """Decides which looks ask for a run, so that data that is being read, or was told of, asks for no second one.

    Times are seconds of any clock that only goes on.
    :param began: when the looking began: a new triggerer does not ask for a look of its own at once.
    """

    began: float
    again_seconds: float = AGAIN_SECONDS
    look_seconds: float = LOOK_SECONDS
    _last: str | None = field(default=None, init=False)
    _asked: float | None = field(default=None, init=False)

    def asks(self, unread: Unread, now: float) -> bool:
        """Whether a run is to be asked for now; it is then taken for asked for."""
        if unread.is_held:
            return False
        waited = now - (self.began if self._asked is None else self._asked)
        is_new = self._asked is None or unread.reached != self._last
        if unread.found is Found.NOTHING:
            asks = waited >= self.look_seconds
        elif unread.found is Found.UNKNOWN:
            asks = self._asked is None or waited >= self.again_seconds
        elif unread.found in (Found.NEVER_READ, Found.BROKEN):
            asks = is_new or waited >= self.look_seconds
        else:
            asks = is_new or waited >= self.again_seconds
        if asks:
            self._last, self._asked = unread.reached, now
        return asks
