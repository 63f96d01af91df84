"""Faults on demand, and whatever else comes over the socket, for the MaxCompute service."""

from __future__ import annotations

import http.client
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from types import SimpleNamespace
from urllib.parse import quote, urlencode, urlsplit
from xml.sax.saxutils import escape

import pyarrow as pa
import pytest
import requests
import urllib3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odps import ODPS, errors, options
from odps.accounts import CloudAccount
from odps.tunnel import TableTunnel
from odps.tunnel.io.writer import BaseRecordWriter

from airflow_tablestore.emulator import Emulator, LocalCloud
from airflow_tablestore.emulator.faults import Fault
from airflow_tablestore.emulator.maxcompute import arrow_frames
from airflow_tablestore.emulator.maxcompute.compression import ENCODINGS
from airflow_tablestore.emulator.maxcompute.routes import OPERATIONS
from airflow_tablestore.errors import SpecError

pytestmark = pytest.mark.slow

SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
MODEST = settings(max_examples=60, deadline=None, suppress_health_check=SHARED)


@pytest.fixture(scope="module")
def emulator_of_module() -> Iterator[Emulator]:
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def cloud(emulator_of_module) -> Iterator[LocalCloud]:
    emulator_of_module.reset()
    with LocalCloud(emulator=emulator_of_module) as cloud:
        cloud.sql("create table t (id bigint, v string)")
        cloud.sql("create table p (id bigint) partitioned by (pt string)")
        yield cloud
        emulator_of_module.faults.clear()


@pytest.fixture(autouse=True)
def impatient(monkeypatch) -> Iterator[None]:
    """pyodps tries some failures again for a minute."""
    kept, options.retry_times = options.retry_times, 0
    monkeypatch.setattr("odps.tunnel.retry.time", SimpleNamespace(sleep=lambda seconds: None))
    yield
    options.retry_times = kept


def client(cloud):
    at = cloud.maxcompute
    return ODPS(at.access_key_id, at.access_key_secret, project=at.project, endpoint=at.endpoint)


def uploaded(cloud, **settings):
    session = TableTunnel(client(cloud)).create_upload_session("t", **settings)
    with session.open_record_writer(0) as writer:
        writer.write(session.new_record([1, "a"]))
    return session


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"code": "NoPermission", "operation": "CreateUpload"}, errors.NoPermission),
        ({"code": "InternalServerError", "operation": "CreateUpload"}, errors.InternalServerError),
        ({"code": "NoSuchProject", "status": 404, "message": "gone", "service": "maxcompute"}, errors.NoSuchProject),
    ],
)
def test_a_refusal_has_the_class_that_pyodps_gives_it(cloud, fault, error):
    number = cloud.faults.add("error", **fault)

    with pytest.raises(error):
        uploaded(cloud)

    assert cloud.faults.struck(number) > 0
    assert cloud.maxcompute_rows("t") == []


def test_a_quota_that_is_exceeded_for_a_while_is_waited_for(cloud):
    number = cloud.faults.add("error", code="FlowExceeded", operation="CreateUpload", count=3)

    uploaded(cloud).commit([0])

    assert cloud.faults.struck(number) == 3
    assert [r.status for r in cloud.requests("CreateUpload")] == [429, 429, 429, 200]


def test_a_commit_whose_answer_is_lost_was_done_once(cloud):
    session = uploaded(cloud)
    cloud.faults.add("lost_answer", service="maxcompute", operation="CommitUpload", count=1)

    with pytest.raises(requests.RequestException):
        session.commit([0])
    session.reload()
    state = session.status
    session._complete_upload()

    assert state == session.Status.Closed
    assert cloud.maxcompute_rows("t") == [{"id": 1, "v": "a"}]


def test_a_reset_before_the_commit_leaves_it_undone(cloud):
    session = uploaded(cloud)
    cloud.faults.add("reset", service="maxcompute", operation="CommitUpload", count=1)

    with pytest.raises(requests.RequestException):
        session.commit([0])
    session.reload()

    assert session.status == session.Status.Normal
    assert cloud.maxcompute_rows("t") == []


