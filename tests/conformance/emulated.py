"""A table in the emulator's own service, in this process and without a socket: what engines ask, and what tests do."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.tablestore.errors import ServiceError
from airflow_tablestore.emulator.tablestore.service import Service
from airflow_tablestore.errors import Rejected, SpecError
from airflow_tablestore.wire.call import Call
from airflow_tablestore.wire.plainbuffer import decode_rows, encode_delete, encode_key, encode_put, encode_update
from airflow_tablestore.wire.proto import table_pb2 as pb
from airflow_tablestore.wire.row import INF_MAX, INF_MIN, Cell, Value


class EmulatedTable:
    """The table `t` with the key `id` (an integer) and its stream, in an instance of its own of a shared service.

    Its clock stands still between `advance`s.
    """

    def __init__(self, service: Service, instance: str, clock: Clock, *, max_versions: int = 1):
        self._service, self._instance, self._clock = service, instance, clock
        request = pb.CreateTableRequest(
            stream_spec=pb.StreamSpecification(enable_stream=True, expiration_time=24),
        )
        request.table_meta.table_name = "t"
        request.table_meta.primary_key.add(name="id", type=pb.INTEGER)
        request.reserved_throughput.capacity_unit.read = 0
        request.table_options.time_to_live, request.table_options.max_versions = -1, max_versions
        self._ask("CreateTable", request)

    # ---- what engines ask

    def send(self, call: Call[Any]) -> Any:
        try:
            return call.read(self._service.answer(call.operation, self._instance, call.body))
        except ServiceError as error:
            raise Rejected(str(error), operation=call.operation, code=error.code) from error

    def service_time(self) -> datetime:
        return datetime.fromtimestamp(self._clock.micros() / 1_000_000, UTC)

    # ---- what tests do

    def advance(self, seconds: float) -> None:
        self._clock.advance(seconds)

    def put(self, id_: int, *cells: Cell) -> None:
        request = pb.PutRowRequest(table_name="t", row=encode_put((("id", id_),), cells))
        request.condition.row_existence = pb.IGNORE
        self._ask("PutRow", request)

    def update(self, id_: int, *cells: Cell) -> None:
        request = pb.UpdateRowRequest(table_name="t", row_change=encode_update((("id", id_),), cells))
        request.condition.row_existence = pb.IGNORE
        self._ask("UpdateRow", request)

    def delete(self, id_: int) -> None:
        request = pb.DeleteRowRequest(table_name="t", primary_key=encode_delete((("id", id_),)))
        request.condition.row_existence = pb.IGNORE
        self._ask("DeleteRow", request)

    def split(self, at: int) -> None:
        """Divides the shard that holds this id, which an own one then begins with; nothing where one does already."""
        with suppress(SpecError):
            self._service.streams.split_shard(self._instance, "t", at=(("id", at),))

    def merge(self, which: int) -> None:
        """Merges two neighbours; nothing where there is one shard."""
        found = sorted((s for s in self._service.streams.shards(self._instance, "t") if s.is_open), key=lambda s: s.low)
        if len(found) > 1:
            first = which % (len(found) - 1)
            self._service.streams.merge_shards(self._instance, "t", found[first].id, found[first + 1].id)

    def versions(self, id_: int, name: str) -> list[int]:
        """The versions of a cell that stand, newest first."""
        return [
            cell.timestamp or 0
            for row in self._read(9)
            if row.key == (("id", id_),)
            for cell in row.cells
            if cell.name == name
        ]

    def rows(self) -> dict[int, dict[str, Value]]:
        """What the table holds, of each cell the newest version."""
        return {row.key[0][1]: {cell.name: cell.value for cell in row.cells} for row in self._read(1)}

    def _read(self, max_versions: int) -> Any:
        request = pb.GetRangeRequest(
            table_name="t",
            direction=pb.FORWARD,
            max_versions=max_versions,
            inclusive_start_primary_key=encode_key((("id", INF_MIN),)),
            exclusive_end_primary_key=encode_key((("id", INF_MAX),)),
        )
        return decode_rows(self._ask("GetRange", request, pb.GetRangeResponse).rows)

    def _ask(self, operation: str, request: Any, answer: Any = None) -> Any:
        told = self._service.answer(operation, self._instance, request.SerializeToString())
        return answer.FromString(told) if answer else None
