"""A fleet that goes on driving: changes written to `ots_gps_live` one by one, and a journal of them.

A process of its own, which writes with the official SDK until its input is closed. A change is put into the journal
when the service has acknowledged it, so the journal is the truth about what an export must hold: guarantee 18. Which
change comes next depends on its number alone.
"""

from __future__ import annotations

import json
import select
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.system import sample

TABLE = "ots_gps_live"
RETENTION_HOURS = 24
DRIVERS = 40
PAUSE_SECONDS = 0.02
CHOSEN = ("name", "speed", "change")
"""The columns, beside the key, that the example with one row per change asks for."""

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one row: `put` replaces the row by `cells`, `update` sets them and deletes the columns `gone`."""

    number: int
    kind: str
    key: tuple[str, int]
    cells: dict[str, Any]
    gone: tuple[str, ...] = ()

    def to_line(self) -> str:
        told = {"number": self.number, "kind": self.kind, "key": self.key, "cells": self.cells, "gone": self.gone}
        return json.dumps(told) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Change:
        told = json.loads(line)
        return cls(told["number"], told["kind"], tuple(told["key"]), told["cells"], tuple(told["gone"]))


def change(number: int) -> Change:
    """The change with this number. Of ten, six put a row, three update an earlier one, one deletes an earlier one."""
    turn, place = divmod(number, 10)
    key = (f"user_{number % DRIVERS:04d}", number)
    earlier = (f"user_{(number - 6) % DRIVERS:04d}", number - 6)
    if place in (6, 7, 8):
        cells = {"speed": number * 37 % 1400 / 10, "change": number}
        return Change(number, "update", earlier, cells, ("note",) if place == 7 else ())
    if place == 9:
        return Change(number, "delete", (f"user_{(number - 8) % DRIVERS:04d}", number - 8), {})
    cells = {"name": f"driver {turn % 89}", "speed": number * 37 % 1400 / 10, "change": number}
    return Change(number, "put", key, cells | ({"note": sample.TEXTS[turn % 10]} if place % 2 else {}))


def journal(file: Path) -> list[Change]:
    """The changes that were acknowledged, in their order."""
    return [Change.from_line(line) for line in file.read_text().splitlines()]


def rows_of_changes(changes: list[Change]) -> Counter[Row]:
    """What `single_version_and_update_only` must give: a row per put and update with the chosen columns, as text."""
    return Counter(
        (*map(str, one.key), *(_text(one.cells.get(name)) for name in CHOSEN))
        for one in changes
        if one.kind != "delete"
    )


def cells_of_changes(changes: list[Change]) -> Counter[Row]:
    """What `multi_version` must give: (uid, ts, column, value, optype) of each change of a cell, values as text."""
    found: Counter[Row] = Counter()
    for one in changes:
        found.update((*one.key, *rest) for rest in _cells(one))
    return found


def _cells(one: Change) -> Iterator[tuple[str | None, str | None, str]]:
    if one.kind in ("put", "delete"):
        yield None, None, "DR"
    for name, value in one.cells.items():
        yield name, _text(value), "U"
    for name in one.gone:
        yield name, None, "DA"


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def create_table(services: dict[str, Any]) -> None:
    """The table, with its stream switched on; the official Python SDK has no words for the latter."""
    from airflow_tablestore.client import Client, Endpoint
    from airflow_tablestore.wire.table import update_stream

    told = services["tablestore"]
    sample.create_table(sample.sdk_client(told), TABLE)
    at = Endpoint(told["endpoint"], told["instance"], told["access_key_id"], told["access_key_secret"])
    with Client(at) as client:
        client.send(update_stream(TABLE, RETENTION_HOURS))


def write(client: Any, one: Change) -> None:
    from tablestore import Condition, Row, RowExistenceExpectation

    key = [("uid", one.key[0]), ("ts", one.key[1])]
    anyway = Condition(RowExistenceExpectation.IGNORE)
    cells = list(one.cells.items())
    if one.kind == "put":
        client.put_row(TABLE, Row(key, cells), anyway)
    elif one.kind == "update":
        asked = {"put": cells} | ({"delete_all": list(one.gone)} if one.gone else {})
        client.update_row(TABLE, Row(key, asked), anyway)
    else:
        client.delete_row(TABLE, Row(key), anyway)


def main() -> None:
    """Write until standard input ends. Its first line says where to; the first argument is the journal, and a second
    one the seconds between two changes.

    The line `hold` is answered with the number of changes so far, and nothing is written until another line comes.
    """
    services = json.loads(sys.stdin.readline())
    client = sample.sdk_client(services["tablestore"])
    pause = float(sys.argv[2]) if len(sys.argv) > 2 else PAUSE_SECONDS
    number = 0
    with Path(sys.argv[1]).open("a", buffering=1) as kept:
        while True:
            while select.select([sys.stdin], [], [], 0)[0]:
                if not sys.stdin.readline():
                    return
                print(number, flush=True)
                if not sys.stdin.readline():
                    return
            one = change(number)
            write(client, one)
            kept.write(one.to_line())
            number += 1
            time.sleep(pause)


if __name__ == "__main__":
    main()
