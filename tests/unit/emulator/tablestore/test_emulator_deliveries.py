"""Delivery tasks of the emulator, step by step: what is written where, what is dropped, how far a task says it is."""

import io
from collections import Counter
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.tablestore.delivery_files import folder_of, parquet, values_of
from airflow_tablestore.emulator.tablestore.delivery_worker import Cut
from airflow_tablestore.emulator.tablestore.errors import ServiceError
from airflow_tablestore.emulator.tablestore.service import Service
from airflow_tablestore.errors import SpecError
from airflow_tablestore.wire import delivery as wire
from airflow_tablestore.wire.delivery import (
    DeliveredColumn,
    DeliveryTask,
    Destination,
    Encoding,
    EventTime,
    Listed,
    ParquetType,
    Phase,
    TaskType,
    TimeFormat,
)
from airflow_tablestore.wire.plainbuffer import encode_delete, encode_put, encode_update
from airflow_tablestore.wire.proto import delivery_pb2
from airflow_tablestore.wire.proto import table_pb2 as pb
from airflow_tablestore.wire.row import Cell, Row

NOW = datetime(2026, 11, 21, 10, 58, tzinfo=UTC)
ROLE = "acs:ram::1234567890123456:role/AliyunServiceRoleForOTSDataDelivery"
COLUMNS = (DeliveredColumn("id", "key", ParquetType.INT64), DeliveredColumn("v", "v", ParquetType.UTF8))


class Bucket:
    """An object store in a dictionary; a name of None makes every put fail once the files are counted."""

    def __init__(self, *names):
        self.names = list(names)
        self.files = {}
        self.fails = False

    def sizes(self):
        return [(name, 0, 0) for name in self.names]

    def put_bytes(self, bucket, key, body):
        self.files[key] = body
        if self.fails:
            raise OSError("the disk is full")


class World:
    """A service with one table, a clock that stands still, and steps on demand."""

    def __init__(self, folder=None, bucket=None):
        self.clock = Clock(lambda: int(NOW.timestamp()) * 10**9)
        self.service = Service(folder, self.clock)
        self.bucket = bucket or Bucket("bucket")
        self.deliveries = self.service.deliveries
        self.deliveries._begin = lambda: None  # no thread: a test makes the steps
        self.deliveries.start(self.bucket)

    def call(self, call):
        return call.read(self.service.answer(call.operation, "demo", call.body))

    def make_table(self):
        request = pb.CreateTableRequest()
        request.table_meta.table_name = "t"
        request.table_meta.primary_key.add(name="id", type=pb.INTEGER)
        request.reserved_throughput.capacity_unit.read = 0
        request.table_options.time_to_live = -1
        request.table_options.max_versions = 1
        self.service.answer("CreateTable", "demo", request.SerializeToString())

    def put(self, id_, **cells):
        row = encode_put((("id", id_),), [Cell(name, value) for name, value in cells.items()])
        request = pb.PutRowRequest(table_name="t", row=row)
        request.condition.row_existence = pb.IGNORE
        self.service.answer("PutRow", "demo", request.SerializeToString())

    def update(self, id_, **cells):
        row = encode_update((("id", id_),), [Cell(name, value) for name, value in cells.items()])
        request = pb.UpdateRowRequest(table_name="t", row_change=row)
        request.condition.row_existence = pb.IGNORE
        self.service.answer("UpdateRow", "demo", request.SerializeToString())

    def delete_row(self, id_):
        request = pb.DeleteRowRequest(table_name="t", primary_key=encode_delete((("id", id_),)))
        request.condition.row_existence = pb.IGNORE
        self.service.answer("DeleteRow", "demo", request.SerializeToString())

    def create(self, prefix="a", type_=TaskType.BASE_INC, columns=COLUMNS, event=None, name="task", **more):
        to = {"bucket": "bucket", "endpoint": "oss-cn-hangzhou.aliyuncs.com", "role": ROLE, **more}
        self.call(
            wire.create_delivery_task(
                DeliveryTask("t", name, Destination(prefix, columns=columns, event_time=event, **to), type_)
            )
        )

    def progress(self, name="task"):
        return self.call(wire.describe_delivery_task("t", name)).progress

    def step(self, seconds=0.0, times=1):
        self.clock.advance(seconds)
        for _ in range(times):
            self.deliveries.step()

    def settle(self):
        """Everything that was written is delivered."""
        self.step(times=4)
        self.step(121, times=2)

    def rows(self, folder=""):
        tables = [pq.read_table(io.BytesIO(body)) for key, body in sorted(self.bucket.files.items()) if folder in key]
        return [row for table in tables for row in table.to_pylist()]

    def folders(self):
        return Counter(key.rpartition("/")[0] for key in self.bucket.files)


