"""A large table for the emulator, written where the emulator keeps it.

A thousand rows go through the official SDK; their attributes are repeated under new keys, which are put into the
emulator's store in key order, because a bench shall wait for reading and not for loading.
"""

from __future__ import annotations

from pathlib import Path

from airflow_tablestore.emulator import Emulator
from airflow_tablestore.emulator.tablestore.cells import encode_row, key_section, stored_cells, stored_key
from airflow_tablestore.emulator.tablestore.keys import INTEGER, STRING, KeyPart, sort_key
from airflow_tablestore.emulator.tablestore.storage import Store
from tests.system import sample

SEED_ROWS = 1_000
ROWS_PER_TRANSACTION = 50_000


def make(data_dir: Path, rows: int) -> None:
    """Fill `ots_gps_data` with this many rows; the emulator must not run on the directory meanwhile."""
    with Emulator(data_dir) as emulator:
        access = emulator.tablestore
        client = sample.sdk_client(
            {
                "endpoint": access.endpoint,
                "instance": access.instance,
                "access_key_id": access.access_key_id,
                "access_key_secret": access.access_key_secret,
            }
        )
        sample.create_table(client)
        sample.load(client, SEED_ROWS)
        instance = access.instance
    store = Store(data_dir / "tablestore")
    try:
        _multiply(store, instance, rows)
    finally:
        store.close()


def _multiply(store: Store, instance: str, rows: int) -> None:
    table = store.table(instance, sample.TABLE)
    seeds = [stored_cells(row, len(stored_key(row).wire)) for row in store.rows(table, b"", b"\xff", is_backward=False)]
    with store.transaction() as connection:
        connection.execute(f"DELETE FROM r{table.id}")
    for first in range(0, rows, ROWS_PER_TRANSACTION):
        with store.transaction() as connection:
            connection.executemany(
                f"REPLACE INTO r{table.id} VALUES (?, ?)",
                (_row(number, seeds) for number in range(first, min(first + ROWS_PER_TRANSACTION, rows))),
            )


def _row(number: int, seeds: list[list]) -> tuple[bytes, bytes]:  # type: ignore[type-arg]
    uid, fix = divmod(number, sample.FIXES_PER_UID)
    at = (sample.FIRST_FIX_MILLIS + fix * 1000).to_bytes(8, "little", signed=True)
    parts = (KeyPart(b"uid", STRING, f"user_{uid:06d}".encode()), KeyPart(b"ts", INTEGER, at))
    return sort_key(parts), encode_row(key_section(parts), seeds[number % len(seeds)])
