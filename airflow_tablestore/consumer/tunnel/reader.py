"""What a tunnel carries, as batches to iterate over or to hand to a function.

    with TunnelReader(client, tunnel_id) as reader:
        for batch in reader:
            write(batch.records)
            batch.done()

Every record is read at least once. What is done is confirmed with the service; what is not is read again, by this
worker or by another one. Within a channel the order is kept, and so is that of the changes of one key. Any number of
workers share a tunnel: the service gives each its channels.
"""

from __future__ import annotations

import enum
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import TracebackType

from airflow_tablestore.client import Client
from airflow_tablestore.consumer.tunnel.batch import Batch
from airflow_tablestore.consumer.tunnel.channel import State
from airflow_tablestore.consumer.tunnel.meter import Meter, Usage
from airflow_tablestore.consumer.tunnel.outbox import Outbox
from airflow_tablestore.consumer.tunnel.run import OnOpen, Wiring
from airflow_tablestore.consumer.tunnel.session import Session, SessionLost, View
from airflow_tablestore.consumer.tunnel.settings import Settings
from airflow_tablestore.errors import Rejected, RetryLater
from airflow_tablestore.wire.tunnel import BASE_DATA, INITIALISING, Tunnel, describe_tunnel, list_tunnels
from airflow_tablestore.wire.tunnel_channel import ChannelStatus

_log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.5
LOOK_SECONDS = 1.0
PATIENCE_SECONDS = 300.0
"""A worker that cannot connect for so long gives up."""


class Until(enum.Enum):
    """When a reader ends by itself. In any case it ends when the tunnel is read to its end, if it has one."""

    NEVER = "goes on"
    CAUGHT_UP = "ends when everything that was there when it began is done"


def _ignore(*_: object) -> None:
    """Hears of channels and does nothing."""


