"""A change of a row as one line of JSON, for `stream tail` and `tunnel tail`.

Nothing is lost or guessed: integers are whole, what is not JSON's own (bytes, doubles that are no number) is an object
that names its kind, and the sequence sorts like the changes of a shard.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_tablestore.consumer.follow import Change
from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.wire.plainbuffer import decode_rows
from airflow_tablestore.wire.row import Cell, Row, SequenceInfo, Value
from airflow_tablestore.wire.tunnel_channel import TunnelRecord

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def line(change: Change) -> str:
    """The change without a line end.

    :raises ProtocolError: the record's bytes are not one row with a key and a sequence.
    """
    row = change.record.decoded()
    sequence = row.sequence
    if sequence is None:
        raise ProtocolError("a stream record without a sequence")
    told: dict[str, Any] = {
        "time": time_text(sequence.timestamp),
        "action": change.record.action.value,
        **_key_and_cells(row, change.record.origin),
        "sequence": _sequence_text(sequence),
        "shard": change.shard,
    }
    return json.dumps(told, ensure_ascii=False, allow_nan=False)


def record_line(record: TunnelRecord, channel: str) -> str:
    """A tunnel's record without a line end; a row of base data has no time and no sequence.

    :raises ProtocolError: the record's bytes are not one row with a key.
    """
    row = record.decoded()
    told: dict[str, Any] = {
        **({} if row.sequence is None else {"time": time_text(row.sequence.timestamp)}),
        "action": record.action.value,
        **_key_and_cells(row, record.origin),
        **({} if row.sequence is None else {"sequence": _sequence_text(row.sequence)}),
        "channel": channel,
    }
    return json.dumps(told, ensure_ascii=False, allow_nan=False)


def _key_and_cells(row: Row, origin: bytes | None) -> dict[str, Any]:
    told: dict[str, Any] = {
        "key": {name: _value(value) for name, value in row.key},
        "columns": [_cell(cell) for cell in row.cells],
    }
    if origin:
        told["before"] = [_cell(cell) for cell in _cells_before(origin)]
    return told


def _sequence_text(sequence: SequenceInfo) -> str:
    return f"{sequence.epoch:010d}_{sequence.timestamp:020d}_{sequence.row_index:010d}"


def time_text(micros: int) -> str:
    """Microseconds since 1970 in ISO form, UTC, all six digits."""
    return (_EPOCH + timedelta(microseconds=micros)).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _cells_before(origin: bytes) -> Iterable[Cell]:
    return [cell for row in decode_rows(origin) for cell in row.cells]


def _cell(cell: Cell) -> dict[str, Any]:
    told: dict[str, Any] = {"name": cell.name, "op": cell.op.value}
    if cell.value is not None:
        told["value"] = _value(cell.value)
    if cell.timestamp is not None:
        told["version"] = cell.timestamp
    return told


def _value(value: object) -> Any:
    if isinstance(value, bytes | bytearray):
        return {"base64": base64.b64encode(value).decode("ascii")}
    if isinstance(value, float) and not math.isfinite(value):
        return {"double": str(value)}
    return value if isinstance(value, Value) else str(value)
