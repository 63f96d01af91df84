"""Drains into tables of MaxCompute that are killed anywhere, and what pyodps reads there afterwards."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import tablestore as sdk
from odps import ODPS

from airflow_tablestore.pipeline.tunnel.drain import Drain, DrainReport, drain
from airflow_tablestore.pipeline.tunnel.table_target import Partitions, Pick, StreamTable, TableMode, Values
from airflow_tablestore.pipeline.tunnel.tunnels import Wanted
from airflow_tablestore.pipeline.warehouse import Partition
from airflow_tablestore.wire.tunnel import StartFlag, StreamRange, TunnelType, create_tunnel, describe_tunnel
from tests.integration.draining import SETTINGS, SteppedClient, Steps, client_of
from tests.integration.loading import warehouse
from tests.integration.tunnel_writing import ALWAYS, Written

EARLIEST = StreamRange(StartFlag.EARLIEST)
BASE: Values = (("pt", "base"),)


def day_of(moment: datetime) -> Values:
    return (("pt", f"{moment:%Y%m%d}"),)


class TableSteps(Steps):
    """Kills before a flush, between the flush and its checkpoint, and around the commit of upserts."""

    CHANGING = frozenset({"write", "upsert", "commit", "tunnel/checkpoint"})

    def before(self, request: str) -> None:
        if request not in self.CHANGING:
            return
        with self._lock:
            self.seen.append(request)
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def after(self, request: str) -> None:
        """Hears what has changed a table."""


class UnconfirmedSteps(TableSteps):
    """Kills before the first checkpoint behind the n-th flush: its rows are there, and no checkpoint tells of them."""

    def before(self, request: str) -> None:
        if request == "tunnel/checkpoint" and self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def after(self, request: str) -> None:
        self.left -= request == "write"


class SteppedRows:
    """A stream, or rows that wait for their commit."""

    def __init__(self, real: Any, steps: TableSteps):
        self._real, self._steps = real, steps

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if name not in TableSteps.CHANGING:
            return found

        def asked(*args: Any) -> Any:
            self._steps.before(name)
            told = found(*args)
            self._steps.after(name)
            return told

        return asked


class SteppedTables:
    """A warehouse that counts what changes a table."""

    def __init__(self, real: Any, steps: TableSteps):
        self._real, self._steps = real, steps

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def stream(self, place: Partition, slots: int) -> Any:
        return SteppedRows(self._real.stream(place, slots), self._steps)

    def upsert(self, *args: Any) -> Any:
        self._steps.before("upsert")
        return SteppedRows(self._real.upsert(*args), self._steps)


class TableWorld(Written):
    """A table of numbered keys whose writer keeps a journal of rows, and a project of MaxCompute beside it."""

    def __init__(self, cloud: Any, keys: int = 6):
        super().__init__(cloud.emulator, keys)
        self.cloud = cloud
        at = cloud.maxcompute
        self.odps = ODPS(at.access_key_id, at.access_key_secret, project=at.project, endpoint=at.endpoint)
        self.rows: dict[int, dict[str, Any]] = {}
        self.made: set[str] = set()

    def put(self, key: int, **cells: Any) -> None:
        self.sdk.put_row("t", sdk.Row([("id", key)], list(cells.items())), ALWAYS)
        self.rows[key] = cells

    def update(self, key: int, **cells: Any) -> None:
        changes = {"PUT": [(name, value) for name, value in cells.items() if value is not None]}
        gone = [(name,) for name, value in cells.items() if value is None]
        if gone:
            changes["DELETE_ALL"] = [name for (name,) in gone]
        self.sdk.update_row("t", sdk.Row([("id", key)], changes), ALWAYS)
        kept = {**self.rows.get(key, {}), **cells}
        self.rows[key] = {name: value for name, value in kept.items() if value is not None}

    def delete(self, key: int) -> None:
        self.sdk.delete_row("t", sdk.Row([("id", key)]), ALWAYS)
        self.rows.pop(key, None)

    def new_tunnel(self, name: str, type_: TunnelType = TunnelType.STREAM) -> str:
        return self.client.send(create_tunnel("t", name, type_, EARLIEST if type_ is TunnelType.STREAM else None))

    def forget_clients(self, name: str, id_: str) -> None:
        """What the service does a while after a client has fallen silent."""
        channels = self.client.send(describe_tunnel("t", name)).channels
        for client in {one.client_id for one in channels if one.client_id}:
            self.emulator.tablestore_service().tunnels.drop_client(id_, client)

    def drained(self, name: str, target: StreamTable, steps: Steps | None = None, **settings: Any) -> DrainReport:
        at = self.cloud.maxcompute
        export = Drain("events", Wanted("t", name), target, flush_seconds=0.1, settings=SETTINGS, **settings)
        counted = steps or TableSteps()
        with client_of(self.endpoint) as client:
            asked: Any = SteppedClient(client, counted)
            return drain(export, asked, SteppedTables(warehouse(at.endpoint, at.project), counted))

    def killed_before(self, nth: int, name: str, target: StreamTable) -> bool:
        """Whether the drain got that far."""
        return self.killed_by(TableSteps(nth), name, target)

    def killed_by(self, steps: TableSteps, name: str, target: StreamTable) -> bool:
        """Whether the steps have killed the drain."""
        child = os.fork()
        if not child:
            try:
                self.drained(name, target, steps)
            finally:
                os._exit(0)
        return os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL

    def read(self, table: str) -> list[dict[str, Any]]:
        """Every row, by pyodps, with its partition."""
        found = self.odps.get_table(table)
        names = [column.name for column in found.table_schema.columns]
        places = [str(one) for one in found.partitions] if found.table_schema.partitions else [None]
        rows = []
        for place in places:
            with found.open_reader(partition=place) as reader:
                rows += [dict(zip(names, record.values, strict=True)) for record in reader]
        return rows


def streamed(table: str, *, columns: Sequence[Pick] | None = None, **settings: Any) -> StreamTable:
    partitions = settings.pop("partitions", Partitions(BASE, day_of))
    picks = None if columns is None else tuple(columns)
    return StreamTable(table, TableMode.STREAM, partitions, picks, creates=settings.pop("creates", True), **settings)


def upserted(table: str, **settings: Any) -> StreamTable:
    return StreamTable(table, TableMode.UPSERT, settings.pop("partitions", Partitions()), **settings)
