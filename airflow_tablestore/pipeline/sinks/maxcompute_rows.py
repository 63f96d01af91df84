"""Streams of rows into MaxCompute, and upserts by primary key: pyodps's sessions behind our errors.

A stream's rows are seen at once and a request that is repeated writes them again; an upsert's are seen at its commit,
and bringing them again changes nothing. pyodps repeats what is throttled by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeVar

import requests
from odps import errors as odps

from airflow_tablestore.errors import RetryLater, StartOver, TablestoreError
from airflow_tablestore.pipeline.sinks.maxcompute_errors import MODIFIED, code_of, translated
from airflow_tablestore.pipeline.warehouse import TableColumn

T = TypeVar("T")

log = logging.getLogger(__name__)

GONE = frozenset({"NoSuchUpload", "StatusConflict", "StreamSessionNotFound", "UpsertSessionNotFound"})
"""The session has expired, was ended, or never was; a new one may do."""

LOCKED = frozenset({"LockFailed", "ODPS-0110061", "ODPS-0110141", "PartitionLocked", "TableLocked"})

FOREIGN = (odps.BaseODPSError, requests.RequestException, ConnectionError, TimeoutError)


def told_of_rows(error: Exception, operation: str, uri: str) -> TablestoreError:
    """The error of ours: what happens to a table while rows flow into it may be over at the next attempt."""
    code = code_of(error)
    if code in MODIFIED or code == "NoSuchSchema":
        told = (
            f"the columns of {uri} were changed while rows were streamed into it, which MaxCompute refuses. What was "
            "read since is not confirmed; the next attempt looks at the table as it is now and reads it again"
        )
        return RetryLater(told, operation=operation, code=code)
    if code in LOCKED or (code not in GONE and "lock" in f"{code} {error}".lower()):
        told = (
            f"{uri} is locked by another statement or load ({code}). What was read since is not confirmed, and is read "
            "again by the next attempt; let INSERT, MERGE or a batch load into it end first, or stream into a "
            "partition that nothing else writes"
        )
        return RetryLater(told, operation=operation, code=code)
    if code in GONE:
        return RetryLater(f"the session into {uri} has ended ({code})", operation=operation, code=code)
    ours = translated(error, operation, uri)
    return RetryLater(str(ours), operation=operation, code=code) if isinstance(ours, StartOver) else ours


def calling(act: Callable[[], T], operation: str, uri: str) -> T:
    """What the call gives; its errors as ours."""
    try:
        return act()
    except FOREIGN as error:
        raise told_of_rows(error, operation, uri) from error


class MaxComputeStream:
    """A session of the streaming tunnel, as `pipeline.warehouse.RowStream` says."""

    def __init__(self, session: Any, uri: str):
        self._session, self._uri = session, uri
        self.columns = _columns(session.schema)

    def write(self, rows: Sequence[Sequence[Any]]) -> int:
        def send() -> int:
            with self._session.open_record_writer() as writer:
                for row in rows:
                    writer.write(self._session.new_record(_taken(row)))
            return int(writer.n_bytes)

        return calling(send, "WriteStream", self._uri)

    def close(self) -> None:
        with suppress(*FOREIGN):  # it ends by itself within a day
            self._session.abort()


class MaxComputeUpserts:
    """A session of upserts, as `pipeline.warehouse.Upserting` says."""

    def __init__(self, session: Any, uri: str):
        self._session, self._uri = session, uri

    def bring(self, rows: Sequence[Sequence[Any]], deletions: Sequence[Sequence[Any]]) -> None:
        """Sends the rows, without a commit."""

        def send() -> None:
            stream = self._session.open_upsert_stream()
            for row in rows:
                stream.upsert(self._session.new_record(_taken(row)))
            for row in deletions:
                stream.delete(self._session.new_record(_taken(row)))
            stream.close()

        try:
            calling(send, "WriteUpsert", self._uri)
        except TablestoreError:
            self.give_up()
            raise

    def commit(self) -> None:
        try:
            calling(self._session.commit, "CommitUpsert", self._uri)
        finally:
            self._session.close()

    def give_up(self) -> None:
        with suppress(*FOREIGN):  # it ends by itself within a day
            self._session.abort()
        self._session.close()


def _columns(schema: Any) -> tuple[TableColumn, ...]:
    return tuple(
        TableColumn(c.name, str(c.type).lower().replace(" ", ""), c.nullable is not False)
        for c in schema.simple_columns
    )


def _taken(row: Sequence[Any]) -> list[Any]:
    """A DATETIME is UTC here and local time to pyodps, unless it says so."""
    return [value.replace(tzinfo=UTC) if type(value) is datetime else value for value in row]
