"""Tunnel sessions of the MaxCompute service with pyodps: what is visible when, and what is refused."""

from __future__ import annotations

import io
import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest
from odps import ODPS, errors
from odps.tunnel import CompressOption, TableTunnel
from odps.tunnel.io.writer import BaseRecordWriter

from airflow_tablestore.emulator.accounts import DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET, demo_accounts
from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.maxcompute import arrow_frames
from airflow_tablestore.emulator.maxcompute.app import MaxComputeApp
from airflow_tablestore.emulator.server import Server

pytestmark = pytest.mark.slow

CompressAlgorithm = CompressOption.CompressAlgorithm


@pytest.fixture(scope="module")
def clock():
    return Clock()


@pytest.fixture(scope="module")
def url(clock):
    with Server(MaxComputeApp(None, demo_accounts(), clock)) as server:
        yield server.url


@pytest.fixture
def odps(url, clock):
    clock.reset()
    project = f"p_{uuid.uuid4().hex[:12]}"
    return ODPS(DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET, project=project, endpoint=f"{url}/api")


@pytest.fixture
def tunnel(odps):
    odps.create_table("t", "id bigint, v string")
    odps.create_table("p", ("id bigint, v string", "pt string"))
    odps.execute_sql(
        "create table d (id bigint not null, k string not null, v string, primary key (id, k)) "
        "tblproperties ('transactional'='true')"
    )
    return TableTunnel(odps)


def upload(tunnel, blocks, table="t", **settings):
    session = tunnel.create_upload_session(table, **settings)
    for number, rows in blocks.items():
        with session.open_record_writer(number) as writer:
            for row in rows:
                writer.write(session.new_record(row))
    return session


def rows(tunnel, table="t", partition=None):
    session = tunnel.create_download_session(table, partition_spec=partition)
    with session.open_record_reader(0, session.count) as reader:
        return [record.values for record in reader]


def arrow_body(table):
    return b"".join(arrow_frames.framed(batch.serialize().to_pybytes() for batch in table.to_batches()))


def asked(session, method, *, body=None, table=None, **query):
    """A request of the session's, signed by pyodps: what its own methods do not let us send."""
    resource = (table or session._table).table_resource()
    return session._client.request(resource, method, data=body, params=query, headers=session.get_common_headers())


def record_body(session, rows):
    """What pyodps would send as a block."""
    out = io.BytesIO()
    with BaseRecordWriter(session.schema, out) as writer:
        for row in rows:
            writer.write(session.new_record(row))
    return out.getvalue()


ARROW = pa.table({"id": pa.array([1, None, 3], pa.int64()), "v": pa.array(["a", "杭州", None])})


def test_rows_are_there_with_the_commit_and_not_before(tunnel):
    session = upload(tunnel, {0: [[1, "a"]], 7: [[2, "b"]]})

    before = rows(tunnel)
    session.commit([0, 7])

    assert before == []
    assert rows(tunnel) == [[1, "a"], [2, "b"]]


def test_a_block_that_is_sent_again_takes_the_place_of_the_first(tunnel):
    session = upload(tunnel, {0: [[1, "old"]], 1: [[2, "b"]]})
    with session.open_record_writer(0) as writer:
        writer.write(session.new_record([1, "new"]))

    session.commit([0, 1])

    assert rows(tunnel) == [[1, "new"], [2, "b"]]


def test_a_commit_of_other_blocks_than_arrived_is_refused(tunnel):
    session = upload(tunnel, {0: [[1, "a"]], 1: [[2, "b"]]})

    with pytest.raises(errors.ODPSError, match="Blocks not match"):
        session.commit([0])
    assert session.get_block_list() == [0, 1]
    assert rows(tunnel) == []


def test_a_commit_that_is_repeated_adds_nothing(tunnel):
    session = upload(tunnel, {0: [[1, "a"]]})
    session.commit([0])

    session._complete_upload()
    session.reload()

    assert session.status == session.Status.Closed
    assert rows(tunnel) == [[1, "a"]]


