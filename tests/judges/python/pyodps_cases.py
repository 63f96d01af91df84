"""The official Python client `pyodps`, with the signature and the codec that it is told to use.

Without compiled modules it has a codec of its own in Python; that is what "pure" takes away the others for.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from case import Cases, asked, equal

COMPILED = ("checksum_c", "hasher_c", "io.reader_c", "io.writer_c", "pb.decoder_c", "pb.encoder_c")
if asked()["options"].get("pure"):
    sys.modules.update({f"odps.tunnel.{name}": None for name in COMPILED})  # type: ignore[misc]

import pandas as pd  # noqa: E402 - after what "pure" takes away
import pyarrow as pa  # noqa: E402
from odps import ODPS, errors, options  # noqa: E402
from odps.tunnel import TableTunnel  # noqa: E402
from odps.tunnel.io import writer as codec  # noqa: E402

equal("odps.tunnel.io.writer_c" in str(codec.BaseRecordWriter), not asked()["options"].get("pure"))
ZONE = ZoneInfo("Asia/Shanghai")
options.local_timezone = "Asia/Shanghai"

cases = Cases()
case = cases.case

PLAIN = "id bigint, v string"
ALL = (
    "a tinyint, b smallint, c int, d bigint, e float, f double, g boolean, h string, i binary, j varchar(20), "
    "k char(5), l decimal(18,4), m date, n datetime, o timestamp, p timestamp_ntz, q array<bigint>, "
    "r map<string,bigint>, s struct<x:bigint,y:string>, t json"
)
NANOS = pd.Timestamp("2024-01-01 08:00:00.123456789")
ROW = [
    -128,
    32767,
    -(2**31),
    2**63 - 1,
    1.5,
    -0.25,
    True,
    "杭州 é 😀",
    b"plain",
    "varchar",
    "char",
    Decimal("12345.6789"),
    date(2024, 2, 29),
    datetime(2024, 1, 1, 8, 30, tzinfo=ZONE),
    NANOS.tz_localize("Asia/Shanghai"),
    NANOS,
    [1, None, 3],
    {"k": 1, "n": None},
    (7, "s"),
    {"j": [1, "x", None]},
]
COMPRESSIONS = ("zlib", "zstd", "lz4", "snappy")


@dataclass(frozen=True)
class Project:
    """A project of the case's own."""

    odps: Any
    tunnel: Any

    def make(self, name: str = "t", schema: Any = PLAIN, **settings: Any) -> Any:
        return self.odps.create_table(name, schema, **settings)

    def write(self, rows: Iterable[Sequence[Any]], name: str = "t", **settings: Any) -> None:
        session = self.tunnel.create_upload_session(name, **settings)
        self.put(session, rows, 0)
        session.commit([0])

    def put(self, session: Any, rows: Iterable[Sequence[Any]], block: int, **settings: Any) -> None:
        with session.open_record_writer(block, **settings) as writer:
            for row in rows:
                writer.write(session.new_record(list(row)))

    def read(self, name: str = "t", partition: str | None = None, **settings: Any) -> list[list[Any]]:
        session = self.tunnel.create_download_session(name, partition_spec=partition)
        with session.open_record_reader(0, session.count, append_partitions=False, **settings) as reader:
            return [plain(record.values) for record in reader]

    def select(self, query: str, **settings: Any) -> list[list[Any]]:
        with self.odps.execute_sql(query).open_reader(**{"tunnel": True, **settings}) as reader:
            return [plain(record.values) for record in reader]


def plain(row: Sequence[Any]) -> list[Any]:
    return [tuple(value) if isinstance(value, tuple) else value for value in row]


def connect(**settings: Any) -> Any:
    at = asked()["services"]["maxcompute"]
    region = {"region_name": "cn-hangzhou"} if asked()["options"].get("v4") else {}
    given = {"access_id": at["access_key_id"], "secret_access_key": at["access_key_secret"], **region, **settings}
    return ODPS(project=f"judge_{uuid.uuid4().hex[:12]}", endpoint=at["endpoint"], **given)