def test_an_answer_that_is_cut_is_no_short_success(cloud):
    cloud.put_maxcompute_rows("t", [{"id": n, "v": "x" * 100} for n in range(20_000)])
    session = TableTunnel(client(cloud)).create_download_session("t")
    cloud.faults.add("cut_body", service="maxcompute", operation="DownloadRows")

    with pytest.raises((requests.RequestException, urllib3.exceptions.HTTPError, errors.ODPSError)):
        list(session.open_record_reader(0, session.count))


def test_faults_are_of_a_project_and_a_table(cloud):
    number = cloud.faults.add("error", code="NoPermission", instance=cloud.project, table="p")

    assert client(cloud).exist_table("t")
    with pytest.raises(errors.NoPermission):
        client(cloud).exist_table("p")
    assert cloud.faults.struck(number) == 1


@pytest.mark.parametrize("kind", ["wrong_crc", "wrong_md5"])
def test_a_fault_that_the_service_cannot_have_is_refused(kind):
    with pytest.raises(SpecError):
        Fault(kind, service="maxcompute")


def test_the_log_names_operation_project_and_table(cloud):
    uploaded(cloud).commit([0])

    seen = {(r.service, r.operation, r.table) for r in cloud.requests() if r.instance == cloud.project}

    assert {("maxcompute", name, "t") for name in ("CreateUpload", "UploadBlock", "GetUpload", "CommitUpload")} <= seen
    assert {operation for _, operation, _ in seen} <= set(OPERATIONS)


# ---- what is damaged


class Bare:
    """Requests as we say, signed by pyodps."""

    def __init__(self, cloud):
        self.at = cloud.maxcompute
        self.url = self.at.endpoint.removesuffix("/api")
        self.account = CloudAccount(self.at.access_key_id, self.at.access_key_secret)

    def ask(self, method, path, query=(), body=b"", headers=(), *, is_signed=True):
        status, _, content = self.answer(method, path, query, body, headers, is_signed=is_signed)
        return status, content

    def answer(self, method, path, query=(), body=b"", headers=(), *, is_signed=True):
        """Status, headers and body."""
        target = path + ("?" + urlencode(list(query)) if query else "")
        told = {"Date": format_datetime(datetime.now(UTC), usegmt=True), "x-odps-tunnel-version": "6", **dict(headers)}
        request = requests.Request(method.upper(), self.url + target, headers=told)
        request.url, request.method = self.url + target, method.upper()
        if is_signed:
            self.account.sign_request(request, self.url)
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=30)
        try:
            names_host = "Host" in dict(headers)
            connection.putrequest(request.method, target, skip_host=names_host, skip_accept_encoding=True)
            for name, value in {**request.headers, "content-length": str(len(body))}.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()


NAMES = st.sampled_from(
    """
    uploads uploadid blockid downloads downloadid data rowrange columns arrow partition partitions overwrite
    create_partition slotid upsertid bucketid record_count slotnum taskstatus result source service linenum limit
    marker maxitems name extended schema_version check_latest_schema reload
    """.split()  # noqa: SIM905 - easier to read than a list of quoted words
)
VALUES = st.one_of(
    st.sampled_from(
        ["", "true", "0", "-1", "(0,1)", "(5,5)", "(0,99999999999999999999)", "pt=1", "pt='", "id,v", "v,v"]
    ),
    st.text(max_size=20),
)
PATHS = (
    st.sampled_from(["", "/tables", "/tables/t", "/tables/t/streams", "/tables/t/upserts", "/tables/p", "/tunnel"])
    | st.just("/instances")
    | st.text(max_size=20).map(lambda text: "/" + quote(text))
    | st.just("/instances/none")
    | st.just("/tables/t/preview")
)


@MODEST
@given(
    st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH"]),
    PATHS,
    st.lists(st.tuples(NAMES, VALUES), max_size=4),
    st.binary(max_size=60),
)
def test_no_request_is_answered_by_an_internal_error(cloud, method, path, query, body):
    status, _ = Bare(cloud).ask(method, f"/projects/{cloud.project}{path}", query, body)

    assert 200 <= status < 500, (method, path, query, body)
    assert client(cloud).exist_table("t")


ROWS = {
    "records": [{"id": n, "v": f"v{n}" if n % 2 else None} for n in range(5)],
    "arrow": [{"id": 1, "v": "a"}, {"id": None, "v": "b"}],
}