def test_a_closed_session_takes_no_block(tunnel):
    session = upload(tunnel, {0: [[1, "a"]]})
    session.commit([0])

    with pytest.raises(errors.ODPSError) as refused:
        asked(session, "put", body=b"", uploadid=session.id, blockid=1)

    assert refused.value.code == "StatusConflict"


def test_overwriting_shows_the_old_rows_until_the_commit(tunnel):
    upload(tunnel, {0: [[1, "old"]]}).commit([0])
    session = upload(tunnel, {0: [[2, "new"]]}, overwrite=True)

    before = rows(tunnel)
    session.commit([0])

    assert (before, rows(tunnel)) == ([[1, "old"]], [[2, "new"]])


def test_overwriting_with_nothing_empties_the_partition_alone(tunnel):
    for partition in ("pt=1", "pt=2"):
        upload(tunnel, {0: [[1, "a"]]}, "p", partition_spec=partition, create_partition=True).commit([0])

    upload(tunnel, {}, "p", partition_spec="pt=1", overwrite=True).commit([])

    assert (rows(tunnel, "p", "pt=1"), rows(tunnel, "p", "pt=2")) == ([], [[1, "a", "2"]])


def test_a_download_reads_on_what_it_found(tunnel):
    upload(tunnel, {0: [[n, "old"] for n in range(100)]}).commit([0])
    session = tunnel.create_download_session("t")

    upload(tunnel, {0: [[1, "new"]]}, overwrite=True).commit([0])
    with session.open_record_reader(40, 3) as reader:
        found = [record.values for record in reader]

    assert found == [[40, "old"], [41, "old"], [42, "old"]]
    assert rows(tunnel) == [[1, "new"]]


def test_columns_come_in_the_order_asked_for(tunnel):
    upload(tunnel, {0: [[1, "a"]]}).commit([0])
    session = tunnel.create_download_session("t")

    with session.open_record_reader(0, 1, columns=["v", "id"]) as reader:
        records = [record.values for record in reader]
    with session.open_arrow_reader(0, 1, columns=["v", "id"]) as reader:
        arrow = reader.read()

    assert records == [["a", 1]]
    assert arrow.to_pydict() == {"v": ["a"], "id": [1]}


def test_arrow_comes_back_as_it_was_sent(tunnel):
    session = tunnel.create_upload_session("t")
    asked(session, "put", body=arrow_body(ARROW), uploadid=session.id, blockid=0, arrow="")
    session.commit([0])

    download = tunnel.create_download_session("t")
    with download.open_arrow_reader(0, download.count) as reader:
        found = reader.read()

    assert found.equals(ARROW)
    assert rows(tunnel) == [[1, "a"], [None, "杭州"], [3, None]]


@pytest.mark.parametrize("how", list(CompressAlgorithm), ids=lambda how: how.name)
def test_rows_pass_in_every_compression_that_pyodps_offers(tunnel, how):
    """Blocks, streams and answers, as records; compressed by the libraries that pyodps asks for, and not by Arrow."""
    option, many = CompressOption(how), [[n, f"row {n % 7} " * 20] for n in range(3000)]
    session = tunnel.create_upload_session("t", compress_option=option)
    with session.open_record_writer(0, compress=True) as writer:
        for row in many:
            writer.write(session.new_record(row))
    session.commit([0])
    if how not in (CompressAlgorithm.ODPS_LZ4, CompressAlgorithm.ODPS_ARROW_LZ4):  # pyodps fails before it sends those
        stream = tunnel.create_stream_upload_session("t", compress_option=option)
        with stream.open_record_writer(compress=True) as writer:
            writer.write(stream.new_record([3000, "streamed"]))
        many.append([3000, "streamed"])

    download = tunnel.create_download_session("t", compress_option=option)
    with download.open_record_reader(0, download.count, compress=True) as reader:
        found = [record.values for record in reader]
    with download.open_arrow_reader(0, download.count, compress=True) as reader:
        arrow = reader.read()

    assert found == many
    assert arrow.column("v").to_pylist() == [text for _, text in found]


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-1], lambda b: b[: len(b) // 2], lambda b: b[:-1] + b"x", lambda b: b""]
)
@pytest.mark.parametrize("form", ["arrow", "records"])
def test_a_damaged_block_is_refused_and_leaves_nothing(tunnel, damage, form):
    session = upload(tunnel, {0: [[1, "a"]]})
    body = arrow_body(ARROW) if form == "arrow" else record_body(session, [[2, "b"], [3, None]])
    extra = {"arrow": ""} if form == "arrow" else {}

    with pytest.raises(errors.ODPSError) as refused:
        asked(session, "put", body=damage(body), uploadid=session.id, blockid=2, **extra)

    assert refused.value.code in ("IncompleteBody", "MalformedDataStream", "CorruptedDataStream")
    assert 2 not in session.get_block_list()