@pytest.fixture
def world():
    world = World()
    world.make_table()
    yield world
    world.service.close()


def test_a_task_is_made_listed_described_and_deleted(world):
    world.create()

    assert world.call(wire.list_delivery_tasks("t")) == (Listed("t", "task", TaskType.BASE_INC),)
    assert world.progress().phase is Phase.INIT
    assert world.call(wire.describe_delivery_task("t", "task")).task.destination.columns == COLUMNS
    world.call(wire.delete_delivery_task("t", "task"))
    assert world.call(wire.list_delivery_tasks("t")) == ()


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (wire.describe_delivery_task("t", "none"), "OTSObjectNotExist"),
        (wire.delete_delivery_task("t", "none"), "OTSObjectNotExist"),
        (wire.list_delivery_tasks("none"), "OTSObjectNotExist"),
        (
            wire.create_delivery_task(DeliveryTask("t", "Task", Destination("a", "bucket", "", "", COLUMNS))),
            "OTSParameterInvalid",
        ),
        (
            wire.create_delivery_task(DeliveryTask("t", "task", Destination("a", "bucket", "", "", ()))),
            "OTSParameterInvalid",
        ),
        (
            wire.create_delivery_task(DeliveryTask("t", "task", Destination("a/$day", "bucket", "", "", COLUMNS))),
            "OTSParameterInvalid",
        ),
    ],
)
def test_what_cannot_be_done_is_refused(world, call, code):
    with pytest.raises(ServiceError) as error:
        world.call(call)

    assert error.value.code == code


def test_a_second_task_of_one_name_is_refused(world):
    world.create()

    with pytest.raises(ServiceError) as error:
        world.create()

    assert error.value.code == "OTSObjectAlreadyExist"


def test_the_rows_of_the_table_come_first_and_then_its_changes(world):
    world.put(1, v="one")
    world.create()
    world.step()
    assert world.progress().phase is Phase.FULL
    world.step()
    assert (world.progress().phase, world.rows()) == (Phase.INCREMENTAL, [{"key": 1, "v": "one"}])

    world.put(2, v="two")
    world.update(1, v="uno")
    world.settle()

    assert world.rows() == [{"key": 1, "v": "one"}, {"key": 2, "v": "two"}, {"key": 1, "v": "uno"}]
    assert world.progress().reached_nanos == world.clock.micros() * 1000


@pytest.mark.parametrize(
    ("type_", "delivered", "phase"),
    [
        (TaskType.BASE, [1], Phase.INCREMENTAL),
        (TaskType.INC, [2], Phase.INCREMENTAL),
        (TaskType.BASE_INC, [1, 2], Phase.INCREMENTAL),
    ],
)
def test_the_type_says_what_is_delivered(world, type_, delivered, phase):
    world.put(1, v="x")
    world.create(type_=type_)
    world.step(times=3)
    world.put(2, v="x")

    world.settle()

    assert [row["key"] for row in world.rows()] == delivered
    assert world.progress().phase == phase
    assert world.progress().reached_nanos > 0


def test_deletes_are_ignored(world):
    world.put(1, v="x")
    world.create()
    world.step(times=3)
    world.delete_row(1)

    world.settle()

    assert world.rows() == [{"key": 1, "v": "x"}]


def test_a_file_is_cut_by_time(world):
    world.create(type_=TaskType.INC)
    world.step(times=2)
    world.put(1, v="x")
    world.step()
    world.step(119)
    assert world.bucket.files == {}
    behind = world.progress().reached_nanos

    world.step(1)

    assert len(world.bucket.files) == 1
    assert world.progress().reached_nanos - behind >= 119 * 10**9


