"""What the ledger keeps, and who wins when two write at once."""

from __future__ import annotations

import hashlib
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_tablestore.consumer.stream import BEGIN, END, Place, Position
from airflow_tablestore.errors import ProtocolError, RetryLater
from airflow_tablestore.pipeline.boundaries import Boundary, position_from_json, position_to_json
from airflow_tablestore.pipeline.contract import Column, Schema
from airflow_tablestore.pipeline.incremental.ledger import Ledger, NeighboursChanged, WindowEntry, WindowState
from airflow_tablestore.pipeline.status_table import CHUNK_BYTES, packed, unpacked
from airflow_tablestore.pipeline.window import Window
from airflow_tablestore.wire.row import ColumnType, SequenceInfo
from tests.conformance.memory_stream import MemoryStream

START = datetime(2026, 11, 20, 8, tzinfo=UTC)


def a_ledger(service: MemoryStream | None = None, pipeline: str = "p") -> Ledger:
    return Ledger(service or MemoryStream(now=START), "status", "demo", "t", pipeline)


def a_boundary(micros: int, iterator: str = "i") -> Boundary:
    return Boundary("s", micros, {"a": Position(Place.AT, f"{iterator}{micros}", SequenceInfo(0, micros, 0)), "b": END})


def put(ledger: Ledger, boundary: Boundary) -> Boundary:
    beside, _, _ = ledger.neighbours("s", boundary.micros)
    return ledger.put_boundary(boundary, beside)


@pytest.mark.parametrize(
    "position",
    [BEGIN, END, Position(Place.BEGIN, "i"), Position(Place.AT, "i"), Position(Place.AT, "i", SequenceInfo(1, 2, 3))],
)
def test_a_position_reads_back_as_it_was(position):
    assert position_from_json(position_to_json(position)) == position


@pytest.mark.parametrize("order", list(itertools.permutations([10, 20, 30])))
def test_boundaries_are_found_by_time_in_whatever_order_they_came(order):
    ledger = a_ledger()
    for micros in order:
        put(ledger, a_boundary(micros))

    assert [ledger.boundary("s", micros) for micros in (10, 20, 30)] == [a_boundary(m) for m in (10, 20, 30)]
    assert (ledger.earlier("s", 20), ledger.later("s", 20)) == (a_boundary(10), a_boundary(30))
    assert (ledger.earlier("s", 10), ledger.later("s", 30)) == (None, None)
    assert ledger.boundary("s", 15) is ledger.boundary("other", 10) is None


def test_the_first_writer_of_a_boundary_wins():
    ledger = a_ledger()
    put(ledger, a_boundary(10, "first"))

    assert put(ledger, a_boundary(10, "second")) == a_boundary(10, "first")
    put(ledger, a_boundary(20))
    assert put(ledger, a_boundary(10, "third")) == a_boundary(10, "first")


def test_a_boundary_is_not_put_beside_one_that_its_search_did_not_know():
    ledger = a_ledger()
    put(ledger, a_boundary(10))
    beside, _, _ = ledger.neighbours("s", 30)
    put(ledger, a_boundary(20))

    with pytest.raises(NeighboursChanged):
        ledger.put_boundary(a_boundary(30), beside)

    assert ledger.boundary("s", 30) is None


def test_a_boundary_elsewhere_is_no_hindrance():
    ledger = a_ledger()
    for micros in (10, 20, 40):
        put(ledger, a_boundary(micros))
    beside, _, _ = ledger.neighbours("s", 30)
    put(ledger, a_boundary(15))

    assert ledger.put_boundary(a_boundary(30), beside) == a_boundary(30)


def test_a_writer_whose_answer_was_lost_knows_its_own_work():
    service = MemoryStream(now=START)
    ledger, sends = a_ledger(service), service.send

    def unanswered(call: Any) -> Any:
        answer = sends(call)
        return sends(call) if call.operation == "PutRow" else answer  # as a client that repeats it

    put(ledger, a_boundary(10))
    service.send = unanswered  # type: ignore[method-assign]

    assert put(ledger, a_boundary(20)) == a_boundary(20)


def test_a_writer_that_was_overtaken_between_its_look_and_its_put_looks_again():
    service = MemoryStream(now=START)
    ledger = a_ledger(service)
    put(ledger, a_boundary(10))
    puts = itertools.count()

    def overtake(operation: str) -> None:
        if operation == "PutRow" and next(puts) == 1:  # the copy of the newest is written, its successor is not
            put(ledger, a_boundary(20, "theirs"))

    beside, _, _ = ledger.neighbours("s", 20)
    service.before = overtake

    assert ledger.put_boundary(a_boundary(20, "ours"), beside) == a_boundary(20, "theirs")


def test_a_large_boundary_is_kept_in_several_columns():
    ledger = a_ledger()
    noise = {f"{number:032x}": Position(Place.AT, hashlib.sha256(b"%d" % number).hexdigest()) for number in range(4000)}
    boundary = Boundary("s", 10, noise)
    put(ledger, boundary)

    assert len(packed(boundary.to_json())) > 1
    assert all(len(chunk) <= CHUNK_BYTES for chunk in packed(boundary.to_json()).values())  # type: ignore[arg-type]
    assert ledger.boundary("s", 10) == boundary


def test_a_foreign_row_is_refused():
    with pytest.raises(ProtocolError, match="not what airflow-tablestore wrote"):
        unpacked({"document_0": b"something else"}, "a row")


def test_windows_of_two_pipelines_stand_side_by_side():
    service = MemoryStream(now=START)
    one, other = a_ledger(service), a_ledger(service, "q")
    window = Window(START, START + timedelta(minutes=5))
    published = WindowEntry(window, WindowState.PUBLISHED, "r", "s", 3, 1, "oss://b/k", "before", "", START)
    one.record(published)
    other.record(WindowEntry(window, WindowState.LOST, reason="gone"))

    assert one.window(START) == published
    assert list(one.windows(START - timedelta(days=1), START + timedelta(days=1))) == [published]
    assert list(one.windows(START - timedelta(days=1), START)) == []
    assert other.window(START) == WindowEntry(window, WindowState.LOST, reason="gone")
    assert one.window(START + timedelta(minutes=5)) is None


def test_the_first_window_pins_the_columns_for_all():
    service = MemoryStream(now=START)
    first = Schema((Column("id", ColumnType.INTEGER, is_key=True), Column("n", ColumnType.DOUBLE)))
    second = Schema((Column("id", ColumnType.INTEGER, is_key=True), Column("n", ColumnType.STRING)))
    ledger = a_ledger(service)

    assert ledger.schema() is None
    assert ledger.pin_schema(first, earlier=None) == first
    assert a_ledger(service).pin_schema(second, earlier=None) == first
    assert ledger.pin_schema(second, earlier=first) == ledger.schema() == second


def test_a_ledger_that_cannot_be_read_is_no_empty_one():
    service = MemoryStream(now=START)

    def fail(operation: str) -> None:
        raise RetryLater("busy")

    service.before = fail
    with pytest.raises(RetryLater):
        a_ledger(service).newest("s")