@pytest.mark.parametrize(
    ("number", "code"), [("-1", "InvalidBlockID"), ("20000", "InvalidBlockID"), ("x", "InvalidBlockID")]
)
def test_a_block_of_no_number_is_refused(tunnel, number, code):
    session = tunnel.create_upload_session("t")

    with pytest.raises(errors.ODPSError) as refused:
        asked(session, "put", body=arrow_body(ARROW), uploadid=session.id, blockid=number, arrow="")

    assert refused.value.code == code


def test_a_session_ends_after_a_day(tunnel, clock):
    session = upload(tunnel, {0: [[1, "a"]]})
    clock.advance(24 * 3600 + 1)

    session.reload()
    with pytest.raises(errors.ODPSError) as refused:
        session.commit([0])

    assert session.status == session.Status.Expired
    assert refused.value.code == "StatusConflict"
    assert rows(tunnel) == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("alter table p add columns (more string)", "TableModified"),
        ("alter table p drop partition (pt='1')", "NoSuchPartition"),
        ("drop table p", "NoSuchTable"),
        ("drop table p; create table p", "NoSuchTable"),
    ],
)
def test_a_table_that_changed_since_takes_no_commit(odps, tunnel, change, code):
    session = upload(tunnel, {0: [[1, "a"]]}, "p", partition_spec="pt=1", create_partition=True)
    odps.execute_sql(change.split(";")[0])

    with pytest.raises(errors.ODPSError) as refused:
        session._complete_upload()

    assert refused.value.code == code


def test_a_table_of_the_same_name_does_not_get_the_commit(odps, tunnel):
    session = upload(tunnel, {0: [[1, "a"]]})
    odps.delete_table("t")
    odps.create_table("t", "id bigint, v string")

    with pytest.raises(errors.ODPSError) as refused:
        session._complete_upload()

    assert refused.value.code == "NoSuchUpload"
    assert rows(tunnel) == []


def test_blocks_of_many_writers_are_one_commit(tunnel):
    session = tunnel.create_upload_session("t")

    def write(number):
        own = tunnel.create_upload_session("t", upload_id=session.id)
        with own.open_record_writer(number) as writer:
            for n in range(50):
                writer.write(own.new_record([number * 50 + n, "x"]))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(8)))
    session.commit(range(8))

    assert [row[0] for row in rows(tunnel)] == list(range(400))


def test_a_value_that_is_too_long_is_refused(odps, tunnel):
    odps.create_table("s", "v varchar(3)")
    session = tunnel.create_upload_session("s")
    body = arrow_body(pa.table({"v": ["four"]}))

    with pytest.raises(errors.ODPSError) as refused:
        asked(session, "put", body=body, uploadid=session.id, blockid=0, arrow="")

    assert refused.value.code == "InvalidArgument"
    assert "Column v" in str(refused.value)


# ---- streams


def streamed(session, row):
    with session.open_record_writer() as writer:
        writer.write(session.new_record(row))


def test_what_is_streamed_is_there_at_once(tunnel):
    session = tunnel.create_stream_upload_session("p", partition_spec="pt=1", create_partition=True, slot_num=3)

    streamed(session, [1, "a"])
    first = rows(tunnel, "p", "pt=1")
    streamed(session, [2, "b"])
    session.abort()

    assert len(session.slots) == 3
    assert first == [[1, "a", "1"]]
    assert rows(tunnel, "p", "pt=1") == [[1, "a", "1"], [2, "b", "1"]]
    with pytest.raises(errors.ODPSError):
        streamed(session, [3, "c"])


