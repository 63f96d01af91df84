"""Create, describe, update, list and delete tables.

What DescribeTable answers is what is kept. Stream settings are kept and described; secondary and search indexes are not
there, and asking for one is refused.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from itertools import pairwise

from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.tablestore.cells import key_block, key_section
from airflow_tablestore.emulator.tablestore.errors import invalid
from airflow_tablestore.emulator.tablestore.filters import typed
from airflow_tablestore.emulator.tablestore.keys import BINARY, INTEGER, STRING, KeyPart, sort_key
from airflow_tablestore.emulator.tablestore.rows import FOREVER
from airflow_tablestore.emulator.tablestore.storage import Store
from airflow_tablestore.emulator.tablestore.table import KEY_TYPES, table_of
from airflow_tablestore.emulator.tablestore.validation import Limits, check_column_name, check_table_name
from airflow_tablestore.wire.proto import table_pb2 as pb

DAY_SECONDS = 86400
MAX_DEVIATION_SECONDS = (2**63 - 1) // 1_000_000
STREAM_HOURS = range(1, 169)


class Definitions:
    """The operations on tables."""

    def __init__(self, store: Store, clock: Clock, limits: Limits):
        self._store, self._clock, self._limits = store, clock, limits

    def create(self, instance: str, request: pb.CreateTableRequest) -> pb.CreateTableResponse:
        """Makes a table."""
        meta = request.table_meta
        check_table_name(meta.table_name)
        _check_keys(meta.primary_key)
        _check_defined(meta, self._limits)
        if request.index_metas:
            raise invalid("The emulator has no secondary indexes; create the table without them.")
        told = pb.DescribeTableResponse(table_meta=meta)
        told.table_options.CopyFrom(_options(request.table_options, None))
        _set_throughput(told.reserved_throughput_details, request.reserved_throughput.capacity_unit)
        told.reserved_throughput_details.last_increase_time = self._clock.micros() // 1_000_000
        if request.HasField("stream_spec"):
            self._set_stream(told, request.stream_spec)
        told.shard_splits.extend(_partition_points(meta.primary_key[0], request.partitions, self._limits))
        if request.HasField("sse_spec"):
            told.sse_details.enable = request.sse_spec.enable
            if request.sse_spec.HasField("key_type"):
                told.sse_details.key_type = request.sse_spec.key_type
        self._store.create(table_of(0, instance, meta.table_name, told.SerializeToString(), False))
        return pb.CreateTableResponse()

    def update(self, instance: str, request: pb.UpdateTableRequest) -> pb.UpdateTableResponse:
        """Changes options, throughput or stream of a table; what is not named stays."""
        check_table_name(request.table_name)
        table = self._store.table(instance, request.table_name)
        told = pb.DescribeTableResponse.FromString(table.description)
        if not any(request.HasField(name) for name in ("reserved_throughput", "table_options", "stream_spec")):
            raise invalid("No parameter is specified in table options.")
        if request.HasField("table_options"):
            told.table_options.CopyFrom(_options(request.table_options, told.table_options))
        if request.HasField("reserved_throughput"):
            _set_throughput(told.reserved_throughput_details, request.reserved_throughput.capacity_unit)
        if request.HasField("stream_spec"):
            self._set_stream(told, request.stream_spec)
        changed = table_of(table.id, instance, table.name, told.SerializeToString(), table.may_hold_versions)
        self._store.redefine(changed)
        answer = pb.UpdateTableResponse(
            reserved_throughput_details=told.reserved_throughput_details, table_options=told.table_options
        )
        if told.HasField("stream_details"):
            answer.stream_details.CopyFrom(told.stream_details)
        else:
            answer.stream_details.enable_stream = False  # the Go client needs it of every table
        return answer

    def describe(self, instance: str, request: pb.DescribeTableRequest) -> pb.DescribeTableResponse:
        """What a table is."""
        check_table_name(request.table_name)
        answer = pb.DescribeTableResponse.FromString(self._store.table(instance, request.table_name).description)
        answer.table_status = pb.ACTIVE
        return answer

    def list(self, instance: str, request: pb.ListTableRequest) -> pb.ListTableResponse:
        """The names of all tables, sorted."""
        return pb.ListTableResponse(table_names=self._store.names(instance))

    def delete(self, instance: str, request: pb.DeleteTableRequest) -> pb.DeleteTableResponse:
        """Deletes a table and its rows."""
        check_table_name(request.table_name)
        self._store.drop(instance, request.table_name)
        return pb.DeleteTableResponse()

    def _set_stream(self, told: pb.DescribeTableResponse, wanted: pb.StreamSpecification) -> None:
        if not wanted.enable_stream:
            told.stream_details.Clear()
            told.stream_details.enable_stream = False
            return
        hours = wanted.expiration_time if wanted.HasField("expiration_time") else 24
        if hours not in STREAM_HOURS:
            raise invalid(f"Invalid stream expiration time: {hours}. Expect: [1, 168].")
        details = told.stream_details
        if not details.enable_stream:
            details.stream_id = secrets.token_hex(16)
            details.last_enable_time = self._clock.micros()
        details.enable_stream = True
        details.expiration_time = hours
        del details.columns_to_get[:]
        details.columns_to_get.extend(wanted.columns_to_get)


def _check_keys(keys: Sequence[pb.PrimaryKeySchema]) -> None:
    if not 1 <= len(keys) <= 4:
        raise invalid("The number of primary key columns must be in range: [1, 4].")
    names = [key.name for key in keys]
    for key in keys:
        check_column_name(key.name.encode())
        if names.count(key.name) > 1:
            raise invalid(f"Duplicated primary key name: '{key.name}'.")
        if key.type not in KEY_TYPES:
            raise invalid(
                f"{pb.PrimaryKeyType.Name(key.type).removeprefix('PK_')} is an invalid type for the primary key."
            )
    automatic = [key for key in keys if key.HasField("option")]
    if len(automatic) > 1:
        raise invalid("AUTO_INCREMENT primary key count must <= 1.")
    if keys[0].HasField("option"):
        raise invalid("first primary key can't be AUTO_INCREMENT.")
    if automatic and automatic[0].type != pb.INTEGER:
        raise invalid("AUTO_INCREMENT primary key must be integer.")


def _check_defined(meta: pb.TableMeta, limits: Limits) -> None:
    if len(meta.defined_column) > limits.defined_columns:
        raise invalid(f"The number of defined columns must be in range: [0, {limits.defined_columns}].")
    seen = {key.name for key in meta.primary_key}
    for column in meta.defined_column:
        check_column_name(column.name.encode())
        if column.name in seen:
            raise invalid(f"Duplicated attribute column name with primary key column: '{column.name}'.")
        seen.add(column.name)


def _options(asked: pb.TableOptions, before: pb.TableOptions | None) -> pb.TableOptions:
    """The options of a new table, or those of an old one with what was asked for."""
    options = pb.TableOptions(deviation_cell_version_in_sec=DAY_SECONDS, allow_update=True)
    if before is None:
        if not asked.HasField("time_to_live"):
            raise invalid("Time-to-live is missing while creating table.")
        if not asked.HasField("max_versions"):
            raise invalid("MaxVersions is missing while creating table.")
    else:
        options.CopyFrom(before)
        if not asked.ListFields():
            raise invalid("No parameter is specified in table options.")
    options.MergeFrom(asked)
    if options.time_to_live == 0 or options.time_to_live < FOREVER:
        raise invalid("TimeToLive cannot be 0 or less than -1.")
    if options.time_to_live != FOREVER and options.time_to_live < DAY_SECONDS:
        raise invalid(
            f"TimeToLive cannot be less than {DAY_SECONDS}."
        )  # the service's limit; its text is not published
    if options.max_versions <= 0:
        raise invalid("The maximum versions cannot be less than or equal to 0.")
    if not 0 < options.deviation_cell_version_in_sec <= MAX_DEVIATION_SECONDS:
        raise invalid("The maximum deviation must be in range [0, INT64_MAX/1000000].")
    return options


def _set_throughput(details: pb.ReservedThroughputDetails, asked: pb.CapacityUnit) -> None:
    if asked.read < 0 or asked.write < 0:
        raise invalid(f"Invalid Capacity Unit:'{min(asked.read, asked.write)}' . Capacity Unit must be nonnegative.")
    unit = details.capacity_unit
    unit.read = asked.read if asked.HasField("read") else unit.read
    unit.write = asked.write if asked.HasField("write") else unit.write


def _partition_points(key: pb.PrimaryKeySchema, ranges: Sequence[pb.PartitionRange], limits: Limits) -> list[bytes]:
    """Where a new table is cut, each point as a key of the first column."""
    if len(ranges) > limits.partitions:
        raise invalid(f"The count of partitions cannot be greater than {limits.partitions}")
    points, keys = [], []
    for piece in ranges[1:]:
        kind, value = typed(piece.begin)
        if kind != KEY_TYPES[key.type]:
            raise invalid("The value type of partition does not match with primary key.")
        if kind == INTEGER and value in (-(2**63), 2**63 - 1):
            raise invalid("The value of partition range can not be INT64_MIN or INT64_MAX.")
        if kind in (STRING, BINARY) and not value:
            raise invalid(f"The value of partition range can not be empty {'string' if kind == STRING else 'binary'}.")
        part = KeyPart(key.name.encode(), kind, piece.begin[5:] if kind in (STRING, BINARY) else piece.begin[1:])
        points.append(key_block(key_section([part])))
        keys.append(sort_key([part]))
    if any(low >= high for low, high in pairwise(keys)):
        raise invalid("The range of partitions must be in increasing order.")
    return points
