"""The MaxCompute service judged by the official Python client `pyodps`, unmodified."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from decimal import Decimal

import pytest
from odps import ODPS, errors
from odps.tunnel import TableTunnel

from airflow_tablestore.emulator.accounts import DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET, demo_accounts
from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.maxcompute.app import MaxComputeApp
from airflow_tablestore.emulator.server import Server

pytestmark = pytest.mark.slow

COLUMNS = (
    "id bigint, name string, raw binary, x double, ok boolean, price decimal(10,2), at datetime, day date, "
    "list array<bigint>, more map<string,bigint>, pair struct<a:bigint,b:string>, small tinyint, short varchar(5)"
)
ROW = [
    7,
    "杭州 é",
    b"\x00\xff",
    -0.5,
    True,
    Decimal("12.34"),
    datetime(2024, 1, 1, 8, 30),
    date(2024, 2, 29),
    [1, None, 3],
    {"k": 1, "n": None},
    (1, "b"),
    -128,
    "short",
]


@pytest.fixture(scope="module")
def url():
    with Server(MaxComputeApp(None, demo_accounts(), Clock())) as server:
        yield server.url


def client(url, *, secret=DEMO_ACCESS_KEY_SECRET, key_id=DEMO_ACCESS_KEY_ID, path="/api", **settings):
    project = settings.pop("project", f"p_{uuid.uuid4().hex[:12]}")
    return ODPS(key_id, secret, project=project, endpoint=url + path, **settings)


@pytest.fixture(params=["v2", "v4"])
def odps(request, url):
    return client(url, **({"region_name": "cn-hangzhou"} if request.param == "v4" else {}))


@pytest.fixture
def one(url):
    return client(url)


def rows(reader):
    return [record.values for record in reader]


def selected(odps, query):
    with odps.execute_sql(query).open_reader(tunnel=True) as reader:
        return rows(reader)


def test_a_table_is_there_from_its_creation_to_its_deletion(odps):
    before = odps.exist_table("t")
    odps.create_table("t", "id bigint comment 'the key', v string", comment="about it", lifecycle=7)
    table = odps.get_table("t", project=odps.project)

    assert (before, odps.exist_table("t")) == (False, True)
    assert [(c.name, str(c.type).lower(), c.comment) for c in table.table_schema.columns] == [
        ("id", "bigint", "the key"),
        ("v", "string", None),
    ]
    assert (table.comment, table.lifecycle, table.is_transactional) == ("about it", 7, False)
    assert [found.name for found in odps.list_tables()] == ["t"]

    odps.delete_table("t")

    assert not odps.exist_table("t")
    with pytest.raises(errors.NoSuchTable):
        odps.delete_table("t")
    odps.delete_table("t", if_exists=True)


def test_projects_have_tables_of_their_own(url):
    first, second = client(url), client(url)

    first.create_table("t", "id bigint")

    assert not second.exist_table("t")
    assert second.exist_table("t", project=first.project)


def test_records_come_back_as_they_were_written(odps):
    table = odps.create_table("t", COLUMNS)

    with table.open_writer() as writer:
        writer.write([ROW, [None] * len(ROW)])
    with table.open_reader() as reader:
        count, found = reader.count, rows(reader)

    assert count == 2
    assert [tuple(value) if isinstance(value, tuple) else value for value in found[0]] == ROW
    assert found[1] == [None] * len(ROW)
    table.reload()
    assert table.record_num == 2


def test_what_is_selected_is_what_was_written(odps):
    table = odps.create_table("t", "id bigint, v string, price decimal(10,2)")
    with table.open_writer() as writer:
        writer.write([[n, "even" if n % 2 == 0 else None, Decimal(n) / 4] for n in range(10)])

    assert selected(odps, "SELECT count(*) FROM t") == [[10]]
    assert selected(odps, f'select `id`, price from {odps.project}.t where v = "even" order by id desc limit 2;') == [
        [8, Decimal("2.00")],
        [6, Decimal("1.50")],
    ]
    assert selected(odps, "select v, sum(id) as s from `t` group by v order by s") == [["even", 20], [None, 25]]
    with odps.execute_sql("select id, v from t order by id limit 2").open_reader(tunnel=False) as reader:
        assert rows(reader) == [["0", "even"], ["1", None]]


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("selec 1", errors.ParseError),
        ("select * frm t", errors.ParseError),
        ("select * from absent", errors.NoSuchTable),
        ("drop table absent", errors.NoSuchTable),
        ("select absent from t", errors.ODPSError),
        ("create table t (id bigint)", errors.ODPSError),
        ("create table u (id nothing)", errors.ParseError),
    ],
)
def test_statements_that_fail_have_their_classes(one, query, error):
    one.create_table("t", "id bigint")

    with pytest.raises(error) as raised:
        one.execute_sql(query)

    assert raised.value.code.startswith("ODPS-0")


@pytest.mark.parametrize(
    ("settings", "code"),
    [({"secret": "wrong"}, "ODPS-0410042"), ({"key_id": "unknown"}, "ODPS-0410051")],
)
@pytest.mark.parametrize("region", [{}, {"region_name": "cn-hangzhou"}])
def test_a_wrong_signature_is_refused(url, settings, code, region):
    odps = client(url, **settings, **region)

    with pytest.raises(errors.ODPSError) as raised:
        odps.exist_table("t")

    assert raised.value.code == code


def test_the_endpoint_may_be_without_api(url):
    odps = client(url, path="")

    odps.create_table("t", "id bigint")

    assert selected(odps, "select count(*) c from t") == [[0]]


def test_partitions_are_made_listed_emptied_and_dropped(odps):
    table = odps.create_table("t", ("id bigint", "pt string, hh bigint"))
    table.create_partition("pt='a',hh=1")
    table.create_partition("pt='a',hh=1", if_not_exists=True)
    table.create_partition("pt='b',hh=2")
    for spec in ("pt=a,hh=1", "pt=b,hh=2"):
        with table.open_writer(partition=spec) as writer:
            writer.write([[1], [2]])

    assert [str(p.partition_spec) for p in table.partitions] == ["pt='a',hh='1'", "pt='b',hh='2'"]
    assert [str(p.partition_spec) for p in table.iterate_partitions("pt='b'")] == ["pt='b',hh='2'"]
    assert (table.exist_partition("pt=a,hh=1"), table.exist_partition("pt=a,hh=2")) == (True, False)
    assert table.get_partition("pt=a,hh=1").record_num == 2

    table.truncate("pt='a',hh=1")
    table.delete_partition("pt='b',hh=2")

    assert selected(odps, "select pt, hh, id from t") == []
    assert [str(p.partition_spec) for p in table.partitions] == ["pt='a',hh='1'"]
    with pytest.raises(errors.ODPSError):
        table.delete_partition("pt='b',hh=2")


@pytest.mark.parametrize(
    ("partition", "code"),
    [
        (None, "MissingPartitionSpec"),
        ("pt=absent", "NoSuchPartition"),
        ("other=1", "InvalidPartitionSpec"),
        ("pt=1,hh=2", "InvalidPartitionSpec"),
    ],
)
def test_a_spec_that_does_not_fit_is_refused(one, partition, code):
    one.create_table("t", ("id bigint", "pt string"))

    with pytest.raises(errors.ODPSError) as raised:
        TableTunnel(one).create_upload_session("t", partition_spec=partition)

    assert raised.value.code == code


def test_rows_are_inserted_by_queries(one):
    one.create_table("t", "id bigint, v string")
    one.create_table("p", ("v string, id int", "pt string"))

    one.execute_sql("insert into t values (1, 'a'), (2, 'b')")
    one.execute_sql("insert into table t (v) select 'c'")
    one.execute_sql("insert overwrite table p partition (pt) select v, id, concat('day', id) from t where id > 0")
    one.execute_sql("insert overwrite table p partition (pt = 'day1') select 'z', 9")

    assert selected(one, "select id, v from t order by v") == [[1, "a"], [2, "b"], [None, "c"]]
    assert selected(one, "select v, id, pt from p order by pt") == [["z", 9, "day1"], ["b", 2, "day2"]]


def test_columns_are_added_behind_the_rows_that_are_there(one):
    table = one.create_table("t", "id bigint")
    with table.open_writer() as writer:
        writer.write([[1]])

    one.execute_sql("alter table t add columns (v string comment 'later')")
    with one.get_table("t").open_writer(reopen=True) as writer:
        writer.write([[2, "b"]])

    assert selected(one, "select * from t order by id") == [[1, None], [2, "b"]]


def test_other_changes_of_a_table_are_kept(one):
    one.create_table("t", "id bigint")

    one.execute_sql("alter table t set lifecycle 3")
    one.execute_sql("alter table t set comment 'new'")
    one.execute_sql("create table u like t")
    one.execute_sql("create table c as select 1 as one, 'x' as two")
    one.execute_sql("alter table t rename to s")

    assert (one.get_table("s").lifecycle, one.get_table("s").comment) == (3, "new")
    assert sorted(table.name for table in one.list_tables()) == ["c", "s", "u"]
    assert selected(one, "select * from c") == [[1, "x"]]


def test_the_first_rows_are_read_without_a_session(one):
    table = one.create_table("t", ("id bigint, v string", "pt string"))
    with table.open_writer(partition="pt=1", create_partition=True) as writer:
        writer.write([[n, f"v{n}"] for n in range(5)])

    assert [record[:2] for record in table.head(2, partition="pt=1")] == [[0, "v0"], [1, "v1"]]
