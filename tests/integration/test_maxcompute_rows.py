"""Rows that flow into MaxCompute, by pyodps's sessions: every type, in any zone, and what a session that ends means."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal

import pytest

from airflow_tablestore.emulator import LocalCloud
from airflow_tablestore.errors import Rejected, RetryLater
from airflow_tablestore.pipeline.warehouse import Partition
from tests.integration.loading import warehouse

pytestmark = pytest.mark.slow

COLUMNS = (
    "(id bigint {}, a tinyint, b double, c boolean, d string, e binary, f decimal(10,2), g date, h datetime, "
    "i smallint, j float, k varchar(10), l char(5) {})"
)
NOON = datetime(2026, 11, 21, 12, 8, 51, 634000)
ROW = (1, 5, 1.5, True, "é", b"\x00\xff", Decimal("1.25"), date(2026, 11, 21), NOON, 7, 0.5, "ab", "abc")
NULLS = (2, *[None] * (len(ROW) - 1))


@pytest.fixture(scope="module")
def cloud() -> Iterator[LocalCloud]:
    with LocalCloud() as cloud:
        cloud.sql(f"create table streamed {COLUMNS.format('', '')}")
        cloud.sql(
            f"create table upserted {COLUMNS.format('not null', ', primary key (id)')} "
            "tblproperties('transactional'='true')"
        )
        yield cloud


@pytest.fixture
def tables(cloud):
    return warehouse(cloud.maxcompute.endpoint, cloud.maxcompute.project)


@pytest.fixture
def far_east(monkeypatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def found(cloud, table):
    rows = sorted(cloud.maxcompute_rows(table), key=lambda row: row["id"])
    return [tuple(row.values()) for row in rows]


def test_a_streamed_row_has_the_same_values_in_any_zone(cloud, tables, far_east):
    stream = tables.stream(Partition("streamed"), 2)

    size = stream.write([ROW, NULLS])
    stream.close()

    assert [_plain(row) for row in found(cloud, "streamed")] == [ROW, NULLS]
    assert size > 0


def test_an_upserted_row_has_the_same_values_in_any_zone(cloud, tables, far_east):
    tables.upsert(Partition("upserted"), [ROW, NULLS, (3, *NULLS[1:])], []).commit()
    tables.upsert(Partition("upserted"), [], [(3, *NULLS[1:])]).commit()

    assert [_plain(row) for row in found(cloud, "upserted")] == [ROW, NULLS]


def _plain(row):
    return tuple(value.replace(tzinfo=None) if isinstance(value, datetime) else value for value in row)


def test_rows_that_are_given_up_are_never_seen(cloud, tables):
    before = found(cloud, "upserted")

    tables.upsert(Partition("upserted"), [(9, *NULLS[1:])], []).give_up()

    assert found(cloud, "upserted") == before


def test_a_stream_whose_session_has_ended_may_be_opened_again(cloud, tables):
    stream = tables.stream(Partition("streamed"), 1)
    stream.close()

    with pytest.raises(RetryLater, match="has ended") as raised:
        stream.write([NULLS])

    assert raised.value.code == "StatusConflict"


def test_a_right_that_is_missing_is_told_at_once(cloud, tables):
    cloud.faults.add("error", code="NoPermission", operation="CreateUpsert", count=1)

    with pytest.raises(Rejected, match=r"rights listed in docs/howto/maxcompute\.md"):
        tables.upsert(Partition("upserted"), [NULLS], [])