def refused(action: Callable[[], object]) -> type:
    try:
        action()
    except errors.ODPSError as error:
        return type(error)
    raise AssertionError("it was not refused")


# ---- tables


@case("tables", "a table is created, described, listed and deleted")
def _(p: Project) -> None:
    p.make("t", "id bigint comment 'the key', v string", comment="about it", lifecycle=7)
    table = p.odps.get_table("t")
    key = table.table_schema.columns[0]
    equal((key.name, str(key.type).lower(), key.comment), ("id", "bigint", "the key"))
    equal((table.comment, table.lifecycle), ("about it", 7))
    equal([t.name for t in p.odps.list_tables()], ["t"])
    p.odps.delete_table("t")
    equal(p.odps.exist_table("t"), False)


@case("tables", "a table that is there, or is not, is told")
def _(p: Project) -> None:
    p.make()
    p.make(if_not_exists=True)
    equal(issubclass(refused(p.make), errors.ODPSError), True)
    equal(refused(lambda: p.odps.delete_table("absent")), errors.NoSuchTable)
    p.odps.delete_table("absent", if_exists=True)
    equal(issubclass(refused(lambda: p.odps.get_table("absent").reload()), errors.NoSuchObject), True)


@case("tables", "the schema keeps every type")
def _(p: Project) -> None:
    told = [str(c.type).lower().replace("`", "") for c in p.make("t", ALL).table_schema.columns]
    equal(told[11], "decimal(18,4)")
    equal(told[17:19], ["map<string,bigint>", "struct<x:bigint,y:string>"])


@case("partitions", "partitions are created, found, listed, truncated and dropped")
def _(p: Project) -> None:
    table = p.make("t", (PLAIN, "pt string, hh bigint"))
    table.create_partition("pt='a',hh=1")
    table.create_partition("pt='a',hh=1", if_not_exists=True)
    p.write([[1, "x"]], partition_spec="pt=b,hh=2", create_partition=True)
    equal([str(x.partition_spec) for x in table.partitions], ["pt='a',hh='1'", "pt='b',hh='2'"])
    equal([str(x.partition_spec) for x in table.iterate_partitions("pt='b'")], ["pt='b',hh='2'"])
    equal((table.exist_partition("pt=a,hh=1"), table.exist_partition("pt=a,hh=9")), (True, False))
    table.truncate("pt='b',hh=2")
    equal(p.read(partition="pt=b,hh=2"), [])
    table.delete_partition("pt='a',hh=1")
    equal([str(x.partition_spec) for x in table.partitions], ["pt='b',hh='2'"])


@case("partitions", "a partition that is not there is told")
def _(p: Project) -> None:
    p.make("t", (PLAIN, "pt string"))
    equal(refused(lambda: p.write([], partition_spec="pt=absent")), errors.NoSuchPartition)
    equal(issubclass(refused(lambda: p.write([])), errors.ODPSError), True)


# ---- records


@case("batch upload", "every type comes back as it was written")
def _(p: Project) -> None:
    p.make("t", ALL)
    p.write([ROW, [None] * len(ROW)])
    equal(p.read(), [ROW, [None] * len(ROW)])


@case("batch upload", "rows are there with the commit and not before")
def _(p: Project) -> None:
    p.make()
    session = p.tunnel.create_upload_session("t")
    p.put(session, [[1, "a"]], 0)
    p.put(session, [[2, "b"]], 5)
    equal(p.read(), [])
    session.commit([0, 5])
    equal(p.read(), [[1, "a"], [2, "b"]])


@case("batch upload", "a block that is sent again takes the place of the first")
def _(p: Project) -> None:
    p.make()
    session = p.tunnel.create_upload_session("t")
    p.put(session, [[1, "old"]], 0)
    p.put(session, [[1, "new"]], 0)
    session.commit([0])
    equal(p.read(), [[1, "new"]])


@case("batch upload", "other blocks than arrived are not committed")
def _(p: Project) -> None:
    p.make()
    session = p.tunnel.create_upload_session("t")
    p.put(session, [[1, "a"]], 0)
    refused(lambda: session.commit([0, 1]))
    equal(p.read(), [])


