"""The operations on secondary and search indexes, for tables that have none.

Tools and clients call some of them unasked, so each is read, its table is looked up, and the answer is the service's
for an index that is not there. Making one is refused: there are no indexes here. Source: tests of the Python SDK
(ComputeSplits), the Terraform provider (`OTSObjectNotExist` for an index that is described); the rest is deduced, and
the docs say so.
"""

from __future__ import annotations

from google.protobuf.message import Message

from airflow_tablestore.emulator.tablestore.errors import ServiceError, index_missing, invalid
from airflow_tablestore.emulator.tablestore.storage import Store
from airflow_tablestore.emulator.tablestore.validation import check_table_name
from airflow_tablestore.wire.proto import table_pb2 as pb


class Indexes:
    """The operations on indexes."""

    def __init__(self, store: Store):
        self._store = store

    def create(self, instance: str, request: pb.CreateIndexRequest) -> Message:
        """Refuses to make a secondary index."""
        self._find(instance, request.main_table_name)
        raise invalid("The emulator has no secondary indexes.")

    def drop(self, instance: str, request: pb.DropIndexRequest) -> Message:
        """Refuses: a table has no secondary index."""
        self._find(instance, request.main_table_name)
        raise index_missing()

    def list_search(self, instance: str, request: pb.ListSearchIndexRequest) -> pb.ListSearchIndexResponse:
        """No search index, of a table or of all."""
        if request.HasField("table_name"):
            self._find(instance, request.table_name)
        return pb.ListSearchIndexResponse()

    def create_search(self, instance: str, request: pb.CreateSearchIndexRequest) -> Message:
        """Refuses to make a search index."""
        self._find(instance, request.table_name)
        raise invalid("The emulator has no search indexes.")

    def of_search(
        self,
        instance: str,
        request: pb.DescribeSearchIndexRequest | pb.UpdateSearchIndexRequest | pb.DeleteSearchIndexRequest,
    ) -> Message:
        """Refuses what is about one search index."""
        self._find(instance, request.table_name)
        raise index_missing()

    def search(self, instance: str, request: pb.SearchRequest | pb.ParallelScanRequest) -> Message:
        """Refuses to search."""
        raise self._nothing_to_search(instance, request.table_name, request.index_name)

    def splits(self, instance: str, request: pb.ComputeSplitsRequest) -> Message:
        """Refuses to split a search."""
        options = request.search_index_splits_options
        if not options.HasField("index_name"):
            raise invalid("[search index splits options] must not be null")
        raise self._nothing_to_search(instance, request.table_name, options.index_name)

    def _nothing_to_search(self, instance: str, table: str, index: str) -> ServiceError:
        if table not in self._store.names(instance):
            return invalid(f"table [{table}] does not exist")
        return ServiceError("OTSMetaNotMatch", f"search index [{index}] does not exist")

    def _find(self, instance: str, table: str) -> None:
        check_table_name(table)
        self._store.table(instance, table)