class TunnelReader:
    """One worker on one tunnel. It works from `start` (or the first batch) to `close`.

    :param client: how the service is reached; not closed here.
    :param on_open: hears of each channel before it is read, with its checkpoint.
    :param confirms_itself: False: while a batch of a channel is in hands, only its `commit` writes a checkpoint.
    """

    def __init__(
        self,
        client: Client,
        tunnel_id: str,
        *,
        settings: Settings | None = None,
        until: Until = Until.NEVER,
        on_open: OnOpen = _ignore,
        confirms_itself: bool = True,
    ):
        self.tunnel_id, self.settings = tunnel_id, settings or Settings()
        self._client, self._until = client, until
        self._on_open, self._confirms_itself = on_open, confirms_itself
        self._outbox = Outbox(self.settings.max_bytes)
        self._meter = Meter()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._thread: threading.Thread | None = None
        self._tunnel: Tunnel | None = None
        self._failures: dict[str, int] = {}
        self._former: set[str] = set()  # clients that this worker was; what they hold nobody reads any more
        self._next_look, self._look_pause = float("-inf"), LOOK_SECONDS / 10
        self._gives_up = False

    # ---- batches

    def __iter__(self) -> Iterator[Batch]:
        """The batches, one after the other; leaving the loop closes the reader."""
        try:
            while (batch := self.take()) is not None:
                yield batch
        finally:
            self.close()

    def take(self, seconds: float | None = None, *, per_channel: int = 0) -> Batch | None:
        """The next batch; None when there is none for so many seconds, or at the end (then `has_ended`).

        :param per_channel: most batches of one channel that are taken and not done; 0: any number.
        :raises TablestoreError: what ended the worker.
        """
        self.start()
        return self._outbox.take(seconds, per_channel=per_channel)

    @property
    def has_ended(self) -> bool:
        """Whether no batch will come any more."""
        return self._outbox.is_closed

    @property
    def usage(self) -> Usage:
        """What was read until now, in requests, bytes and capacity units."""
        return replace(self._meter.usage, most_held=self._outbox.most_bytes)

    def run(self, process: Callable[[Batch], None], *, threads: int = 4) -> None:
        """Hands every batch to a function, and takes it for done when that returns.

        Channels are processed in parallel, the batches of one in their order.
        :param threads: most calls of the function at a time.
        :raises: what the function raised; its batch is not done, and read again.
        """
        errors: list[BaseException] = []

        def work() -> None:
            try:
                while not errors and (batch := self.take(per_channel=1)) is not None:
                    process(batch)
                    batch.done()
            except BaseException as error:
                errors.append(error)
                self._outbox.close()
                raise

        self.start()
        workers = [threading.Thread(target=_quiet, args=(work,), daemon=True) for _ in range(threads)]
        for worker in workers:
            worker.start()
        try:
            for worker in workers:
                while worker.is_alive():
                    worker.join(LOOK_SECONDS)  # in pieces, so that a signal gets through
        finally:
            self.close()
        if errors:
            raise errors[0]

    # ---- from start to end

    def start(self) -> TunnelReader:
        """Connects and begins to read, in threads; does nothing when that was done."""
        with self._lock:
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._live, name=f"tunnel {self.tunnel_id}", daemon=True)
                self._thread.start()
        return self

    def stop(self) -> None:
        """Ends the reading: from now on `take` tells None. What is in hands can still be done, until `close`.

        For signal handlers and timers.
        """
        self._end(gives_up=False)

    def close(self) -> None:
        """Confirms what is done and hands the channels over to other workers. Batches in hands are given up."""
        self._end(gives_up=True)
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def __enter__(self) -> TunnelReader:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- the worker's thread

    def _end(self, *, gives_up: bool) -> None:
        self._gives_up = self._gives_up or gives_up
        self._stop.set()
        self._outbox.close()
        session = self._session
        if session is not None:
            session.stop(gives_up=self._gives_up)

    def _live(self) -> None:
        error: BaseException | None = None
        try:
            self._work()
        except Exception as caught:  # noqa: BLE001 - it is told to whoever takes the next batch
            error = caught
        self._outbox.close(None if self._stop.is_set() else error)

    def _work(self) -> None:
        self._tunnel = self._found()
        pause, healthy = FIRST_PAUSE_SECONDS, time.monotonic()
        while not self._stop.is_set():
            try:
                self._serve()
            except (SessionLost, RetryLater) as error:
                if self._session is not None:
                    self._former.add(self._session.client_id)
                if self._session is not None and self._session.has_connected:
                    pause, healthy = FIRST_PAUSE_SECONDS, time.monotonic()
                elif time.monotonic() - healthy > PATIENCE_SECONDS:
                    raise
                _log.warning("Connecting to tunnel %s again: %s", self.tunnel_id, error)
            else:
                return
            self._stop.wait(pause * (0.5 + random.random()))  # noqa: S311 - only spreads workers over time
            pause = min(pause * 2, self.settings.reconnect_seconds)

    def _serve(self) -> None:
        service_time = self._client.service_time()
        goal = service_time.timestamp() if service_time is not None else time.time()
        wiring = Wiring(
            reading=lambda sleep: self._client.pausing(sleep).send,
            send=self._client.send,
            outbox=self._outbox,
            is_alive=lambda: True,
            chance=random.random,
            pause_seconds=self.settings.pause_seconds,
            on_open=self._on_open,
            goal_micros=int(goal * 1_000_000),
            confirms_itself=self._confirms_itself,
            meter=self._meter,
        )
        session = Session(self.tunnel_id, self.settings, wiring, time.monotonic, self._is_over, self._failures)
        self._session = session
        if not self._stop.is_set():
            session.serve()

    def _found(self) -> Tunnel:
        for tunnel in self._client.send(list_tunnels()):
            if tunnel.id == self.tunnel_id:
                return tunnel
        raise Rejected(
            f"There is no tunnel {self.tunnel_id!r} in this instance. List them, or create it first.",
            operation="tunnel/list",
            code="OTSParameterInvalid",
        )

    def _is_over(self, view: View) -> bool:
        """Whether the tunnel is read to its end, or as far as was asked for."""
        tunnel = self._tunnel
        if tunnel is None or not (tunnel.is_bounded or self._until is Until.CAUGHT_UP):
            return False
        is_idle = all(state in (State.CLOSED, State.FINISHED) for state in view.states.values())
        if not (is_idle or (self._until is Until.CAUGHT_UP and view.is_caught_up)):
            return False
        now = time.monotonic()
        if now < self._next_look:
            return False
        self._look_pause = min(self._look_pause * 2, self.settings.heartbeat_seconds)
        self._next_look = now + self._look_pause
        try:
            told = self._client.pausing(self._stop.wait).send(describe_tunnel(tunnel.table, tunnel.name))
        except RetryLater:
            return False
        if told.tunnel.stage == INITIALISING or not told.channels:
            return False
        left = [one for one in told.channels if one.status != ChannelStatus.TERMINATED]
        if not left:
            return told.tunnel.is_bounded
        if self._until is not Until.CAUGHT_UP or told.tunnel.stage == BASE_DATA:
            return False
        # A channel that was given back and is still said to be ours will be read again.
        held = {id_ for id_, state in view.states.items() if state is not State.CLOSED}
        return (
            all(one.status == ChannelStatus.OPEN and one.client_id for one in left)
            and all(one.client_id not in self._former for one in left)
            and {one.id for one in left if one.client_id == view.client_id} <= held
        )


def _quiet(work: Callable[[], None]) -> None:
    try:
        work()
    except BaseException:  # noqa: BLE001 - `run` raises it
        return
