"""A tail that is told to stop sends nothing more, wherever it is."""

import threading
from datetime import UTC, datetime

import pytest

from airflow_tablestore.cli.stream import Stoppable
from airflow_tablestore.consumer.follow import follow
from airflow_tablestore.errors import RetryLater
from tests.conformance.memory_stream import MemoryStream

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize("stops_after", [1, 2, 3, 4])
def test_a_tail_stops_in_the_middle_of_pages_of_nothing(stops_after):
    stream, stop = MemoryStream(now=NOW, shares_log=True), threading.Event()
    stream.write()

    def count(operation: str) -> None:
        if len(stream.asked) + 1 == stops_after:
            stop.set()

    stream.before = count

    with pytest.raises(RetryLater):
        list(follow(Stoppable(stream, stop), stream.table, stream.stream_id, {}, wait=lambda seconds: False))

    assert len(stream.asked) == stops_after


def test_a_tail_that_was_not_told_to_stop_goes_on():
    stream = MemoryStream(now=NOW)
    stream.write()
    sender = Stoppable(stream, threading.Event())

    changes = follow(sender, stream.table, stream.stream_id, {}, wait=lambda seconds: True)

    assert [change.record.decoded().key[0][1] for change in changes] == [0]
    assert sender.service_time() == NOW
