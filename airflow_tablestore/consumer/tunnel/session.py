"""One client of a tunnel, from connect to leave: heartbeats, the channels it is given, and its checkpoints.

A session that is not heard in time is lost: its channels may be somebody else's already, so it stops before the service
gives them away, confirms nothing more, and `reader` connects again as a new client.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from airflow_tablestore.consumer.tunnel.channel import Event, Held, Order, State, merge
from airflow_tablestore.consumer.tunnel.checkpoint import GONE, Send
from airflow_tablestore.consumer.tunnel.run import Run, Wiring
from airflow_tablestore.consumer.tunnel.settings import Settings
from airflow_tablestore.errors import Rejected, RetryLater, Superseded, TablestoreError
from airflow_tablestore.wire.tunnel_channel import Channel, Place, connect, heartbeat, shutdown

_log = logging.getLogger(__name__)

SOON_SECONDS = 0.2
"""A change is told at the next heartbeat, which then comes so soon."""

LOOK_SECONDS = 0.5
"""Whether the end is reached is looked at so often."""

IDLE_SHARE = 0.25
"""Of a turn, after which a channel with nothing to tell makes room for one that waits."""

LEAVE_SECONDS = 30.0
LAST_SECONDS = 5.0
"""Threads that have nothing more to do are waited for so long, at the end."""

MOST_FAILURES = 3
"""A channel that failed so often without a read between is not a matter of time."""

FINAL = frozenset({"OTSAuthFailed", "OTSNoPermissionAccess", "OTSPermissionDenied", "OTSUnsupportOperation"})


class SessionLost(TablestoreError):
    """The service does not take this client for alive any more; another session may go on."""


@dataclass(frozen=True, slots=True)
class View:
    """What a session holds at a moment: the client, its channels by id, and whether all of them are caught up."""

    client_id: str
    states: dict[str, State]
    is_caught_up: bool


class Session:
    """Serves one tunnel as one client.

    :param wiring: as of `Run`; its `is_alive` is this session's own.
    :param is_over: asked after each heartbeat, with what the session holds; True ends it.
    """

    def __init__(
        self,
        tunnel_id: str,
        settings: Settings,
        wiring: Wiring,
        stopwatch: Callable[[], float],
        is_over: Callable[[View], bool],
        failures: dict[str, int],
    ):
        self._tunnel_id, self._settings, self._stopwatch = tunnel_id, settings, stopwatch
        self._wiring = replace(wiring, is_alive=self._is_alive)
        self._is_over, self._failures = is_over, failures
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._held: dict[str, Held] = {}
        self._runs: dict[str, Run] = {}
        self._old: list[Run] = []
        self._dropped: list[Run] = []
        self._waiting: deque[str] = deque()
        self._began: dict[str, float] = {}  # by channel that is read: since when
        self._caught_up: set[str] = set()  # channels that wait for another turn, and were caught up at their last one
        self._fatal: BaseException | None = None
        self._is_stopping = False
        self._halt = threading.Event()
        self._gives_up = False
        self._sent: frozenset[Channel] = frozenset()
        self._is_done = threading.Event()
        self._heard = 0.0
        self.client_id = ""
        self.has_connected = False

    def serve(self) -> None:
        """Works until it is stopped or over.

        :raises SessionLost: the service gave this client up.
        :raises TablestoreError: what cannot be mended by connecting again.
        """
        began = self._stopwatch()
        self.client_id = self._send(connect(self._tunnel_id, self._settings.timeout_seconds, self._settings.tag))
        self._heard, self.has_connected = began, True
        confirming = threading.Thread(target=self._confirm_often, name="tunnel checkpoints", daemon=True)
        confirming.start()
        try:
            while not self._is_stopping:
                self._beat()
                self._start_waiting()
                if self._fatal is not None:
                    raise self._fatal
                if self._is_over(self._view()):
                    break
                self._pause()
            self._leave()
        except (SessionLost, RetryLater):
            raise
        except Exception:
            self._drop_all()
            self._take_leave()  # so that whoever tries again is given the channels at once
            raise
        finally:
            self._is_done.set()
            self._drop_all()
            self._wait_for_threads([confirming])

    def stop(self, *, gives_up: bool) -> None:
        """Ends the session: nothing more is read; what is done is confirmed; the channels are handed over.

        :param gives_up: what is in hands is not waited for.
        """
        self._is_stopping, self._gives_up = True, self._gives_up or gives_up
        self._halt.set()
        self._wake.set()

    # ---- heartbeats

    def _is_alive(self) -> bool:
        return self._stopwatch() - self._heard < self._settings.timeout_seconds

    def _beat(self) -> None:
        with self._lock:
            reports = tuple(held.report for held in self._held.values())
        began = self._stopwatch()
        if not self._is_alive():
            raise SessionLost(f"No heartbeat got through for {self._settings.timeout_seconds} s.")
        try:
            told = self._wiring.reading(self._wait)(heartbeat(self._tunnel_id, self.client_id, reports))
        except RetryLater as error:
            _log.warning("A heartbeat was not answered: %s", error)
            return
        except Rejected as error:
            if error.code == GONE:
                raise SessionLost(str(error)) from error
            raise
        self._heard, self._sent = began, frozenset(reports)
        self._apply(told)

    def _wait(self, seconds: float) -> bool:
        """Waits, and says whether a heartbeat is not worth another attempt."""
        return self._halt.wait(seconds) or not self._is_alive()

    def _apply(self, told: tuple[Channel, ...]) -> None:
        with self._lock:
            merged = merge(self._held, told)
            self._held = dict(merged.held)
            for order, id_ in merged.orders:
                self._obey(order, id_)

    def _obey(self, order: Order, id_: str) -> None:
        self._caught_up.discard(id_)
        if order is Order.OPEN:
            self._waiting.append(id_)
            return
        if id_ in self._waiting:
            self._waiting.remove(id_)
        run = self._runs.get(id_)
        if run is None:
            return
        if order is Order.CLOSE:
            run.close()
        else:
            del self._runs[id_]
            self._old.append(run)
            run.drop()

    def _pause(self) -> None:
        with self._lock:
            reports = [held.report for held in self._held.values() if held.report != held.told]
            has_news = any(report not in self._sent for report in reports)
        end = self._stopwatch() + (0.0 if has_news else self._settings.heartbeat_seconds)
        while (left := end - self._stopwatch()) > 0 and not self._wake.wait(min(left, LOOK_SECONDS)):
            if self._is_over(self._view()):
                self._is_stopping = True
                return
            self._take_turns()
        self._wake.clear()
        if not self._is_stopping:
            self._is_done.wait(min(SOON_SECONDS, self._settings.heartbeat_seconds))

    # ---- channels

    def _start_waiting(self) -> None:
        with self._lock:
            self._old = [run for run in self._old if not run.has_ended]
            ending = {run.at.channel_id for run in self._old}
            for id_ in list(self._waiting):
                if len(self._runs) >= self._settings.max_channels:
                    return
                if id_ in ending:
                    continue
                self._waiting.remove(id_)
                self._held[id_] = self._held[id_].after(Event.STARTED)
                run = Run(self._wiring, Place(self._tunnel_id, self.client_id, id_), self._hear)
                self._runs[id_], self._began[id_] = run, self._stopwatch()
                run.start()

    def _take_turns(self) -> None:
        """Where others wait for room, the channels that were read longest make it, and get their next turn last."""
        turn, now = self._settings.turn_seconds, self._stopwatch()
        with self._lock:
            parking = sum(held.state is State.PARKING for held in self._held.values())
            wanted = len(self._waiting) - parking - (self._settings.max_channels - len(self._runs))
            reading = [id_ for id_ in self._runs if self._held[id_].state is State.READING]
            for id_ in sorted(reading, key=self._began.__getitem__)[: max(0, wanted)]:
                run = self._runs[id_]
                if now - self._began[id_] >= (turn * IDLE_SHARE if run.is_idle else turn):
                    self._held[id_] = self._held[id_].after(Event.TURN_OVER)
                    run.close()

    def _hear(self, run: Run, event: Event, error: BaseException | None) -> None:
        """What a channel's thread says. What cannot be is a fault of the worker itself, and ends it."""
        try:
            self._note(run, event, error)
        except Exception as fault:  # noqa: BLE001 - `serve` raises it, where somebody hears of it
            self._break(error or fault)
        self._wake.set()

    def _break(self, fault: BaseException) -> None:
        _log.error("A fault of the worker itself ends it: %s", fault)
        with self._lock:
            self._fatal = self._fatal or fault
        self._wake.set()

    def _note(self, run: Run, event: Event, error: BaseException | None) -> None:
        id_ = run.at.channel_id
        with self._lock:
            if run.has_progressed:
                self._failures.pop(id_, None)
            if self._runs.get(id_) is run:
                self._held[id_] = self._held[id_].after(event)
                if event in (Event.DRAINED, Event.END_OF_DATA):
                    del self._runs[id_]
                    self._old.append(run)
                if self._held[id_].state is State.WAITING:
                    self._waiting.append(id_)
                    if run.is_caught_up:
                        self._caught_up.add(id_)
                if error is not None:
                    self._judge(id_, error)

    def _judge(self, id_: str, error: BaseException) -> None:
        """What an error of a channel means for the whole worker."""
        if isinstance(error, Superseded) or (isinstance(error, Rejected) and error.code == GONE):
            _log.info("Channel %s is read by somebody else: %s", id_, error)
            return
        if isinstance(error, RetryLater):
            _log.warning("Channel %s is given back: %s", id_, error)
            return
        count = self._failures[id_] = self._failures.get(id_, 0) + 1
        is_final = not isinstance(error, Rejected) or error.code in FINAL or count >= MOST_FAILURES
        if is_final:
            self._fatal = self._fatal or error
        else:
            _log.warning("Channel %s is given back (failure %d): %s", id_, count, error)

    def _view(self) -> View:
        with self._lock:
            states = {id_: held.state for id_, held in self._held.items()}
            is_caught_up = all(run.is_caught_up for run in self._runs.values())
            waits = {id_ for id_, state in states.items() if state is State.WAITING} | set(self._waiting)
            has_rest = bool(waits - self._caught_up) or State.CLOSING in states.values()
            return View(self.client_id, states, is_caught_up and not has_rest)

    # ---- checkpoints

    def _confirm_often(self) -> None:
        try:
            while not self._is_done.wait(self._settings.checkpoint_seconds):
                self._confirm_all()
        except Exception as fault:  # noqa: BLE001 - else nothing would be confirmed from now on, and nobody would know
            self._break(fault)

    def _confirm_all(self) -> None:
        with self._lock:
            runs = list(self._runs.values())
        for run in runs:
            try:
                run.confirm()
            except Superseded as error:
                self._hear(run, Event.FAILED, error)
                run.drop()
            except TablestoreError as error:
                _log.warning("A checkpoint of channel %s is not written: %s", run.at.channel_id, error)

    # ---- the end

    def _leave(self) -> None:
        with self._lock:
            runs = [*self._runs.values(), *self._old]
            self._waiting.clear()
            for id_, held in self._held.items():
                if id_ in self._runs:
                    self._held[id_] = held.after(Event.CLOSE_ASKED)
            for run in runs:
                run.close()
        self._wait_for(runs)
        self._take_leave()

    def _take_leave(self) -> None:
        try:
            self._send(shutdown(self._tunnel_id, self.client_id))
        except TablestoreError as error:
            _log.warning("The service was not told that this worker leaves: %s", error)

    def _wait_for(self, runs: list[Run]) -> None:
        """Until nothing of these channels is in hands, or is given up; the service hears meanwhile that we live."""
        next_beat = self._stopwatch() + self._settings.heartbeat_seconds
        end: float | None = None
        while any(not run.has_ended for run in runs) and (end is None or self._stopwatch() < end):
            if self._gives_up and end is None:
                end = self._stopwatch() + LEAVE_SECONDS
                for run in runs:
                    run.close(gives_up=True)
            if self._stopwatch() >= next_beat:
                self._beat()
                next_beat = self._stopwatch() + self._settings.heartbeat_seconds
            self._wake.wait(SOON_SECONDS)
            self._wake.clear()

    def _drop_all(self) -> None:
        with self._lock:
            runs = [*self._runs.values(), *self._old]
            self._runs, self._old = {}, []
            self._dropped += runs
            for run in runs:
                run.drop()
                run.close(gives_up=True)

    def _wait_for_threads(self, others: list[threading.Thread]) -> None:
        """Whoever closes the client next shall not pull it from under a thread; one that hangs is left alone."""
        end = self._stopwatch() + LAST_SECONDS
        ending: list[Run | threading.Thread] = [*self._dropped, *others]
        for one in ending:
            one.join(max(0.0, end - self._stopwatch()))

    @property
    def _send(self) -> Send:
        return self._wiring.send
