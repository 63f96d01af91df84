"""The operations of the service by name, from request bytes to answer bytes; no HTTP, no signatures.

An operation that is not in the table is refused as the service refuses it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.tablestore.cells import read_change
from airflow_tablestore.emulator.tablestore.changelog import StreamLog
from airflow_tablestore.emulator.tablestore.definitions import Definitions
from airflow_tablestore.emulator.tablestore.deliveries import Deliveries
from airflow_tablestore.emulator.tablestore.errors import ServiceError, invalid
from airflow_tablestore.emulator.tablestore.indexes import Indexes
from airflow_tablestore.emulator.tablestore.instances import Instances
from airflow_tablestore.emulator.tablestore.messages import read
from airflow_tablestore.emulator.tablestore.reads import Reads
from airflow_tablestore.emulator.tablestore.splits import Splits
from airflow_tablestore.emulator.tablestore.storage import Store
from airflow_tablestore.emulator.tablestore.streams import Streams
from airflow_tablestore.emulator.tablestore.tunnels import Tunnels
from airflow_tablestore.emulator.tablestore.validation import Limits, check_table_name
from airflow_tablestore.emulator.tablestore.writes import Writes
from airflow_tablestore.wire.proto import delivery_pb2 as delivery
from airflow_tablestore.wire.proto import table_pb2 as pb
from airflow_tablestore.wire.proto import tunnel_pb2 as tunnel

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Operation:
    """How one operation is read and carried out: `run` gets the instance's name and the request."""

    request: type[Message]
    run: Callable[[str, Any], Message]


