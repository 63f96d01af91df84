"""Connections, in each form that Airflow writes them, become endpoints or a sentence that says what to change."""

from __future__ import annotations

import json

import pytest

from airflow_tablestore.errors import SpecError
from airflow_tablestore.pipeline.connections import Fields, from_environment, oss_endpoint, tablestore_endpoint

SECRET = "s3cr3t+/=@:"  # every character that a URI must escape
QUOTED = "s3cr3t%2B%2F%3D%40%3A"


def tablestore(**changes):
    given = {
        "conn_type": "tablestore",
        "host": "https://inst.cn-hangzhou.ots.aliyuncs.com",
        "login": "key-id",
        "password": SECRET,
        "conn_id": "ots",
    }
    return Fields(**(given | changes))


def oss(**changes):
    extra = {"endpoint": "oss-cn-hangzhou.aliyuncs.com", "access_key_id": "key-id", "access_key_secret": SECRET}
    return Fields(**({"conn_type": "oss", "extra": extra, "conn_id": "store"} | changes))


def test_a_json_connection_is_read():
    text = json.dumps(
        {
            "conn_type": "tablestore",
            "host": "https://h",
            "port": "8080",
            "login": "id",
            "password": SECRET,
            "extra": {"instance": "i"},
        }
    )

    fields = from_environment("ots_default", {"AIRFLOW_CONN_OTS_DEFAULT": text})

    assert (fields.conn_type, fields.host, fields.port, fields.password) == ("tablestore", "https://h", 8080, SECRET)
    assert fields.extra == {"instance": "i"}


def test_extra_may_be_json_inside_json():
    text = json.dumps({"conn_type": "oss", "extra": json.dumps({"endpoint": "e"})})

    assert from_environment("a", {"AIRFLOW_CONN_A": text}).extra == {"endpoint": "e"}


@pytest.mark.parametrize(
    ("uri", "host", "port"),
    [
        (f"tablestore://id:{QUOTED}@inst.ots.com?instance=i", "inst.ots.com", None),
        (f"tablestore://id:{QUOTED}@inst.ots.com:443/?instance=i", "inst.ots.com", 443),
        (f"tablestore://https://id:{QUOTED}@inst.ots.com:443?instance=i", "https://inst.ots.com", 443),
        (f"tablestore://id:{QUOTED}@https%3A%2F%2Finst.ots.com?instance=i", "https://inst.ots.com", None),
        (f"tablestore://id:{QUOTED}@inst.ots.com?__extra__=%7B%22instance%22%3A+%22i%22%7D", "inst.ots.com", None),
    ],
)
def test_a_uri_connection_is_read(uri, host, port):
    fields = from_environment("a", {"AIRFLOW_CONN_A": uri})

    assert (fields.conn_type, fields.host, fields.port) == ("tablestore", host, port)
    assert (fields.login, fields.password, fields.extra) == ("id", SECRET, {"instance": "i"})


def test_a_missing_variable_is_named():
    with pytest.raises(SpecError, match="set AIRFLOW_CONN_OTS_DEFAULT to the connection"):
        from_environment("ots_default", {})


@pytest.mark.parametrize(
    "text", ['{"password": "s3cr3t', "s3cr3t", "tablestore://id:s3cr3t@host:port", '{"extra": ["s3cr3t"]}']
)
def test_a_broken_connection_never_shows_its_secret(text):
    with pytest.raises(SpecError) as caught:
        from_environment("a", {"AIRFLOW_CONN_A": text})

    assert "s3cr3t" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_fields_never_show_their_secret():
    assert SECRET not in repr(oss()) + repr(tablestore())


def test_the_instance_is_the_first_label_of_the_host():
    endpoint = tablestore_endpoint(tablestore())

    assert (endpoint.instance, endpoint.url) == ("inst", "https://inst.cn-hangzhou.ots.aliyuncs.com")
    assert endpoint.region is None