def test_a_file_is_cut_by_size(world):
    world.deliveries.cut = Cut(seconds=3600, bytes=500)
    world.create(type_=TaskType.INC)
    world.step(times=2)
    for key in range(20):
        world.put(key, v="x" * 50)

    world.step(times=30)

    assert len(world.bucket.files) >= 1
    assert [row["key"] for row in world.rows()] == list(range(len(world.rows())))
    world.step(3601, times=3)
    assert [row["key"] for row in world.rows()] == list(range(20))


def test_the_rows_of_a_table_are_cut_by_size_and_each_is_delivered_once(world):
    for key in range(50):
        world.put(key, v="x" * 50)
    world.deliveries.cut = Cut(bytes=500)
    world.create(type_=TaskType.BASE)

    world.step(times=30)

    assert len(world.bucket.files) > 5
    assert [row["key"] for row in world.rows()] == list(range(50))


def test_folders_go_by_the_time_of_the_write(world):
    world.create("a/$yyyy/$MM/$dd/$HH/$mm", type_=TaskType.INC)
    world.step(times=2)
    for key in (1, 2, 3):
        world.put(key, v="x")
        world.step(60)

    world.settle()

    assert sorted(world.folders()) == ["a/2026/11/21/10/58", "a/2026/11/21/10/59", "a/2026/11/21/11/00"]


def test_folders_go_by_the_event_time_where_there_is_one(world):
    world.create("a/$yyyy$MM$dd", event=EventTime("at", TimeFormat.UNIX))
    world.put(1, v="x", at=0)
    world.put(2, v="x", at=86_400)
    world.put(3, v="x")
    world.put(4, v="x", at="no time")

    world.settle()

    assert sorted(world.folders()) == ["a/19700101", "a/19700102", "a/20261121"]
    assert world.deliveries.report("demo")[0]["dropped"] == {"at": 2}


def test_values_that_do_not_fit_are_dropped_and_counted(world):
    world.create(columns=(*COLUMNS, DeliveredColumn("n", "n", ParquetType.DOUBLE)))
    world.put(1, v=7, n=1)
    world.put(2, v="x", n=1.5)

    world.settle()

    assert world.rows() == [{"key": 1, "v": None, "n": None}, {"key": 2, "v": "x", "n": 1.5}]
    assert world.deliveries.report("demo")[0]["dropped"] == {"v": 1, "n": 1}


@pytest.mark.parametrize(
    ("to", "code"),
    [
        ({"role": "acs:ram::12345678:role/mine"}, "UNAUTHORIZED"),
        ({"role": "nobody"}, "UNAUTHORIZED"),
        ({"bucket": "elsewhere"}, "INVALID_OSS_BUCKET"),
    ],
)
def test_a_task_that_cannot_write_says_why(world, to, code):
    world.put(1, v="x")
    world.create(**to)

    world.step(times=3)

    told = world.progress()
    assert (told.phase, told.error, world.bucket.files) == (Phase.INIT, code, {})
    assert told.detail


def test_a_task_goes_on_once_its_bucket_is_there_and_loses_nothing(world):
    world.create()
    world.step(times=3)
    world.bucket.names = []
    world.put(1, v="x")
    world.step()
    assert world.progress().error == "INVALID_OSS_BUCKET"
    world.bucket.names = ["bucket"]

    world.settle()

    assert (world.progress().error, world.rows()) == ("", [{"key": 1, "v": "x"}])


def test_a_disk_that_is_full_delays_and_doubles_nothing(world):
    world.create(type_=TaskType.INC)
    world.step(times=2)
    world.put(1, v="x")
    world.step()
    world.bucket.fails = True
    world.step(121, times=2)
    world.bucket.fails = False
    world.put(2, v="y")

    world.settle()

    assert [row["key"] for row in world.rows()] == [1, 2]


