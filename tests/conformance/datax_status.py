"""Rows of DataX's status table, in the layout of tests/vectors/datax_status_table.json."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

Key = tuple[str, str, str]
VERSION = "1763600000000-5f0c1c2e-0000-4000-8000-000000000001"


def datax_rows(
    stream_id: str,
    table: str,
    end: datetime,
    checkpoints: Mapping[str, str],
    *,
    shards: list[str] | None = None,
    version: str = VERSION,
    job_version: str = VERSION,
) -> Iterator[tuple[Key, dict[str, Any]]]:
    """The job's row and one for each shard, as a run leaves them that ends at this time.

    :param shards: the job's list, when it differs from those that have a checkpoint.
    """
    millis = int(end.timestamp() * 1000)
    listed = json.dumps(list(checkpoints) if shards is None else shards, separators=(",", ":"))
    yield (
        (stream_id, "DataxJobDesc", f"{millis:16d}"),
        {
            "ShardIds_0": zlib.compress(listed.encode()),
            "Version": job_version,
            "TableName": table,
            "JobStreamId": stream_id,
            "StartTime": millis - 300_000,
            "EndTime": millis,
        },
    )
    for shard, place in checkpoints.items():
        key = (stream_id, "CheckpointForDataxReader", f"{millis:16d}\t{shard}")
        yield key, {"Version": version, "Checkpoint": place, "SkipCount": 0}
