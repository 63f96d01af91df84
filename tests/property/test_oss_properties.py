"""Listings, checksums and requests of the OSS service under anything that hypothesis thinks of."""

from __future__ import annotations

import asyncio
import email.utils
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_tablestore.emulator.accounts import DEMO_ACCESS_KEY_ID, DEMO_ACCESS_KEY_SECRET, demo_accounts
from airflow_tablestore.emulator.clock import Clock
from airflow_tablestore.emulator.oss import crc64, sign
from airflow_tablestore.emulator.oss.app import OssApp
from airflow_tablestore.emulator.oss.listing import From, walk
from airflow_tablestore.emulator.oss.request import address_of


class Line:
    def __init__(self, key):
        self.key = key


KEYS = st.lists(st.text("ab/\ud7ff\U0010ffff", min_size=1, max_size=6), unique=True, max_size=25)


def pages(keys, prefix, delimiter, limit):
    def read(at, count):
        return [Line(k) for k in sorted(keys) if k > at.key or (at.is_inclusive and k == at.key)][:count]

    last, is_truncated = "", True
    while is_truncated:
        page = walk(read, From(last), prefix, delimiter, limit)
        lines = sorted([e.key for e in page.entries] + list(page.prefixes))
        assert len(lines) <= limit
        assert not lines or lines[-1] == page.last
        yield from lines
        last, is_truncated = page.last, page.is_truncated


@settings(max_examples=100, deadline=None)
@given(KEYS, st.text("ab/", max_size=3), st.sampled_from(["", "/", "b", "a/"]), st.integers(1, 5))
def test_pages_together_are_the_folded_listing(keys, prefix, delimiter, limit):
    expected = set()
    for key in keys:
        if key.startswith(prefix):
            cut = key.find(delimiter, len(prefix)) if delimiter else -1
            expected.add(key[: cut + len(delimiter)] if cut >= 0 else key)

    assert list(pages(keys, prefix, delimiter, limit)) == sorted(expected)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), st.binary(max_size=300))
def test_the_checksum_of_a_whole_follows_from_its_parts(first, second):
    whole = crc64.combined(crc64.checksum(first), crc64.checksum(second), len(second))

    assert whole == crc64.checksum(first + second) == crc64.checksum(second, crc64.checksum(first))


METHODS = st.sampled_from(["GET", "PUT", "POST", "HEAD", "DELETE", "OPTIONS", "PATCH"])
PATHS = st.one_of(
    st.sampled_from([b"/", b"/backup", b"/backup/a", b"/backup/%FF", b"/other/a"]), st.binary(max_size=20)
)
NAMES = sorted(set(sign.SUB_RESOURCES) | {"prefix", "list-type", "max-keys", "marker", "x"})
QUERIES = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(["", "1", "0", "-1", "2", "url", "a%00b", "%FF", "9" * 30])),
    max_size=3,
)
HEADERS = st.dictionaries(
    st.sampled_from(
        """range content-md5 x-oss-copy-source x-oss-copy-source-range x-oss-metadata-directive if-match
        if-modified-since x-oss-object-acl x-oss-acl x-oss-meta-a x-oss-complete-all content-type
        x-oss-range-behavior x-oss-security-token expect content-length""".split()  # noqa: SIM905
    ),
    st.one_of(st.sampled_from([b"", b"*", b"bytes=0-1", b"/backup/a", b"yes", b"standard"]), st.binary(max_size=12)),
    max_size=4,
)
BODIES = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [
            b"<Delete><Object><Key>a</Key></Object></Delete>",
            b"<!DOCTYPE a [<!ENTITY b 'c'>]><Delete>&b;</Delete>",
            b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>",
            b"l" * 70_000,
        ]
    ),
)


@pytest.fixture(scope="module")
def app():
    app = OssApp(None, demo_accounts(), Clock())
    yield app
    app.close()


def asked(app, method, path, query, headers, body, *, is_signed):
    scope = {
        "type": "http",
        "method": method,
        "path": "",
        "raw_path": path,
        "query_string": "&".join(f"{n}={v}" if v else n for n, v in query).encode(),
        "headers": [(b"host", b"127.0.0.1"), *((n.encode(), v) for n, v in headers.items())],
    }
    if is_signed:
        scope["headers"].append((b"date", email.utils.formatdate(usegmt=True).encode()))
        try:
            address = address_of(scope)
            fields = {name: getattr(address, name) for name in ("method", "bucket", "key", "query", "headers")}
            text = sign.v1_string_to_sign(sign.SignedRequest(**fields), address.headers["date"])
            signature = sign.v1_signature(DEMO_ACCESS_KEY_SECRET, text)
        except Exception:  # noqa: BLE001 - what cannot be signed is sent with a wrong signature
            signature = "wrong"
        scope["headers"].append((b"authorization", f"OSS {DEMO_ACCESS_KEY_ID}:{signature}".encode()))
    sent = []

    async def receive():
        return {"type": "http.request", "body": body}

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(METHODS, PATHS, QUERIES, HEADERS, BODIES, st.booleans())
def test_any_request_gets_an_answer_of_the_service(app, method, path, query, headers, body, is_signed):
    start, *rest = asked(app, method, path, query, headers, body, is_signed=is_signed)
    told = dict(start["headers"])

    assert start["status"] in (200, 204, 206, 304, 400, 403, 404, 405, 409, 412, 416, 501)
    assert told[b"x-oss-request-id"]
    assert len(rest) >= 1
    if start["status"] >= 400 and method != "HEAD":
        assert ElementTree.fromstring(rest[0]["body"]).tag == "Error"
    listed, _ = asked(app, "GET", b"/", [], {}, b"", is_signed=True)
    assert listed["status"] == 200
