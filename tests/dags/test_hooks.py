"""Connections, as Airflow hands them over, become endpoints; secrets stay hidden."""

from __future__ import annotations

import json

import pytest

from airflow_tablestore.errors import SpecError
from airflow_tablestore.hooks.oss import ObjectStoreHook, listing_url
from airflow_tablestore.hooks.tablestore import TablestoreHook
from airflow_tablestore.wire.sign import Credentials

TABLESTORE = {
    "conn_type": "tablestore",
    "host": "https://fleet.cn-hangzhou.ots.aliyuncs.com",
    "login": "the-key-id",
    "password": "the-key-secret",
}


def test_a_json_connection_becomes_an_endpoint(connection):
    connection("ots_json", json.dumps(TABLESTORE | {"extra": {"region": "cn-hangzhou", "sts_token": "the-token"}}))

    endpoint = TablestoreHook("ots_json").endpoint

    assert (endpoint.instance, endpoint.region) == ("fleet", "cn-hangzhou")
    assert (endpoint.access_key_id, endpoint.access_key_secret) == ("the-key-id", "the-key-secret")
    assert endpoint.security_token == "the-token"


def test_a_client_with_temporary_keys_finds_those_that_the_connection_holds_by_now(connection):
    def hold(number):
        keys = {"login": f"id-{number}", "password": f"secret-{number}", "extra": {"sts_token": f"token-{number}"}}
        connection("ots_sts", json.dumps(TABLESTORE | keys))

    hold(1)
    client = TablestoreHook("ots_sts").get_conn()
    first = client.keys()
    hold(2)

    assert first == client.endpoint.credentials
    assert client.has_other_keys_than(first)
    assert client.keys() == Credentials("id-2", "secret-2", "token-2")


def test_a_uri_connection_becomes_an_endpoint(connection):
    connection("ots_uri", "tablestore://key-id:key%2Fsecret@127.0.0.1:8087/?scheme=http&instance=demo")

    endpoint = TablestoreHook("ots_uri").endpoint

    assert (endpoint.url.rstrip("/"), endpoint.instance) == ("http://127.0.0.1:8087", "demo")
    assert endpoint.access_key_secret == "key/secret"


def test_a_connection_without_a_key_says_so(connection):
    connection("ots_bare", json.dumps({"conn_type": "tablestore", "host": TABLESTORE["host"]}))

    with pytest.raises(SpecError, match="access_key_id"):
        _ = TablestoreHook("ots_bare").endpoint


def test_an_oss_connection_of_the_alibaba_provider_becomes_a_store(connection):
    extra = {
        "auth_type": "AK",
        "access_key_id": "oss-key-id",
        "access_key_secret": "oss-key-secret",
        "endpoint": "oss-cn-hangzhou.aliyuncs.com",
    }
    connection("oss_alibaba", json.dumps({"conn_type": "oss", "extra": extra}))

    endpoint = ObjectStoreHook("oss_alibaba").endpoint()

    assert endpoint.url == "https://oss-cn-hangzhou.aliyuncs.com"
    assert endpoint.access_key_id == "oss-key-id"


def test_secrets_are_in_no_repr(connection):
    connection("ots_secret", json.dumps(TABLESTORE | {"extra": {"sts_token": "the-token"}}))

    shown = repr(TablestoreHook("ots_secret").endpoint)

    assert "the-key-secret" not in shown
    assert "the-token" not in shown


def test_a_used_secret_is_masked_in_what_airflow_logs(connection):
    from airflow.providers.common.compat.sdk import redact

    connection(
        "ots_masked", json.dumps(TABLESTORE | {"password": "hush-hush-1", "extra": {"sts_token": "hush-hush-2"}})
    )

    _ = TablestoreHook("ots_masked").endpoint

    assert redact("a line with hush-hush-1 and hush-hush-2") == "a line with *** and ***"


def test_an_endpoint_that_nobody_answers_is_no_success(connection):
    connection(
        "ots_nowhere",
        json.dumps(TABLESTORE | {"host": "http://127.0.0.1:9", "extra": {"instance": "demo", "timeout_seconds": 1}}),
    )
    hook = TablestoreHook("ots_nowhere")

    works, message = hook.test_connection()

    assert not works
    assert "Check the connection's endpoint" in message
    assert "the-key-secret" not in message


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        (
            "https://oss-cn-hangzhou-internal.aliyuncs.com",
            "https://oss.console.aliyun.com/bucket/oss-cn-hangzhou/backup/object?path=gps%2Ffull%2F",
        ),
        ("http://127.0.0.1:9001", "http://127.0.0.1:9001/backup/?prefix=gps%2Ffull%2F"),
    ],
    ids=["the-console-for-the-real-service", "the-endpoint-elsewhere"],
)
def test_objects_are_shown_at_a_place_that_exists(endpoint, url):
    assert listing_url(endpoint, "backup", "gps/full/") == url
