"""Sends calls: signs, posts, checks what comes back, and tries again where that helps.

Knows no operation: what a call says and how its answer is read is in `wire`. Answers must prove that they are whole
(MD5), of now (date) and the service's own (signature) before they are read.
"""

from __future__ import annotations

import copy
import logging
import random as _random
import time as _time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, TypeVar

from airflow_tablestore import __version__
from airflow_tablestore.client.credentials import RenewedKeys
from airflow_tablestore.client.endpoint import Endpoint
from airflow_tablestore.client.retry import DAMAGED_BODY, OnRetry, RetryPolicy, may_repeat
from airflow_tablestore.client.transport import Answer, Transport
from airflow_tablestore.errors import ProtocolError, Rejected, RequestError, RetryLater
from airflow_tablestore.wire import compress, sign
from airflow_tablestore.wire.call import Call
from airflow_tablestore.wire.error import read_error
from airflow_tablestore.wire.sign import Credentials

T = TypeVar("T")

_log = logging.getLogger(__name__)


KEY_REFUSED = frozenset({"OTSAuthFailed"})
"""Codes of keys that the service does not take, or not any more."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a client takes from the machine: its clock, a stopwatch in seconds, sleep, and chance from 0 to 1.

    When `sleep` returns true, no further attempt is wanted.
    """

    now: Callable[[], datetime] = _utc_now
    stopwatch: Callable[[], float] = _time.monotonic
    sleep: Callable[[float], bool | None] = _time.sleep
    chance: Callable[[], float] = _random.random


@dataclass(frozen=True, slots=True)
class _Heard:
    """What the service's clock said in an answer, and when that was on ours."""

    told: datetime
    now: datetime
    stopwatch: float


