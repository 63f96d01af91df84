"""A tunnel's sinks of tables, over a warehouse in memory: partitions, sessions that end, keys that are read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_tablestore.consumer.tunnel import Batch
from airflow_tablestore.errors import DirtyLimitExceeded, Rejected, RetryLater, SpecError, Superseded
from airflow_tablestore.pipeline.dirty import DirtyRecords
from airflow_tablestore.pipeline.tunnel.sink import Job, Refused, tunnel_sink
from airflow_tablestore.pipeline.tunnel.table_stream import MOST_OPEN
from airflow_tablestore.pipeline.tunnel.table_target import Partitions, StreamTable, TableMode
from airflow_tablestore.pipeline.warehouse import Partition, TableColumn, TableShape
from airflow_tablestore.wire.plainbuffer import encode_rows
from airflow_tablestore.wire.row import Cell, ColumnType, Row, SequenceInfo
from airflow_tablestore.wire.stream import Action
from airflow_tablestore.wire.table import KeyColumn, TableDescription
from airflow_tablestore.wire.tunnel import Tunnel, TunnelType
from airflow_tablestore.wire.tunnel_channel import Place, TunnelRecord

AT = Place("tunnel", "client", "channel")
TABLE = TableDescription("t", (KeyColumn("id", ColumnType.INTEGER),))
COLUMNS = (TableColumn("id", "bigint", False), TableColumn("v", "bigint"), TableColumn("action", "string"))
DAY = 86_400 * 1_000_000


class MemoryStream:
    """`fails`: errors that the next writes end with."""

    def __init__(self, columns: Sequence[TableColumn], rows: list[Any], fails: list[Exception]):
        self.columns, self.rows, self.fails, self.is_open = columns, rows, fails, True

    def write(self, rows: Sequence[Any]) -> int:
        if self.fails:
            raise self.fails.pop(0)
        self.rows += rows
        return len(rows)

    def close(self) -> None:
        self.is_open = False


class Waiting:
    def __init__(self, tables: MemoryTables, rows: Sequence[Any], deletions: Sequence[Any]):
        self.tables, self.brought, self.deletions = tables, rows, deletions

    def commit(self) -> None:
        self.tables.by_key.update({row[0]: row for row in self.brought})
        for row in self.deletions:
            self.tables.by_key.pop(row[0], None)

    def give_up(self) -> None:
        self.tables.given_up += 1


class MemoryTables:
    """One table; `by_key` is what upserts made of it."""

    def __init__(self, *, key: tuple[str, ...] = (), partitioned_by: tuple[str, ...] = ()):
        self.columns: Sequence[TableColumn] = COLUMNS
        self.found: TableShape | None = TableShape(COLUMNS, partitioned_by, key)
        self.streams: list[tuple[Partition, MemoryStream]] = []
        self.rows: list[Any] = []
        self.fails: list[Exception] = []
        self.by_key: dict[int, Any] = {}
        self.partitions: list[Partition] = []
        self.given_up = 0

    def uri(self, place: Partition) -> str:
        return f"memory://{place.table}"

    def shape(self, table: str) -> TableShape | None:
        return self.found

    def stream(self, place: Partition, slots: int) -> MemoryStream:
        self.streams.append((place, MemoryStream(self.columns, self.rows, self.fails)))
        return self.streams[-1][1]

    def add_partition(self, place: Partition) -> None:
        self.partitions.append(place)

    def upsert(self, place: Partition, rows: Sequence[Any], deletions: Sequence[Any]) -> Waiting:
        return Waiting(self, rows, deletions)


class MemorySource:
    """The table's rows, and whether the channel is still this worker's."""

    def __init__(self, rows: dict[int, int] | None = None):
        self.rows, self.is_owner, self.reads = rows or {}, True, 0

    def send(self, call: Any) -> Any:
        if call.operation != "BatchGetRow":
            if not self.is_owner:
                raise Rejected("gone", operation="tunnel/getcheckpoint", code="OTSResourceGone")
            return None
        self.reads += 1
        return tuple(changed(id_, self.rows[id_]) if id_ in self.rows else None for id_ in wanted(call))


def wanted(call: Any) -> list[int]:
    from airflow_tablestore.wire.plainbuffer import decode_rows
    from airflow_tablestore.wire.proto import table_pb2

    (asked,) = table_pb2.BatchGetRowRequest.FromString(call.body).tables
    return [decode_rows(key)[0].key[0][1] for key in asked.primary_key]


def changed(id_: int, *values: int, micros: int | None = None) -> Row:
    cells = tuple(Cell("v", value, 1) for value in values)
    return Row((("id", id_),), cells, sequence=None if micros is None else SequenceInfo(1, micros, 0))


def batch(*records: tuple[Action, Row]) -> Batch:
    told = tuple(TunnelRecord(action, encode_rows([row])) for action, row in records)
    return Batch(AT, 1, told, "a", "b", True, 100, origin=None)  # type: ignore[arg-type]


def sink_of(tables: MemoryTables, mode: str, source: MemorySource | None = None, **target: Any) -> Any:
    tunnel = Tunnel(
        id="tunnel",
        name="n",
        table="t",
        type=target.pop("type", TunnelType.STREAM).value,  # as the service says it
        instance="i",
        stream_id="s",
        stage="ProcessStream",
    )
    job = Job("p", source or MemorySource(), tunnel, TABLE, Refused(DirtyRecords(target.pop("errors", 0))))
    return tunnel_sink(StreamTable("t", TableMode(mode), **target), tables, job)


BY_DAY = Partitions((("pt", "base"),), lambda moment: (("pt", f"{moment:%j}"),))


def test_each_partition_has_one_stream_that_is_closed_at_the_end():
    tables = MemoryTables(partitioned_by=("pt",))
    sink = sink_of(tables, "stream", partitions=BY_DAY)

    records = [(Action.PUT, changed(1, 1, micros=day * DAY)) for day in (0, 1, 0)]
    receipt = sink.write(AT, [batch(*records, (Action.PUT, changed(2, 2)))])
    sink.close()

    assert [place.spec for place, _ in tables.streams] == ["pt=001", "pt=002", "pt=base"]
    assert (receipt.rows, receipt.objects, len(tables.rows)) == (4, 3, 4)
    assert not any(stream.is_open for _, stream in tables.streams)


@pytest.mark.parametrize("odd", [(), (1, 2)], ids=["together", "one by one"])
def test_what_does_not_fit_is_refused_and_the_rest_written_in_order(odd):
    tables = MemoryTables(partitioned_by=("pt",))
    tables.found = TableShape((COLUMNS[0], TableColumn("v", "tinyint"), COLUMNS[2]), ("pt",), ())
    tables.columns = tables.found.columns
    sink = sink_of(tables, "stream", partitions=BY_DAY, errors=2)
    told = [(1, 1, 0), (2, 300, 0), (3, 3, 1), (4, 400, 1), (5, 5, 0)]
    records = [(Action.PUT, changed(id_, v, micros=day * DAY)) for id_, v, day in told]
    last = Row((("id", 6),), tuple(Cell("v", v, v) for v in odd), sequence=SequenceInfo(1, DAY, 0))

    receipt = sink.write(AT, [batch(*records[:3]), batch(), batch(*records[3:], (Action.PUT, last))])

    newest = odd[-1] if odd else None
    assert [row[:2] for row in tables.rows] == [(1, 1), (5, 5), (3, 3), (6, newest)]
    assert [place.spec for place, _ in tables.streams] == ["pt=001", "pt=002"]
    assert receipt.rows == 4
    assert sink._job.refused.count == 2


def test_only_few_streams_are_open():
    tables = MemoryTables(partitioned_by=("pt",))
    sink = sink_of(tables, "stream", partitions=BY_DAY)

    for day in range(MOST_OPEN + 3):
        sink.write(AT, [batch((Action.PUT, changed(1, 1, micros=day * DAY)))])

    assert [stream.is_open for _, stream in tables.streams].count(True) == MOST_OPEN
    assert not tables.streams[0][1].is_open


def test_a_session_that_has_ended_is_followed_by_another():
    tables = MemoryTables()
    sink = sink_of(tables, "stream")
    sink.write(AT, [batch((Action.PUT, changed(1, 1, micros=1)))])
    tables.fails.append(RetryLater("ended", operation="WriteStream", code="StreamSessionNotFound"))

    sink.write(AT, [batch((Action.PUT, changed(2, 2, micros=2)))])

    assert [row[0] for row in tables.rows] == [1, 2]
    assert len(tables.streams) == 2


def test_what_else_goes_wrong_is_told_and_the_stream_let_go():
    tables = MemoryTables()
    sink = sink_of(tables, "stream")
    tables.fails.append(RetryLater("locked", operation="WriteStream", code="PartitionLocked"))

    with pytest.raises(RetryLater, match="locked"):
        sink.write(AT, [batch((Action.PUT, changed(1, 1, micros=1)))])

    assert [stream.is_open for _, stream in tables.streams] == [False]


def test_rows_of_the_table_need_a_partition():
    with pytest.raises(SpecError, match="write base_partition"):
        sink_of(
            MemoryTables(partitioned_by=("pt",)),
            "stream",
            partitions=Partitions(None, BY_DAY.of_time),
            type=TunnelType.BASE_AND_STREAM,
        )


def test_changes_alone_need_no_base_partition():
    tables = MemoryTables(partitioned_by=("pt",))
    sink = sink_of(tables, "stream", partitions=Partitions(None, BY_DAY.of_time))

    receipt = sink.write(AT, [batch((Action.PUT, changed(1, 1, micros=1)))])

    assert receipt.rows == 1
    assert [place.spec for place, _ in tables.streams] == ["pt=001"]


def test_of_the_changes_of_a_key_the_last_counts_and_updates_are_read():
    source, tables = MemorySource({3: 30}), MemoryTables(key=("id",))
    sink = sink_of(tables, "upsert", source)
    tables.by_key = {2: (2, 2, "put"), 4: (4, 4, "put")}

    sink.write(
        AT,
        [
            batch((Action.PUT, changed(1, 1, micros=1)), (Action.PUT, changed(1, 10, micros=2))),
            batch((Action.DELETE, changed(2, micros=3)), (Action.UPDATE, changed(3, 31, micros=4))),
            batch((Action.UPDATE, changed(4, 41, micros=5)), (Action.DELETE, changed(5, micros=6))),
        ],
    )

    assert tables.by_key == {1: (1, 10, "put"), 3: (3, 30, "update")}
    assert source.reads == 1


def test_rows_are_read_a_hundred_at_a_time():
    source, tables = MemorySource({id_: id_ for id_ in range(250)}), MemoryTables(key=("id",))

    sink_of(tables, "upsert", source).write(
        AT, [batch(*[(Action.UPDATE, changed(id_, -1, micros=1)) for id_ in range(250)])]
    )

    assert (source.reads, len(tables.by_key)) == (3, 250)


def test_nothing_is_committed_for_a_channel_that_was_taken_away():
    source, tables = MemorySource(), MemoryTables(key=("id",))
    sink = sink_of(tables, "upsert", source)
    source.is_owner = False

    with pytest.raises(Superseded):
        sink.write(AT, [batch((Action.PUT, changed(1, 1, micros=1)))])

    assert (tables.by_key, tables.given_up) == ({}, 1)


def test_what_was_committed_too_late_is_brought_to_what_the_source_has():
    source, tables = MemorySource({1: 100}), MemoryTables(key=("id",))
    receipt = sink_of(tables, "upsert", source).write(
        AT, [batch((Action.PUT, changed(1, 1, micros=1)), (Action.PUT, changed(2, 2, micros=2)))]
    )

    receipt.give_up()

    assert {key: row[1] for key, row in tables.by_key.items()} == {1: 100}


@pytest.mark.parametrize("mode", ["stream", "upsert"])
def test_a_record_that_cannot_be_read_is_dirty(mode):
    tables = MemoryTables(key=("id",) if mode == "upsert" else ())
    torn = Batch(AT, 1, (TunnelRecord(Action.PUT, b"torn"),), "a", "b", True, 4, origin=None)  # type: ignore[arg-type]
    good = batch((Action.PUT, changed(1, 1, micros=1)))

    assert sink_of(tables, mode, errors=1).write(AT, [torn, good]).rows == 1
    with pytest.raises(DirtyLimitExceeded):
        sink_of(tables, mode).write(AT, [torn, good])


def test_a_step_of_time_has_one_partition():
    asked = []

    def of(moment: datetime):
        asked.append(moment)
        return (("pt", f"{moment:%H}"),)

    partitions = Partitions(None, of)
    found = [partitions.of(minute * 60_000_000) for minute in (0, 1, 14, 15, 60)]

    assert found == [(("pt", "00"),)] * 4 + [(("pt", "01"),)]
    assert asked == [datetime(1970, 1, 1, 0, minute, tzinfo=UTC) for minute in (0, 15)] + [
        datetime(1970, 1, 1, 1, tzinfo=UTC)
    ]
