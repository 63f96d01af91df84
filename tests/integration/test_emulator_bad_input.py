"""Whatever comes over the sockets: each service answers in its own words, and lives on."""

from __future__ import annotations

import contextlib
import http.client
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

import oss2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_tablestore.emulator import Emulator, LocalCloud
from airflow_tablestore.wire.plainbuffer import encode_key
from airflow_tablestore.wire.proto import table_pb2 as pb
from airflow_tablestore.wire.row import INF_MAX, INF_MIN
from airflow_tablestore.wire.sign import Credentials, sign_request

pytestmark = pytest.mark.slow

BODY = pb.GetRangeRequest(
    table_name="rides",
    direction=pb.FORWARD,
    max_versions=1,
    inclusive_start_primary_key=encode_key((("city", INF_MIN), ("id", INF_MIN))),
    exclusive_end_primary_key=encode_key((("city", INF_MAX), ("id", INF_MAX))),
).SerializeToString()
SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
MODEST = settings(max_examples=60, deadline=None, suppress_health_check=SHARED)
TOKENS = st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters=":\x7f"), max_size=40)


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    with Emulator() as emulator, LocalCloud(emulator=emulator, instance="demo") as cloud:
        cloud.make_sample_table("rides", rows=20)
        cloud.put_object("standing", b"body")
        yield emulator


def asked(url: str, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in {**headers, "content-length": str(len(body))}.items():
            connection.putheader(name, value.encode("latin-1"))
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


def signed(emulator: Emulator, body: bytes, uri: str = "/GetRange") -> dict[str, str]:
    at = emulator.tablestore
    credentials = Credentials(at.access_key_id, at.access_key_secret)
    request = sign_request(uri, body, credentials=credentials, instance="demo", now=datetime.now(UTC))
    return dict(request.headers)


def lives_on(emulator: Emulator) -> bool:
    status, body, _ = asked(emulator.tablestore.endpoint, "POST", "/GetRange", signed(emulator, BODY), BODY)
    at = emulator.oss
    bucket = oss2.Bucket(oss2.Auth(at.access_key_id, at.access_key_secret), at.endpoint, at.bucket)
    return (
        status == 200
        and len(pb.GetRangeResponse.FromString(body).rows) > 100
        and bucket.get_object("standing").read() == b"body"
    )


def is_told_by_tablestore(status: int, body: bytes) -> bool:
    if status == 200:
        return True
    error = pb.Error.FromString(body)
    return 400 <= status < 500 and error.code.startswith("OTS") and bool(error.message)


@MODEST
@given(data=st.data())
def test_damaged_headers_are_refused_by_tablestore(running, data):
    headers = signed(running, BODY)
    name = data.draw(st.sampled_from(sorted(headers)))
    kind = data.draw(st.sampled_from(["drop", "replace", "repeat", "cut"]))
    if kind == "drop":
        del headers[name]
    else:
        headers[name] = {"replace": data.draw(TOKENS), "repeat": headers[name] * 2, "cut": headers[name][1:]}[kind]

    status, body, _ = asked(running.tablestore.endpoint, "POST", "/GetRange", headers, BODY)

    assert 400 <= status < 500
    assert is_told_by_tablestore(status, body)


@MODEST
@given(
    body=st.one_of(st.binary(max_size=300), st.tuples(st.integers(0, len(BODY)), st.binary(max_size=9))),
    is_signed=st.booleans(),
    operation=st.sampled_from(
        ["GetRange", "BatchWriteRow", "PutRow", "CreateTable", "BulkExport", "Nothing", "a/b", ""]
    ),
)
def test_damaged_bodies_are_refused_by_tablestore(running, body, is_signed, operation):
    if isinstance(body, tuple):
        body = BODY[: body[0]] + body[1] + BODY[body[0] + len(body[1]) :]
    uri = f"/{operation}"
    headers = signed(running, body if is_signed else BODY, uri)

    status, answer, _ = asked(running.tablestore.endpoint, "POST", uri, headers, body)

    assert is_told_by_tablestore(status, answer)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods_are_refused_by_tablestore(running, method):
    status, body, _ = asked(running.tablestore.endpoint, method, "/GetRange", signed(running, BODY), BODY)

    assert status == 405
    assert pb.Error.FromString(body).code == "OTSMethodNotAllowed"


@MODEST
@given(
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "BREW"]),
    path=st.lists(
        st.sampled_from(["backup", "standing", "..", "%00", "%ff", "?", "uploads", "&", "=", "a" * 2000, "/"])
    ),
    headers=st.dictionaries(
        st.sampled_from(["authorization", "date", "x-oss-date", "content-md5", "range", "x-oss-copy-source", "host"]),
        TOKENS,
    ),
    body=st.binary(max_size=100),
)
def test_odd_requests_are_refused_by_oss(running, method, path, headers, body):
    status, answer, told = asked(running.oss.endpoint, method, "/" + "/".join(path), headers, body)

    assert 400 <= status < 500 or status == 501
    if method != "HEAD" and "x-oss-request-id" in told:
        assert answer.startswith(b"<?xml")
        assert b"<Code>" in answer


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 100,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"POST /GetRange HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST /GetRange HTTP/1.1\r\nContent-Length: 99999999\r\n\r\nshort",
        b"POST /GetRange HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /GetRange HTTP/9.9\r\n\r\n",
        b"POST " + b"/" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"PUT /backup/half HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n\r\nhalf",
    ],
    ids=range(10),
)
@pytest.mark.parametrize("service", ["tablestore", "oss"])
def test_what_is_no_http_hurts_nobody(running, service, content):
    url = getattr(running, service).endpoint
    place = urlsplit(url).hostname, urlsplit(url).port
    with socket.create_connection(place, timeout=60) as connection, contextlib.suppress(OSError):
        connection.sendall(content)
        connection.shutdown(socket.SHUT_WR)  # it may have hung up already

    assert lives_on(running)


def test_the_services_live_on(running):
    assert lives_on(running)
    assert all(exchange.status < 502 for exchange in running.requests())
    assert not [exchange for exchange in running.requests() if exchange.status == 500]
