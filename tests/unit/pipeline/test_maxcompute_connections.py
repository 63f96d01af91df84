"""`maxcompute` connections, as the Alibaba provider keeps them, and MaxCompute's errors as ours."""

from __future__ import annotations

import pytest
import requests
from odps import errors as odps

from airflow_tablestore.errors import Rejected, RetryLater, SpecError, StartOver
from airflow_tablestore.pipeline.connections import Fields, maxcompute_endpoint
from airflow_tablestore.pipeline.sinks.maxcompute_errors import translated

KEYS = {"access_key_id": "id", "access_key_secret": "top-secret", "project": "p"}


def fields(**extra):
    return Fields("maxcompute", extra=KEYS | extra, conn_id="mc")


def test_an_endpoint_has_all_that_the_connection_says():
    extra = {"sts_token": "hidden-token", "region": "cn-hangzhou", "tunnel_endpoint": "https://dt.example.com"}

    found = maxcompute_endpoint(fields(endpoint="service.cn-hangzhou.maxcompute.aliyun.com/api", **extra))

    assert found.url == "https://service.cn-hangzhou.maxcompute.aliyun.com/api"
    assert (found.project, found.region, found.tunnel_url) == ("p", "cn-hangzhou", "https://dt.example.com")
    assert (found.access_key_secret, found.security_token) == ("top-secret", "hidden-token")
    assert "top-secret" not in repr(found)
    assert "hidden-token" not in repr(found)


def test_the_sinks_project_goes_before_the_connections():
    assert maxcompute_endpoint(fields(endpoint="http://127.0.0.1:1/api"), "other").project == "other"


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ({}, "no extra 'endpoint'"),
        ({"endpoint": "https://a.example.com/api", "project": ""}, "no extra 'project'"),
        ({"endpoint": "https://a.example.com/api", "access_key_secret": ""}, "no access_key_secret"),
        ({"endpoint": "ftp://a.example.com"}, "no http or https address"),
    ],
)
def test_a_field_that_is_missing_or_wrong_is_named(extra, told):
    with pytest.raises(SpecError, match=told) as raised:
        maxcompute_endpoint(fields(**extra))

    assert "top-secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (odps.NoSuchTable("no table", code="NoSuchTable"), Rejected, "create_table: true"),
        (odps.NoPermission("denied", code="NoPermission"), Rejected, "rights"),
        (odps.ODPSError("bad", code="ODPS-0410042"), Rejected, "access key"),
        (odps.ODPSError("slow down", code="FlowExceeded"), RetryLater, "FlowExceeded"),
        (odps.InternalServerError("oops", code="InternalServerError"), RetryLater, "InternalServerError"),
        (odps.ODPSError("gone", code="NoSuchUpload"), StartOver, "Clear the task 'plan' with its downstream"),
        (odps.ODPSError("changed", code="TableModified"), StartOver, "changed since the run was planned"),
        (requests.ConnectionError("reset"), RetryLater, "ConnectionError"),
        (odps.ODPSError("never heard of"), Rejected, "never heard of"),
    ],
)
def test_each_error_says_what_to_do_next(error, kind, told):
    ours = translated(error, "PutBlock", "maxcompute://p/t")

    assert type(ours) is kind
    assert told in str(ours)
    assert "maxcompute://p/t" in str(ours)
