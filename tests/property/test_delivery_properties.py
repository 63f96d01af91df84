"""Deliveries: a definition survives wire and emulator, folders are those of any moment, and no row is lost."""

from __future__ import annotations

import contextlib
import io
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.tablestore.delivery_worker import Cut
from airflow_tablestore.emulator.tablestore.service import Service
from airflow_tablestore.pipeline.delivery.checks import Draft, fits, text_faults
from airflow_tablestore.pipeline.delivery.prefix import folder, partition
from airflow_tablestore.wire import delivery as wire
from airflow_tablestore.wire.delivery import (
    DeliveredColumn,
    DeliveryTask,
    Destination,
    Encoding,
    EventTime,
    ParquetType,
    TaskType,
    TimeFormat,
)
from airflow_tablestore.wire.plainbuffer import encode_delete, encode_put
from airflow_tablestore.wire.proto import table_pb2 as pb
from airflow_tablestore.wire.row import Cell, type_of

NOW = datetime(2026, 11, 21, 10, 58, tzinfo=UTC)
ROLE = "acs:ram::1234567890123456:role/aliyunserviceroleforotsdatadelivery"


class World:
    """A service whose deliveries make their steps when they are told to, and the files that they have written."""

    def __init__(self) -> None:
        self.clock = Clock(lambda: int(NOW.timestamp()) * 10**9)
        self.service = Service(None, self.clock)
        self.files: dict[str, bytes] = {}
        self.service.deliveries._begin = lambda: None  # no thread
        self.service.deliveries.start(self)
        request = pb.CreateTableRequest()
        request.table_meta.table_name = "t"
        request.table_meta.primary_key.add(name="id", type=pb.INTEGER)
        request.reserved_throughput.capacity_unit.read = 0
        request.table_options.time_to_live = -1
        request.table_options.max_versions = 1
        self.service.answer("CreateTable", "demo", request.SerializeToString())

    def sizes(self) -> list[tuple[str, int, int]]:
        return [("bucket", 0, 0)]

    def put_bytes(self, bucket: str, key: str, body: bytes) -> None:
        self.files[key] = body

    def call(self, call):
        return call.read(self.service.answer(call.operation, "demo", call.body))

    def write(self, key, cells) -> None:
        if cells is None:
            gone = pb.DeleteRowRequest(table_name="t", primary_key=encode_delete((("id", key),)))
            gone.condition.row_existence = pb.IGNORE
            self.service.answer("DeleteRow", "demo", gone.SerializeToString())
            return
        row = encode_put((("id", key),), [Cell(name, value) for name, value in cells.items()])
        put = pb.PutRowRequest(table_name="t", row=row)
        put.condition.row_existence = pb.IGNORE
        self.service.answer("PutRow", "demo", put.SerializeToString())

    def rows(self) -> list[dict]:
        return [row for body in self.files.values() for row in pq.read_table(io.BytesIO(body)).to_pylist()]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    world = World()
    yield world
    world.service.close()


# ---- definitions

words = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,15}", fullmatch=True)
moments = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC))
variables = ["$yyyy", "$MM", "$dd", "$HH", "$mm"]
prefixes = st.builds(
    lambda start, count, mark: "/".join([start, *(f"{mark}{one}" for one in variables[:count])]),
    words,
    st.integers(0, 5),
    st.sampled_from(["", "p=", "a-"]),
)
columns = st.lists(
    st.builds(
        DeliveredColumn,
        words,
        words,
        st.sampled_from(ParquetType),
        st.sampled_from(Encoding),
        st.sampled_from(["", "decimal(10,2)", "int64", "Ö, \n'"]),
    ),
    min_size=1,
    max_size=8,
    unique_by=(lambda one: one.name, lambda one: one.to),
).map(tuple)
destinations = st.builds(
    Destination,
    prefix=prefixes,
    bucket=st.from_regex(r"[a-z0-9][a-z0-9-]{1,20}[a-z0-9]", fullmatch=True),
    endpoint=st.sampled_from(["oss-cn-hangzhou.aliyuncs.com", "https://oss-cn-beijing-internal.aliyuncs.com"]),
    role=st.just(ROLE),
    columns=columns,
    event_time=st.none() | st.builds(EventTime, words, st.sampled_from(TimeFormat)),
)
names = st.from_regex(r"[a-z0-9][a-z0-9-]{1,14}[a-z0-9]", fullmatch=True)
tasks = st.builds(DeliveryTask, st.just("t"), names, destinations, st.sampled_from(TaskType))


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(task=tasks, second=destinations)
def test_a_definition_comes_back_as_it_was_made_and_as_it_was_changed(world, task, second):
    world.call(wire.create_delivery_task(task))
    try:
        assert world.call(wire.describe_delivery_task("t", task.name)).task == task
        world.call(wire.update_delivery_task("t", task.name, second))

        assert world.call(wire.describe_delivery_task("t", task.name)).task.destination == second
        assert [one.name for one in world.call(wire.list_delivery_tasks("t"))] == [task.name]
    finally:
        world.call(wire.delete_delivery_task("t", task.name))
    assert world.call(wire.list_delivery_tasks("t")) == ()


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(task=tasks)
def test_what_the_checks_let_pass_the_service_takes(world, task):
    errors = [fault for fault in text_faults(Draft.of(task)) if not fault.is_warning]
    if errors:
        return

    world.call(wire.create_delivery_task(task))

    world.call(wire.delete_delivery_task("t", task.name))


