"""A tunnel's records as rows, where a part of one cannot be read."""

from __future__ import annotations

from airflow_tablestore.pipeline.contract import Column
from airflow_tablestore.pipeline.sources.tunnel import TunnelRows
from airflow_tablestore.wire.row import ColumnType
from airflow_tablestore.wire.stream import Action
from airflow_tablestore.wire.tunnel_channel import TunnelRecord
from tests.unit.consumer.test_tunnel_records import POISON, batch, change


def test_an_earlier_row_that_cannot_be_read_makes_its_record_dirty():
    told = []
    rows = TunnelRows(
        (Column("id", ColumnType.INTEGER, is_key=True),), refuse=lambda key, reason: told.append((key, reason))
    )
    poisoned = TunnelRecord(Action.DELETE, change(Action.DELETE, (("id", 2),)).row, POISON.row)

    found = rows.batch([batch(change(Action.PUT, (("id", 1),)), poisoned)])

    assert found.column("id").to_pylist() == [1]
    assert rows.dirty == len(told) == 1
    assert "record 2 of 2" in told[0][0]
