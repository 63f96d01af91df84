"""The life of a tunnel's channel, as seen by one client, and what a heartbeat's answer makes of it.

Pure: tellings and events in, new states and orders out. Heartbeats are in `session`, reading is in `run`. The service
decides who reads what; a client only finishes what it is told to close, and says so with a version of its own.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.wire.tunnel_channel import Channel, ChannelStatus


class State(enum.Enum):
    """Where a channel stands at this client."""

    WAITING = "given to this client, not read yet"
    READING = "read, batch after batch"
    PARKING = "its turn is over; what is in somebody's hands is waited for, then it waits for its next turn"
    CLOSING = "read no further; what is in somebody's hands is waited for"
    CLOSED = "given back, the service is told so"
    FINISHED = "read to its end and confirmed, the service is told so"
    GONE = "no longer this client's"


class Event(enum.Enum):
    """What happens to a channel."""

    STARTED = "there is room to read it"
    TURN_OVER = "others wait, and it was read for a while or has nothing to tell"
    CLOSE_ASKED = "the service wants it back, or this worker ends"
    DRAINED = "every batch in hands is done and confirmed"
    END_OF_DATA = "the end is done and confirmed"
    FAILED = "it cannot be read on"
    TAKEN = "the service has given it to somebody else, or ended it"


NEXT: Mapping[tuple[State, Event], State] = {
    (State.WAITING, Event.STARTED): State.READING,
    (State.WAITING, Event.CLOSE_ASKED): State.CLOSED,
    (State.WAITING, Event.TAKEN): State.GONE,
    (State.READING, Event.CLOSE_ASKED): State.CLOSING,
    (State.READING, Event.FAILED): State.CLOSING,
    (State.READING, Event.END_OF_DATA): State.FINISHED,
    (State.READING, Event.TAKEN): State.GONE,
    (State.READING, Event.TURN_OVER): State.PARKING,
    (State.PARKING, Event.DRAINED): State.WAITING,
    (State.PARKING, Event.CLOSE_ASKED): State.CLOSING,
    (State.PARKING, Event.FAILED): State.CLOSING,
    (State.PARKING, Event.END_OF_DATA): State.FINISHED,
    (State.PARKING, Event.TAKEN): State.GONE,
    (State.CLOSING, Event.CLOSE_ASKED): State.CLOSING,
    (State.CLOSING, Event.FAILED): State.CLOSING,
    (State.CLOSING, Event.DRAINED): State.CLOSED,
    (State.CLOSING, Event.END_OF_DATA): State.FINISHED,
    (State.CLOSING, Event.TAKEN): State.GONE,
    (State.CLOSED, Event.CLOSE_ASKED): State.CLOSED,
    (State.CLOSED, Event.TAKEN): State.GONE,
    (State.FINISHED, Event.CLOSE_ASKED): State.FINISHED,
    (State.FINISHED, Event.TAKEN): State.GONE,
}
"""Every step that a channel can take; the diagram in the docs is made from it."""


def after(state: State, event: Event) -> State:
    """The state that follows.

    :raises ProtocolError: the event cannot happen in this state.
    """
    try:
        return NEXT[state, event]
    except KeyError:
        raise ProtocolError(f"the channel is {state.name}; {event.name} cannot follow") from None


_SAID = {State.CLOSED: ChannelStatus.CLOSE, State.FINISHED: ChannelStatus.TERMINATED}


@dataclass(frozen=True, slots=True)
class Held:
    """A channel that this client holds: what the service said last, and how far the client is with it."""

    told: Channel
    state: State = State.WAITING

    @property
    def report(self) -> Channel:
        """What the next heartbeat says of it: what was told, or that it is over, which is one version newer."""
        status = _SAID.get(self.state)
        return self.told if status is None else Channel(self.told.id, self.told.version + 1, status)

    def after(self, event: Event) -> Held:
        """The same channel after an event."""
        return replace(self, state=after(self.state, event))


class Order(enum.Enum):
    """What the worker must do for a channel."""

    OPEN = "read it, from its checkpoint on"
    CLOSE = "read no further, and give it back when nothing is in hands any more"
    DROP = "forget it: nothing of it may be confirmed any more"


@dataclass(frozen=True, slots=True)
class Merged:
    """The channels that the client holds now, and what there is to do, in this order."""

    held: Mapping[str, Held]
    orders: tuple[tuple[Order, str], ...]


def merge(held: Mapping[str, Held], told: Iterable[Channel]) -> Merged:
    """What a heartbeat's answer makes of the channels of this client.

    The answer is authoritative: a channel that it does not name is lost. Of two tellings of one channel the newer
    version counts, of equal ones the service's. A channel that is opened anew begins a new life at its checkpoint, for
    somebody else may have read it meanwhile.
    """
    merged: dict[str, Held] = {}
    orders: list[tuple[Order, str]] = []
    for channel in told:
        before = held.get(channel.id)
        if channel.status in (ChannelStatus.CLOSE, ChannelStatus.TERMINATED):
            continue
        if before is None or channel.version >= before.report.version:
            merged[channel.id], wanted = _followed(before, channel)
            orders += ((order, channel.id) for order in wanted)
        else:
            merged[channel.id] = before
    lost = [(Order.DROP, id_) for id_ in held if id_ not in merged]
    return Merged(merged, (*lost, *orders))


def _followed(before: Held | None, channel: Channel) -> tuple[Held, tuple[Order, ...]]:
    is_closing = channel.status is ChannelStatus.CLOSING
    if before is None:
        held = Held(channel)
        return (held.after(Event.CLOSE_ASKED), ()) if is_closing else (held, (Order.OPEN,))
    if channel == before.told:
        return before, ()
    if is_closing:
        asked = replace(before, told=channel).after(Event.CLOSE_ASKED)
        return asked, (Order.CLOSE,)
    return Held(channel), (Order.DROP, Order.OPEN)
