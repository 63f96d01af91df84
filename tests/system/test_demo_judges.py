"""What the demo says of a stream is worth something: each way in which a tunnel may go wrong is told."""

from __future__ import annotations

import json

import pytest

from tests.system import writer
from tests.system.demo_stream import difference

BEGIN, END = 40, 100


def cells_of(one):
    put = [{"name": name, "op": "put", "value": value} for name, value in one.cells.items()]
    return json.dumps([*put, *({"name": name, "op": "delete_all_versions"} for name in one.gone)])


def record(one):
    uid, ts = one.key
    return {"uid": uid, "ts": ts, "action": one.kind, "sequence": f"{one.number:09d}", "cells": cells_of(one)}


def rows_after(changes):
    """The table when these were written, as a tunnel carries its rows."""
    rows = {}
    for one in changes:
        before = rows.get(one.key, {}) if one.kind == "update" else {}
        rows[one.key] = {name: value for name, value in (before | one.cells).items() if name not in one.gone}
        if one.kind == "delete":
            del rows[one.key]
    return [record(writer.Change(0, "put", key, cells)) for key, cells in rows.items()]


@pytest.fixture
def journal():
    return [writer.change(number) for number in range(END)]


@pytest.mark.parametrize("later", [0, 1, 5, 9])
def test_rows_and_the_changes_behind_them_are_whole(journal, later):
    rows = rows_after(journal[: BEGIN + later])

    assert difference(journal, rows, [record(one) for one in journal[BEGIN:]]) == ""


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda rows, changes: changes.pop(7), "1 of 60 changes are lost"),
        (lambda rows, changes: changes.append(changes[3]), "1 more than once"),
        (lambda rows, changes: changes[0].update(cells="[]"), "1 changes that nobody wrote"),
        (lambda rows, changes: changes[10].update(sequence="~"), "in the wrong order"),
        (lambda rows, changes: rows.pop(2), "is none of"),
        (lambda rows, changes: rows.append(rows[2]), "came twice"),
        (lambda rows, changes: rows[2].update(cells="[]"), "is none of"),
        (lambda rows, changes: rows.append(rows[2] | {"ts": -1}), "1 rows that nobody wrote"),
    ],
)
def test_what_is_lost_doubled_or_changed_is_told(journal, spoil, told):
    rows, changes = rows_after(journal[:BEGIN]), [record(one) for one in journal[BEGIN:]]

    spoil(rows, changes)

    assert told in difference(journal, rows, changes)
