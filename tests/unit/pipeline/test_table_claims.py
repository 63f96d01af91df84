"""What a plan claims in a table: a session with blocks for every slice, every shard and every attempt."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from airflow_tablestore.consumer.stream import BEGIN
from airflow_tablestore.consumer.table import KeyRange
from airflow_tablestore.errors import SpecError, StartOver
from airflow_tablestore.pipeline.contract import Schema
from airflow_tablestore.pipeline.full_export.plan import PlanHead, Slice, Split
from airflow_tablestore.pipeline.full_export.table import ExportTable
from airflow_tablestore.pipeline.incremental.ledger import Ledger
from airflow_tablestore.pipeline.incremental.plan import ShardPart, ShardTask, WindowHead
from airflow_tablestore.pipeline.incremental.table import BRANCHES, WindowTable
from airflow_tablestore.pipeline.selection import ChangeMode, ChangeSelection
from airflow_tablestore.pipeline.warehouse import MOST_BLOCKS, TableColumn, TableShape
from tests.conformance.memory_stream import MemoryStream
from tests.conformance.memory_warehouse import MemoryWarehouse, target
from tests.conformance.windows import window

OUTPUT = pa.schema([pa.field("id", pa.int64())])
CELLS = ("colname", "version", "colvalue", "optype")


def window_table() -> WindowTable:
    warehouse = MemoryWarehouse("t")
    columns = tuple(TableColumn(name, "bigint" if name == "version" else "string") for name in CELLS)
    warehouse.tables["t"] = TableShape(columns)
    ledger = Ledger(MemoryStream(now=datetime(2026, 11, 21, tzinfo=UTC)), "status", "demo", "t", "p")
    return WindowTable(warehouse, target(), "p", window(0), ledger, ChangeSelection("t", ChangeMode.MULTI_VERSION))


def shards(count: int) -> list[ShardPart]:
    return [ShardPart(n, f"s{n}", (ShardTask(f"s{n}", n, BEGIN),)) for n in range(count)]


def claimed(count: int, attempts: int) -> WindowHead:
    return window_table().claimed(None, WindowHead(window(0), "r", Schema(())), shards(count), attempts)


def test_few_shards_have_blocks_for_their_children():
    head = claimed(3, 4)

    assert (head.width, head.branches) == (3 * BRANCHES, BRANCHES)
    assert WindowHead.from_json(head.to_json()) == head


@pytest.mark.parametrize(("count", "attempts"), [(1_251, 2), (1_251, 4), (2_500, 4), (5_000, 4), (20_000, 1)])
def test_every_attempt_at_every_shard_has_a_block(count, attempts):
    head = claimed(count, attempts)

    assert head.branches >= 1
    assert head.width * attempts <= MOST_BLOCKS


@pytest.mark.parametrize(("count", "attempts"), [(5_001, 4), (20_001, 1)])
def test_more_shards_than_a_session_has_blocks_for_are_refused(count, attempts):
    with pytest.raises(SpecError, match=f"each tried up to {attempts} times"):
        claimed(count, attempts)


def test_more_children_than_there_are_blocks_for_ask_for_a_new_plan():
    table = window_table()
    head = table.claimed(None, WindowHead(window(0), "r", Schema(())), shards(5_000), 4)
    born = replace(shards(1)[0].shards[0], branch=1)

    with pytest.raises(StartOver) as raised:
        table.part(head, 0, 1).writer(born, OUTPUT, None)

    assert raised.value.task == "plan"


def splits(count: int, slices: int) -> list[Split]:
    one = Slice(KeyRange((("id", 0),), (("id", 1),)))
    return [Split(n, str(n), (one,) * slices) for n in range(count)]


@pytest.mark.parametrize(("count", "slices", "attempts"), [(1_000, 4, 5), (1_024, 4, 4), (20_000, 1, 1)])
def test_every_attempt_at_every_slice_has_a_block(count, slices, attempts):
    table, head = ExportTable(MemoryWarehouse("t"), target(), "p"), PlanHead("r", 0, Schema(()), count, "")

    claimed = table.claimed(None, head, OUTPUT, splits(count, slices), attempts)

    assert claimed.width == slices
    assert count * slices * attempts <= MOST_BLOCKS


@pytest.mark.parametrize(("count", "slices", "attempts"), [(1_024, 4, 5), (1_024, 5, 4), (20_001, 1, 1)])
def test_more_slices_than_a_session_has_blocks_for_are_refused(count, slices, attempts):
    table, head = ExportTable(MemoryWarehouse("t"), target(), "p"), PlanHead("r", 0, Schema(()), count, "")

    with pytest.raises(SpecError, match="20000 blocks"):
        table.claimed(None, head, OUTPUT, splits(count, slices), attempts)
