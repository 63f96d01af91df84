"""A tunnel's records become the same rows whether they are read at once or one by one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_tablestore.pipeline.contract import Column
from airflow_tablestore.pipeline.sources.tunnel import TunnelRows
from airflow_tablestore.wire.plainbuffer import encode_rows
from airflow_tablestore.wire.row import Cell, CellOp, ColumnType, Row, SequenceInfo
from airflow_tablestore.wire.stream import Action
from airflow_tablestore.wire.tunnel_channel import TunnelRecord
from tests.unit.consumer.test_tunnel_records import batch

pytestmark = pytest.mark.slow

integers = st.integers(-(2**63), 2**63 - 1)
texts = st.one_of(st.text(max_size=6), st.sampled_from(['"', "\\", "\x00", "\x1f", "\x7f", "\u2028", "a\nb\tc", "😀"]))
values = st.one_of(integers, st.floats(), st.booleans(), texts, st.binary(max_size=6))
cells = st.one_of(
    st.builds(Cell, texts.filter(bool), values, st.one_of(st.none(), integers)),
    st.builds(lambda name, at: Cell(name, None, at, CellOp.DELETE_ONE_VERSION), texts.filter(bool), integers),
    st.builds(lambda name: Cell(name, None, None, CellOp.DELETE_ALL_VERSIONS), texts.filter(bool)),
)
places = st.one_of(st.none(), st.builds(SequenceInfo, st.integers(0, 9), st.integers(0, 2**62), st.integers(0, 99)))
rows = st.builds(
    Row, st.builds(lambda n: (("id", n),), integers), st.lists(cells, max_size=4).map(tuple), sequence=places
)
records = st.builds(
    lambda action, row, before: TunnelRecord(
        action, encode_rows([row]), None if before is None else encode_rows([before])
    ),
    st.sampled_from(Action),
    rows,
    st.one_of(st.none(), rows),
)


def refused(key: str, reason: str) -> None:
    raise AssertionError(f"{key}: {reason}")


@given(st.lists(st.lists(records, max_size=4), max_size=3))
@settings(max_examples=60, deadline=None)
def test_rows_read_at_once_are_those_read_one_by_one(batches):
    made = TunnelRows((Column("id", ColumnType.INTEGER, is_key=True),), refused)

    found = made.batch([batch(*one) for one in batches])

    assert found.equals(made.one_by_one([batch(*one) for one in batches]), check_metadata=True)
