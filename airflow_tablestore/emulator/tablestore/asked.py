"""What a request to Tablestore is about, told before it is verified: for the log and for faults.

Nothing here refuses anything; what cannot be told stays empty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from google.protobuf.message import Message

from airflow_tablestore.emulator.faults import TABLESTORE, Asked
from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.wire.message import parse
from airflow_tablestore.wire.proto import delivery_pb2
from airflow_tablestore.wire.proto import table_pb2 as pb

_INSTANCE = b"x-ots-instancename"
_LONGEST_NAME = 255
_ABOUT_STREAMS = (pb.DescribeStreamRequest, pb.GetShardIteratorRequest, pb.GetStreamRecordRequest)

OfStream = Callable[[str, str, str], str]
"""The name of the table that has a stream, from the instance, the stream's id, and (when that is empty) an iterator of
one of its shards; empty when there is none."""


def asked(scope: Mapping[str, Any], body: bytes, of_stream: OfStream = lambda *ids: "") -> Asked:
    """Operation, instance and tables of a request."""
    instance = next((value.decode("latin-1") for name, value in scope["headers"] if name.lower() == _INSTANCE), "")
    operation = scope["path"].lstrip("/")[:_LONGEST_NAME]
    return Asked(
        TABLESTORE, instance[:_LONGEST_NAME], operation, _tables(operation, body, partial(of_stream, instance))
    )


def _tables(operation: str, body: bytes, of_stream: Callable[[str, str], str]) -> tuple[str, ...]:
    name = f"{operation}Request"
    kind = getattr(pb, name, getattr(delivery_pb2, name, None)) if operation.isidentifier() else None
    if kind is None or not issubclass(kind, Message):
        return ()
    try:
        request = parse(kind, body)
    except ProtocolError:
        return ()
    names = kind.DESCRIPTOR.fields_by_name
    if "tables" in names:
        found = [table.table_name for table in request.tables]
    elif "table_meta" in names:
        found = [request.table_meta.table_name]
    elif isinstance(request, _ABOUT_STREAMS):
        ids = [getattr(request, name, "") for name in ("stream_id", "shard_iterator")]
        found = [of_stream(*ids)] if all(isinstance(id_, str) for id_ in ids) else []  # bytes: no text at all
    elif "main_table_name" in names:
        found = [request.main_table_name]
    else:
        its = next((name for name in ("table_name", "tableName", "table") if name in names), None)
        found = [getattr(request, its)] if its else []
    return tuple(name[:_LONGEST_NAME] for name in found if name and isinstance(name, str))