# ---- folders


@settings(max_examples=25, deadline=None)
@given(prefix=prefixes, moment=moments, hours=st.integers(-12, 14))
def test_a_moment_is_in_the_partition_whose_folder_it_has(prefix, moment, hours):
    zone = f"Etc/GMT{-hours:+d}" if hours else "UTC"

    place = partition(prefix, moment, zone)

    assert place.holds(moment)
    assert place.prefix == folder(prefix, moment, zone)
    local = moment + timedelta(hours=hours)
    filled = [f"{local.year:04d}", *(f"{part:02d}" for part in (local.month, local.day, local.hour, local.minute))]
    expected = prefix
    for variable, text in zip(variables, filled, strict=True):
        expected = expected.replace(variable, text)
    assert place.prefix == f"{expected}/"
    if place.start is not None and place.end is not None:
        inside, outside = place.end - timedelta(microseconds=1), (place.start - timedelta(microseconds=1), place.end)
        assert folder(prefix, inside, zone) == folder(prefix, place.start, zone) == place.prefix
        assert all(folder(prefix, one, zone) != place.prefix for one in outside)


# ---- rows

values = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.text(max_size=8),
    st.floats(allow_nan=False, allow_infinity=False),  # the service takes neither
    st.booleans(),
    st.binary(max_size=4),
)
rows = st.dictionaries(st.sampled_from("abc"), values, min_size=1)
writes = st.lists(st.tuples(st.integers(0, 5), st.none() | rows), max_size=12)
SCHEMA = (
    DeliveredColumn("id", "id", ParquetType.INT64),
    DeliveredColumn("a", "a", ParquetType.INT64),
    DeliveredColumn("b", "b", ParquetType.UTF8),
    DeliveredColumn("c", "c", ParquetType.DOUBLE),
)


def delivered_as(key, cells, dropped):
    """What the documentation says about a row: a value of another type is dropped, the row is delivered."""
    row = {"id": key}
    for column in SCHEMA[1:]:
        value = cells.get(column.name)
        if isinstance(value, bytes) and column.type is ParquetType.UTF8:
            with contextlib.suppress(UnicodeDecodeError):
                value = value.decode()
        if value is not None and (isinstance(value, bytes) or not fits(type_of(value), column.type)):
            dropped[column.name] += 1
            value = None
        row[column.to] = value
    return row


def sorted_(rows):
    return sorted(map(repr, rows))


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(before=writes, after=writes, cut_bytes=st.sampled_from([1, 300, 10**6]), steps=st.integers(0, 3))
def test_every_row_and_change_is_delivered_once_less_its_dirty_values(before, after, cut_bytes, steps):
    world, task = World(), DeliveryTask("t", "task", Destination("a/$yyyy", "bucket", "", ROLE, SCHEMA))
    try:
        world.service.deliveries.cut = Cut(120, cut_bytes)
        standing = {}
        for key, cells in before:
            world.write(key, cells)
            standing[key] = cells
        dropped = Counter()
        expected = [delivered_as(key, cells, dropped) for key, cells in standing.items() if cells is not None]

        world.call(wire.create_delivery_task(task))
        for _ in range(2 * len(before) + 3):
            world.service.deliveries.step()
        for key, cells in after:
            world.write(key, cells)
            for _ in range(steps):
                world.service.deliveries.step()
        world.clock.advance(121)
        for _ in range(2 * len(after) + 3):
            world.service.deliveries.step()
            world.clock.advance(121)
        expected += [delivered_as(key, cells, dropped) for key, cells in after if cells is not None]

        (report,) = world.service.deliveries.report("demo")
        assert sorted_(world.rows()) == sorted_(expected)
        assert (report["rows"], report["dropped"]) == (len(expected), dict(dropped))
    finally:
        world.service.close()
