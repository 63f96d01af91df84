"""The operations of the delivery service, and the thread that delivers while there are tasks.

Operations only write down what is wanted; `delivery_worker` does it. A test may hold a task in its first phase (before
it is made, so that it never begins), put it into an error, and make files small.
"""

from __future__ import annotations

import logging
import re
import sqlite3
import threading
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.tablestore import delivery_store as kept
from airflow_tablestore.emulator.tablestore.delivery_store import Task
from airflow_tablestore.emulator.tablestore.delivery_worker import Bucketful, Cut, Worker
from airflow_tablestore.emulator.tablestore.errors import ServiceError, invalid
from airflow_tablestore.emulator.tablestore.storage import Store
from airflow_tablestore.emulator.tablestore.streams import Streams
from airflow_tablestore.errors import SpecError
from airflow_tablestore.wire.proto import delivery_pb2 as pb

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
STREAM_HOURS = 168
"""Retention of a stream that a task turns on; the service's is not documented."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,14}[a-z0-9]")
_EXAMPLE = "sampledeliverytask"
"""The documentation's own example is longer than it allows."""


class Deliveries:
    """Every task of every instance; safe to call from many threads.

    :param turn_on_stream: makes a table have a stream: instance, table, hours of retention.
    """

    def __init__(self, store: Store, streams: Streams, clock: Clock, turn_on_stream: Callable[[str, str, int], None]):
        self._store, self._streams, self._clock = store, streams, clock
        self._turn_on_stream = turn_on_stream
        self._held: set[tuple[int, str]] = set()  # a table's id and a task's name, here and below
        self._forced: dict[tuple[int, str], tuple[int, str]] = {}
        self._worker: Worker | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()  # around the thread; each round of it holds `_round`
        self._round = threading.Lock()
        self._wake, self._is_over = threading.Event(), False

    # ---- operations of the service

    def create(self, instance: str, request: pb.CreateDeliveryTaskRequest) -> pb.CreateDeliveryTaskResponse:
        """Writes a task down; it begins at once."""
        table = self._store.table(instance, request.tableName)
        if not _NAME.fullmatch(request.taskName) and request.taskName != _EXAMPLE:
            raise invalid(f"Invalid delivery task name: '{request.taskName}'.")
        _check(request.taskConfig)
        task = Task(
            id=uuid.uuid4().hex,
            table_id=table.id,
            name=request.taskName,
            type=int(request.taskType),
            config=request.taskConfig.SerializeToString(),
            created_nanos=self._clock.micros() * 1000,
        )
        with self._store.transaction() as connection:
            if any(one.name == task.name for one in kept.tasks(connection, table.id)):
                raise ServiceError("OTSObjectAlreadyExist", "Requested delivery task already exists.")
            kept.save(connection, task)
        self._begin()
        return pb.CreateDeliveryTaskResponse()

    def update(self, instance: str, request: pb.UpdateDeliveryTaskRequest) -> pb.UpdateDeliveryTaskResponse:
        """Replaces a task's configuration; it goes on from where it is."""
        _check(request.taskConfig)
        with self._round, self._store.transaction() as connection:
            task = self._named(connection, instance, request.table, request.taskName)
            kept.save(connection, replace(task, config=request.taskConfig.SerializeToString()))
        return pb.UpdateDeliveryTaskResponse()

    def delete(self, instance: str, request: pb.DeleteDeliveryTaskRequest) -> pb.DeleteDeliveryTaskResponse:
        """Deletes a task. What it has delivered stays, what it has only read is not delivered."""
        with self._round, self._store.transaction() as connection:
            kept.drop_task(connection, self._named(connection, instance, request.tableName, request.taskName).id)
        return pb.DeleteDeliveryTaskResponse()

    def describe(self, instance: str, request: pb.DescribeDeliveryTaskRequest) -> pb.DescribeDeliveryTaskResponse:
        """A task and how far it is."""
        with self._store.reading() as connection:
            task = self._named(connection, instance, request.tableName, request.taskName)
        answer = pb.DescribeDeliveryTaskResponse(taskType=pb.DeliveryTaskType.Name(task.type))
        answer.taskConfig.ParseFromString(task.config)
        stat = answer.task_sync_stat
        stat.task_sync_phase = pb.TaskSyncPhase.Name(task.phase)  # type: ignore[assignment]
        stat.current_sync_timestamp, stat.detail = task.reached_nanos, task.detail
        if task.error:
            stat.error_code = pb.ErrorType.Name(task.error)  # type: ignore[assignment]
        return answer

    def list(self, instance: str, request: pb.ListDeliveryTaskRequest) -> pb.ListDeliveryTaskResponse:
        """The tasks of a table, from old to new."""
        table = self._store.table(instance, request.tableName)
        answer = pb.ListDeliveryTaskResponse()
        with self._store.reading() as connection:
            for task in kept.tasks(connection, table.id):
                name = pb.DeliveryTaskType.Name(task.type)
                answer.tasks.add(tableName=table.name, taskName=task.name, taskType=name)
        return answer

    def _named(self, connection: sqlite3.Connection, instance: str, table: str, name: str) -> Task:
        id_ = self._store.table(instance, table).id
        for task in kept.tasks(connection, id_):
            if task.name == name:
                return task
        raise ServiceError("OTSObjectNotExist", "Requested delivery task does not exist.")

    # ---- beside the service

    def start(self, objects: Bucketful) -> None:
        """Delivers into this store from now on."""
        self._worker = Worker(self._store, self._streams, self._clock, objects, self._with_stream)
        with self._store.reading() as connection:
            if kept.tasks(connection):
                self._begin()

    def stop(self) -> None:
        """Ends the delivery; what was read and not written is read again after the next start."""
        with self._lock:
            self._is_over = True
            self._wake.set()
            thread = self._thread
        if thread is not None:
            thread.join()

    @property
    def cut(self) -> Cut:
        """When files are complete."""
        return self._running().cut

    @cut.setter
    def cut(self, cut: Cut) -> None:
        self._running().cut = cut

    def step(self) -> None:
        """One step of every task, now and in this thread."""
        with self._round:
            self._step(self._running())

    def hold(self, instance: str, table: str, name: str) -> None:
        """Keeps a task in the phase that it is in until `release`; one that is made later, in its first phase."""
        with self._round:
            self._held.add(self._place(instance, table, name))

    def fail(self, instance: str, table: str, name: str, code: str, detail: str) -> None:
        """Puts a task into an error, UNAUTHORIZED or INVALID_OSS_BUCKET until `release`; later ones too."""
        if code not in ("UNAUTHORIZED", "INVALID_OSS_BUCKET"):
            raise SpecError(f"{code!r} is no error of a delivery task: UNAUTHORIZED or INVALID_OSS_BUCKET.")
        with self._round:
            self._forced[self._place(instance, table, name)] = (pb.ErrorType.Value(code), detail)

    def release(self, instance: str, table: str, name: str) -> None:
        """Lets a task go on."""
        place = self._place(instance, table, name)
        with self._round:
            self._held.discard(place)
            self._forced.pop(place, None)

    def report(self, instance: str) -> tuple[dict[str, Any], ...]:
        """Every task of an instance with what it has delivered and dropped."""
        with self._store.reading() as connection:
            return tuple(
                {
                    "table": table.name,
                    "task": task.name,
                    "phase": pb.TaskSyncPhase.Name(task.phase),
                    "reached_nanos": task.reached_nanos,
                    "error": pb.ErrorType.Name(task.error) if task.error else "",
                    "detail": task.detail,
                    "rows": task.rows,
                    "dropped": dict(task.dropped),
                }
                for table in self._store.tables()
                if table.instance == instance
                for task in kept.tasks(connection, table.id)
            )

    def _place(self, instance: str, table: str, name: str) -> tuple[int, str]:
        try:
            return self._store.table(instance, table).id, name
        except ServiceError as error:
            raise SpecError(f"The instance {instance!r} has no table {table!r}.") from error

    # ---- the thread

    def _running(self) -> Worker:
        if self._worker is None:
            raise SpecError("There is no object store to deliver into: start the emulator.")
        return self._worker

    def _with_stream(self, instance: str, table: str) -> None:
        self._turn_on_stream(instance, table, STREAM_HOURS)

    def _begin(self) -> None:
        with self._lock:
            if self._worker is None or self._is_over:
                return
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, args=(self._worker,), name="delivery", daemon=True)
                self._thread.start()
        self._wake.set()

    def _run(self, worker: Worker) -> None:
        while not self._is_over:
            with self._round:
                has_tasks = self._step(worker)
            self._wake.wait(POLL_SECONDS if has_tasks else None)
            self._wake.clear()

    def _step(self, worker: Worker) -> bool:
        with self._store.reading() as connection:
            found = kept.tasks(connection)
        for task in found:
            place = (task.table_id, task.name)
            if place in self._held and place not in self._forced:
                continue
            try:
                worker.step(task.id, self._forced.get(place))
            except Exception:
                # whatever goes wrong with one task must not end the others; it is tried again in the next round
                log.exception("The delivery task %s failed", task.name)
        return bool(found)


def _check(config: pb.OSSTaskConfig) -> None:
    """What the service is bound to refuse. Its own rules are not documented; the texts are ours."""
    if not config.schema:
        raise invalid("The schema of the delivery task is empty.")
    names = [column.ossColumnName for column in config.schema]
    if len(set(names)) != len(names) or not all(names):
        raise invalid("The names of the columns in OSS must be given, and differ.")
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", config.ossBucket):
        raise invalid(f"Invalid OSS bucket: '{config.ossBucket}'.")
    if re.search(r"\$(?!yyyy|MM|dd|HH|mm)", config.ossPrefix):
        raise invalid(f"Invalid OSS prefix: '{config.ossPrefix}'.")
