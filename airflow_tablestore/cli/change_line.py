"""A change of a row as one line of JSON, for `stream tail` and `tunnel tail`.

Nothing is lost or guessed: integers are whole, what is not JSON's own (bytes, doubles that are no number) is an object
that names its kind, and the sequence sorts like the changes of a shard.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_tablestore.consumer.follow import Change
from airflow_tablestore.errors import ProtocolError
from airflow_tablestore.pipeline.sources.cell_json import cell_json, cells_before_json, place_text, value_json
from airflow_tablestore.wire.row import Row
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
        "sequence": place_text(sequence),
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
        **({} if row.sequence is None else {"sequence": place_text(row.sequence)}),
        "channel": channel,
    }
    return json.dumps(told, ensure_ascii=False, allow_nan=False)


def _key_and_cells(row: Row, origin: bytes | None) -> dict[str, Any]:
    told: dict[str, Any] = {
        "key": {name: value_json(value) for name, value in row.key},
        "columns": [cell_json(cell) for cell in row.cells],
    }
    if origin:
        told["before"] = cells_before_json(origin)
    return told


def time_text(micros: int) -> str:
    """Microseconds since 1970 in ISO form, UTC, all six digits."""
    return (_EPOCH + timedelta(microseconds=micros)).isoformat(timespec="microseconds").replace("+00:00", "Z")
