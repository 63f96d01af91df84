"""A table with a change log, and a status table, in memory: what the window engine asks of Tablestore.

It answers calls by their bytes, with the service's own rows. Tests write, split, merge, hide and expire; `journal` is
what was written, in order, and `shard_of` where. Iterators are opaque: no two are alike, even of one place.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_tablestore.consumer.table import compare_keys
from airflow_tablestore.errors import PositionLost, Rejected
from airflow_tablestore.wire.call import Call
from airflow_tablestore.wire.plainbuffer import decode_key, decode_rows, decode_value, encode_rows
from airflow_tablestore.wire.proto import table_pb2 as pb
from airflow_tablestore.wire.row import Cell, PrimaryKey, Row, SequenceInfo, Value

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR_MICROS = 3_600_000_000

Cells = dict[str, Value]


@dataclass
class Log:
    """One shard: its records that are still kept, after `first` that are not. `seen` hides what came after a hold."""

    id: str
    parents: tuple[str, ...] = ()
    epoch: int = 0
    records: list[tuple[int, bytes]] = field(default_factory=list)
    first: int = 0
    is_closed: bool = False
    closed_micros: int = 0
    seen: tuple[int, bool] | None = None

    @property
    def next(self) -> int:
        return self.first + len(self.records)


class MemoryStream:
    """The table `t` with the key `id` (an integer), and its stream.

    :param page_records: most records that a page holds.
    :param shares_log: as a table group: pages of nothing come before each page with records.
    """

    def __init__(
        self,
        *,
        now: datetime,
        hours: int = 24,
        shards: int = 1,
        page_records: int = 1000,
        shares_log: bool = False,
        table: str = "t",
    ):
        self.table, self.hours, self.page_records, self.shares_log = table, hours, page_records, shares_log
        self.micros = (now - EPOCH) // timedelta(microseconds=1)
        self.skew_micros = 0
        self.journal: list[tuple[int, int]] = []
        self.shard_of: dict[int, str] = {}
        self.parents_of: dict[str, tuple[str, ...]] = {}
        self.asked: list[str] = []
        self.status: dict[tuple[str, ...], Cells] | None = None
        self.before: Callable[[str], None] = lambda operation: None
        self._lock, self._serial, self._times = threading.RLock(), 0, set[int]()
        self.renew(shards)

    # ---- what tests do

    @property
    def now(self) -> datetime:
        return EPOCH + timedelta(microseconds=self.micros)

    def advance(self, **passed: float) -> None:
        self.micros += timedelta(**passed) // timedelta(microseconds=1)

    def renew(self, shards: int = 1) -> None:
        """Switches the stream off and on again; what it held is gone."""
        self.stream_id, self.created_micros = f"stream-{self._unique()}", self.micros
        self.shards: dict[str, Log] = {}
        for _ in range(shards):
            self._make(())

    def write(self, shard: str | None = None, *, at: datetime | None = None) -> int:
        """Changes a new row; its id. By default in the first open shard, now."""
        with self._lock:
            log = self.shards[shard or self.open[0]]
            if log.is_closed:
                raise AssertionError("a closed shard takes no record")
            number = len(self.journal)
            micros = self.micros + self.skew_micros if at is None else (at - EPOCH) // timedelta(microseconds=1)
            while micros in self._times:  # a sequence names one record
                micros += 1
            self._times.add(micros)
            row = Row((("id", number),), (Cell("n", number, timestamp=1),), sequence=SequenceInfo(log.epoch, micros, 0))
            log.records.append((micros, encode_rows([row])))
            self.journal.append((number, micros))
            self.shard_of[number] = log.id
            return number

    @property
    def open(self) -> list[str]:
        return [log.id for log in self.shards.values() if not log.is_closed]

    def split(self, shard: str) -> tuple[str, str]:
        self._close(shard)
        return self._make((shard,)), self._make((shard,))

    def merge(self, shard: str, other: str) -> str:
        self._close(shard)
        self._close(other)
        return self._make((shard, other))

    def birth(self, *parents: str) -> str:
        """A child that is there before its parents have ended."""
        return self._make(parents)

    def end(self, shard: str) -> None:
        self._close(shard)

    def iterator_of_now(self, shard: str) -> str:
        """An iterator behind the newest record of a shard."""
        return self._named(self.shards[shard], self.shards[shard].next)

    def hold(self) -> None:
        """What is written from now on is not visible until it is released."""
        for log in self.shards.values():
            log.seen = (log.next, log.is_closed) if log.seen is None else log.seen

    def release(self) -> None:
        for log in self.shards.values():
            log.seen = None

    def lose_ledger(self) -> None:
        self.status = None

    # ---- the service

    def service_time(self) -> datetime | None:
        return self.now

    def send(self, call: Call[Any]) -> Any:
        operation = call.operation
        answer = {
            "DescribeTable": self._describe_table,
            "DescribeStream": self._describe,
            "GetShardIterator": self._iterator,
            "GetStreamRecord": self._records,
            "CreateTable": self._create,
            "PutRow": self._put,
            "GetRow": self._get,
            "GetRange": self._range,
        }[operation]
        self.before(operation)
        with self._lock:
            self.asked.append(operation)
            self._expire()
            return call.read(answer(call.body))

    def _describe_table(self, body: bytes) -> bytes:
        answer = pb.DescribeTableResponse()
        answer.table_meta.table_name = self.table
        answer.table_meta.primary_key.add(name="id", type=pb.INTEGER)
        reserved = answer.reserved_throughput_details
        reserved.capacity_unit.read = reserved.capacity_unit.write = reserved.last_increase_time = 0
        answer.table_options.max_versions = 1
        answer.stream_details.enable_stream = True
        answer.stream_details.stream_id = self.stream_id
        answer.stream_details.expiration_time = self.hours
        answer.stream_details.last_enable_time = self.created_micros
        return bytes(answer.SerializeToString())

    def _describe(self, body: bytes) -> bytes:
        asked = pb.DescribeStreamRequest.FromString(body)
        if asked.stream_id != self.stream_id:
            raise Rejected("no such stream", code="OTSObjectNotExist", status=404)
        answer = pb.DescribeStreamResponse(
            stream_id=self.stream_id,
            expiration_time=self.hours,
            table_name=self.table,
            creation_time=self.created_micros,
            stream_status=pb.STREAM_ACTIVE,
        )
        ids = list(self.shards)
        start = ids.index(asked.inclusive_start_shard_id) if asked.inclusive_start_shard_id else 0
        page = ids[start : start + 3]
        for id_ in page:
            parents = (*self.shards[id_].parents, None, None)
            answer.shards.add(shard_id=id_, parent_id=parents[0], parent_sibling_id=parents[1])
        if start + 3 < len(ids):
            answer.next_shard_id = ids[start + 3]
        return bytes(answer.SerializeToString())

    def _iterator(self, body: bytes) -> bytes:
        asked = pb.GetShardIteratorRequest.FromString(body)
        if asked.shard_id not in self.shards:
            raise Rejected("no such shard", code="OTSObjectNotExist", status=404)
        log = self.shards[asked.shard_id]
        if not asked.HasField("timestamp"):
            return self._at(log, log.first)
        if not asked.token and len(log.records) > 5:
            return self._at(log, log.first, token=f"{asked.shard_id}/{asked.timestamp}")
        top = 0
        for place, (micros, _) in enumerate(log.records[: self._visible(log) - log.first], log.first):
            top = max(top, micros)
            if top >= asked.timestamp:
                return self._at(log, place)
        return self._at(log, self._visible(log))

    def _at(self, log: Log, place: int, token: str | None = None) -> bytes:
        answer = pb.GetShardIteratorResponse(shard_iterator=self._named(log, place), next_token=token)
        return bytes(answer.SerializeToString())

    def _named(self, log: Log, place: int, empties: int = 0) -> str:
        return f"{log.id}/{place}/{empties}/{self._unique()}"

    def _records(self, body: bytes) -> bytes:
        asked = pb.GetStreamRecordRequest.FromString(body)
        id_, place_text, empties, _ = asked.shard_iterator.split("/")
        log, place = self.shards.get(id_), int(place_text)
        if log is None or place < log.first:
            raise PositionLost("trimmed", code="OTSTrimmedDataAccess", status=404)
        visible = self._visible(log)
        answer = pb.GetStreamRecordResponse()
        answer.consumed.capacity_unit.read = 1
        if self.shares_log and place < visible and int(empties) < 2:
            answer.next_shard_iterator = self._named(log, place, int(empties) + 1)
            answer.may_more_record = True
            return bytes(answer.SerializeToString())
        count = max(0, min(asked.limit or self.page_records, self.page_records, visible - place))
        for _, row in log.records[place - log.first : place - log.first + count]:
            answer.stream_records.add(action_type=pb.UPDATE_ROW, record=row)
        is_closed = log.is_closed if log.seen is None else log.seen[1]
        if not is_closed or place + count < visible:
            answer.next_shard_iterator = self._named(log, place + count)
        if self.shares_log:
            answer.may_more_record = place + count < visible
        return bytes(answer.SerializeToString())

    # ---- the status table

    def _create(self, body: bytes) -> bytes:
        if self.status is not None:
            raise Rejected("exists", code="OTSObjectAlreadyExist", status=409)
        self.status = {}
        return bytes(pb.CreateTableResponse().SerializeToString())

    def _rows(self) -> dict[tuple[str, ...], Cells]:
        if self.status is None:
            raise Rejected("no table", code="OTSObjectNotExist", status=404)
        return self.status

    def _put(self, body: bytes) -> bytes:
        asked, rows = pb.PutRowRequest.FromString(body), self._rows()
        (row,) = decode_rows(asked.row)
        key = _parts(row.key)
        if not _holds(asked.condition, rows.get(key)):
            raise Rejected("condition", code="OTSConditionCheckFail", status=403)
        rows[key] = {cell.name: cell.value for cell in row.cells if cell.value is not None}
        answer = pb.PutRowResponse()
        answer.consumed.capacity_unit.write = 1
        return bytes(answer.SerializeToString())

    def _get(self, body: bytes) -> bytes:
        asked = pb.GetRowRequest.FromString(body)
        key = decode_key(asked.primary_key)
        found = self._rows().get(_parts(key))
        answer = pb.GetRowResponse(row=b"" if found is None else encode_rows([_row(key, found)]))
        answer.consumed.capacity_unit.read = 1
        return bytes(answer.SerializeToString())

    def _range(self, body: bytes) -> bytes:
        asked = pb.GetRangeRequest.FromString(body)
        begin, end = decode_key(asked.inclusive_start_primary_key), decode_key(asked.exclusive_end_primary_key)
        onward = -1 if asked.direction == pb.BACKWARD else 1
        names = [name for name, _ in begin]
        keys = [tuple(zip(names, key, strict=True)) for key in sorted(self._rows())][::onward]
        inside = [k for k in keys if compare_keys(begin, k) != onward and compare_keys(k, end) == -onward]
        page = inside[: asked.limit or 100]
        rows = [_row(key, self._rows()[_parts(key)]) for key in page]
        answer = pb.GetRangeResponse(rows=encode_rows(rows) if rows else b"", data_block_type=pb.DBT_PLAIN_BUFFER)
        answer.consumed.capacity_unit.read = 1
        return bytes(answer.SerializeToString())

    # ---- the rest

    def _unique(self) -> int:
        self._serial += 1
        return self._serial

    def _make(self, parents: tuple[str, ...]) -> str:
        epoch = 1 + max((self.shards[p].epoch for p in parents if p in self.shards), default=-1)
        log = Log(f"shard-{self._unique()}", parents, epoch)
        if any(other.seen is not None for other in self.shards.values()):
            log.seen = (0, False)
        self.shards[log.id] = log
        self.parents_of[log.id] = parents
        return log.id

    def _close(self, shard: str) -> None:
        self.shards[shard].is_closed, self.shards[shard].closed_micros = True, self.micros

    def _visible(self, log: Log) -> int:
        return log.next if log.seen is None else max(log.first, min(log.seen[0], log.next))

    def _expire(self) -> None:
        oldest = self.micros - self.hours * HOUR_MICROS
        for log in list(self.shards.values()):
            while log.records and log.records[0][0] < oldest:
                log.records.pop(0)
                log.first += 1
            if log.is_closed and not log.records and log.closed_micros < oldest:
                del self.shards[log.id]


def _parts(key: PrimaryKey) -> tuple[str, ...]:
    return tuple(str(value) for _, value in key)


def _row(key: PrimaryKey, cells: Mapping[str, Value]) -> Row:
    return Row(key, tuple(Cell(name, value, timestamp=1) for name, value in sorted(cells.items())))


def _holds(condition: pb.Condition, found: Cells | None) -> bool:
    if condition.row_existence == pb.EXPECT_NOT_EXIST:
        return found is None
    if condition.row_existence == pb.EXPECT_EXIST and found is None:
        return False
    if not condition.column_condition:
        return True
    whole = pb.Filter.FromString(condition.column_condition)
    one = pb.SingleColumnValueFilter.FromString(whole.filter)
    return found is not None and found.get(one.column_name) == decode_value(one.column_value)