def test_tasks_survive_a_restart_and_go_on_where_they_were(tmp_path):
    bucket = Bucket("bucket")
    world = World(tmp_path, bucket)
    world.make_table()
    world.put(1, v="x")
    world.create()
    world.settle()
    world.put(2, v="y")
    world.step()  # read, not written
    world.service.close()

    world = World(tmp_path, bucket)
    world.put(3, v="z")
    world.settle()

    assert [row["key"] for row in world.rows()] == [1, 2, 3]
    world.service.close()


def test_records_of_split_shards_are_delivered(world):
    world.create(type_=TaskType.INC)
    world.step(times=2)
    for key in range(4):
        world.put(key, v="x")
    world.service.streams.split_shard("demo", "t", at=(("id", 2),))
    for key in range(4, 8):
        world.put(key - 4, v="y")

    world.settle()

    assert sorted((row["key"], row["v"]) for row in world.rows()) == [(k, v) for k in range(4) for v in "xy"]


def test_an_update_moves_a_task_elsewhere(world):
    world.create("a")
    world.step(times=3)
    world.put(1, v="x")
    world.step()
    to = Destination("b", "bucket", "oss-cn-hangzhou.aliyuncs.com", ROLE, COLUMNS[:1])
    world.call(wire.update_delivery_task("t", "task", to))

    world.settle()

    assert (sorted(world.folders()), world.rows()) == (["b"], [{"key": 1}])


def test_a_task_made_anew_leaves_what_the_former_has_delivered(world):
    world.put(1, v="x")
    for _ in range(2):
        world.create()
        world.settle()
        world.call(wire.delete_delivery_task("t", "task"))

    assert len(world.rows()) == 2


def test_the_tasks_of_a_table_go_with_it(world):
    world.create()

    world.service.store.drop("demo", "t")
    world.make_table()
    world.step()

    assert world.call(wire.list_delivery_tasks("t")) == ()


def test_a_test_holds_a_task_and_lets_it_fail(world):
    world.create()
    world.deliveries.hold("demo", "t", "task")
    world.step(times=3)
    assert world.progress().phase is Phase.INIT

    world.deliveries.fail("demo", "t", "task", "UNAUTHORIZED", "revoked")
    world.step()
    assert (world.progress().error, world.progress().detail) == ("UNAUTHORIZED", "revoked")

    world.deliveries.release("demo", "t", "task")
    world.step()
    assert (world.progress().phase, world.progress().error) == (Phase.FULL, "")
    with pytest.raises(SpecError):
        world.deliveries.fail("demo", "t", "task", "SAD", "")
    with pytest.raises(SpecError):
        world.deliveries.hold("demo", "none", "task")


def test_a_task_is_held_before_it_is_made(world):
    world.deliveries.hold("demo", "t", "task")
    world.create()

    world.step(times=3)

    assert world.progress().phase is Phase.INIT
    world.deliveries.release("demo", "t", "task")
    world.step()
    assert world.progress().phase is Phase.FULL


# ---- values and files


def config(*columns, event=None, prefix="a"):
    task = DeliveryTask("t", "abc", Destination(prefix, "b", "", "", columns, event))
    return delivery_pb2.CreateDeliveryTaskRequest.FromString(wire.create_delivery_task(task).body).taskConfig


def delivered(value, type_, extension="", encoding=Encoding.PLAIN):
    """What a file holds of a value, and whether it was dropped."""
    its, dropped = config(DeliveredColumn("c", "c", type_, encoding, extension)), Counter()
    row = Row((("id", 1),), (Cell("c", value, 1),))
    values = values_of(its, row, lambda name: dropped.update([name]))
    (found,) = pq.read_table(io.BytesIO(parquet(its, [values]))).column("c").to_pylist()
    return "dropped" if dropped else found