class Client:
    """One endpoint, for any number of threads. Close it, or use it in a `with`."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        retry: RetryPolicy | None = None,
        on_retry: OnRetry | None = None,
        connections: int = 32,
        checks_bodies: bool = True,
        surroundings: Surroundings | None = None,
        credentials: Callable[[], Credentials] | None = None,
    ):
        """:param connections: most connections at a time; further threads wait for one.
        :param checks_bodies: False leaves out the MD5 of answers over https, where TLS vouches for them.
        :param credentials: asked before every attempt, for keys that expire (STS); None: those of the endpoint. With
            `RenewedKeys`, a call whose keys were refused is sent once more when there are others by then.
        """
        self.endpoint = endpoint
        self._retry = retry or RetryPolicy()
        self._on_retry = on_retry
        self._checks_bodies = checks_bodies or not endpoint.is_encrypted
        self._surroundings = surroundings or Surroundings()
        self._credentials = credentials or (lambda: endpoint.credentials)
        self._transport = Transport(endpoint, connections=connections)
        self._heard: _Heard | None = None

    def send(self, call: Call[T], *, on_retry: OnRetry | None = None) -> T:
        """What the service answers to this call.

        :param on_retry: hears of this call's repetitions too.
        :raises RetryLater: it failed in a way that may pass, and the policy's attempts are used up.
        :raises Rejected: the service refused; or the two clocks are too far apart.
        :raises PositionLost: the service no longer keeps what was asked for.
        :raises ProtocolError: the answer is not one that the service gives.
        """
        surroundings, began, attempt = self._surroundings, self._surroundings.stopwatch(), 0
        refused: Credentials | None = None
        while True:
            attempt += 1
            keys = self.keys()
            try:
                return self._send_once(call, keys)
            except RequestError as error:
                if refused is None and error.code in KEY_REFUSED and self.has_other_keys_than(keys):
                    refused = keys
                    continue
                if not isinstance(error, RetryLater) or not may_repeat(call, error):
                    raise
                pause = self._retry.pause(attempt, surroundings.chance(), error.after_seconds)
                spent = surroundings.stopwatch() - began
                most = self._retry.attempts_for(error, has_answered=self._heard is not None)
                if attempt >= most or spent + pause > self._retry.total_seconds:
                    raise _given_up(error, attempt, spent) from error
                self._tell(error, pause, on_retry)
                if surroundings.sleep(pause):
                    raise _given_up(error, attempt, spent) from error

    def pausing(self, sleep: Callable[[float], bool | None]) -> Client:
        """This client over the same connections, with a wait of its own between attempts: `stop.wait` of a run.

        A run that is asked to end then gives up at its next pause.
        """
        other = copy.copy(self)
        other._surroundings = replace(self._surroundings, sleep=sleep)
        return other

    def service_time(self) -> datetime | None:
        """The service's clock now (UTC), counted on from its latest answer; None before the first one."""
        heard = self._heard
        if heard is None:
            return None
        return heard.told + timedelta(seconds=self._surroundings.stopwatch() - heard.stopwatch)

    def clock_skew(self) -> timedelta | None:
        """How far the service's clock was ahead of this machine's at its latest answer; None before the first one."""
        heard = self._heard
        return None if heard is None else heard.told - heard.now

    def keys(self) -> Credentials:
        """What the next request is signed with."""
        return self._credentials()

    def has_other_keys_than(self, refused: Credentials) -> bool:
        """Whether keys that the service has refused were renewed meanwhile; looks for others where there may be any."""
        return isinstance(self._credentials, RenewedKeys) and self._credentials.has_others_than(refused)

    def close(self) -> None:
        """Close the connections that are kept."""
        self._transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self.endpoint})"

    def _send_once(self, call: Call[T], credentials: Credentials) -> T:
        request = sign.sign_request(
            call.uri,
            call.body,
            credentials=credentials,
            instance=self.endpoint.instance,
            now=self._surroundings.now(),
            api_version=call.api_version,
            region=self.endpoint.region,
            extra={compress.TYPE: compress.DEFLATE} if self.endpoint.deflates else None,
        )
        headers = request.headers | {"User-Agent": f"airflow-tablestore/{__version__}"}
        answer = self._inflated(call, self._transport.post(call.uri, headers, call.body, call.room))
        self._check(call, answer, credentials.access_key_id, request.key)
        return call.read(answer.body)

    def _inflated(self, call: Call[Any], answer: Answer) -> Answer:
        try:
            body = compress.inflated(answer.headers, answer.body)
        except ProtocolError as error:
            raise _damaged(call, answer, f"{error}.") from error
        return answer if body is answer.body else replace(answer, body=body)

    def _check(self, call: Call[Any], answer: Answer, access_key_id: str, key: bytes) -> None:
        """Nothing for a success of the service's own; else the error that the answer is."""
        if self._checks_bodies and not sign.body_is_whole(answer.headers, answer.body):
            message = f"the answer's {len(answer.body)} bytes are not those that the service sent (MD5)."
            raise _damaged(call, answer, message)
        told = sign.response_date(answer.headers)
        if told is not None:
            self._compare_clocks(call, told)
        error = None
        if not 200 <= answer.status < 300:
            error = read_error(call.uri, answer.status, answer.headers, bytes(answer.body), call.subject)
        sign.verify_response(
            call.uri,
            answer.status,
            answer.headers,
            access_key_id=access_key_id,
            key=key,
            code=getattr(error, "code", ""),
        )
        if error is not None:
            raise error

    def _compare_clocks(self, call: Call[Any], told: datetime) -> None:
        now = self._surroundings.now()
        self._heard = _Heard(told, now, self._surroundings.stopwatch())
        if abs(now - told) > sign.MAX_SKEW:
            raise Rejected(
                f"this machine's clock says {now:%Y-%m-%d %H:%M:%S} UTC, the service's {told:%Y-%m-%d %H:%M:%S} UTC; "
                f"more than {sign.MAX_SKEW.seconds // 60} minutes apart, requests are refused. "
                "Set this machine's clock (NTP).",
                operation=call.operation,
                code="ClockSkew",
            )

    def _tell(self, error: RetryLater, pause: float, on_retry: OnRetry | None) -> None:
        """Say it once: to those who listen, else to the log."""
        reason = f"{error} Trying again in {pause:.1f} s."
        listeners = [listener for listener in (self._on_retry, on_retry) if listener is not None]
        for listener in listeners or [_to_log]:
            listener(reason)


def _damaged(call: Call[Any], answer: Answer, message: str) -> RetryLater:
    return RetryLater(
        message,
        operation=call.operation,
        code=DAMAGED_BODY,
        status=answer.status,
        request_id=answer.headers.get(sign.REQUEST_ID, ""),
    )


def _to_log(reason: str) -> None:
    _log.info("%s", reason)


def _given_up(error: RetryLater, attempts: int, seconds: float) -> RetryLater:
    if attempts == 1:
        return error
    last = RetryLater(
        f"{error} Gave up after {attempts} attempts in {seconds:.0f} s.",
        code=error.code,
        status=error.status,
        request_id="",  # the message holds it already
    )
    last.operation, last.request_id, last.after_seconds = error.operation, error.request_id, error.after_seconds
    return last
