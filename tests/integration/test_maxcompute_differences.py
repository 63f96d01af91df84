"""What docs/reference/emulator-maxcompute.md says of the emulated MaxCompute, shown one by one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from odps import ODPS, errors
from odps.tunnel import TableTunnel

from airflow_tablestore.emulator import Emulator, LocalCloud
from airflow_tablestore.errors import SpecError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def cloud(running) -> Iterator[LocalCloud]:
    with LocalCloud(emulator=running) as cloud:
        yield cloud


def client(cloud: LocalCloud, project: str | None = None) -> ODPS:
    at = cloud.maxcompute
    return ODPS(at.access_key_id, at.access_key_secret, project=project or at.project, endpoint=at.endpoint)


def refusal(action) -> str:
    with pytest.raises(errors.ODPSError) as refused:
        action()
    return refused.value.code


def test_every_name_is_a_project(cloud):
    odps = client(cloud, "never_made_by_anybody")

    assert odps.exist_project("never_made_by_anybody")
    assert list(odps.list_tables()) == []


def test_only_the_default_schema_is_there(cloud):
    cloud.sql(f"create table {cloud.project}.default.t (id bigint)")

    assert cloud.sql("select count(*) as n from t") == [{"n": 0}]
    with pytest.raises(SpecError, match="ODPS-0130071"):
        cloud.sql(f"create table {cloud.project}.other.t (id bigint)")


def test_partitions_are_shown(cloud):
    cloud.sql("create table t (id bigint) partitioned by (pt string, hh string)")
    cloud.sql("alter table t add partition (pt='2', hh='b') partition (pt='1', hh='a')")

    with client(cloud).execute_sql("show partitions t").open_reader() as reader:
        assert reader.raw.splitlines() == ["pt=1/hh=a", "pt=2/hh=b"]


def test_an_instance_has_ended_when_it_is_there(cloud):
    odps = client(cloud)
    instance = odps.run_sql("select 1")

    assert instance.is_terminated()
    assert refusal(instance.stop) == "InvalidStateSetting"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("select nvl(null, 'x') as v", "x"),
        ("select 1 == 1 as v", True),
        ("select null <=> null as v", True),
        ('select "it\'s" as v', "it's"),
        ("select `id` as v from (select 7 as id) s", 7),
        ("select wm_concat('-', id) as v from (select 'a' as id union all select 'b') s", "a-b"),
    ],
)
def test_spellings_of_maxcompute_are_understood(cloud, query, found):
    assert cloud.sql(query) == [{"v": found}]


@pytest.mark.parametrize(
    "query", ["select {'a b': 1} as v", "select interval 1 day as v", "select 2::hugeint ** 100 as v, {'a b': 1}"]
)
def test_a_result_that_no_type_holds_fails(cloud, query):
    with pytest.raises(errors.ODPSError) as failed:
        client(cloud).execute_sql(query)

    assert failed.value.code == "ODPS-0130071"


def test_a_result_of_another_type_gets_the_nearest(cloud):
    assert cloud.sql("select 1.5::decimal(38,30) as a, 7::utinyint as b, sum(1) as c") == [{"a": 1.5, "b": 7, "c": 1}]


def test_sql_is_in_utc(cloud):
    (row,) = cloud.sql("select getdate() as now")

    assert abs(row["now"].replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds() < 60


def test_sql_reads_no_file(cloud):
    for query in ("select * from read_csv('/etc/passwd')", "select * from '/etc/passwd'"):
        with pytest.raises(SpecError):
            cloud.sql(query)


def test_a_decimal_is_rounded_to_its_scale(cloud):
    cloud.sql("create table t (price decimal)")
    odps = client(cloud)
    session = TableTunnel(odps).create_upload_session("t")
    with session.open_record_writer(0) as writer:
        writer.write(session.new_record([Decimal("0.0000000000000000005")]))
    session.commit([0])

    assert cloud.maxcompute_rows("t") == [{"price": Decimal("1E-18")}]


def test_a_transactional_table_is_not_overwritten(cloud):
    cloud.sql("create table t (id bigint) tblproperties ('transactional'='true')")

    overwritten = refusal(lambda: TableTunnel(client(cloud)).create_upload_session("t", overwrite=True))

    assert overwritten == "OverwriteModeNotAllowed"


def test_every_slot_is_one_server(cloud):
    cloud.sql("create table t (id bigint)")
    session = TableTunnel(client(cloud)).create_stream_upload_session("t", slot_num=4)

    servers = {session.slots.next().server for _ in range(8)}

    assert servers == {cloud.maxcompute.endpoint.removeprefix("http://").removesuffix("/api")}


@pytest.mark.parametrize(
    "statement",
    [
        "create view v as select 1",
        "create external table e (id bigint)",
        "update t set id = 1",
        "delete from t",
        "merge into t using t on true",
        "create function f as 'x'",
        "grant select on table t to user x",
        "select 1; select 2",
        "alter table t drop columns (id)",
    ],
)
def test_what_is_not_there_fails(cloud, statement):
    cloud.sql("create table t (id bigint)")

    with pytest.raises(SpecError, match=r"ODPS-01300?[17]1|ODPS-0130161"):
        cloud.sql(statement)


@pytest.mark.parametrize(
    "ask",
    [
        lambda odps: odps.list_resources().__next__(),
        lambda odps: odps.list_functions().__next__(),
        lambda odps: odps.list_volumes().__next__(),
    ],
)
def test_other_paths_are_not_there(cloud, ask):
    assert refusal(lambda: ask(client(cloud))) == "NoSuchObject"


def test_streams_into_dynamic_partitions_are_not_there(cloud):
    cloud.sql("create table t (id bigint) partitioned by (pt string)")
    tunnel = TableTunnel(client(cloud))

    assert refusal(lambda: tunnel.create_stream_upload_session("t", dynamic_partition=True)) == "NotImplemented"
