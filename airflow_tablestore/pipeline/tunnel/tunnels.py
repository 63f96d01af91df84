"""Tunnels as people and operators handle them: made when they are absent, found by name, looked at with their lag.

How a tunnel is read is in `consumer.tunnel`. A tunnel that stands is never changed: one that is not as it is wanted is
an error, for it may be somebody's, and what it has told cannot be told again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

from airflow_tablestore.errors import Problem, Rejected, SpecError
from airflow_tablestore.wire.call import Call
from airflow_tablestore.wire.tunnel import (
    ChannelState,
    Rpo,
    StartFlag,
    StreamRange,
    Tunnel,
    TunnelDescription,
    TunnelType,
    create_tunnel,
    delete_tunnel,
    describe_tunnel,
    get_rpo,
    list_tunnels,
)

T = TypeVar("T")

EXISTS = "OTSTunnelExist"
NANOS = 1_000_000_000


class Asking(Protocol):
    """Who sends calls, and knows the service's clock: `Client`."""

    def send(self, call: Call[T]) -> T:
        """The answer."""

    def service_time(self) -> datetime | None:
        """The service's clock now (UTC); None before the first answer."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A tunnel as it shall be.

    :param start: from when on the change log is carried; None leaves it to `flag`, which is LATEST when absent.
    :param end: the tunnel is over there.
    """

    table: str
    name: str
    type: TunnelType = TunnelType.STREAM
    start: datetime | None = None
    end: datetime | None = None
    flag: StartFlag | None = None

    def __post_init__(self) -> None:
        problems = []
        if self.type is TunnelType.BASE and (self.start or self.end or self.flag):
            problems.append(Problem("a BaseData tunnel has no part of the change log", "leave out start and end"))
        if self.start and self.flag:
            problems.append(Problem("start is a time or a word, not both"))
        if self.start and self.end and self.end <= self.start:
            problems.append(Problem("end is not after start", "a tunnel carries what lies between them"))
        if problems:
            raise SpecError(problems)

    @property
    def range(self) -> StreamRange | None:
        """The part of the change log, as the service takes it."""
        if not (self.start or self.end or self.flag):
            return None
        return StreamRange(self.flag, _nanos(self.start), _nanos(self.end))


@dataclass(frozen=True, slots=True)
class Ensured:
    """A tunnel that is as it is wanted. `was_there`: it was not made just now."""

    tunnel: Tunnel
    was_there: bool


def ensure_tunnel(client: Asking, wanted: Wanted) -> Ensured:
    """Makes the tunnel, unless it stands.

    :raises SpecError: one of this name stands that is not as it is wanted, or nobody can read any more.
    """
    standing = _named(client, wanted.table, wanted.name)
    was_there = standing is not None
    if standing is None:
        try:
            client.send(create_tunnel(wanted.table, wanted.name, wanted.type, wanted.range))
        except Rejected as error:
            if error.code != EXISTS:
                raise
            was_there = True
        standing = find_tunnel(client, wanted.table, wanted.name)
    refuse_drift(standing, wanted)
    return Ensured(standing, was_there)


def find_tunnel(client: Asking, table: str, name: str) -> Tunnel:
    """The tunnel of this name.

    :raises SpecError: there is none; names those that there are.
    """
    found = client.send(list_tunnels(table))
    for tunnel in found:
        if tunnel.name == name:
            return tunnel
    there = ", ".join(sorted(tunnel.name for tunnel in found)) or "none"
    hint = f"there are: {there}. Create it: airflow-tablestore tunnel create {table} {name}"
    raise SpecError([Problem(f"table {table} has no tunnel {name}", hint)])


def remove_tunnel(client: Asking, table: str, name: str) -> bool:
    """Deletes the tunnel and how far it was; False when there was none."""
    if _named(client, table, name) is None:
        return False
    client.send(delete_tunnel(table, name))
    return True


def _named(client: Asking, table: str, name: str) -> Tunnel | None:
    return next((tunnel for tunnel in client.send(list_tunnels(table)) if tunnel.name == name), None)


def refuse_drift(standing: Tunnel, wanted: Wanted) -> None:
    """:raises SpecError: the tunnel that stands is not as it is wanted, or nobody can read it any more."""
    problems = [
        Problem(
            f"tunnel {standing.name} of table {standing.table} has {what} {found}, not {asked}",
            "give the new one another name, or delete this one first; how far it was read is then gone",
        )
        for what, found, asked in _differences(standing, wanted)
    ]
    if standing.is_expired:
        told = f"tunnel {standing.name} of table {standing.table} is expired: nobody can read it any more"
        problems.append(Problem(told, "delete it and create it again; what it had not told yet is not in the new one"))
    if problems:
        raise SpecError(problems)


def _differences(standing: Tunnel, wanted: Wanted) -> Iterator[tuple[str, str, str]]:
    if standing.type != wanted.type:
        yield "type", standing.type, wanted.type
        return
    if wanted.type is TunnelType.BASE:
        return
    found, asked = standing.stream or StreamRange(), wanted.range or StreamRange()
    if (before := _start_text(found)) != (now := _start_text(asked)):
        yield "start", before, now
    if (found.end_nanos or 0) != (asked.end_nanos or 0):
        yield "end", time_of(found.end_nanos), time_of(asked.end_nanos)


