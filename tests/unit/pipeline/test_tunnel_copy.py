"""A table that follows another one by a tunnel: what arrives, what a crash leaves, and what cannot be copied.

The oracle is the source's own content, read with all versions; the copy must be the same, cell by cell.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_tablestore.consumer.tunnel import Settings
from airflow_tablestore.errors import DirtyLimitExceeded, RecordError, Rejected, RetryLater, SpecError
from airflow_tablestore.pipeline.contract import Limits
from airflow_tablestore.pipeline.tunnel.copy_changes import CopyChanges
from airflow_tablestore.pipeline.tunnel.copy_target import TableCopy, Versions
from airflow_tablestore.pipeline.tunnel.drain import Drain, drain
from airflow_tablestore.pipeline.tunnel.tunnels import Wanted
from airflow_tablestore.wire.batch_write import Action as Write
from airflow_tablestore.wire.batch_write import RowWrite, batch_write
from airflow_tablestore.wire.plainbuffer import decode_rows, encode_delete, encode_key, encode_put, encode_update
from airflow_tablestore.wire.proto import table_pb2 as pb
from airflow_tablestore.wire.row import INF_MAX, INF_MIN, Cell, CellOp, ColumnType, Row
from airflow_tablestore.wire.single_row import create_table
from airflow_tablestore.wire.stream import Action
from airflow_tablestore.wire.table import KeyColumn, update_stream
from airflow_tablestore.wire.tunnel import StartFlag, StreamRange, TunnelType
from tests.unit.consumer.tunnel_fakes import LocalClient
from tests.unit.emulator.tablestore.tunnel_world import NOW, World

KEYS = (KeyColumn("id", ColumnType.INTEGER),)
MILLIS = NOW * 1000
QUICK = Settings(heartbeat_seconds=0.05, timeout_seconds=60, pause_seconds=0.02, reconnect_seconds=0.1)


def key(id_):
    return (("id", id_),)


class Copied:
    """A table `t` of three versions, its tunnel, and what is drained into `copy`."""

    def __init__(self, max_versions=3, type_=TunnelType.STREAM):
        self.world = World()
        self.world.call(create_table("t", KEYS, max_versions=max_versions))
        self.world.call(update_stream("t", 24))
        self.type, self.client = type_, LocalClient(self.world.service)
        self.tunnel_made = False

    def writes(self, *writes):
        for write in writes:
            assert self.world.call(batch_write("t", [write])) == (None,)
            self.world.clock.advance(0.001)

    def puts(self, id_, *cells):
        self.writes(RowWrite(Write.PUT, encode_put(key(id_), cells)))

    def updates(self, id_, *cells):
        self.writes(RowWrite(Write.UPDATE, encode_update(key(id_), cells)))

    def deletes(self, id_):
        self.writes(RowWrite(Write.DELETE, encode_delete(key(id_))))

    def tunnel(self):
        if not self.tunnel_made:
            range_ = None if self.type is TunnelType.BASE else StreamRange(StartFlag.EARLIEST)
            self.world.call(wire_tunnel(self.type, range_))
            self.tunnel_made = True

    def drain(self, client=None, errors=0, **target):
        self.tunnel()
        job = Drain(
            pipeline="copy",
            wanted=Wanted("t", "n", self.type),
            target=TableCopy(**{"table": "copy", "creates": True, "limits": Limits(errors=errors, threads=2)} | target),
            flush_seconds=0.05,
            limits=Limits(errors=errors),
            settings=QUICK,
        )
        return drain(job, self.client, client or self.client)

    def content(self, table):
        """Every row with every version."""
        request = pb.GetRangeRequest(table_name=table, direction=pb.FORWARD, max_versions=100)
        request.inclusive_start_primary_key = encode_key((("id", INF_MIN),))
        request.exclusive_end_primary_key = encode_key((("id", INF_MAX),))
        answer = pb.GetRangeResponse.FromString(
            self.world.service.answer("GetRange", "demo", request.SerializeToString())
        )
        return [(row.key, row.cells) for row in decode_rows(answer.rows)] if answer.rows else []


def wire_tunnel(type_, range_):
    from airflow_tablestore.wire.tunnel import create_tunnel

    return create_tunnel("t", "n", type_, range_)


@pytest.fixture
def copied():
    copied = Copied()
    copied.tunnel()
    yield copied
    copied.world.service.close()


# ---- what a change becomes


def changed(action, *cells, columns=None, versions=Versions.KEEP, ttl=-1):
    return CopyChanges(columns, versions, ttl).write(action, Row(key(1), cells), MILLIS)


def cells_of(write):
    return decode_rows(write.block)[0].cells


def test_an_increment_is_refused():
    with pytest.raises(RecordError, match="done twice is not the same as once"):
        changed(Action.UPDATE, Cell("n", 1, None, CellOp.INCREMENT))


def test_new_versions_are_the_services_and_no_single_one_can_be_deleted():
    write = changed(Action.PUT, Cell("n", 1, 5), versions=Versions.NEW)

    assert cells_of(write) == (Cell("n", 1),)
    with pytest.raises(RecordError, match="one version is deleted"):
        changed(Action.UPDATE, Cell("n", None, 5, CellOp.DELETE_ONE_VERSION), versions=Versions.NEW)


def test_columns_are_picked_and_renamed_and_a_change_about_none_of_them_is_passed_over():
    columns = {"a": "x"}

    assert cells_of(changed(Action.PUT, Cell("a", 1, 5), Cell("b", 2, 5), columns=columns)) == (Cell("x", 1, 5),)
    assert changed(Action.UPDATE, Cell("b", 2, 5), columns=columns) is None


def test_what_the_target_would_hold_for_expired_is_not_written():
    old, young = Cell("a", 1, MILLIS - 86_400_001), Cell("b", 2, MILLIS)

    assert cells_of(changed(Action.PUT, old, young, ttl=86_400)) == (young,)
    assert changed(Action.PUT, old, ttl=86_400).action is Write.DELETE
    assert changed(Action.UPDATE, old, ttl=86_400) is None


# ---- done again

CELLS = st.builds(
    lambda name, value, version: Cell(name, value, MILLIS + version),
    st.sampled_from("ab"),
    st.integers(0, 9),
    st.integers(0, 5),
)
DELETED = st.builds(
    lambda name, version: (
        Cell(name, None, None, CellOp.DELETE_ALL_VERSIONS)
        if version is None
        else Cell(name, None, MILLIS + version, CellOp.DELETE_ONE_VERSION)
    ),
    st.sampled_from("ab"),
    st.none() | st.integers(0, 5),
)
CHANGES = st.one_of(
    st.tuples(st.just(Action.PUT), st.lists(CELLS, max_size=2, unique_by=lambda c: c.name)),
    st.tuples(st.just(Action.UPDATE), st.lists(CELLS | DELETED, min_size=1, max_size=2, unique_by=lambda c: c.name)),
    st.tuples(st.just(Action.DELETE), st.just([])),
)


def carried_out(service, table, history):
    copying = CopyChanges(None, Versions.KEEP)
    for id_, (action, cells) in history:
        write = copying.write(action, Row(key(id_), tuple(cells)), None)
        call = batch_write(table, [write])
        assert call.read(service.answer(call.operation, "demo", call.body)) == (None,)


@settings(max_examples=60, deadline=None)
@given(
    history=st.lists(st.tuples(st.integers(1, 2), CHANGES), max_size=8),
    stops=st.lists(st.integers(0, 8), max_size=3),
    versions=st.integers(1, 3),
)
def test_changes_done_again_from_an_earlier_place_end_in_the_same_table(history, stops, versions):
    copied = Copied()
    for table in ("once", "again"):
        copied.world.call(create_table(table, KEYS, max_versions=versions))

    carried_out(copied.world.service, "once", history)
    for stop in stops:
        carried_out(copied.world.service, "again", history[:stop])
    carried_out(copied.world.service, "again", history)

    assert copied.content("again") == copied.content("once")
    copied.world.service.close()


# ---- through a tunnel


@pytest.mark.slow
def test_puts_updates_deletes_and_versions_arrive_as_they_are(copied):
    copied.puts(1, Cell("a", "x"), Cell("n", 2**60, MILLIS - 3000))
    copied.updates(1, Cell("a", None, MILLIS, CellOp.DELETE_ONE_VERSION), Cell("b", b"\xff"))
    copied.updates(1, Cell("n", 5), Cell("ok", True), Cell("x", 0.1))
    copied.updates(2, Cell("a", "only updated"))
    copied.puts(3, Cell("a", "gone"))
    copied.deletes(3)
    copied.puts(4)

    report = copied.drain()

    assert copied.content("copy") == copied.content("t") != []
    assert (report.rows, report.dirty, report.is_caught_up) == (7, 0, True)


@pytest.mark.slow
def test_the_rows_come_before_the_changes():
    copied = Copied(type_=TunnelType.BASE_AND_STREAM)
    copied.puts(1, Cell("a", "before"))
    copied.tunnel()
    copied.puts(2, Cell("a", "after"))

    copied.drain()

    assert copied.content("copy") == copied.content("t")
    copied.world.service.close()


@pytest.mark.slow
def test_many_changes_of_a_key_stay_in_their_order(copied):
    for number in range(40):
        copied.puts(number % 3, Cell("n", number))

    copied.drain(batch_rows=7)

    assert copied.content("copy") == copied.content("t")


@pytest.mark.slow
@pytest.mark.parametrize("nth", [1, 3, 6])
@pytest.mark.parametrize("is_done", [False, True], ids=["lost", "carried out"])
def test_a_drain_that_dies_at_any_request_is_made_good_by_the_next_one(copied, nth, is_done):
    for number in range(12):
        copied.puts(number % 2, Cell("n", number))
        if number % 5 == 4:
            copied.deletes(number % 2)
    dying = LocalClient(copied.world.service)
    copied.drain(client=dying, table="first")  # so that the table is there
    copied.world.call(create_table("copy", KEYS, max_versions=3, deviation_seconds=10**9))
    copied.puts(0, Cell("n", 100))
    for number in range(8):
        copied.updates(0, Cell("n", number), Cell("m", None, None, CellOp.DELETE_ALL_VERSIONS))
    died = Rejected("died", code="OTSAuthFailed")
    dying.fails("BatchWriteRow", *[None] * (nth - 1))
    (dying.loses_answer if is_done else dying.fails)("BatchWriteRow", died)

    with pytest.raises(Rejected, match="died"):
        copied.drain(client=dying, table="first", batch_rows=1)
    copied.drain(table="first", batch_rows=1)

    assert copied.content("first") == copied.content("t")


@pytest.mark.slow
def test_a_busy_target_is_tried_again(copied):
    copied.puts(1, Cell("n", 1))
    busy = LocalClient(copied.world.service)
    answers = iter([True, True])

    def throttled(body):
        answer = pb.BatchWriteRowResponse.FromString(body)
        if next(answers, False):
            for row in answer.tables[0].rows:
                row.is_ok = False
                row.error.code, row.error.message = "OTSNotEnoughCapacityUnit", "busy"
        return answer.SerializeToString()

    busy.damages("BatchWriteRow", throttled)

    report = copied.drain(client=busy)

    assert busy.count("BatchWriteRow") == 3
    assert copied.content("copy") == copied.content("t")
    assert report.rows == 1


@pytest.mark.slow
def test_a_row_that_the_target_refuses_is_dirty(copied):
    copied.puts(1, Cell("n", 1))
    copied.puts(2, Cell("n", 2, MILLIS - 80_000_000))
    copied.world.call(create_table("copy", KEYS, max_versions=3))
    copied.world.clock.advance(10_000)

    with pytest.raises(DirtyLimitExceeded, match="id=2"):
        copied.drain()
    report = copied.drain(errors=1)

    assert (report.dirty, [sample.key for sample in report.samples]) == (1, ["id=2"])
    assert [row for row, _ in copied.content("copy")] == [key(1)]


@pytest.mark.slow
def test_a_target_that_loses_versions_is_refused_before_anything_is_read(copied):
    copied.world.call(create_table("one", KEYS))
    copied.world.call(create_table("near", KEYS, max_versions=3, deviation_seconds=60))

    with pytest.raises(SpecError, match="keeps 1 versions, the source 3"):
        copied.drain(table="one")
    with pytest.raises(SpecError, match="at most 60 s from now"):
        copied.drain(table="near")
    with pytest.raises(SpecError, match="keeps 3 versions, and repeated changes would fill them"):
        copied.drain(table="near", versions=Versions.NEW)
    assert copied.client.count("readrecords") == 0


@pytest.mark.slow
def test_a_table_is_not_copied_into_itself_nor_into_one_of_another_key(copied):
    copied.world.call(create_table("other", [KeyColumn("uid", ColumnType.STRING)]))

    with pytest.raises(SpecError, match="would be told its own changes"):
        copied.drain(table="t")
    with pytest.raises(SpecError, match=r"has the key uid \(string\)"):
        copied.drain(table="other")
    with pytest.raises(SpecError, match="there is no table 'none'"):
        copied.drain(table="none", creates=False)
    with pytest.raises(SpecError, match="'id' is a column of the key"):
        copied.drain(columns={"id": "uid"})


@pytest.mark.slow
def test_a_channel_that_goes_to_another_worker_is_written_no_more(copied):
    for number in range(6):
        copied.puts(1, Cell("n", number))
    taken = []

    def take(body):
        if not taken:
            (channel,) = copied.world.described().channels
            taken.append(channel.client_id)
            copied.world.service.tunnels.drop_client(copied.world.described().tunnel.id, channel.client_id)
        return body

    losing = LocalClient(copied.world.service)
    losing.damages("BatchWriteRow", take)

    report = copied.drain(client=losing, batch_rows=1)

    assert report.lost_channels == 1
    assert copied.content("copy") == copied.content("t")


@pytest.mark.slow
def test_without_kept_versions_the_newest_value_is_the_same_after_a_repeat():
    copied = Copied(max_versions=1)
    copied.tunnel()
    for number in range(5):
        copied.puts(1, Cell("n", number))
    dying = LocalClient(copied.world.service)
    dying.fails("BatchWriteRow", None, None, Rejected("died", code="OTSAuthFailed"))

    with pytest.raises(Rejected, match="died"):
        copied.drain(client=dying, batch_rows=1, versions=Versions.NEW)
    copied.drain(batch_rows=1, versions=Versions.NEW)

    ((_, cells),) = copied.content("copy")
    assert [(cell.name, cell.value) for cell in cells] == [("n", 4)]
    copied.world.service.close()


def test_a_column_cannot_be_two():
    with pytest.raises(SpecError, match="two columns are to be 'x'"):
        TableCopy("t", columns={"a": "x", "b": "x"})


def test_retries_that_are_used_up_are_told(copied):
    copied.puts(1, Cell("n", 1))
    busy = LocalClient(copied.world.service)
    busy.fails("BatchWriteRow", RetryLater("busy"))

    with pytest.raises(RetryLater, match="busy"):
        copied.drain(client=busy)