@pytest.mark.parametrize(
    ("type_", "value", "found"),
    [
        ("BOOL", True, True),
        ("BOOL", 1, "dropped"),
        ("INT64", 2**63 - 1, 2**63 - 1),
        ("INT64", True, "dropped"),
        ("INT64", "1", "dropped"),
        ("INT32", 2**31, "dropped"),
        ("INT32", -(2**31), -(2**31)),
        ("UTF8", "ü", "ü"),
        ("UTF8", "ü".encode(), "ü"),
        ("UTF8", b"\xff", "dropped"),
        ("UTF8", 1, "dropped"),
        ("DOUBLE", 0.1, 0.1),
        ("DOUBLE", 1, "dropped"),
        ("FLOAT", 0.5, 0.5),
        ("DATE", "2026-11-21", datetime(2026, 11, 21).date()),
        ("DATE", 1, datetime(1970, 1, 2).date()),
        ("DATE", "soon", "dropped"),
        ("TIME_MILLIS", 1500, datetime(1970, 1, 1, 0, 0, 1, 500_000).time()),
        ("TIME_MICROS", "10:00:01", datetime(1970, 1, 1, 10, 0, 1).time()),
        ("TIME_MICROS", -1, "dropped"),
        ("TIMESTAMP_MILLIS", 1500, datetime(1970, 1, 1, 0, 0, 1, 500_000, UTC)),
        ("TIMESTAMP_MICROS", "2026-11-21T10:00:00+08:00", datetime(2026, 11, 21, 2, tzinfo=UTC)),
        ("TIMESTAMP_MILLIS", 2**62, "dropped"),
        ("LIST", '["a", 1]', ["a", "1"]),
        ("LIST", "{}", "dropped"),
        ("MAP", '{"a": 1}', [("a", "1")]),
        ("INTERVAL", "1d", "dropped"),
        ("INT96", 1, "dropped"),
    ],
)
def test_a_value_becomes_what_its_type_takes(type_, value, found):
    assert delivered(value, ParquetType(type_)) == found


@pytest.mark.parametrize(
    ("extension", "value", "found"), [("10,2", "1.25", "1.25"), ("3,2", "100", None), ("", 1, "1")]
)
def test_a_decimal_has_its_digits_in_the_extension(extension, value, found):
    told = delivered(value, ParquetType.DECIMAL, extension)

    assert told == "dropped" if found is None else str(told.normalize()) == found


@pytest.mark.parametrize(
    ("type_", "encoding", "value", "written"),
    [
        ("INT64", Encoding.PLAIN, 1, "PLAIN"),
        ("UTF8", Encoding.PLAIN_DICTIONARY, "x", "DICTIONARY"),
        ("INT64", Encoding.DELTA_BINARY_PACKED, 1, "DELTA_BINARY_PACKED"),
        ("UTF8", Encoding.DELTA_BYTE_ARRAY, "x", "DELTA_BYTE_ARRAY"),
        ("UTF8", Encoding.DELTA_LENGTH_BYTE_ARRAY, "x", "DELTA_LENGTH_BYTE_ARRAY"),
    ],
)
def test_a_column_has_the_encoding_asked_for(type_, encoding, value, written):
    its = config(DeliveredColumn("c", "c", ParquetType(type_), encoding))

    file = pq.ParquetFile(io.BytesIO(parquet(its, [(value,)])))

    assert any(written in one for one in file.metadata.row_group(0).column(0).encodings)


def test_columns_stand_in_the_order_asked_for():
    its = config(DeliveredColumn("b", "y", ParquetType.UTF8), DeliveredColumn("a", "x", ParquetType.INT64))

    assert pq.read_schema(io.BytesIO(parquet(its, []))).equals(pa.schema([("y", pa.string()), ("x", pa.int64())]))


@pytest.mark.parametrize(
    ("format_", "given"),
    [
        (TimeFormat.UNIX, 1_700_000_000),
        (TimeFormat.UNIX, 1_700_000_000_000),
        (TimeFormat.RFC3339, "2023-11-15T06:13:20+08:00"),
        (TimeFormat.RFC822, "14 Nov 23 22:13 UT"),
        (TimeFormat.RFC1123, "Tue, 14 Nov 2023 22:13:20 GMT"),
        (TimeFormat.RFC850, "Tuesday, 14-Nov-23 22:13:20 GMT"),
    ],
)
def test_an_event_time_is_read_in_its_format(format_, given):
    its, dropped = config(event=EventTime("at", format_), prefix="$yyyy-$MM-$dd-$HH-$mm"), []

    folder = folder_of(its, Row((("id", 1),), (Cell("at", given, 1),)), 0, dropped.append)

    assert (folder, dropped) == ("2023-11-14-22-13/", [])
