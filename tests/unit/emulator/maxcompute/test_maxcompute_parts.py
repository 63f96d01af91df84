"""Types, partition specs, statements, encodings and signatures of the MaxCompute service, each by itself."""

from __future__ import annotations

import random
import zlib
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from airflow_tablestore.emulator.maxcompute import compression, sign
from airflow_tablestore.emulator.maxcompute.columns import Column
from airflow_tablestore.emulator.maxcompute.errors import Refusal, SqlFailure
from airflow_tablestore.emulator.maxcompute.kinds import NoType, type_from
from airflow_tablestore.emulator.maxcompute.request import Address
from airflow_tablestore.emulator.maxcompute.routes import OPERATIONS, operation_of
from airflow_tablestore.emulator.maxcompute.sql import statements as st
from airflow_tablestore.emulator.maxcompute.tables import Definition, definition_from, spec_from

NOW = datetime(2024, 1, 1, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("BIGINT", "bigint"),
        ("decimal", "decimal(38,18)"),
        ("Decimal( 10 , 2 )", "decimal(10,2)"),
        ("varchar(10)", "varchar(10)"),
        ("array<map<string, decimal(5,2)>>", "array<map<string,decimal(5,2)>>"),
        ("struct<`a`:bigint,b:array<string>>", "struct<a:bigint,b:array<string>>"),
    ],
)
def test_a_type_is_told_in_one_spelling(text, canonical):
    assert str(type_from(text)) == canonical
    assert type_from(canonical) == type_from(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nothing",
        "varchar",
        "varchar(0)",
        "decimal(39,2)",
        "decimal(5,6)",
        "array<bigint",
        "map<string>",
        f"{'array<' * 40}bigint{'>' * 40}",
        "bigint)",
        "struct<a bigint>",
        "bigint;drop",
    ],
)
def test_what_is_no_type_is_refused(text):
    with pytest.raises(NoType):
        type_from(text)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("pt=1", {"pt": "1"}),
        ("pt='2024-01-01',HH=\"08\"", {"pt": "2024-01-01", "hh": "08"}),
        ("pt=a/hh=b", {"pt": "a", "hh": "b"}),
        (" pt = a b , hh = 1 ", {"pt": "a b", "hh": "1"}),
        ("", {}),
    ],
)
def test_a_spec_is_read_as_clients_write_it(text, spec):
    assert spec_from(text) == spec


@pytest.mark.parametrize("text", ["pt", "=1", "pt=1,pt=2", "pt='1", "pt=1,,hh=2"])
def test_what_is_no_spec_is_refused(text):
    with pytest.raises(Refusal) as refused:
        spec_from(text)

    assert refused.value.code == "InvalidPartitionSpec"


def test_a_definition_survives_its_text():
    definition = Definition(
        (Column("id", type_from("bigint"), False), Column("v", type_from("array<string>"), comment="c")),
        (Column("pt", type_from("string")),),
        "about",
        7,
        ("id",),
        (("transactional", "true"),),
    )

    assert definition_from(definition.to_json()) == definition


def test_a_table_is_created_with_everything():
    found = st.statement_from(
        "-- about rides\nSET odps.sql.type.system.odps2=true;\nCREATE TABLE IF NOT EXISTS p.`rides` (\n"
        "  `Id` bigint NOT NULL COMMENT 'it''s',\n  m map<string, array<decimal(5,2)>>,\n  PRIMARY KEY (`Id`)\n)\n"
        "COMMENT 'all \\'of\\' them'\nPARTITIONED BY (`pt` string COMMENT 'day')\n"
        "TBLPROPERTIES ('transactional'='true', \"write.bucket.num\"='4')\nLIFECYCLE 7;"
    )

    assert isinstance(found, st.CreateTable)
    assert (found.name, found.is_lenient) == (st.Name("p", "rides"), True)
    assert found.definition == Definition(
        (
            Column("id", type_from("bigint"), False, "it's"),
            Column("m", type_from("map<string,array<decimal(5,2)>>")),
        ),
        (Column("pt", type_from("string"), True, "day"),),
        "all 'of' them",
        7,
        ("Id",),
        (("transactional", "true"), ("write.bucket.num", "4")),
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("drop table if exists a.default.t", st.DropTable(st.Name("a", "t"), True)),
        (
            "ALTER TABLE t ADD IF NOT EXISTS PARTITION (pt='1',hh=2) PARTITION (pt='2',hh=3);",
            st.AddPartitions(st.Name("", "t"), ({"pt": "1", "hh": "2"}, {"pt": "2", "hh": "3"}), True),
        ),
        ("truncate table t", st.Truncate(st.Name("", "t"), ())),
        ("select 1;", st.Select("select 1")),
        ("insert into t(a) values (1)", st.Insert(st.Name("", "t"), False, {}, ("a",), "values (1)")),
        ("set a=b;", None),
    ],
)
def test_statements_are_read(text, found):
    assert st.statement_from(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "create table",
        "create table t",
        "create table t (a)",
        "drop t",
        "alter table t",
        "truncate table t partition ()",
        "grant all",
        "alter table t add partition (pt)",
        "insert t select 1",
        "drop table t extra",
        "create table t (a bigint",
    ],
)
def test_what_is_no_statement_fails(text):
    with pytest.raises(SqlFailure) as failed:
        st.statement_from(text)

    assert failed.value.code == "ODPS-0130161"


