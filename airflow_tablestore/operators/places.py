"""Where a pipeline's rows go, as its tasks open it: a bucket, a MaxCompute project or an instance, by its type.

The only place of the operators that knows the types; what people and lineage want to know of each is beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_tablestore.hooks.oss import ObjectStoreHook
from airflow_tablestore.hooks.tablestore import TablestoreHook

if TYPE_CHECKING:
    from airflow_tablestore.client import Client
    from airflow_tablestore.pipeline.store import Store
    from airflow_tablestore.pipeline.target import ObjectTarget, TableTarget
    from airflow_tablestore.pipeline.warehouse import Warehouse
    from airflow_tablestore.spec.kinds.stream import StreamOssSink
    from airflow_tablestore.spec.maxcompute_sink import MaxComputeSink
    from airflow_tablestore.spec.oss_sink import OssSink
    from airflow_tablestore.spec.stream_copy_sink import StreamCopySink
    from airflow_tablestore.spec.stream_table_sink import StreamTableSink


@dataclass(frozen=True, slots=True)
class Dataset:
    """A place as OpenLineage names it."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class OpenPlace:
    """A sink that is ready to go."""

    sink: OssSink | MaxComputeSink | StreamTableSink
    store: Store | Warehouse
    project: str = ""

    def url(self, target: ObjectTarget | TableTarget, *, is_range: bool = False) -> str:
        """Where a person finds the rows; "" when there is no page for that.

        :param is_range: of all windows' objects, not of this target's.
        """
        from airflow_tablestore.pipeline.target import ObjectTarget
        from airflow_tablestore.spec.oss_sink import OssSink

        if not isinstance(target, ObjectTarget) or not isinstance(self.sink, OssSink):
            return ""
        prefix = self.sink.prefix.split("{", 1)[0] if is_range else target.prefix
        return ObjectStoreHook(self.sink.connection).objects_url(target.bucket, prefix)

    def dataset(self, target: ObjectTarget | TableTarget) -> Dataset:
        """The real names: objects in their bucket, a table in its project."""
        from airflow_tablestore.pipeline.target import ObjectTarget

        if isinstance(target, ObjectTarget):
            return Dataset(f"oss://{target.bucket}", target.prefix.rstrip("/"))
        return Dataset(f"maxcompute://{self.project}", target.table)


@contextmanager
def opened_place(sink: OssSink | MaxComputeSink | StreamTableSink) -> Iterator[OpenPlace]:
    """The sink's bucket or project, closed at the end.

    :raises SpecError: the connection cannot be right.
    """
    from airflow_tablestore.spec.oss_sink import OssSink

    if isinstance(sink, OssSink):
        with closing(ObjectStoreHook(sink.connection).store(sink.bucket)) as store:
            yield OpenPlace(sink, store)
        return
    from airflow_tablestore.hooks.maxcompute import WarehouseHook

    with closing(WarehouseHook(sink.connection).warehouse(sink.project or "")) as warehouse:
        yield OpenPlace(sink, warehouse, warehouse.endpoint.project)


@contextmanager
def opened_for_stream(sink: StreamOssSink | StreamTableSink | StreamCopySink) -> Iterator[Store | Warehouse | Client]:
    """What a stream's sink leads to, closed at the end: the same, or an instance.

    :raises SpecError: the connection cannot be right.
    """
    from airflow_tablestore.spec.stream_copy_sink import StreamCopySink

    if isinstance(sink, StreamCopySink):
        with TablestoreHook(sink.connection).get_conn() as client:
            yield client
        return
    with opened_place(sink) as place:
        yield place.store
