"""A table with a stream in the emulator: the official SDK writes, the emulator's controls do the rest."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import tablestore as sdk

from airflow_tablestore.client import Client, Endpoint
from airflow_tablestore.emulator import Emulator
from airflow_tablestore.wire.table import update_stream

ALWAYS = sdk.Condition(sdk.RowExistenceExpectation.IGNORE)


class StreamTable:
    """The table `t` with the key `id`. `written` is its journal: ids in the order of writing, with their times."""

    def __init__(self, emulator: Emulator, *, at: datetime, hours: int = 24, name: str = "t"):
        access = emulator.tablestore
        self.emulator, self.name, self.instance = emulator, name, access.instance
        self.written: list[tuple[int, datetime]] = []
        self.at(at)
        self._writer = sdk.OTSClient(access.endpoint, access.access_key_id, access.access_key_secret, access.instance)
        self.client = Client(Endpoint(access.endpoint, access.instance, access.access_key_id, access.access_key_secret))
        throughput = sdk.ReservedThroughput(sdk.CapacityUnit(0, 0))
        self._writer.create_table(sdk.TableMeta(name, [("id", "INTEGER")]), sdk.TableOptions(), throughput)
        self.client.send(update_stream(name, hours))

    def at(self, moment: datetime) -> StreamTable:
        """The data's clock stands there."""
        self.emulator.clock.move_to(round(moment.timestamp() * 1_000_000))
        return self

    def put(self, *ids: int, **cells: Any) -> None:
        """Updates rows: one changed cell `n` each, or the cells given."""
        for id_ in ids:
            self.written.append((id_, self.emulator.now()))
            row = sdk.Row([("id", id_)], {"put": list((cells or {"n": id_}).items())})
            self._writer.update_row(self.name, row, ALWAYS)

    def split(self, at: int) -> tuple[str, str]:
        return self._streams.split_shard(self.instance, self.name, at=(("id", at),))

    def merge(self, shard: str, other: str) -> str:
        return self._streams.merge_shards(self.instance, self.name, shard, other)

    def hold(self) -> None:
        self._streams.hold(self.instance, self.name)

    def release(self) -> None:
        self._streams.release(self.instance, self.name)

    def expire(self) -> None:
        self._streams.expire(self.instance, self.name)

    def renew(self) -> None:
        self.emulator.tablestore_service().renew_stream(self.instance, self.name)

    def disable(self) -> None:
        self.client.send(update_stream(self.name, None))

    @property
    def _streams(self) -> Any:
        return self.emulator.tablestore_service().streams