@pytest.mark.parametrize("encoding", ["", "deflate", "zstd", "x-lz4-frame", "x-odps-lz4-frame", "x-snappy-framed"])
@pytest.mark.parametrize("size", [0, 10, 200_000])
def test_a_packed_body_is_unpacked(encoding, size):
    body = random.Random(size).randbytes(size // 2) + b"x" * (size - size // 2)

    packed = b"".join(compression.packed([body[: size // 3], body[size // 3 :]], encoding))

    assert compression.unpacked(packed, encoding) == body


@pytest.mark.parametrize("encoding", ["deflate", "x-snappy-framed"])
def test_a_packed_body_that_is_cut_is_refused(encoding):
    packed = b"".join(compression.packed([random.Random(1).randbytes(100_000)], encoding))

    with pytest.raises(Refusal):
        compression.unpacked(packed[:-10], encoding)


@pytest.mark.parametrize("encoding", ["deflate", "zstd", "x-lz4-frame", "x-snappy-framed", "gzip"])
def test_what_is_not_packed_so_is_refused(encoding):
    with pytest.raises(Refusal):
        compression.unpacked(b"\x00\x01plain text that is not packed at all", encoding)


def test_a_body_that_grows_too_much_is_refused(monkeypatch):
    monkeypatch.setattr(compression, "LARGEST_BODY", 1000)

    with pytest.raises(Refusal):
        compression.unpacked(zlib.compress(b"x" * 2000), "deflate")


def headers(date=NOW, **more):
    return {"date": format_datetime(date, usegmt=True), **more}


def test_the_text_that_is_signed_is_that_of_pyodps():
    text = sign.canonical_text(
        "GET",
        "/projects/p/tables/t?partition=pt%3D%27a%20b%27&extended&x-odps-z=1",
        {"date": "D", "content-type": "c", "x-odps-b": "2", "x-odps-a": "1", "user-agent": "u"},
    )

    assert text == (
        "GET\n\nc\nD\nx-odps-a:1\nx-odps-b:2\nx-odps-z:1\n/projects/p/tables/t?extended&partition=pt='a b'&x-odps-z=1"
    )


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        ("", "Unauthorized"),
        ("Bearer x", "Unauthorized"),
        ("ODPS nothing", "Unauthorized"),
        ("ODPS unknown:x", "ODPS-0410051"),
        ("ODPS id:x", "ODPS-0410042"),
        ("ODPS id/20240101/r/odps/aliyun_v4_request:x", "ODPS-0410042"),
        ("ODPS id/20240101/r/other/aliyun_v4_request:x", "Unauthorized"),
        ("ODPS id/20240101:x", "Unauthorized"),
    ],
)
def test_who_does_not_sign_well_is_refused(authorization, code):
    with pytest.raises(Refusal) as refused:
        sign.verify("GET", "/projects/p", headers(authorization=authorization), {"id": "secret"}.get, NOW)

    assert refused.value.code == code


@pytest.mark.parametrize(
    ("date", "code"),
    [
        (format_datetime(NOW - timedelta(minutes=16), usegmt=True), "RequestTimeTooSkewed"),
        (format_datetime(NOW + timedelta(minutes=16), usegmt=True), "RequestTimeTooSkewed"),
        ("yesterday", "Unauthorized"),
        ("", "Unauthorized"),
    ],
)
def test_a_request_of_another_time_is_refused(date, code):
    told = {"date": date, "authorization": "ODPS id:x"}

    with pytest.raises(Refusal) as refused:
        sign.verify("GET", "/projects/p", told, {"id": "secret"}.get, NOW)

    assert refused.value.code == code


def test_every_operation_has_an_answer():
    from airflow_tablestore.emulator.maxcompute.app import HANDLERS

    assert set(HANDLERS) == set(OPERATIONS)


@pytest.mark.parametrize(
    ("method", "path", "query", "operation"),
    [
        ("GET", ("projects", "p"), {}, "GetProject"),
        ("GET", ("projects", "p", "tables", "t"), {"partitions": ""}, "ListPartitions"),
        ("GET", ("projects", "p", "schemas", "default", "tables", "t"), {}, "GetTable"),
        ("GET", ("projects", "p", "tables", "t"), {"downloadid": "d", "data": "", "arrow": ""}, "DownloadRows"),
        ("PUT", ("projects", "p", "tables", "t", "upserts"), {"upsertid": "u"}, "UploadUpsert"),
        ("DELETE", ("projects", "p", "tables", "t"), {}, "-"),
        ("GET", ("projects", "p", "resources"), {}, ""),
        ("GET", ("tenants",), {}, ""),
    ],
)
def test_an_operation_is_told_by_method_path_and_query(method, path, query, operation):
    assert operation_of(Address(method, path, query, {})) == operation