@case("batch upload", "a commit that is repeated adds nothing")
def _(p: Project) -> None:
    p.make()
    session = p.tunnel.create_upload_session("t")
    p.put(session, [[1, "a"]], 0)
    session.commit([0])
    session.commit([0])
    equal(p.read(), [[1, "a"]])


@case("batch upload", "overwriting shows the old rows until the commit")
def _(p: Project) -> None:
    p.make()
    p.write([[1, "old"]])
    session = p.tunnel.create_upload_session("t", overwrite=True)
    p.put(session, [[2, "new"]], 0)
    equal(p.read(), [[1, "old"]])
    session.commit([0])
    equal(p.read(), [[2, "new"]])


@case("batch upload", "a session is taken up by its id")
def _(p: Project) -> None:
    p.make()
    first = p.tunnel.create_upload_session("t")
    p.put(first, [[1, "a"]], 0)
    second = p.tunnel.create_upload_session("t", upload_id=first.id)
    p.put(second, [[2, "b"]], 1)
    second.commit([0, 1])
    equal(p.read(), [[1, "a"], [2, "b"]])


@case("batch upload", "threads write blocks of one session")
def _(p: Project) -> None:
    p.make()
    session = p.tunnel.create_upload_session("t")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: p.put(session, [[n * 100 + i, "x"] for i in range(100)], n), range(8)))
    session.commit(list(range(8)))
    equal([row[0] for row in p.read()], list(range(800)))


@case("batch upload", "a buffered writer makes blocks of its own")
def _(p: Project) -> None:
    p.make()
    session = p.tunnel.create_upload_session("t")
    with session.open_record_writer(buffer_size=2000) as writer:
        for n in range(1000):
            writer.write(session.new_record([n, f"v{n}"]))
    equal(len(writer.get_blocks_written()) > 3, True)
    session.commit(writer.get_blocks_written())
    equal(len(p.read()), 1000)


@case("batch upload", "table.open_writer and table.open_reader")
def _(p: Project) -> None:
    table = p.make("t", (PLAIN, "pt string"))
    with table.open_writer(partition="pt=1", create_partition=True) as writer:
        writer.write([[n, f"v{n}"] for n in range(10)])
    with table.open_reader(partition="pt=1") as reader:
        equal([reader.count, [r.values for r in reader[2:4]]], [10, [[2, "v2", "1"], [3, "v3", "1"]]])


for compression in COMPRESSIONS:

    @case("compression", f"{compression}, records both ways")
    def _(p: Project, algorithm: str = compression) -> None:
        p.make()
        rows = [[n, "some text that repeats " * 3] for n in range(5000)]
        session = p.tunnel.create_upload_session("t", compress_algo=algorithm)
        p.put(session, rows, 0, compress=True)
        session.commit([0])
        down = p.tunnel.create_download_session("t", compress_algo=algorithm)
        with down.open_record_reader(0, down.count, compress=True) as reader:
            equal([record.values for record in reader], rows)

    @case("compression", f"{compression}, Arrow both ways")
    def _(p: Project, algorithm: str = compression) -> None:
        p.make()
        sent = pa.table({"id": list(range(5000)), "v": ["some text that repeats"] * 5000})
        session = p.tunnel.create_upload_session("t", compress_algo=algorithm)
        with session.open_arrow_writer(0, compress=True) as writer:
            writer.write(sent)
        session.commit([0])
        down = p.tunnel.create_download_session("t", compress_algo=algorithm)
        with down.open_arrow_reader(0, down.count, compress=True) as reader:
            equal(reader.read().equals(sent), True)


# ---- Arrow


