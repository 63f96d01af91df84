"""A batch's records as rows and as columns, what reading them cost, and records that cannot be read."""

from __future__ import annotations

import pytest

from airflow_tablestore.consumer.tunnel import Batch, Settings, TunnelReader, Until, Usage
from airflow_tablestore.consumer.tunnel.meter import Meter, units_of
from airflow_tablestore.consumer.tunnel.records import at_once, one_by_one
from airflow_tablestore.errors import ProtocolError, RecordError
from airflow_tablestore.wire.plainbuffer import encode_rows
from airflow_tablestore.wire.proto import tunnel_pb2
from airflow_tablestore.wire.row import Cell, CellOp, Row, SequenceInfo
from airflow_tablestore.wire.stream import Action
from airflow_tablestore.wire.tunnel import StartFlag, StreamRange, TunnelType
from airflow_tablestore.wire.tunnel_channel import Place, RecordPage, TunnelRecord
from tests.unit.consumer.tunnel_fakes import LocalClient
from tests.unit.emulator.tablestore.tunnel_world import World

PLACE = SequenceInfo(1, 1_700_000_000_000_000, 7)
PLACE_TEXT = "0000000001_00001700000000000000_0000000007"
QUICK = Settings(heartbeat_seconds=0.05, timeout_seconds=60, checkpoint_seconds=0.02, pause_seconds=0.02)


def change(action, key, *cells, place=PLACE, before=None):
    origin = None if before is None else encode_rows([Row(key, tuple(before))])
    return TunnelRecord(action, encode_rows([Row(key, cells, action is Action.DELETE, place)]), origin)


def batch(*records):
    return Batch(Place("t", "me", "c"), 1, records, "before", "behind", True, 100, origin=None)


POISON = TunnelRecord(Action.PUT, b"\x75\x00\x00\x00 is no row")


def test_a_batch_is_columns_of_action_sequence_key_and_cells():
    key = (("id", 1), ("name", b"\x00\xff"))
    found = batch(
        change(Action.PUT, key, Cell("n", 2**63 - 1, 5), Cell("ok", True, 6), Cell("x", 0.5, 7)),
        change(Action.UPDATE, key, Cell("n", None, 5, CellOp.DELETE_ONE_VERSION), Cell("s", "", 8)),
        change(Action.DELETE, key),
    ).to_arrow()

    assert found.schema.names == ["action", "sequence", "time", "id", "name", "cells", "before"]
    assert [str(found.schema.field(name).type) for name in ("id", "name", "time")] == ["int64", "binary", "int64"]
    assert found.column("action").to_pylist() == ["put", "update", "delete"]
    assert set(found.column("sequence").to_pylist()) == {PLACE_TEXT}
    assert set(found.column("time").to_pylist()) == {PLACE.timestamp}
    assert found.column("name").to_pylist() == [b"\x00\xff"] * 3
    put, update, delete = found.column("cells").to_pylist()
    assert [(one["name"], one["integer"], one["boolean"], one["double"], one["version"]) for one in put] == [
        ("n", 2**63 - 1, None, None, 5),
        ("ok", None, True, None, 6),
        ("x", None, None, 0.5, 7),
    ]
    assert [(one["op"], one["string"]) for one in update] == [("delete_one_version", None), ("put", "")]
    assert delete == []


def test_rows_of_the_table_have_no_sequence():
    found = batch(change(Action.PUT, (("id", 1),), place=None)).to_arrow()

    assert found.column("sequence").to_pylist() == found.column("time").to_pylist() == [None]


def test_the_row_before_a_change_is_a_column_too():
    key = (("id", 1),)
    held = batch(
        change(Action.PUT, key, Cell("n", 1, 5)),
        change(Action.UPDATE, key, Cell("n", 2, 6), before=[Cell("n", 1, 5), Cell("s", "a", 5)]),
        change(Action.DELETE, key, before=[]),
    )

    for found in (at_once(held), one_by_one(held, None)):
        none, two, empty = found.column("before").to_pylist()
        assert (none, empty) == (None, [])
        assert [(one["name"], one["op"], one["version"], one["integer"], one["string"]) for one in two] == [
            ("n", "put", 5, 1, None),
            ("s", "put", 5, None, "a"),
        ]


def test_an_earlier_row_that_cannot_be_read_refuses_its_record():
    poisoned = TunnelRecord(Action.DELETE, change(Action.DELETE, (("id", 2),)).row, POISON.row)
    told = []

    found = batch(change(Action.PUT, (("id", 1),)), poisoned).to_arrow(told.append)

    assert found.column("id").to_pylist() == [1]
    assert "record 2 of 2" in str(told[0])