class Service:
    """Every operation over one store. Safe to call from many threads.

    Any name is an instance here; `instances` knows those that may ask over the network.
    """

    def __init__(
        self,
        storage_path: Path | None,
        clock: Clock,
        limits: Limits | None = None,
        log: StreamLog | None = None,
    ):
        limits = limits or Limits()
        self.limits = limits
        log = log or StreamLog(clock)
        self.store = Store(storage_path, log)
        self.instances = Instances(self.store)
        self.streams = streams = Streams(self.store, clock, log)
        self._tables = tables = Definitions(self.store, clock, limits)
        indexes = Indexes(self.store)
        writes, reads = Writes(self.store, clock, limits), Reads(self.store, clock, limits)
        self.tunnels = tunnels = Tunnels(self.store, streams, clock, self._turn_on_stream)
        self.deliveries = deliveries = Deliveries(self.store, streams, clock, self._turn_on_stream)
        self._operations = {
            "CreateTable": Operation(pb.CreateTableRequest, tables.create),
            "UpdateTable": Operation(pb.UpdateTableRequest, tables.update),
            "DescribeTable": Operation(pb.DescribeTableRequest, tables.describe),
            "ListTable": Operation(pb.ListTableRequest, tables.list),
            "DeleteTable": Operation(pb.DeleteTableRequest, tables.delete),
            "PutRow": Operation(pb.PutRowRequest, writes.put),
            "UpdateRow": Operation(pb.UpdateRowRequest, writes.update),
            "DeleteRow": Operation(pb.DeleteRowRequest, writes.delete),
            "BatchWriteRow": Operation(pb.BatchWriteRowRequest, writes.batch),
            "GetRow": Operation(pb.GetRowRequest, reads.row),
            "BatchGetRow": Operation(pb.BatchGetRowRequest, reads.batch),
            "GetRange": Operation(pb.GetRangeRequest, reads.range),
            "ComputeSplitPointsBySize": Operation(
                pb.ComputeSplitPointsBySizeRequest, Splits(self.store, limits).compute
            ),
            "BulkExport": Operation(pb.BulkExportRequest, reads.export),
            "ListStream": Operation(pb.ListStreamRequest, streams.list),
            "DescribeStream": Operation(pb.DescribeStreamRequest, streams.describe),
            "GetShardIterator": Operation(pb.GetShardIteratorRequest, streams.iterator),
            "GetStreamRecord": Operation(pb.GetStreamRecordRequest, streams.records),
            "CreateIndex": Operation(pb.CreateIndexRequest, indexes.create),
            "DropIndex": Operation(pb.DropIndexRequest, indexes.drop),
            "ListSearchIndex": Operation(pb.ListSearchIndexRequest, indexes.list_search),
            "CreateSearchIndex": Operation(pb.CreateSearchIndexRequest, indexes.create_search),
            "DescribeSearchIndex": Operation(pb.DescribeSearchIndexRequest, indexes.of_search),
            "UpdateSearchIndex": Operation(pb.UpdateSearchIndexRequest, indexes.of_search),
            "DeleteSearchIndex": Operation(pb.DeleteSearchIndexRequest, indexes.of_search),
            "Search": Operation(pb.SearchRequest, indexes.search),
            "ParallelScan": Operation(pb.ParallelScanRequest, indexes.search),
            "ComputeSplits": Operation(pb.ComputeSplitsRequest, indexes.splits),
            "tunnel/create": Operation(tunnel.CreateTunnelRequest, tunnels.create),
            "tunnel/delete": Operation(tunnel.DeleteTunnelRequest, tunnels.delete),
            "tunnel/list": Operation(tunnel.ListTunnelRequest, tunnels.list),
            "tunnel/describe": Operation(tunnel.DescribeTunnelRequest, tunnels.describe),
            "tunnel/connect": Operation(tunnel.ConnectRequest, tunnels.connect),
            "tunnel/heartbeat": Operation(tunnel.HeartbeatRequest, tunnels.heartbeat),
            "tunnel/shutdown": Operation(tunnel.ShutdownRequest, tunnels.shutdown),
            "tunnel/schedule": Operation(tunnel.ScheduleRequest, tunnels.schedule),
            "tunnel/getcheckpoint": Operation(tunnel.GetCheckpointRequest, tunnels.get_checkpoint),
            "tunnel/checkpoint": Operation(tunnel.CheckpointRequest, tunnels.checkpoint),
            "tunnel/readrecords": Operation(tunnel.ReadRecordsRequest, tunnels.read),
            "tunnel/getrpo": Operation(tunnel.GetRpoRequest, tunnels.rpo),
            "CreateDeliveryTask": Operation(delivery.CreateDeliveryTaskRequest, deliveries.create),
            "UpdateDeliveryTask": Operation(delivery.UpdateDeliveryTaskRequest, deliveries.update),
            "DeleteDeliveryTask": Operation(delivery.DeleteDeliveryTaskRequest, deliveries.delete),
            "DescribeDeliveryTask": Operation(delivery.DescribeDeliveryTaskRequest, deliveries.describe),
            "ListDeliveryTask": Operation(delivery.ListDeliveryTaskRequest, deliveries.list),
            "StartLocalTransaction": Operation(pb.StartLocalTransactionRequest, self._start_transaction),
            "CommitTransaction": Operation(pb.CommitTransactionRequest, _unknown_transaction),
            "AbortTransaction": Operation(pb.AbortTransactionRequest, _unknown_transaction),
        }

    @property
    def operations(self) -> tuple[str, ...]:
        """The names that are served."""
        return tuple(self._operations)

    def close(self) -> None:
        """Ends deliveries, closes the store."""
        self.deliveries.stop()
        self.store.close()

    def renew_stream(self, instance: str, table: str) -> str:
        """Switches a table's stream off and on again; the new one's id. What the old one held is lost.

        :raises SpecError: the table has no stream.
        """
        streamed = self.streams.table(instance, table)
        wanted = pb.StreamSpecification(
            enable_stream=True,
            expiration_time=streamed.stream_hours,
            columns_to_get=[name.decode() for name in sorted(streamed.stream_columns)],
        )
        for spec in (pb.StreamSpecification(enable_stream=False), wanted):
            self._tables.update(instance, pb.UpdateTableRequest(table_name=table, stream_spec=spec))
        return self.streams.table(instance, table).stream_id

    def _turn_on_stream(self, instance: str, table: str, hours: int) -> None:
        spec = pb.StreamSpecification(enable_stream=True, expiration_time=hours)
        self._tables.update(instance, pb.UpdateTableRequest(table_name=table, stream_spec=spec))

    def answer(self, operation: str, instance: str, body: bytes) -> bytes:
        """The body of a 200 answer.

        :raises ServiceError: the answer is this error. Whatever else goes wrong is logged and told as the service's
            internal error, and nothing of the request is kept.
        """
        try:
            return self._answer(operation, instance, body)
        except ServiceError:
            raise
        except Exception as error:
            log.exception("%s failed", operation)
            raise ServiceError("OTSInternalServerError", "Internal server error.") from error

    def _answer(self, operation: str, instance: str, body: bytes) -> bytes:
        known = self._operations.get(operation)
        if known is None:
            raise invalid(f"Unsupported operation: '{operation}'.")
        request = read(known.request, body, "Parse PBMessage from RawString failed.")
        return known.run(instance, request).SerializeToString()

    def _start_transaction(self, instance: str, request: pb.StartLocalTransactionRequest) -> Message:
        check_table_name(request.table_name)
        read_change(request.key)
        self.store.table(instance, request.table_name)
        raise invalid("Try to call method using explicit transaction on explicit-transaction-disabled table.")


def _unknown_transaction(instance: str, request: Message) -> Message:
    raise invalid("TransactionID is invalid.")
