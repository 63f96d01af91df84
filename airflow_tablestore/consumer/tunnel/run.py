"""One channel, read from its checkpoint on until it ends, is asked back, or cannot be read: one thread.

Batches go to the outbox in their order. Only what is done is confirmed, by whoever calls `confirm`; the end of a
channel is confirmed here, after its last batch is done. Whatever happens, the thread does not end before everything
that was taken from this channel is done or given up, so that a new life of the channel never overtakes the old one.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from airflow_tablestore.consumer.tunnel.batch import Batch
from airflow_tablestore.consumer.tunnel.channel import Event
from airflow_tablestore.consumer.tunnel.checkpoint import Checkpoints, Send
from airflow_tablestore.consumer.tunnel.ledger import Ledger
from airflow_tablestore.consumer.tunnel.meter import Meter
from airflow_tablestore.consumer.tunnel.outbox import Outbox
from airflow_tablestore.consumer.tunnel.pause import Pauses, is_full
from airflow_tablestore.errors import ProtocolError, Superseded, TablestoreError
from airflow_tablestore.wire.plainbuffer import decode_sequence
from airflow_tablestore.wire.tunnel_channel import Checkpoint, Place, RecordPage, read_records
from airflow_tablestore.wire.tunnel_token import FINISHED, check_token, read_token

_log = logging.getLogger(__name__)

OnOpen = Callable[[Place, Checkpoint], None]
"""Hears of each channel before it is read, with its checkpoint: what was written behind that is not confirmed."""


@dataclass(frozen=True, slots=True)
class Wiring:
    """What the channels of one session share.

    :param reading: how to send calls that are not worth waiting for to the end: given how to wait between attempts,
        which returns True to give up.
    :param send: sends a call that must be done also at the end.
    :param is_alive: whether the service still takes this client for alive.
    :param goal_micros: a channel that has told a record of this time is caught up.
    :param meter: counts what is read.
    :param confirms_itself: False leaves checkpoints to `Batch.commit` while anything is in hands.
    """

    reading: Callable[[Callable[[float], bool]], Send]
    send: Send
    outbox: Outbox
    is_alive: Callable[[], bool]
    chance: Callable[[], float]
    pause_seconds: float
    on_open: OnOpen
    goal_micros: int
    confirms_itself: bool
    meter: Meter


class Run:
    """One life of one channel at this client.

    :param tell: hears what happens to the channel, with the error when it failed; called from the thread.
    """

    def __init__(self, wiring: Wiring, at: Place, tell: Callable[[Run, Event, BaseException | None], None]):
        self._wiring, self.at, self._tell = wiring, at, tell
        self._checkpoints = Checkpoints(wiring.send, at, may_write=lambda: self._is_mine and wiring.is_alive())
        self._changed = threading.Condition()
        # Held while an own checkpoint is chosen and written, and while a batch is added.
        self._confirming = threading.Lock()
        self._ledger = Ledger()
        self._is_closing = False
        self._gave_up = False  # something was taken that nobody will say is done: the end must not be confirmed
        self._is_mine = True
        self._is_caught_up = False
        self._has_read = False
        self._is_idle = False
        self._thread = threading.Thread(target=self._live, name=f"tunnel {at.channel_id}", daemon=True)

    # ---- the session's side

    def start(self) -> None:
        """Begins to read."""
        self._thread.start()

    def close(self, *, gives_up: bool = False) -> None:
        """Reads no further. What is in hands is waited for, or given up, when nobody will say that it is done."""
        with self._changed:
            self._is_closing = True
            if gives_up:
                self._gave_up = self._gave_up or not self._ledger.is_clear
                self._ledger.give_up()
            self._changed.notify_all()
        self._wiring.outbox.wake()

    def drop(self) -> None:
        """The channel is not this client's any more: nothing of it is confirmed from now on."""
        self._is_mine = False
        self.close()

    @property
    def has_ended(self) -> bool:
        """Whether nothing of this life is left."""
        return not self._thread.is_alive()

    def join(self, seconds: float) -> None:
        """Waits for the end of the thread."""
        self._thread.join(seconds)

    @property
    def is_caught_up(self) -> bool:
        """Whether everything that was there is read and done."""
        with self._changed:
            return self._is_caught_up and self._ledger.is_clear

    @property
    def has_progressed(self) -> bool:
        """Whether it ever was read."""
        return self._has_read

    @property
    def is_idle(self) -> bool:
        """Whether there was nothing to read, last time."""
        return self._is_idle

    def confirm(self) -> None:
        """Confirms what is done and not confirmed yet.

        :raises TablestoreError: it could not be confirmed; Superseded when the channel is somebody else's.
        """
        with self._confirming:
            with self._changed:
                reached = self._ledger.reached
                may_write = self._wiring.confirms_itself or self._ledger.is_clear
            if reached is not None and may_write and self._is_mine:
                self._checkpoints.write(reached)

    # ---- the takers' side

    def done(self, batch: Batch) -> bool:
        """Notes that a batch is done; False when the channel is somebody else's now."""
        with self._changed:
            self._ledger.done(batch)
            self._changed.notify_all()
        self._wiring.outbox.release(batch)
        return self._is_mine and self._wiring.is_alive()

    def commit(self, batch: Batch) -> None:
        """Confirms a batch, and those before it, at once.

        :raises Superseded: the channel is somebody else's now.
        """
        with self._changed:
            those = self._ledger.up_to(batch)
        if not those or not self._is_mine:
            raise Superseded(f"The channel {self.at.channel_id} is read by somebody else now.")
        self._checkpoints.write(batch.token)
        for one in those:
            self.done(one)

    @property
    def is_current(self) -> bool:
        """Whether the channel is still this client's, as far as it has heard."""
        return self._is_mine and self._wiring.is_alive()

    @property
    def next_number(self) -> int:
        """The number of the next checkpoint."""
        return self._checkpoints.number + 1

    # ---- the thread

    def _live(self) -> None:
        """Never ends unheard: a channel whose thread is gone, and whose session believes it read, would stand still."""
        try:
            self._work()
        except Exception as caught:  # noqa: BLE001 - a fault of the worker itself
            self._is_mine = False
            self._tell(self, Event.FAILED, caught)

    def _work(self) -> None:
        error: BaseException | None = None
        has_ended = False
        try:
            has_ended = self._read()
        except Exception as caught:  # noqa: BLE001 - whatever it is, the session must hear of it
            error = caught
        if has_ended:
            self._tell(self, Event.END_OF_DATA, None)
            return
        if error is not None:
            self._is_mine = self._is_mine and not isinstance(error, Superseded)
            self._tell(self, Event.FAILED, error)
        withdrawn = self._wiring.outbox.withdraw(self)
        with self._changed:
            self._ledger.remove(withdrawn)
            self._changed.wait_for(lambda: self._ledger.is_clear)
        try:
            self.confirm()
        except TablestoreError as caught:
            _log.warning("The latest checkpoint of channel %s is not written: %s", self.at.channel_id, caught)
        self._tell(self, Event.DRAINED, None)

    def _read(self) -> bool:
        """Reads until the end, or until it shall not read on; whether it was the end."""
        wiring, known = self._wiring, self._checkpoints.open()
        ask = wiring.reading(self._wait)
        wiring.on_open(self.at, known)
        token, number = known.token, 0
        if token:
            self._check_kept(token)
        is_stream = _is_stream(token)
        pauses = Pauses(wiring.pause_seconds, wiring.chance)
        while self._goes_on():
            if token == FINISHED:
                return self._finish()
            room = wiring.outbox.keep_room(self._goes_on)
            if room is None:
                break
            page = self._page(ask, token, room)
            if page.records:
                number += 1
                batch = Batch(self.at, number, page.records, token, page.next_token, is_stream, page.bytes, self)
                if not self._offer(batch, room):
                    break
            else:
                wiring.outbox.free(room)
                with self._changed:
                    self._ledger.pass_over(page.next_token)
            self._is_caught_up = self._is_caught_up or self._catches_up(page, is_stream)
            token = page.next_token
            if token != FINISHED:
                self._wait(pauses.after(page, is_stream=is_stream))
        return self._stopped()

    def _check_kept(self, token: str) -> None:
        """:raises ProtocolError: the checkpoint is no token."""
        try:
            check_token(token)
        except ProtocolError as error:
            raise ProtocolError(f"The checkpoint that is kept of channel {self.at.channel_id}: {error}") from error

    def _page(self, ask: Send, token: str, room: int) -> RecordPage:
        """What is behind a token; without one the room that was kept for it is free again.

        :raises ProtocolError: the answer, or its token, is none; says where, for nobody can go on behind it.
        """
        try:
            page: RecordPage = ask(read_records(self.at, token))
            check_token(page.next_token)
        except ProtocolError as error:
            self._wiring.outbox.free(room)
            told = f"The records of channel {self.at.channel_id} behind token {token!r} cannot be read"
            raise ProtocolError(f"{told}: {error}") from error
        except BaseException:
            self._wiring.outbox.free(room)
            raise
        self._has_read, self._is_idle = True, not page.records
        self._wiring.meter.count(page)
        return page

    def _stopped(self) -> bool:
        """Not the end.

        :raises Superseded: nobody asked for it, but the service may have given the channel away.
        """
        if not self._is_closing:
            raise Superseded(f"No heartbeat got through for too long; channel {self.at.channel_id} is left alone.")
        return False

    def _goes_on(self) -> bool:
        return not self._is_closing and self._wiring.is_alive()

    def _offer(self, batch: Batch, room: int) -> bool:
        if self._wiring.confirms_itself:
            self._ledger_add(batch)
        else:
            with self._confirming:  # so that the number which the batch is told stays free for its commit
                self._ledger_add(batch)
        if self._wiring.outbox.put(batch, self._goes_on, room):
            return True
        with self._changed:
            self._ledger.remove([batch])
        return False

    def _ledger_add(self, batch: Batch) -> None:
        with self._changed:
            self._ledger.add(batch)

    def _finish(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._ledger.is_clear or self._is_closing)
            if self._gave_up or not self._ledger.is_clear or not self._is_mine:
                return False
        self._checkpoints.write(FINISHED)
        return True

    def _wait(self, seconds: float) -> bool:
        """Waits, and says whether it shall not read on."""
        if seconds > 0:
            with self._changed:
                self._changed.wait_for(lambda: self._is_closing, seconds)
        return not self._goes_on()

    def _catches_up(self, page: RecordPage, is_stream: bool) -> bool:
        if not is_stream:
            return False
        if not is_full(page) and not page.records:
            return True
        if not page.records:
            return False
        return _newest_micros(page) >= self._wiring.goal_micros


def _newest_micros(page: RecordPage) -> int:
    """The time of the newest record of a page that can be read; 0: of none. What to do with others is the sink's."""
    for record in reversed(page.records):
        try:
            return decode_sequence(record.row).timestamp
        except ProtocolError:
            continue
    return 0


def _is_stream(token: str) -> bool:
    """Whether a channel is one of the change log; a token that cannot be read is taken for one, which only waits more.

    Source: the official Go client does so too.
    """
    if token == FINISHED:
        return True
    try:
        return read_token(token).is_stream
    except ProtocolError:
        return True