def test_a_record_that_cannot_be_read_is_an_error_that_says_where_it_stands():
    with pytest.raises(RecordError, match="record 2 of 2 behind token 'before' of channel c cannot be read"):
        batch(change(Action.PUT, (("id", 1),)), POISON).to_arrow()


def test_a_record_that_cannot_be_read_is_set_aside_where_somebody_hears_of_it():
    told = []

    found = batch(change(Action.PUT, (("id", 1),)), POISON, change(Action.DELETE, (("id", 2),))).to_arrow(told.append)

    assert found.column("id").to_pylist() == [1, 2]
    assert [type(one) for one in told] == [RecordError]


def test_a_record_with_another_key_is_set_aside_too():
    told = []

    found = batch(change(Action.PUT, (("id", 1),)), change(Action.PUT, (("id", "1"),))).to_arrow(told.append)

    assert found.num_rows == 1
    assert "another key" in str(told[0])


def test_a_batch_of_nothing_but_poison_has_no_rows():
    found = batch(POISON).to_arrow(lambda error: None)

    assert (found.num_rows, found.schema.names) == (0, ["action", "sequence", "time", "cells", "before"])


@pytest.mark.parametrize(("size", "units"), [(0, 1), (1, 1), (4096, 1), (4097, 2), (1024 * 1024, 256)])
def test_units_are_four_kilobytes_rounded_up_for_each_answer(size, units):
    assert units_of(size) == units


def test_what_is_read_is_counted():
    meter = Meter()

    for size in (10, 5000):
        meter.count(RecordPage((), "t", None, size))

    assert meter.usage == Usage(reads=2, bytes=5010, read_units=3)


# ---- through a reader


@pytest.fixture
def world():
    world = World()
    world.make_table()
    world.put(1, 2, 3)
    yield world
    world.service.close()


@pytest.fixture
def client(world):
    return LocalClient(world.service)


def poisoned(at):
    """Damages the bytes of a record in each answer that has so many."""

    def damage(body):
        answer = tunnel_pb2.ReadRecordsResponse.FromString(body)
        if len(answer.records) > at:
            answer.records[at].record = POISON.row
        return answer.SerializeToString()

    return damage


@pytest.mark.slow
def test_the_channel_goes_on_behind_a_poisoned_record_that_is_set_aside(world, client):
    id_ = world.tunnel(TunnelType.STREAM, StreamRange(StartFlag.EARLIEST))
    client.damages("readrecords", poisoned(2))
    told, found = [], []

    reader = TunnelReader(client, id_, settings=QUICK, until=Until.CAUGHT_UP)
    for one in reader:
        found += [row.key[0][1] for _, row in one.rows(told.append)]
        one.done()

    assert (found, len(told)) == ([1, 2], 1)
    assert reader.usage.reads == client.count("readrecords")
    assert reader.usage.read_units >= reader.usage.reads


@pytest.mark.slow
def test_an_answer_that_cannot_be_parsed_ends_the_worker_with_channel_and_token(world, client):
    id_ = world.tunnel(TunnelType.STREAM, StreamRange(StartFlag.EARLIEST))
    client.damages("readrecords", lambda body: body[: len(body) // 2])

    with pytest.raises(ProtocolError, match=r"The records of channel .* behind token '.*' cannot be read: .*Records"):
        list(TunnelReader(client, id_, settings=QUICK, until=Until.CAUGHT_UP))


def test_columns_read_at_once_are_those_read_one_by_one():
    key = (("id", 1), ("s", "é"))
    cells = (Cell("a", 2**63 - 1, 5), Cell("b", True, 6), Cell("c", -0.5, 7), Cell("d", "", 8), Cell("e", b"\x00", 9))
    gone = (Cell("a", None, 5, CellOp.DELETE_ONE_VERSION), Cell("b", None, None, CellOp.DELETE_ALL_VERSIONS))
    held = batch(
        change(Action.PUT, key, *cells, place=None),
        change(Action.UPDATE, key, *gone, *cells, before=cells),
        change(Action.DELETE, key, before=()),
        change(Action.PUT, key),
        change(Action.UPDATE, key, before=cells[:2]),
    )

    assert at_once(held).equals(one_by_one(held, None), check_metadata=True)
    assert at_once(batch(*held.records, POISON)) is None
