"""An endpoint is checked when it is made, and tells no secrets."""

from __future__ import annotations

import pytest

from airflow_tablestore.client.endpoint import Endpoint
from airflow_tablestore.errors import SpecError

SECRET = "kept-to-itself"


def endpoint(**changes) -> Endpoint:
    settings = {
        "url": "https://demo.cn-hangzhou.ots.aliyuncs.com",
        "instance": "demo",
        "access_key_id": "demo-access-key-id",
        "access_key_secret": SECRET,
    }
    return Endpoint(**(settings | changes))


def test_a_slash_at_the_end_is_dropped_and_a_port_kept():
    assert endpoint(url="http://127.0.0.1:8087/").url == "http://127.0.0.1:8087"


def test_only_https_is_encrypted():
    assert endpoint().is_encrypted
    assert not endpoint(url="http://demo").is_encrypted


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"url": "demo.cn-hangzhou.ots.aliyuncs.com"}, "scheme"),
        ({"url": "ftp://demo"}, "scheme"),
        ({"url": ""}, "scheme"),
        ({"url": "https://"}, "host"),
        ({"url": "https://demo/table"}, "more than scheme, host and port"),
        ({"url": "https://demo?x=1"}, "more than scheme, host and port"),
        ({"url": "https://demo:99999"}, "no URL"),
        ({"url": "https://[::1"}, "no URL"),
        ({"url": "https://de mo"}, "character"),
        ({"instance": ""}, "no instance"),
        ({"access_key_id": ""}, "no access_key_id"),
        ({"access_key_secret": ""}, "no access_key_secret"),
        ({"access_key_id": "key\r\nx-ots-evil: 1"}, "access_key_id holds a space"),
        ({"security_token": "tö"}, "security_token holds"),
        ({"region": ""}, "region is empty"),
        ({"timeout_seconds": 0}, "timeout_seconds"),
        ({"timeout_seconds": float("nan")}, "timeout_seconds"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(changes, told):
    with pytest.raises(SpecError, match=told):
        endpoint(**changes)


def test_all_problems_are_told_at_once():
    with pytest.raises(SpecError) as refusal:
        endpoint(url="demo", instance="", access_key_id="")

    assert [p.path for p in refusal.value.problems] == ["endpoint", "instance", "access_key_id"]


def test_a_password_in_the_url_is_refused_and_not_repeated():
    with pytest.raises(SpecError) as refusal:
        endpoint(url=f"https://user:{SECRET}@demo")

    assert SECRET not in str(refusal.value)


def test_neither_repr_nor_text_tells_a_secret():
    made = endpoint(security_token="also-kept")

    shown = f"{made!r} {made} {made.credentials!r}"

    assert SECRET not in shown
    assert "also-kept" not in shown