@case("Arrow", "a table comes back as it was sent, also as records")
def _(p: Project) -> None:
    p.make(
        "t", "id bigint, v string, x double, ok boolean, day date, price decimal(10,2), raw binary, list array<bigint>"
    )
    sent = pa.table(
        {
            "id": pa.array([1, None, 3], pa.int64()),
            "v": ["杭州", None, ""],
            "x": [1.5, None, -0.0],
            "ok": [True, None, False],
            "day": pa.array([date(2024, 2, 29), None, date(1970, 1, 1)]),
            "price": pa.array([Decimal("1.25"), None, Decimal("-3.00")], pa.decimal128(10, 2)),
            "raw": pa.array([b"\x00\xff", None, b""], pa.binary()),
            "list": pa.array([[1, None], None, []], pa.list_(pa.int64())),
        }
    )
    session = p.tunnel.create_upload_session("t")
    with session.open_arrow_writer(0) as writer:
        writer.write(sent)
    session.commit([0])
    down = p.tunnel.create_download_session("t")
    with down.open_arrow_reader(0, down.count) as reader:
        equal(reader.read().equals(sent), True)
    equal([row[0] for row in p.read(columns=["id"])], [1, None, 3])


@case("Arrow", "times are moments")
def _(p: Project) -> None:
    p.make("t", "at datetime, ts timestamp, ntz timestamp_ntz")
    moment = datetime(2024, 1, 1, 8, 30)
    session = p.tunnel.create_upload_session("t")
    with session.open_arrow_writer(0) as writer:
        writer.write(
            pa.table(
                {
                    "at": [moment],
                    "ts": pa.array([NANOS], pa.timestamp("ns")),
                    "ntz": pa.array([NANOS], pa.timestamp("ns")),
                }
            )
        )
    session.commit([0])
    equal(p.read(), [[moment.replace(tzinfo=ZONE), NANOS.tz_localize("Asia/Shanghai"), NANOS]])


@case("Arrow", "a data frame is written and read")
def _(p: Project) -> None:
    p.make()
    session = p.tunnel.create_upload_session("t")
    with session.open_arrow_writer(0) as writer:
        writer.write(pd.DataFrame({"id": [1, 2], "v": ["a", None]}))
    session.commit([0])
    down = p.tunnel.create_download_session("t")
    with down.open_arrow_reader(0, down.count) as reader:
        equal(reader.to_pandas()["id"].tolist(), [1, 2])


@case("Arrow", "a buffered writer makes blocks of its own")
def _(p: Project) -> None:
    p.make()
    session = p.tunnel.create_upload_session("t")
    with session.open_arrow_writer(buffer_size=10_000) as writer:
        for start in range(0, 10_000, 1000):
            writer.write(pa.table({"id": list(range(start, start + 1000)), "v": ["x"] * 1000}))
    session.commit(writer.get_blocks_written())
    equal(p.select("select count(*), count(distinct id) from t"), [[10_000, 10_000]])


# ---- download


@case("download", "a range, and columns in the order asked for")
def _(p: Project) -> None:
    p.make()
    p.write([[n, f"v{n}"] for n in range(100)])
    session = p.tunnel.create_download_session("t")
    equal(session.count, 100)
    with session.open_record_reader(98, 5, columns=["v", "id"]) as reader:
        equal([record.values for record in reader], [["v98", 98], ["v99", 99]])
    with session.open_arrow_reader(98, 2, columns=["v", "id"]) as reader:
        equal(reader.read().to_pydict(), {"v": ["v98", "v99"], "id": [98, 99]})


@case("download", "a session goes on with what it found")
def _(p: Project) -> None:
    p.make()
    p.write([[1, "old"]])
    session = p.tunnel.create_download_session("t")
    p.write([[2, "new"]], overwrite=True)
    with session.open_record_reader(0, session.count) as reader:
        equal([record.values for record in reader], [[1, "old"]])


@case("download", "the head of a table")
def _(p: Project) -> None:
    table = p.make()
    p.write([[n, f"v{n}"] for n in range(10)])
    equal([record.values for record in table.head(2)], [[0, "v0"], [1, "v1"]])


# ---- SQL


@case("SQL", "a SELECT's rows, through the tunnel and as text")
def _(p: Project) -> None:
    p.make()
    p.write([[n, "even" if n % 2 == 0 else None] for n in range(10)])
    query = "select v, count(*) as n, sum(id) as s from t group by v order by n, s"
    equal(p.select(query), [["even", 5, 20], [None, 5, 25]])
    equal(p.select("select id from t order by id desc limit 2", tunnel=False), [["9"], ["8"]])


