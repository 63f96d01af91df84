"""A client that reaches a service without a network, and can be told to fail."""

from __future__ import annotations

import threading
from collections import defaultdict
from datetime import UTC, datetime

from airflow_tablestore.client import Endpoint
from airflow_tablestore.emulator.tablestore.errors import ServiceError
from airflow_tablestore.wire.error import read_error
from airflow_tablestore.wire.proto import table_pb2 as pb


class LocalClient:
    """What a `Client` is to a worker. Errors of the service are those that a client would raise."""

    def __init__(self, service):
        self.service = service
        self.endpoint = Endpoint("http://127.0.0.1:1", "demo", "id", "secret")
        self.sent = []
        self.clock = None
        self._lock = threading.Lock()
        self._failing = defaultdict(list)
        self._damage = {}

    def send(self, call):
        operation = call.operation.removeprefix("tunnel/")
        with self._lock:
            self.sent.append(operation)
            rule = self._failing[operation].pop(0) if self._failing[operation] else None
        error, is_done = rule or (None, False)
        if error is not None and not is_done:
            raise error
        try:
            body = self.service.answer(call.operation, "demo", call.body)
        except ServiceError as refused:
            told = pb.Error(code=refused.code, message=refused.message).SerializeToString()
            raise read_error(call.uri, refused.status, {}, told) from refused
        if error is not None:
            raise error
        return call.read(self._damage.get(operation, bytes)(body))

    def pausing(self, sleep):
        return self

    def service_time(self):
        """The time of `clock`, when there is one."""
        return None if self.clock is None else datetime.fromtimestamp(self.clock.micros() / 1e6, UTC)

    def fails(self, operation, *errors):
        """The next calls of an operation fail before they reach the service; None lets one pass."""
        with self._lock:
            self._failing[operation] += [(error, False) for error in errors]

    def loses_answer(self, operation, error):
        """The next call of an operation is carried out, and its answer is lost."""
        with self._lock:
            self._failing[operation].append((error, True))

    def recovers(self, operation):
        """The next calls of an operation do not fail any more."""
        with self._lock:
            self._failing[operation].clear()

    def damages(self, operation, how):
        """Every answer of an operation is what a function makes of it."""
        self._damage[operation] = how

    def count(self, operation):
        return self.sent.count(operation)
