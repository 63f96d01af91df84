"""A table in memory that is written to: it answers with the service's own messages, and refuses what it is told to."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from airflow_tablestore.errors import Rejected
from airflow_tablestore.wire.call import Call
from airflow_tablestore.wire.plainbuffer import decode_rows
from airflow_tablestore.wire.proto import table_pb2
from airflow_tablestore.wire.row import CellOp, ColumnType, PrimaryKey, Value
from airflow_tablestore.wire.table import KEY_TYPES, KeyColumn, TableDescription

ID = (KeyColumn("id", ColumnType.INTEGER),)


class WrittenTable:
    """Rows by key. `answers` holds error codes for a row's key, one for each time that it comes; `batches` what came.

    :param keys: None: the table is not there yet.
    """

    def __init__(self, keys: Sequence[KeyColumn] | None = ID):
        self.keys = None if keys is None else tuple(keys)
        self.rows: dict[PrimaryKey, dict[str, Value]] = {}
        self.answers: dict[PrimaryKey, list[str]] = {}
        self.batches: list[list[PrimaryKey]] = []
        self._lock = threading.Lock()

    def send(self, call: Call[Any]) -> Any:
        if call.operation == "DescribeTable":
            if self.keys is None:
                raise Rejected("no table", code="OTSObjectNotExist")
            return TableDescription("copy", self.keys)
        if call.operation == "CreateTable":
            meta = table_pb2.CreateTableRequest.FromString(call.body).table_meta
            self.keys = tuple(KeyColumn(key.name, KEY_TYPES[key.type]) for key in meta.primary_key)
            return None
        with self._lock:
            return call.read(self._written(call.body))

    def _written(self, body: bytes) -> bytes:
        (asked,) = table_pb2.BatchWriteRowRequest.FromString(body).tables
        answer = table_pb2.BatchWriteRowResponse()
        results = answer.tables.add(table_name=asked.table_name)
        self.batches.append([])
        for change in asked.rows:
            (row,) = decode_rows(change.row_change)
            self.batches[-1].append(row.key)
            codes = self.answers.get(row.key)
            if codes:
                results.rows.add(is_ok=False, error=table_pb2.Error(code=codes.pop(0), message="as told"))
                continue
            cells = {cell.name: cell.value for cell in row.cells if cell.value is not None}
            gone = {cell.name for cell in row.cells if cell.op is CellOp.DELETE_ALL_VERSIONS}
            is_new = change.condition.row_existence == table_pb2.EXPECT_NOT_EXIST
            if is_new and row.key in self.rows:
                results.rows.add(is_ok=False, error=table_pb2.Error(code="OTSConditionCheckFail", message="there"))
                continue
            before = self.rows.get(row.key, {}) if change.type == table_pb2.UPDATE else {}
            kept = {name: value for name, value in before.items() if name not in gone}
            if row.key in self.rows or cells or not gone:  # an update that only deletes makes no row
                self.rows[row.key] = {**kept, **cells}
            results.rows.add(is_ok=True)
        return bytes(answer.SerializeToString())