@case("SQL", "conditions on partitions and columns")
def _(p: Project) -> None:
    p.make("t", (PLAIN, "pt string"))
    for day in ("1", "2"):
        p.write([[int(day), "a"], [int(day) * 10, "b"]], partition_spec=f"pt={day}", create_partition=True)
    equal(p.select("select pt, id from t where pt = '2' and v <> 'a'"), [["2", 20]])
    equal(p.select(f"select max(id) m from {p.odps.project}.`t` where pt in ('1', '2')"), [[20]])


@case("SQL", "what fails has its class")
def _(p: Project) -> None:
    equal(refused(lambda: p.odps.execute_sql("selec 1")), errors.ParseError)
    equal(refused(lambda: p.odps.execute_sql("select * from absent")), errors.NoSuchTable)


@case("SQL", "INSERT adds and overwrites")
def _(p: Project) -> None:
    p.make()
    p.odps.execute_sql("insert into t values (1, 'a'), (2, 'b')")
    p.odps.execute_sql("insert overwrite table t select id + 10, v from t where id = 2")
    equal(p.select("select * from t"), [[12, "b"]])


@case("SQL", "columns are added behind the rows that are there")
def _(p: Project) -> None:
    p.make()
    p.write([[1, "a"]])
    p.odps.execute_sql("alter table t add columns (more double)")
    equal(p.select("select * from t"), [[1, "a", None]])


@case("SQL", "an instance tells its state")
def _(p: Project) -> None:
    instance = p.odps.run_sql("select 1 as one")
    instance.wait_for_success()
    equal((instance.is_terminated(), instance.is_successful()), (True, True))
    equal([t.status.name for t in instance.get_task_statuses().values()], ["SUCCESS"])
    equal(p.odps.exist_instance(instance.id), True)


# ---- streams, upserts


@case("stream", "what is written is there at once, from every slot")
def _(p: Project) -> None:
    p.make("t", (PLAIN, "pt string"))
    session = p.tunnel.create_stream_upload_session("t", partition_spec="pt=1", create_partition=True, slot_num=3)
    equal(len(session.slots), 3)
    for n in range(6):
        with session.open_record_writer(compress=bool(n % 2)) as writer:
            writer.write(session.new_record([n, "x"]))
        equal(len(p.read(partition="pt=1")), n + 1)
    session.reload(force=True)
    session.abort()


@case("upsert", "changes are there with the commit, the latest of a key")
def _(p: Project) -> None:
    p.make("t", "id bigint not null, k string not null, v string", transactional=True, primary_key=["id", "k"])
    equal(p.odps.get_table("t").primary_key, ["id", "k"])
    session = p.tunnel.create_upsert_session("t", slot_num=2)
    stream = session.open_upsert_stream(compress=True)
    for n in range(40):
        stream.upsert(session.new_record([n, "k", "old"]))
    stream.upsert(session.new_record([1, "k", "new"]))
    stream.delete(session.new_record([2, "k", None]))
    stream.close()
    equal(p.select("select count(*) from t"), [[0]])
    session.commit()
    equal(p.select("select id, v from t where id < 4 order by id"), [[0, "old"], [1, "new"], [3, "old"]])


@case("upsert", "a session that is aborted changes nothing")
def _(p: Project) -> None:
    p.make("t", "id bigint not null, v string", transactional=True, primary_key="id")
    session = p.tunnel.create_upsert_session("t")
    stream = session.open_upsert_stream()
    stream.upsert(session.new_record([1, "a"]))
    stream.close()
    session.abort()
    equal(p.select("select * from t"), [])


# ---- access


@case("access", "a wrong secret and an unknown key are refused")
def _(p: Project) -> None:
    for settings in ({"secret_access_key": "wrong"}, {"access_id": "unknown"}):
        equal(issubclass(refused(lambda given=settings: connect(**given).exist_table("t")), errors.ODPSError), True)


def given(number: int) -> Project:
    odps = connect()
    return Project(odps, TableTunnel(odps))


cases.run(asked()["client"], given)
