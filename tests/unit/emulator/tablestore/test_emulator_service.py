"""Operations that the official Python SDK cannot ask for, straight through the service."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.tablestore.errors import ServiceError
from airflow_tablestore.emulator.tablestore.service import Service
from airflow_tablestore.emulator.tablestore.storage import Store
from airflow_tablestore.emulator.tablestore.validation import Limits
from airflow_tablestore.wire.plainbuffer import decode_key, decode_rows, encode_key, encode_put, encode_update
from airflow_tablestore.wire.proto import table_pb2 as pb
from airflow_tablestore.wire.row import AUTO_INCREMENT, INF_MAX, INF_MIN, Cell, CellOp

NOW = 1_700_000_000_000


@pytest.fixture
def service(tmp_path):
    service = Service(None, Clock(lambda: NOW * 1_000_000), Limits(split_unit_bytes=1))
    yield service
    service.close()


def ask(service, operation, request, answer, instance="demo"):
    return answer.FromString(service.answer(operation, instance, request.SerializeToString()))


def make_table(service, keys=(("p", pb.STRING), ("q", pb.INTEGER)), name="t", **options):
    request = pb.CreateTableRequest(**options)
    request.table_meta.table_name = name
    for key, kind in keys:
        request.table_meta.primary_key.add(name=key, type=kind)
    request.reserved_throughput.capacity_unit.read = 0
    request.table_options.time_to_live = -1
    request.table_options.max_versions = 1
    ask(service, "CreateTable", request, pb.CreateTableResponse)


def put(service, p, q, *cells, table="t"):
    request = pb.PutRowRequest(table_name=table, row=encode_put((("p", p), ("q", q)), cells))
    request.condition.row_existence = pb.IGNORE
    ask(service, "PutRow", request, pb.PutRowResponse)


def splits(service, **options):
    request = pb.ComputeSplitPointsBySizeRequest(table_name="t", **options)
    return ask(service, "ComputeSplitPointsBySize", request, pb.ComputeSplitPointsBySizeResponse)


# ---- tables


def test_a_table_is_active(service):
    make_table(service)

    answer = ask(service, "DescribeTable", pb.DescribeTableRequest(table_name="t"), pb.DescribeTableResponse)

    assert answer.HasField("table_status")  # clients with field 4 as a required one cannot read the answer without
    assert answer.table_status == pb.ACTIVE


def test_an_update_tells_that_there_is_no_stream(service):
    make_table(service)
    request = pb.UpdateTableRequest(table_name="t")
    request.table_options.max_versions = 2

    answer = ask(service, "UpdateTable", request, pb.UpdateTableResponse)

    assert answer.HasField("stream_details")  # the Go client reads it without looking whether it is there
    assert answer.stream_details.enable_stream is False


# ---- split points


def test_an_empty_table_is_one_piece(service):
    make_table(service)

    answer = splits(service, split_size=1)

    assert list(answer.split_points) == []
    assert [(len(place.location), place.repeat) for place in answer.locations] == [(32, 1)]
    assert [column.name for column in answer.schema] == ["p", "q"]


def test_pieces_have_about_the_size_asked_for(service):
    make_table(service)
    for n in range(40):
        put(service, f"{n:03d}", n, Cell("c", "x" * 1000))

    answer = splits(service, split_size=10, split_size_unit_in_byte=1000)

    points = [decode_key(point) for point in answer.split_points]
    assert points == [(("p", f"{n:03d}"),) for n in (10, 20, 30)]
    assert sum(place.repeat for place in answer.locations) == 4


def test_a_point_is_the_shortest_key_that_separates(service):
    make_table(service)
    for n in range(4):
        put(service, "same", n, Cell("c", "x" * 1000))

    answer = splits(service, split_size=2, split_size_unit_in_byte=1000)

    assert [decode_key(point) for point in answer.split_points] == [(("p", "same"), ("q", 2))]


def test_a_limit_makes_pieces_larger(service):
    make_table(service)
    for n in range(40):
        put(service, f"{n:03d}", n, Cell("c", "x" * 1000))

    answer = splits(service, split_size=1, split_size_unit_in_byte=1000, split_point_limit=3)

    assert len(answer.split_points) == 3


def test_pieces_of_one_partition_share_a_location(service):
    request_range = [(b"\x09", b"\x03\x01\x00\x00\x00m"), (b"\x03\x01\x00\x00\x00m", b"\x0a")]
    make_table(service, partitions=[pb.PartitionRange(begin=low, end=high) for low, high in request_range])
    for name in ("a", "b", "x", "y"):
        put(service, name, 1, Cell("c", "x" * 1000))

    answer = splits(service, split_size=1, split_size_unit_in_byte=500)

    assert [decode_key(point)[0][1] for point in answer.split_points] == ["b", "x", "y"]
    assert [place.repeat for place in answer.locations] == [2, 2]
    described = ask(service, "DescribeTable", pb.DescribeTableRequest(table_name="t"), pb.DescribeTableResponse)
    assert [decode_key(point) for point in described.shard_splits] == [(("p", "m"),)]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"split_size": 0}, "The split_size should be greater than 0."),
        (
            {"split_size": 1, "split_size_unit_in_byte": 1024},
            "The split_size_unit_in_byte should be greater equal than: 1048576",
        ),
        ({"split_size": 1, "split_point_limit": 0}, "The value of SplitPointLimit must be greater than 0."),
    ],
)
def test_split_sizes_are_checked(options, text):
    service = Service(None, Clock())
    make_table(service)

    with pytest.raises(ServiceError) as caught:
        splits(service, **options)

    service.close()
    assert (caught.value.code, caught.value.message) == ("OTSParameterInvalid", text)


# ---- streams' settings


def test_stream_settings_are_kept_and_described(service):
    make_table(
        service,
        stream_spec=pb.StreamSpecification(enable_stream=True, expiration_time=48, columns_to_get=["c"]),
    )

    def details():
        request = pb.DescribeTableRequest(table_name="t")
        return ask(service, "DescribeTable", request, pb.DescribeTableResponse).stream_details

    first = details()
    assert (first.enable_stream, first.expiration_time, list(first.columns_to_get)) == (True, 48, ["c"])
    assert first.stream_id
    assert first.last_enable_time == NOW * 1000

    request = pb.UpdateTableRequest(table_name="t")
    request.stream_spec.enable_stream = False
    ask(service, "UpdateTable", request, pb.UpdateTableResponse)
    assert not details().enable_stream

    request.stream_spec.enable_stream = True
    answer = ask(service, "UpdateTable", request, pb.UpdateTableResponse)
    assert answer.stream_details.stream_id not in ("", first.stream_id)
    assert details().expiration_time == 24


# ---- rows


def test_an_increment_returns_the_new_value(service):
    make_table(service)
    put(service, "a", 1, Cell("n", 40))
    change = encode_update(
        (("p", "a"), ("q", 1)), [Cell("n", 2, None, CellOp.INCREMENT), Cell("m", 1, None, CellOp.INCREMENT)]
    )
    request = pb.UpdateRowRequest(table_name="t", row_change=change)
    request.condition.row_existence = pb.IGNORE
    request.return_content.return_type = pb.RT_AFTER_MODIFY
    request.return_content.return_column_names.append("n")

    answer = ask(service, "UpdateRow", request, pb.UpdateRowResponse)

    [row] = decode_rows(answer.row)
    assert [(cell.name, cell.value) for cell in row.cells] == [("n", 42)]


@pytest.mark.parametrize("value", ["text", 2**63 - 1])
def test_an_increment_that_cannot_be_is_refused(service, value):
    make_table(service)
    put(service, "a", 1, Cell("n", value))
    change = encode_update((("p", "a"), ("q", 1)), [Cell("n", 1, None, CellOp.INCREMENT)])
    request = pb.UpdateRowRequest(table_name="t", row_change=change)
    request.condition.row_existence = pb.IGNORE

    with pytest.raises(ServiceError) as caught:
        ask(service, "UpdateRow", request, pb.UpdateRowResponse)

    assert caught.value.code == "OTSParameterInvalid"


@pytest.mark.parametrize(
    ("offset", "limit", "found"), [(0, 2, ["a", "b"]), (1, 1, ["b"]), (2, 9, ["c", "d"]), (9, 1, [])]
)
def test_columns_are_paged(service, offset, limit, found):
    make_table(service)
    put(service, "k", 1, *[Cell(name, 1) for name in "dcba"])
    page = pb.ColumnPaginationFilter(offset=offset, limit=limit).SerializeToString()
    request = pb.GetRowRequest(table_name="t", primary_key=encode_key((("p", "k"), ("q", 1))), max_versions=1)
    request.filter = pb.Filter(type=pb.FT_COLUMN_PAGINATION, filter=page).SerializeToString()

    [row] = decode_rows(ask(service, "GetRow", request, pb.GetRowResponse).row)

    assert [cell.name for cell in row.cells] == found


def test_doubles_that_are_no_numbers_are_taken_where_that_is_asked_for():
    service = Service(None, Clock(), Limits(allows_non_finite=True))
    make_table(service)

    put(service, "k", 1, Cell("c", float("inf")))

    service.close()


# ---- storage


def test_tables_and_rows_are_there_after_reopening(tmp_path):
    service = Service(tmp_path, Clock())
    make_table(service)
    put(service, "k", 1, Cell("a", 1))
    service.close()

    reopened = Service(tmp_path, Clock())

    names = ask(reopened, "ListTable", pb.ListTableRequest(), pb.ListTableResponse).table_names
    request = pb.GetRowRequest(table_name="t", primary_key=encode_key((("p", "k"), ("q", 1))), max_versions=1)
    [row] = decode_rows(ask(reopened, "GetRow", request, pb.GetRowResponse).row)
    reopened.close()
    assert list(names) == ["t"]
    assert row.cells[0].value == 1


def test_an_ephemeral_store_leaves_nothing_behind():
    store = Store(None)
    folder = store._folder
    assert folder.exists()

    store.close()

    assert not folder.exists()


def test_a_thread_that_reads_is_not_robbed_of_its_connection():
    store = Store(None)
    is_reading, is_closed = threading.Event(), threading.Event()

    def read():
        with store.reading() as connection:
            is_reading.set()
            is_closed.wait(60)
            found = connection.execute("SELECT 1").fetchone()
        with pytest.raises(sqlite3.ProgrammingError), store.reading():
            pass
        return found

    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(read)
        is_reading.wait(60)
        store.close()
        is_closed.set()

        assert reading.result() == (1,)


def test_a_table_told_to_keep_fewer_versions_shows_fewer(service):
    request = pb.CreateTableRequest()
    request.table_meta.table_name = "t"
    request.table_meta.primary_key.add(name="p", type=pb.STRING)
    request.table_meta.primary_key.add(name="q", type=pb.INTEGER)
    request.reserved_throughput.capacity_unit.read = 0
    request.table_options.time_to_live = -1
    request.table_options.max_versions = 3
    ask(service, "CreateTable", request, pb.CreateTableResponse)
    put(service, "k", 1, Cell("a", "old", NOW - 1), Cell("a", "new", NOW))
    update = pb.UpdateTableRequest(table_name="t")
    update.table_options.max_versions = 1
    ask(service, "UpdateTable", update, pb.UpdateTableResponse)

    whole = pb.GetRangeRequest(
        table_name="t",
        direction=pb.FORWARD,
        max_versions=5,
        inclusive_start_primary_key=encode_key((("p", INF_MIN), ("q", INF_MIN))),
        exclusive_end_primary_key=encode_key((("p", INF_MAX), ("q", INF_MAX))),
    )
    [row] = decode_rows(ask(service, "GetRange", whole, pb.GetRangeResponse).rows)

    assert [cell.value for cell in row.cells] == ["new"]


def test_of_many_that_make_the_same_table_one_succeeds(service):
    def attempt(_):
        try:
            make_table(service)
        except ServiceError as error:
            return error.code
        return "OK"

    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(attempt, range(8)))

    assert sorted(outcomes) == ["OK", *["OTSObjectAlreadyExist"] * 7]


def test_generated_keys_are_unique_across_writers_and_restarts(tmp_path):
    def make_rows(service):
        def attempt(_):
            block = encode_put((("p", "a"), ("q", AUTO_INCREMENT)), [])
            request = pb.PutRowRequest(table_name="t", row=block)
            request.condition.row_existence = pb.IGNORE
            request.return_content.return_type = pb.RT_PK
            return decode_rows(ask(service, "PutRow", request, pb.PutRowResponse).row)[0].key[1][1]

        with ThreadPoolExecutor(4) as threads:
            return list(threads.map(attempt, range(20)))

    clock = Clock(lambda: NOW * 1_000_000)
    service = Service(tmp_path, clock)
    request = pb.CreateTableRequest()
    request.table_meta.table_name = "t"
    request.table_meta.primary_key.add(name="p", type=pb.STRING)
    request.table_meta.primary_key.add(name="q", type=pb.INTEGER, option=pb.AUTO_INCREMENT)
    request.reserved_throughput.capacity_unit.read = 0
    request.table_options.time_to_live = -1
    request.table_options.max_versions = 1
    ask(service, "CreateTable", request, pb.CreateTableResponse)

    made = make_rows(service)
    service.close()
    service = Service(tmp_path, clock)
    made += make_rows(service)
    service.close()

    assert len(set(made)) == 40
