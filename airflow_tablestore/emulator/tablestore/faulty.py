"""What the service does wrong on demand, around the operations that do it right.

A row that shall fail is taken out of its batch before the batch is carried out, so it is truly not written; its error
is put where its result would be.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import Message

from airflow_tablestore.emulator.faults import Fault, Kind
from airflow_tablestore.emulator.gate import ServiceFaults
from airflow_tablestore.emulator.tablestore.errors import ServiceError
from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.wire.message import parse
from airflow_tablestore.wire.proto import table_pb2 as pb

M = TypeVar("M", bound=Message)

Perform = Callable[[str, str, bytes], bytes]
"""Carries out an operation for an instance: request bytes to answer bytes, or a ServiceError."""


def faulty(perform: Perform, faults: ServiceFaults) -> Perform:
    """The same operations, with these faults."""

    def answer(operation: str, instance: str, body: bytes) -> bytes:
        fault = faults.fault
        if fault is not None and fault.kind == Kind.ERROR:
            raise ServiceError(fault.code, fault.told_message, fault.told_status)
        if operation == "BatchWriteRow":
            told = _written(perform, faults, instance, body)
        elif operation == "BatchGetRow":
            told = _read(perform, faults, instance, body)
        else:
            told = perform(operation, instance, body)
        return _broken(operation, told) if fault is not None and fault.kind == Kind.WRONG_CRC else told

    return answer


def _written(perform: Perform, faults: ServiceFaults, instance: str, body: bytes) -> bytes:
    request = _parsed(pb.BatchWriteRowRequest, body)
    if request is None:
        return perform("BatchWriteRow", instance, body)
    errors = [[faults.strike_row(table.table_name) for _ in table.rows] for table in request.tables]
    if not any(map(any, errors)):
        return perform("BatchWriteRow", instance, body)
    kept = pb.BatchWriteRowRequest()
    for table, wrong in zip(request.tables, errors, strict=True):
        if not all(wrong):
            rows = [row for row, error in zip(table.rows, wrong, strict=True) if error is None]
            kept.tables.add(table_name=table.table_name, rows=rows)
    done = pb.BatchWriteRowResponse()
    if kept.tables:
        done.ParseFromString(perform("BatchWriteRow", instance, kept.SerializeToString()))
    results = iter(result for table in done.tables for result in table.rows)
    answer = pb.BatchWriteRowResponse()
    for table, wrong in zip(request.tables, errors, strict=True):
        told = answer.tables.add(table_name=table.table_name)
        for fault in wrong:
            if fault is None:
                told.rows.append(next(results))
            else:
                told.rows.add(is_ok=False, error=_error(fault))
    return answer.SerializeToString()


def _read(perform: Perform, faults: ServiceFaults, instance: str, body: bytes) -> bytes:
    answer = pb.BatchGetRowResponse.FromString(perform("BatchGetRow", instance, body))
    for table in answer.tables:
        for index in range(len(table.rows)):
            fault = faults.strike_row(table.table_name)
            if fault is not None:
                table.rows[index].CopyFrom(pb.RowInBatchGetRowResponse(is_ok=False, error=_error(fault)))
    return answer.SerializeToString()


def _error(fault: Fault) -> pb.Error:
    return pb.Error(code=fault.code, message=fault.told_message)


def _broken(operation: str, answer: bytes) -> bytes:
    """The answer with the last checksum of its rows changed: that of a row, or of a whole matrix."""
    told: Message
    if operation == "BatchGetRow":
        told = pb.BatchGetRowResponse.FromString(answer)
        for row in (row for table in told.tables for row in table.rows if row.row):
            row.row = _with_wrong_sum(row.row)
    elif operation == "GetRow":
        told = pb.GetRowResponse.FromString(answer)
        told.row = _with_wrong_sum(told.row)
    elif operation == "BulkExport":
        told = pb.BulkExportResponse.FromString(answer)
        told.rows = _with_wrong_sum(told.rows)
    else:
        told = pb.GetRangeResponse.FromString(answer)
        told.rows = _with_wrong_sum(told.rows)
    return told.SerializeToString()


def _with_wrong_sum(block: bytes) -> bytes:
    return block[:-1] + bytes((block[-1] ^ 0xFF,)) if block else block


def _parsed(kind: type[M], body: bytes) -> M | None:
    try:
        return parse(kind, body)
    except ProtocolError:
        return None  # the service refuses it in its own words
