"""What a request is about: bucket and key from path or host, names and ranges from text."""

from __future__ import annotations

import pytest

from airflow_tablestore.emulator.oss.app import ROUTES, handler_of
from airflow_tablestore.emulator.oss.conditions import byte_range
from airflow_tablestore.emulator.oss.errors import Refusal
from airflow_tablestore.emulator.oss.request import Address, address_of


def scope(path=b"/", query=b"", host=b"127.0.0.1:80", method="GET"):
    return {"method": method, "path": "", "raw_path": path, "query_string": query, "headers": [(b"Host", host)]}


@pytest.mark.parametrize(
    ("host", "path", "bucket", "key"),
    [
        (b"127.0.0.1:8080", b"/backup/dir%2Fa", "backup", "dir/a"),
        (b"127.0.0.1", b"/backup/dir/a%20%2B+", "backup", "dir/a ++"),
        (b"localhost:8080", b"/backup", "backup", ""),
        (b"[::1]:8080", b"/backup/", "backup", ""),
        (b"127.0.0.1", b"/", "", ""),
        (b"backup.localhost:8080", b"/dir/a", "backup", "dir/a"),
        (b"backup.oss-cn-hangzhou.aliyuncs.com", b"/backup/a", "backup", "backup/a"),
        (b"oss-cn-hangzhou.aliyuncs.com", b"/backup/a", "backup", "a"),
        (b"backup.localhost", b"/%E6%96%87", "backup", "文"),
        (b"127.0.0.1", b"/backup//a", "backup", "/a"),
    ],
)
def test_bucket_and_key_are_found(host, path, bucket, key):
    address = address_of(scope(path, host=host))

    assert (address.bucket, address.key) == (bucket, key)


def test_a_bucket_named_twice_may_be_meant_once():
    twice = address_of(scope(b"/backup/dir/a", host=b"backup.oss-cn-hangzhou.aliyuncs.com"))
    in_path = address_of(scope(b"/backup/backup/a"))

    assert twice.in_path().key == "dir/a"
    assert in_path.in_path() is None


def test_a_query_is_decoded_in_order():
    address = address_of(scope(query=b"acl&prefix=a%2Fb+c&prefix=%E6%96%87&empty="))

    assert address.query == (("acl", ""), ("prefix", "a/b c"), ("prefix", "文"), ("empty", ""))


@pytest.mark.parametrize("bad", [{"path": b"/backup/%ff"}, {"query": b"prefix=%ff"}])
def test_what_is_not_utf8_is_refused(bad):
    with pytest.raises(Refusal) as refusal:
        address_of(scope(**bad))

    assert refusal.value.code == "InvalidURI"


@pytest.mark.parametrize(
    ("text", "size", "lenient", "standard"),
    [
        ("bytes=0-9", 100, (0, 10), (0, 10)),
        ("bytes=90-", 100, (90, 10), (90, 10)),
        ("bytes=-10", 100, (90, 10), (90, 10)),
        ("bytes=90-100", 100, None, (90, 10)),
        ("bytes=100-", 100, None, "InvalidRange"),
        ("bytes=-101", 100, None, (0, 100)),
        ("bytes=-0", 100, None, "InvalidRange"),
        ("bytes=0-0", 0, None, "InvalidRange"),
        ("bytes=9-0", 100, None, None),
        ("bytes=-", 100, None, None),
        ("bytes=a-b", 100, None, None),
        ("bytes=0-1,3-4", 100, None, None),
        ("lines=0-1", 100, None, None),
        ("", 100, None, None),
    ],
)
def test_a_range_that_does_not_fit_is_ignored_unless_the_standard_is_asked_for(text, size, lenient, standard):
    def asked(**headers):
        try:
            return byte_range({"range": text, **headers}, size)
        except Refusal as refusal:
            return refusal.code

    assert asked() == lenient
    assert asked(**{"x-oss-range-behavior": "standard"}) == standard


def address(method, bucket="", key="", **query):
    return Address(method, "127.0.0.1", bucket, key, tuple(query.items()), {})


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_every_route_is_found(route):
    level, method, sub_resource = route
    names = {"account": {}, "bucket": {"bucket": "backup"}, "object": {"bucket": "backup", "key": "a"}}[level]
    query = {sub_resource: ""} if sub_resource else {}

    assert handler_of(address(method, **names, **query)) is ROUTES[route]


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (address("GET", "backup", lifecycle=""), "NotImplemented"),
        (address("GET", "backup", somethingNew=""), "NotImplemented"),
        (address("GET", "backup", "a", versionId="1"), "NotImplemented"),
        (address("GET", "backup", acl="", uploads=""), "InvalidArgument"),
        (address("PATCH", "backup", "a"), "MethodNotAllowed"),
        (address("DELETE", "backup", uploads=""), "MethodNotAllowed"),
        (address("GET", "backup", "/a"), "InvalidObjectName"),
        (address("GET", "backup", "é" * 512), "InvalidObjectName"),
    ],
    ids=str,
)
def test_what_is_not_there_is_refused(asked, code):
    with pytest.raises(Refusal) as refusal:
        handler_of(asked)

    assert refusal.value.code == code


@pytest.mark.parametrize("query", [{"prefix": ""}, {"list-type": "2", "continuation-token": ""}, {"unheard": "of"}])
def test_plain_parameters_choose_nothing(query):
    assert handler_of(address("GET", "backup", **query)) is ROUTES["bucket", "GET", ""]
