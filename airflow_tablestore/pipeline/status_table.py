"""The table that ledgers are kept in: small rows under DataX's key, made when it is absent.

Rows are told apart by their type, so that those of several pipelines, and DataX's own, live side by side.
Source: OTSStreamReader's status table has the three string keys StreamId, StatusType and StatusValue.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from airflow_tablestore.consumer.table import Sender, pages
from airflow_tablestore.errors import ProtocolError, Rejected
from airflow_tablestore.wire.plainbuffer import decode_rows
from airflow_tablestore.wire.row import ColumnType, PrimaryKey, Row, Value
from airflow_tablestore.wire.single_row import CONDITION_FAILED, Absent, Holds, create_table, get_row, put_row
from airflow_tablestore.wire.table import KeyColumn, RangeRead

KEYS = tuple(KeyColumn(name, ColumnType.STRING) for name in ("StreamId", "StatusType", "StatusValue"))

TTL_SECONDS = 366 * 86_400
"""A change log is kept for a week at most, and boundaries need no longer; what became of a window is of interest for
longer."""

CHUNK_BYTES = 64 * 1024
"""Most bytes of one binary column here. Source: OTSStreamReader cuts its lists of shards so."""

_MISSING, _EXISTS = "OTSObjectNotExist", "OTSObjectAlreadyExist"


@dataclass(frozen=True, slots=True)
class StatusRow:
    """One row: its value in the key, and its columns."""

    value: str
    cells: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class StatusTable:
    """The table of this name."""

    client: Sender
    name: str

    def get(self, owner: str, kind: str, value: str) -> StatusRow | None:
        """A row; None when there is none, or no table."""
        try:
            row = self.client.send(get_row(self.name, _key(owner, kind, value)))
        except Rejected as error:
            if error.code != _MISSING:
                raise
            return None
        return None if row is None else _status_row(row)

    def rows(self, owner: str, kind: str, begin: str, end: str, most: int | None = None) -> Iterator[StatusRow]:
        """The rows of a type from one value up to another (excluded); downwards when `begin` is the greater one."""
        read = RangeRead(
            self.name, _key(owner, kind, begin), _key(owner, kind, end), is_backward=begin > end, limit=most or 0
        )
        found = (row for page in pages(self.client, read) if page.rows for row in decode_rows(page.rows))
        try:
            for row in islice(found, most):
                yield _status_row(row)
        except Rejected as error:
            if error.code != _MISSING:
                raise

    def put(
        self, owner: str, kind: str, value: str, cells: Mapping[str, Value], condition: Absent | Holds | None = None
    ) -> bool:
        """Replace a row; False when the condition does not hold, and nothing was changed by this attempt.

        A lost answer can make a put that has succeeded say False; see `wire.single_row.put_row`.
        """
        call = put_row(self.name, _key(owner, kind, value), cells, condition)
        try:
            try:
                self.client.send(call)
            except Rejected as error:
                if error.code != _MISSING:
                    raise
                self._create()
                self.client.send(call)
        except Rejected as error:
            if error.code != CONDITION_FAILED:
                raise
            return False
        return True

    def _create(self) -> None:
        try:
            self.client.send(create_table(self.name, KEYS, TTL_SECONDS))
        except Rejected as error:
            if error.code != _EXISTS:
                raise


def packed(document: Any) -> dict[str, Value]:
    """A document as columns of a row."""
    data = zlib.compress(json.dumps(document, separators=(",", ":")).encode())
    starts = range(0, len(data), CHUNK_BYTES)
    return {f"document_{number}": data[start : start + CHUNK_BYTES] for number, start in enumerate(starts)}


def unpacked(cells: Mapping[str, Value], place: str) -> Any:
    """What `packed` was given.

    :raises ProtocolError: these are no such columns.
    """
    try:
        chunks: list[Value] = []
        while (chunk := cells.get(f"document_{len(chunks)}")) is not None:
            chunks.append(chunk)
        return json.loads(zlib.decompress(b"".join(c for c in chunks if isinstance(c, bytes))))
    except (zlib.error, ValueError) as error:
        raise ProtocolError(f"{place} is not what airflow-tablestore wrote there: {error}") from error


def _key(owner: str, kind: str, value: str) -> PrimaryKey:
    return tuple(zip((key.name for key in KEYS), (owner, kind, value), strict=True))


def _status_row(row: Row) -> StatusRow:
    cells = {cell.name: cell.value for cell in row.cells if cell.value is not None}
    return StatusRow(str(row.key[2][1]), cells)
