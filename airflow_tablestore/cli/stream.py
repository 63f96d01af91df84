"""`stream enable | disable | describe | tail`: the change log of a table, by hand.

The official Python SDK can do none of these. Which shard is read after which is decided in `consumer`.
"""

from __future__ import annotations

import json
import signal
import threading
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from types import FrameType
from typing import TypeVar

from airflow_tablestore.cli.change_line import line
from airflow_tablestore.cli.session import OK, Session
from airflow_tablestore.cli.stream_text import Described, hours_text
from airflow_tablestore.client import Client
from airflow_tablestore.consumer.follow import follow, places_of_now
from airflow_tablestore.consumer.shards import describe as shape_of
from airflow_tablestore.consumer.stream import Position, Search, StreamSender, begin_of
from airflow_tablestore.errors import Problem, RetryLater, SpecError
from airflow_tablestore.pipeline.connections import tablestore_client
from airflow_tablestore.wire.call import Call
from airflow_tablestore.wire.stream import MOST_RECORDS, describe_stream, get_stream_records
from airflow_tablestore.wire.table import StreamDetails, describe_table, update_stream

T = TypeVar("T")

LONGEST_HOURS = 168
"""Source: the service's limit on a stream's expiration time."""


def enable(arguments: Namespace, session: Session) -> int:
    """Switch the stream on, or change how long it keeps records."""
    hours = arguments.hours
    if not 1 <= hours <= LONGEST_HOURS:
        raise SpecError([Problem(f"--hours: {hours} is not possible", f"write 1 to {LONGEST_HOURS}")])
    with _client(arguments, session) as client:
        before = client.send(describe_table(arguments.table)).stream
        # what is on keeps its own columns, which this command does not change
        now = client.send(update_stream(arguments.table, hours, before.columns if before else ()))
    if now is None:
        raise SpecError(f"The service has taken the request and says that table {arguments.table} has no stream.")
    if arguments.json:
        told = {"table": arguments.table, "stream": now.stream_id, "hours": now.expiration_hours}
        session.say(json.dumps({**told, "was_on": before is not None}))
        return OK
    was = ""
    if before is not None:
        was = f" It was on with {hours_text(before.expiration_hours)}; its records stay."
    session.say(
        f"The stream of table {arguments.table} is on and keeps records for {hours_text(now.expiration_hours)}.{was}"
    )
    session.say(f"Stream id: {now.stream_id}")
    return OK


def disable(arguments: Namespace, session: Session) -> int:
    """Switch the stream off; its records are gone."""
    with _client(arguments, session) as client:
        before = client.send(describe_table(arguments.table)).stream
        if before is not None:
            client.send(update_stream(arguments.table, None))
    if arguments.json:
        session.say(json.dumps({"table": arguments.table, "was_on": before is not None}))
    elif before is None:
        session.say(f"The stream of table {arguments.table} was off already.")
    else:
        session.say(f"The stream of table {arguments.table} is off; its records are gone (id {before.stream_id}).")
    return OK


# ---- describe


def describe(arguments: Namespace, session: Session) -> int:
    """The stream, its shards as a tree, and how old their oldest records are."""
    with _client(arguments, session) as client:
        stream = _stream(client, arguments.table)
        is_active = client.send(describe_stream(stream.stream_id, limit=1)).is_active
        shape = shape_of(client, stream.stream_id)
        oldest = {shard.id: _oldest(client, arguments.table, shape.id, shard.id) for shard in shape.shards}
        now = client.service_time() or session.now()
    found = Described(arguments.table, shape, oldest, now, is_active=is_active, columns=stream.columns)
    if arguments.json:
        session.say(json.dumps(found.to_json()))
    else:
        for row in found.text():
            session.say(row)
    return OK


def _oldest(client: StreamSender, table: str, stream_id: str, shard: str) -> int | None:
    """The time of the oldest record that a shard keeps, in microseconds; None when it keeps none."""
    iterator: str | None = begin_of(client, stream_id, shard).iterator
    limit = 1
    while iterator is not None:
        page = client.send(get_stream_records(iterator, limit, table))
        if page.records:
            return page.records[0].sequence.timestamp
        if not page.may_more:  # a log that several tables share has pages without records of this one
            break
        iterator, limit = page.next_iterator, MOST_RECORDS
    return None


# ---- tail


def tail(arguments: Namespace, session: Session) -> int:
    """Print each change as a line of JSON until told to stop, or until there is nothing more for now."""
    begin = _begin(arguments)
    stop, count = threading.Event(), 0
    with stopped_by_signals(stop), _client(arguments, session) as opened:
        client = opened.pausing(stop.wait)
        try:
            stream = _stream(client, arguments.table)
            start = _start(Stoppable(client, stop), arguments.table, stream.stream_id, begin, session.now())
            changes = follow(
                Stoppable(client, stop),
                arguments.table,
                stream.stream_id,
                start,
                wait=stop.wait,
                ends_when_caught_up=arguments.until_caught_up,
            )
            for change in changes:
                session.say(line(change))
                session.out.flush()  # who reads the pipe sees each change at once
                count += 1
                if stop.is_set():
                    break
        except RetryLater:
            if not stop.is_set():
                raise
    session.tell(f"{count:,} change{'' if count == 1 else 's'}.")
    return OK


@dataclass(frozen=True, slots=True)
class Stoppable:
    """A client that sends nothing more once it is told to stop, also where no change comes for long."""

    client: StreamSender
    stop: threading.Event

    def send(self, call: Call[T]) -> T:
        """:raises RetryLater: it was told to stop."""
        if self.stop.is_set():
            raise RetryLater("stopped", operation=call.operation, code="Stopped")
        return self.client.send(call)

    def service_time(self) -> datetime | None:
        """The service's clock now (UTC); None before the first answer."""
        return self.client.service_time()


OLDEST, NOW = "oldest", "now"


def _begin(arguments: Namespace) -> str | datetime:
    given = arguments.begin or (OLDEST if arguments.until_caught_up else NOW)
    if given in (OLDEST, NOW):
        return str(given)
    try:
        moment = datetime.fromisoformat(given)
    except ValueError as error:
        hint = "write oldest, now, or 2026-11-20T00:00:00+08:00"
        raise SpecError([Problem(f"--from: '{given}' is no time", hint)]) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _start(
    client: StreamSender, table: str, stream_id: str, begin: str | datetime, local_now: datetime
) -> Mapping[str, Position]:
    if begin == OLDEST:
        return {}
    shape = shape_of(client, stream_id)
    moment = begin if isinstance(begin, datetime) else (client.service_time() or local_now)
    micros = round(moment.timestamp() * 1_000_000)
    if begin == NOW:
        return places_of_now(client, shape, micros)
    return Search(client, table, shape, micros).positions()


@contextmanager
def stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """Ctrl-C and SIGTERM set the event, so that the last line is whole; a second one interrupts.

    Only the main thread may arrange that.
    """

    def told(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, told)
    except ValueError:
        pass
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# ---- both


def _client(arguments: Namespace, session: Session) -> Client:
    return tablestore_client(lambda: session.connection(arguments.connection))


def _stream(client: Client, table: str) -> StreamDetails:
    stream = client.send(describe_table(table)).stream
    if stream is None:
        hint = f"switch it on: airflow-tablestore stream enable {table} --hours 24"
        raise SpecError([Problem(f"table {table} has no stream", hint)])
    return stream