def bodies(session):
    out = io.BytesIO()
    with BaseRecordWriter(session.schema, out) as writer:
        for row in ROWS["records"]:
            writer.write(session.new_record(list(row.values())))
    table = pa.Table.from_pylist(ROWS["arrow"], pa.schema([("id", pa.int64()), ("v", pa.string())]))
    arrow = b"".join(arrow_frames.framed(batch.serialize().to_pybytes() for batch in table.to_batches()))
    return {"records": out.getvalue(), "arrow": arrow}


@MODEST
@given(st.data(), st.sampled_from(["records", "arrow"]), st.sampled_from(["", *sorted(ENCODINGS), "gzip"]))
def test_a_damaged_body_is_refused_and_changes_nothing(cloud, data, form, encoding):
    session = TableTunnel(client(cloud)).create_upload_session("t")
    body = bodies(session)[form]
    at = data.draw(st.integers(0, len(body) - 1))
    cut = data.draw(st.integers(at, len(body) - 1))
    changed = body[:at] + data.draw(st.binary(max_size=8)) + body[cut + 1 :]

    query = [("uploadid", session.id), ("blockid", "0"), *([("arrow", "")] if form == "arrow" else [])]
    headers = {"content-encoding": encoding} if encoding else {}
    status, _ = Bare(cloud).ask(
        "PUT", session._table.table_resource().removeprefix(Bare(cloud).url), query, changed, headers
    )

    assert status in (200, 400)
    blocks = session.get_block_list()
    session.commit(blocks)

    # a checksum's padding and the size of chunks may change without harm; rows may not
    assert (status, blocks) in ((200, [0]), (400, []))
    assert cloud.maxcompute_rows("t") == (ROWS[form] if status == 200 else [])
    cloud.sql("truncate table t")


@MODEST
@given(
    st.text(max_size=40),
    st.sampled_from(["", "select ", "create table x (", "alter table p add partition (", "insert into t "]),
)
def test_no_statement_is_answered_by_an_internal_error(cloud, text, start):
    query = escape(start + text).encode("utf-8", "replace")
    body = b"<Instance><Job><Tasks><SQL><Name>a</Name><Query>" + query + b"</Query></SQL></Tasks></Job></Instance>"

    status, _ = Bare(cloud).ask("POST", f"/projects/{cloud.project}/instances", [], body)

    assert status in (201, 400)
    assert client(cloud).exist_table("t")


def test_who_does_not_sign_is_refused_before_the_body_is_read(cloud):
    status, body = Bare(cloud).ask("GET", f"/projects/{cloud.project}/tables/t", is_signed=False)

    assert status == 401
    assert b"Unauthorized" in body


STATEMENT = b"<Instance><Job><Tasks><SQL><Name>a</Name><Query>select 1</Query></SQL></Tasks></Job></Instance>"


@pytest.mark.parametrize("host", ["maxcompute:8089", "mc.example.com"])
def test_addresses_that_are_handed_back_are_the_one_that_was_asked(cloud, host):
    """As behind a name of Docker or a forwarded port: the client comes back where it came from."""
    cloud.sql("create table d (id bigint not null, primary key (id)) tblproperties('transactional'='true')")
    bare, root, server = Bare(cloud), f"/projects/{cloud.project}", host if ":" in host else f"{host}:80"

    def ask(method, path, query=(), body=b""):
        status, headers, content = bare.answer(method, root + path, query, body, {"Host": host})
        assert status < 500
        return headers, content.decode()

    _, tunnel = ask("GET", "/tunnel", [("service", "")])
    instance, _ = ask("POST", "/instances", [], STATEMENT)
    again, _ = ask("POST", "/instances", [], STATEMENT)
    _, stream = ask("POST", "/tables/t/streams", [("slotnum", "2")])
    _, upsert = ask("POST", "/tables/d/upserts", [("slotnum", "2")])
    _, refusal = ask("GET", "/tables/none", [("uploadid", "x")])
    cloud.sql("drop table d")

    assert tunnel == host
    assert instance["location"].startswith(f"http://{host}{root}/instances/")
    assert again["location"] != instance["location"]
    assert {address for _, address in json.loads(stream)["slots"]} == {server}
    assert {slot["worker_addr"] for slot in json.loads(upsert)["slots"]} == {server}
    assert host in refusal
    port = bare.url.rpartition(":")[2]
    assert all(port not in told for told in (tunnel, instance["location"], stream, upsert, refusal))