def _start_text(stream: StreamRange) -> str:
    return time_of(stream.start_nanos) if stream.start_nanos else str(stream.flag or StartFlag.LATEST).lower()


def _nanos(moment: datetime | None) -> int | None:
    if moment is None:
        return None
    return round(moment.timestamp() * 1_000_000) * 1000


def time_of(nanos: int | None) -> str:
    """Nanoseconds since 1970 in ISO form (UTC); "none" for none."""
    return datetime.fromtimestamp(nanos / NANOS, UTC).isoformat() if nanos else "none"


# ---- how far


@dataclass(frozen=True, slots=True)
class Looked:
    """A tunnel as it was found at a moment of the service's clock, with what each reader says of itself."""

    description: TunnelDescription
    rpo: Rpo
    now: datetime

    @property
    def tunnel(self) -> Tunnel:
        return self.description.tunnel

    def lag_seconds(self, channel: ChannelState) -> float | None:
        """How far a channel of the change log is behind now; None: nothing is consumed, it is over, or it has rows."""
        if not channel.consumed_nanos or channel.status == "TERMINATED":
            return None
        return max(0.0, self.now.timestamp() - channel.consumed_nanos / NANOS)

    @property
    def behind_seconds(self) -> float | None:
        """How far the whole tunnel is behind; None when that is not known.

        What is read and not confirmed yet counts as behind. 0: it is over.
        """
        left = [one for one in self.description.channels if one.status != "TERMINATED"]
        if not left:
            return 0.0 if self.description.channels and self.tunnel.is_bounded else None
        lags = [self.lag_seconds(one) for one in left]
        return None if None in lags else max(lag for lag in lags if lag is not None)

    def to_json(self) -> dict[str, Any]:
        """Everything, for programs and XCom."""
        return tunnel_json(self.tunnel) | {
            "service_time": self.now.isoformat(),
            "consumed": time_of(self.description.consumed_nanos),
            "behind_seconds": self.behind_seconds,
            "channels": [
                {
                    "id": one.id,
                    "type": one.type,
                    "status": one.status,
                    "client": one.client_id,
                    "records": one.records,
                    "consumed": time_of(one.consumed_nanos),
                    "lag_seconds": self.lag_seconds(one),
                }
                for one in self.description.channels
            ],
            "rpo": {
                kind: {"records": reach.records, "consumed": time_of(reach.consumed_nanos)}
                for kind, reach in self.rpo.types.items()
            },
        }

    def table(self) -> list[tuple[str, ...]]:
        """The channels as rows for people, with a head."""
        rows: list[tuple[str, ...]] = [("channel", "type", "status", "owner", "records", "consumed until", "lag")]
        for one in self.description.channels:
            lag = self.lag_seconds(one)
            told = "-" if lag is None else f"{lag:.1f} s"
            consumed = time_of(one.consumed_nanos) if one.consumed_nanos else "-"
            rows.append((one.id, one.type, one.status, one.client_id or "-", f"{one.records:,}", consumed, told))
        return rows


def forgotten(description: TunnelDescription, kept: timedelta, now: datetime) -> str:
    """What nobody can read any more, in a sentence; "" when everything is kept that was not read.

    The service says nothing of it: a worker that comes too late begins at the oldest change that is kept.
    :param kept: how long the table's stream keeps changes.
    Source: Tunnel Service documentation, "data that is not consumed within the retention".
    """
    tunnel = description.tunnel
    oldest = round((now - kept).timestamp() * NANOS)
    if tunnel.type == TunnelType.BASE or (tunnel.stream and 0 < (tunnel.stream.end_nanos or 0) <= oldest):
        return ""
    stream = tunnel.stream or StreamRange()
    begin = stream.start_nanos or tunnel.created_nanos or 0
    open_ = [one for one in description.channels if one.type == "Stream" and one.status not in ("TERMINATED", "WAIT")]
    reached = min((max(one.consumed_nanos, begin) for one in open_), default=begin)
    if not 0 < reached < oldest:
        return ""
    return (
        f"Tunnel {tunnel.name} of table {tunnel.table} was read up to {time_of(reached)}, and the stream keeps changes "
        f"since {time_of(oldest)} only: what was written between the two is lost for this tunnel, if anything was."
    )


def look(client: Asking, table: str, name: str) -> Looked:
    """The tunnel with its channels, their owners and how far they are.

    :raises SpecError: there is none of this name.
    """
    tunnel = find_tunnel(client, table, name)
    description = client.send(describe_tunnel(table, name))
    rpo = client.send(get_rpo(tunnel.id))
    return Looked(description, rpo, client.service_time() or datetime.now(UTC))


def tunnel_json(tunnel: Tunnel) -> dict[str, Any]:
    """A tunnel for programs."""
    stream = tunnel.stream
    return {
        "table": tunnel.table,
        "name": tunnel.name,
        "id": tunnel.id,
        "type": tunnel.type,
        "stage": tunnel.stage,
        "is_expired": tunnel.is_expired,
        "start": _start_text(stream) if stream else None,
        "end": time_of(stream.end_nanos) if stream and stream.end_nanos else None,
        "created": time_of(tunnel.created_nanos) if tunnel.created_nanos else None,
    }
