"""A tunnel drained into tables of MaxCompute: written by the official SDK, read back by pyodps.

The oracle is the writer's own journal, never what the drain reports.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest

from airflow_tablestore.emulator import LocalCloud
from airflow_tablestore.errors import RetryLater, SpecError
from airflow_tablestore.pipeline.tunnel.table_target import Partitions, Pick
from airflow_tablestore.wire.row import ColumnType
from airflow_tablestore.wire.tunnel import TunnelType
from tests.docs.pages import ROOT, blocks
from tests.integration.draining_tables import (
    BASE,
    TableSteps,
    TableWorld,
    UnconfirmedSteps,
    day_of,
    streamed,
    upserted,
)

pytestmark = pytest.mark.slow

PAGE = ROOT / "docs/howto/stream-into-maxcompute.md"

DELTA = (
    "create table {} (id bigint not null, v bigint, w string, primary key (id)) tblproperties('transactional'='true')"
)


@pytest.fixture(scope="module")
def world() -> Iterator[TableWorld]:
    """A table with changes of every sort, before and after a split."""
    with LocalCloud() as cloud:
        world = TableWorld(cloud)
        for key in range(6):
            world.put(key, v=key, w="a")
        world.split()
        for key in range(6):
            world.update(key, v=10 + key)
        world.update(0, w=None)
        world.delete(1)
        world.delete(2)
        world.put(2, v=99)
        world.update(3, v=13, w="z")
        yield world


CHANGES = 17


def test_every_change_is_a_row_in_the_partition_of_its_day(world):
    world.new_tunnel("days")

    report = world.drained("days", streamed("days"))
    again = world.drained("days", streamed("days"))

    rows = world.read("days")
    assert (len(rows), report.rows, again.rows) == (CHANGES, CHANGES, 0)
    assert len({(row["id"], row["sequence"]) for row in rows}) == CHANGES
    assert all(row["pt"] == day_of_micros(row["time"]) for row in rows)
    last = {row["id"]: row for row in sorted(rows, key=lambda row: row["sequence"])}
    assert (last[1]["action"], last[2]["action"], last[3]["action"]) == ("delete", "put", "update")
    assert json.loads(last[0]["cells"])[0] | {"version": 0} == {"name": "w", "op": "delete_all_versions", "version": 0}


def day_of_micros(micros):
    return day_of(datetime.fromtimestamp(micros / 1e6, UTC))[0][1]


def test_rows_of_the_table_go_into_the_base_partition(world):
    world.new_tunnel("both", TunnelType.BASE_AND_STREAM)
    picks = [Pick("id", "id"), Pick("v", "value", ColumnType.INTEGER)]

    world.drained("both", streamed("both", columns=picks))

    found = {(row["pt"], row["id"]): row["value"] for row in world.read("both")}
    assert found == {("base", key): row.get("v") for key, row in world.rows.items()}


def test_attributes_go_into_columns_of_their_name(world):
    world.cloud.sql("create table named (id bigint, V string, w string, sequence string, time datetime)")
    world.new_tunnel("named")

    world.drained("named", streamed("named", partitions=Partitions(), creates=False))

    rows = sorted(world.read("named"), key=lambda row: (row["id"], row["sequence"]))
    of_three = [(row["v"], row["w"]) for row in rows if row["id"] == 3]
    assert of_three == [("3", "a"), ("13", None), ("13", "z")]
    assert all(abs(row["time"].timestamp() * 1e6 - int(row["sequence"].split("_")[1])) < 1000 for row in rows)


def test_an_upserted_table_has_the_rows_of_the_source(world):
    world.cloud.sql(DELTA.format("delta"))
    world.new_tunnel("delta")

    world.drained("delta", upserted("delta"))

    assert by_key(world.read("delta")) == journal(world)


def by_key(rows):
    return {row["id"]: (row["v"], row["w"]) for row in rows}


def journal(world):
    return {key: (row.get("v"), row.get("w")) for key, row in world.rows.items()}


@pytest.mark.parametrize("nth", [1, 3])
def test_a_stream_killed_before_a_checkpoint_repeats_and_loses_nothing(world, nth):
    name = f"k{nth}"
    id_ = world.new_tunnel(name)

    was_killed = world.killed_by(UnconfirmedSteps(nth), name, streamed(name))
    world.forget_clients(name, id_)
    world.drained(name, streamed(name))

    rows = world.read(name)
    told = {(row["id"], row["sequence"]): row["cells"] for row in rows}
    assert was_killed
    assert len(told) == CHANGES
    assert all(told[row["id"], row["sequence"]] == row["cells"] for row in rows)
    assert len(rows) > CHANGES
    assert len(selected(rows)) == CHANGES


def selected(rows):
    """What the SELECT of the page leaves of them."""
    (select,) = (block.text for block in blocks(PAGE) if block.language == "sql" and "SELECT" in block.text)
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE TABLE events (id, sequence, time)")
        database.executemany(
            "INSERT INTO events VALUES (?, ?, ?)", [(row["id"], row["sequence"], row["time"]) for row in rows]
        )
        return database.execute(select).fetchall()


@pytest.mark.parametrize("nth", [2, 3])
def test_an_upsert_killed_around_its_commit_ends_in_the_rows_of_the_source(world, nth):
    name = f"u{nth}"
    world.cloud.sql(DELTA.format(name))
    id_ = world.new_tunnel(name)

    was_killed = world.killed_before(nth, name, upserted(name))
    world.forget_clients(name, id_)
    world.drained(name, upserted(name))

    assert was_killed
    assert by_key(world.read(name)) == journal(world)


def test_a_worker_frozen_before_its_commit_leaves_no_old_rows(world):
    world.cloud.sql(DELTA.format("frozen"))
    id_ = world.new_tunnel("frozen")

    class Frozen(TableSteps):
        def before(self, request):
            if request == "commit" and not self.seen:
                self.seen.append(request)
                world.forget_clients("frozen", id_)
                world.update(4, v=400)
                world.delete(5)
                world.drained("frozen", upserted("frozen"))

    world.drained("frozen", upserted("frozen"), Frozen())

    assert by_key(world.read("frozen")) == journal(world)
    world.put(5, v=15, w="a")


def test_columns_that_change_while_rows_flow_are_told(world):
    world.cloud.sql("create table changing (id bigint, sequence string)")
    id_ = world.new_tunnel("changing")

    class Changing(TableSteps):
        def before(self, request):
            self.seen.append(request)
            if request == "write" and self.seen.count("write") == 2:
                world.cloud.sql("alter table changing add columns (more string)")

    with pytest.raises(RetryLater, match="were changed while rows were streamed into it"):
        world.drained("changing", streamed("changing", partitions=Partitions(), creates=False), Changing())
    world.forget_clients("changing", id_)
    world.drained("changing", streamed("changing", partitions=Partitions(), creates=False))

    world.new_tunnel("unchanging")
    world.drained("unchanging", streamed("unchanging"))
    assert sequences(world, "changing") == sequences(world, "unchanging")


def sequences(world, table):
    return {(row["id"], row["sequence"]) for row in world.read(table)}


def test_a_locked_partition_is_told(world):
    world.new_tunnel("locked")
    told = {"status": 400, "message": "The partition is locked by another transaction."}
    world.cloud.faults.add(
        "error", code="ODPS-0110141", service="maxcompute", operation="CreateStream", count=1, **told
    )

    with pytest.raises(RetryLater, match="is locked by another statement or load"):
        world.drained("locked", streamed("locked"))


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (streamed("none", creates=False), "does not exist"),
        (streamed("days", partitions=Partitions((("hm", "1"),))), "does not fit"),
        (streamed("days", columns=[Pick("id", "nothing")]), "no column 'nothing'"),
        (streamed("delta", partitions=Partitions()), "write mode: upsert"),
        (upserted("days", partitions=Partitions(BASE)), "has no primary key"),
        (upserted("delta", columns=(Pick("v", "v"),)), "nothing goes into 'id'"),
        (upserted("other"), "does not go into it"),
        (upserted("delta", columns=(Pick("id", "id"), Pick("cells", "w"))), "tells of one change"),
    ],
)
def test_a_table_that_cannot_take_the_records_is_told_before_any_is_read(world, target, told):
    if "days2" not in world.made:
        world.made.add("days2")
        world.new_tunnel("days2")
        world.cloud.sql(DELTA.format("other").replace("(id)", "(id, v)").replace("v bigint", "v bigint not null"))

    with pytest.raises(SpecError, match=told):
        world.drained("days2", target)


def test_a_delta_table_is_made_from_the_columns_that_are_picked(world):
    world.new_tunnel("made")
    picks = (Pick("id", "id"), Pick("v", "v", ColumnType.INTEGER), Pick("w", "w", ColumnType.STRING))

    world.drained("made", upserted("made", columns=picks, creates=True, partitions=Partitions(BASE)))

    assert by_key(world.read("made")) == journal(world)
    assert world.read("made")[0]["pt"] == "base"
