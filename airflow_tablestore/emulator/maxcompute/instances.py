"""SQL instances: a statement runs while its instance is created, so an instance is always terminated.

What it said or found is kept: a text for clients that read the result, and rows for those that use the tunnel.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from airflow_tablestore.emulator.maxcompute.columns import Column, column_from
from airflow_tablestore.emulator.maxcompute.database import append_pieces, drop_lists
from airflow_tablestore.emulator.maxcompute.errors import Refusal, SqlFailure
from airflow_tablestore.emulator.maxcompute.request import Address
from airflow_tablestore.emulator.maxcompute.store import Store

SUCCESS, FAILED = "Success", "Failed"
KEPT = 2000
"""Instances that are remembered with their results; older ones are forgotten."""
_SELECT = "SELECT id, project, job, task, status, text, columns, rows, started_millis, ended_millis FROM instances"


@dataclass(frozen=True, slots=True)
class Instance:
    """A terminated instance. `text` is its result or why it failed; `columns` are those of rows, if it has any."""

    id: str
    project: str
    job: str
    task: str
    status: str
    text: str
    columns: tuple[Column, ...]
    rows: int
    started_millis: int
    ended_millis: int

    @property
    def list(self) -> str:
        """The list of its rows."""
        return f"instance {self.id}"


def run(store: Store, project: str, job: str, task: str, query: str) -> Instance:
    """The instance of a statement, which has been carried out or has failed."""
    from airflow_tablestore.emulator.maxcompute.sql.run import Result, run_statement

    started = store.clock.millis()
    status, result = SUCCESS, Result()
    try:
        result = run_statement(store, project, query)
    except SqlFailure as failure:
        status, result = FAILED, Result(text=str(failure))
    except Refusal as refusal:
        status, result = FAILED, Result(text=f"ODPS-0130071:[1,1] {refusal}")
    id_ = f"{started:014d}{secrets.token_hex(7)}"
    pieces = store.store_rows(result.batches)
    columns = json.dumps([column.as_json() for column in result.columns])
    rows = sum(piece.rows for piece in pieces)
    with store.database.writing() as connection:
        connection.execute(
            "INSERT INTO instances VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (id_, project, job, task, status, result.text, columns, rows, started, store.clock.millis()),
        )
        append_pieces(connection, f"instance {id_}", pieces)
        old = connection.execute("SELECT id FROM instances ORDER BY id DESC LIMIT -1 OFFSET ?", (KEPT,)).fetchall()
        drop_lists(connection, [f"instance {gone}" for (gone,) in old])
        connection.executemany("DELETE FROM instances WHERE id = ?", old)
    return find(store, project, id_)


def find(store: Store, project: str, id_: str) -> Instance:
    """:raises Refusal: NoSuchObject."""
    with store.database.reading() as connection:
        row = connection.execute(f"{_SELECT} WHERE id = ? AND project = ?", (id_, project)).fetchone()
    if row is None:
        raise Refusal("NoSuchObject", f"The instance {id_[:60]!r} does not exist.")
    return _instance(row)


def latest(store: Store, project: str, most: int) -> list[Instance]:
    """The project's instances, the newest first."""
    with store.database.reading() as connection:
        rows = connection.execute(f"{_SELECT} WHERE project = ? ORDER BY id DESC LIMIT ?", (project, most))
        return [_instance(row) for row in rows]


def with_result(store: Store, address: Address) -> Instance:
    """The instance of the address, whose rows can be downloaded.

    :raises Refusal: it has none; clients then read its text.
    """
    own = address.own_path
    instance = find(store, address.project, own[1] if len(own) > 1 else "")
    if instance.status == FAILED:
        code = re.match(r"(ODPS-\d+)", instance.text)
        raise Refusal(code[1] if code else "InvalidArgument", instance.text, status=400)
    if not instance.columns:
        raise Refusal("InvalidArgument", "The instance is of a statement that selects nothing.")
    return instance


def _instance(row: Sequence[Any]) -> Instance:
    id_, project, job, task, status, text, columns, rows, started, ended = row
    told = tuple(map(column_from, json.loads(columns)))
    return Instance(id_, project, job, task, status, text, told, rows, started, ended)