def test_a_stream_of_an_old_schema_is_refused(odps, tunnel):
    session = tunnel.create_stream_upload_session("t")
    odps.execute_sql("alter table t add columns (more string)")

    with pytest.raises(errors.ODPSError) as refused:
        streamed(session, [1, "a"])
    assert refused.value.code == "TableModified"


# ---- upserts


def upserted(tunnel, changes, **settings):
    session = tunnel.create_upsert_session("d", **settings)
    stream = session.open_upsert_stream(compress=True)
    for do, *row in changes:
        getattr(stream, do)(session.new_record(row))
    stream.close()
    return session


def keyed(odps):
    with odps.execute_sql("select * from d order by id, k").open_reader(tunnel=True) as reader:
        return [record.values for record in reader]


def test_upserts_are_there_with_the_commit_and_not_before(odps, tunnel):
    session = upserted(tunnel, [("upsert", n, "k", f"v{n}") for n in range(40)], slot_num=2)

    before = keyed(odps)
    session.commit()

    assert before == []
    assert keyed(odps) == [[n, "k", f"v{n}"] for n in range(40)]


def test_the_latest_operation_of_a_key_decides(odps, tunnel):
    upserted(tunnel, [("upsert", 1, "a", "old"), ("upsert", 1, "b", "stays"), ("upsert", 2, "a", "goes")]).commit()

    upserted(
        tunnel,
        [
            ("upsert", 1, "a", "newer"),
            ("upsert", 1, "a", "newest"),
            ("delete", 2, "a", None),
            ("delete", 9, "a", None),
            ("upsert", 3, "a", "comes"),
            ("delete", 4, "a", None),
            ("upsert", 4, "a", None),
        ],
    ).commit()

    assert keyed(odps) == [[1, "a", "newest"], [1, "b", "stays"], [3, "a", "comes"], [4, "a", None]]


def test_an_upsert_that_is_aborted_changes_nothing(odps, tunnel):
    session = upserted(tunnel, [("upsert", 1, "a", "v")])

    session.abort()

    assert keyed(odps) == []
    with pytest.raises(errors.ODPSError) as refused:
        session.commit()
    assert refused.value.code == "StatusConflict"


def test_a_table_with_a_key_takes_upserts_only(odps, tunnel):
    assert odps.get_table("d").primary_key == ["id", "k"]
    for begin in (tunnel.create_upload_session, tunnel.create_stream_upload_session):
        with pytest.raises(errors.InvalidArgument):
            begin("d")
    with pytest.raises(errors.InvalidArgument):
        tunnel.create_upsert_session("t")


def test_results_of_instances_come_through_the_tunnel(odps, tunnel):
    upload(tunnel, {0: [[n, f"v{n}"] for n in range(30)]}).commit([0])
    instance = odps.execute_sql("select v, id from t where id >= 10 order by id")

    with instance.open_reader(tunnel=True) as reader:
        found = [reader.count, [record.values for record in reader[5:7]]]
    with instance.open_reader(tunnel=True, arrow=True) as reader:
        arrow = reader.read_all() if hasattr(reader, "read_all") else pa.Table.from_batches(list(reader))

    assert found == [20, [["v15", 15], ["v16", 16]]]
    assert arrow.num_rows == 20
    assert json.loads(json.dumps(arrow.slice(0, 1).to_pydict())) == {"v": ["v10"], "id": [10]}


def test_a_select_sees_one_moment_while_rows_are_overwritten(odps, tunnel):
    upload(tunnel, {0: [[n, "0"] for n in range(200)]}).commit([0])

    def overwrite(last):
        for number in range(1, last):
            upload(tunnel, {0: [[n, str(number)] for n in range(200)]}, overwrite=True).commit([0])

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(overwrite, 15)
        seen = []
        while not writing.done():
            with odps.execute_sql("select count(*), count(distinct v) from t").open_reader(tunnel=True) as reader:
                seen += [record.values for record in reader]
        writing.result()

    assert seen
    assert all(found == [200, 1] for found in seen)
