"""What each service holds, for people and programs: names, numbers and folders, never contents or secrets."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_tablestore.emulator.tablestore.errors import ServiceError
from airflow_tablestore.errors import SpecError

if TYPE_CHECKING:
    from airflow_tablestore.emulator.maxcompute.store import Store as DataStore
    from airflow_tablestore.emulator.oss.store import Store as ObjectStore
    from airflow_tablestore.emulator.tablestore.service import Service

Named = dict[str, dict[str, Any]]


def of_tablestore(service: Service) -> dict[str, Any]:
    """Instances, rows of each table, streams."""
    rows: dict[str, dict[str, int]] = {}
    for table in service.store.tables():
        with suppress(ServiceError):  # it was deleted since
            rows.setdefault(table.instance, {})[table.name] = service.store.count(table)
    return {
        "folder": str(service.store.folder),
        "disk_bytes": _disk_bytes(service.store.folder),
        "instances": service.instances.names(),
        "rows": rows,
        "streams": _streams(service),
    }


def of_oss(store: ObjectStore) -> dict[str, Any]:
    """Objects of each bucket, unfinished uploads."""
    return {
        "folder": str(store.root),
        "disk_bytes": _disk_bytes(store.root),
        "buckets": {name: {"objects": count, "bytes": size} for name, count, size in store.sizes()},
        "uploads": _uploads(store),
    }


def of_maxcompute(store: DataStore) -> dict[str, Any]:
    """Rows of each table of each project."""
    return {"folder": str(store.root), "disk_bytes": _disk_bytes(store.root), "rows": store.counts()}


def _streams(service: Service) -> dict[str, Named]:
    """By instance and table that has a stream: its id, its retention, its shards and the records that are kept."""
    found: dict[str, Named] = {}
    for table in service.store.tables():
        if not table.is_streamed:
            continue
        try:
            shards = service.streams.shards(table.instance, table.name)
        except (ServiceError, SpecError):
            continue  # it was deleted, or its stream switched off, since
        found.setdefault(table.instance, {})[table.name] = {
            "id": table.stream_id,
            "hours": table.stream_hours,
            "shards": len(shards),
            "open_shards": sum(shard.is_open for shard in shards),
            "records": sum(shard.next - shard.first for shard in shards),
        }
    return found


def _uploads(store: ObjectStore) -> Named:
    """By bucket that has some: multipart uploads that were begun and neither completed nor aborted."""
    with store.database.reading() as connection:
        rows = connection.execute(
            "SELECT u.bucket, count(DISTINCT u.id), count(t.number), coalesce(sum(p.size), 0) FROM uploads u "
            "LEFT JOIN parts t ON t.upload = u.id LEFT JOIN pieces p ON p.id = t.piece GROUP BY u.bucket"
        ).fetchall()
    return {bucket: {"uploads": count, "parts": parts, "bytes": size} for bucket, count, parts, size in rows}


def _disk_bytes(folder: Path) -> int:
    """What the files of a folder take, also while some of them go."""
    total = 0
    for at, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(at, name)).st_size
            except FileNotFoundError:
                continue
    return total