def test_extras_of_a_tablestore_connection_are_used():
    extra = {"instance": "other", "region": "cn-hangzhou", "sts_token": "token", "timeout_seconds": "7"}

    endpoint = tablestore_endpoint(tablestore(extra=extra))

    assert (endpoint.instance, endpoint.region, endpoint.security_token) == ("other", "cn-hangzhou", "token")
    assert endpoint.timeout_seconds == 7


def test_answers_are_asked_for_deflated_only_on_request():
    asked = [tablestore_endpoint(tablestore(extra=extra)).deflates for extra in ({}, {"compress": "deflate"})]

    assert asked == [False, True]


def test_a_host_without_a_scheme_is_reached_over_tls():
    assert tablestore_endpoint(tablestore(host="inst.ots.com", port=443)).url == "https://inst.ots.com"


def test_a_port_joins_the_endpoint():
    fields = tablestore(host="http://127.0.0.1", port=8087, extra={"instance": "demo"})

    assert tablestore_endpoint(fields).url == "http://127.0.0.1:8087"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"host": None}, "has no host"),
        ({"host": "ftp://inst.ots.com"}, "no http or https address"),
        ({"host": "https://inst.ots.com/path"}, "more than a host and a port"),
        ({"host": "https://me:s3cr3t@inst.ots.com"}, "no http or https address"),
        ({"host": "http://127.0.0.1:8087"}, "no instance is given"),
        ({"login": None}, "no access_key_id is given"),
        ({"password": " "}, "no access_key_secret is given"),
        ({"conn_type": "mysql"}, "is of type 'mysql'"),
        ({"extra": {"timeout_seconds": "soon"}}, "no number"),
        ({"extra": {"compress": "lz4"}}, "'compress' that is 'lz4'"),
    ],
)
def test_a_tablestore_connection_that_cannot_work_is_told_why(changes, said):
    with pytest.raises(SpecError, match=said) as caught:
        tablestore_endpoint(tablestore(**changes))

    assert "connection 'ots'" in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


def test_an_oss_connection_of_the_alibaba_provider_is_enough():
    endpoint = oss_endpoint(oss())

    assert endpoint.url == "https://oss-cn-hangzhou.aliyuncs.com"
    assert (endpoint.access_key_id, endpoint.access_key_secret) == ("key-id", SECRET)
    assert endpoint.security_token is None


def test_login_and_password_stand_in_for_the_extras():
    endpoint = oss_endpoint(oss(login="id2", password="p2", extra={"region": "cn-beijing"}))

    assert (endpoint.url, endpoint.region) == ("https://oss-cn-beijing.aliyuncs.com", "cn-beijing")
    assert (endpoint.access_key_id, endpoint.access_key_secret) == ("id2", "p2")


def test_the_names_of_the_connection_form_are_understood():
    extra = {"extra__oss__endpoint": "e.com", "extra__oss__access_key_id": "i", "extra__oss__access_key_secret": "s"}

    assert oss_endpoint(oss(extra=extra)).url == "https://e.com"


def test_an_endpoint_with_the_bucket_in_it_is_refused():
    extra = {**oss().extra, "endpoint": "https://backup.oss-cn-hangzhou.aliyuncs.com"}

    with pytest.raises(SpecError, match=r"write oss-cn-hangzhou\.aliyuncs\.com as the endpoint"):
        oss_endpoint(oss(extra=extra), "backup")


def test_both_missing_keys_are_told_at_once():
    with pytest.raises(SpecError) as caught:
        oss_endpoint(oss(extra={"endpoint": "e.com"}))

    assert [p.message for p in caught.value.problems] == [
        "connection 'store': has no access_key_id",
        "connection 'store': has no access_key_secret",
    ]


def test_an_oss_connection_that_leads_to_tablestore_is_refused():
    with pytest.raises(SpecError, match="not of OSS"):
        oss_endpoint(oss(extra={"endpoint": "inst.cn-hangzhou.ots.aliyuncs.com"}, login="id", password="p"))
