"""Keys that are renewed while a client works."""

from __future__ import annotations

import json
import logging

import pytest

from airflow_tablestore.client import RenewedKeys
from airflow_tablestore.errors import SpecError
from airflow_tablestore.pipeline.connections import Fields, tablestore_client, tablestore_endpoint
from airflow_tablestore.wire.sign import Credentials

OLD, NEW = Credentials("id-1", "secret-1", "token-1"), Credentials("id-2", "secret-2", "token-2")


class Kept:
    """Where keys are kept, and a stopwatch."""

    def __init__(self):
        self.keys, self.seconds, self.reads, self.error = OLD, 0.0, 0, None

    def read(self):
        self.reads += 1
        if self.error is not None:
            raise self.error
        return self.keys

    def renewed(self):
        return RenewedKeys(OLD, self.read, every_seconds=60, stopwatch=lambda: self.seconds)


def test_keys_are_read_anew_after_a_minute():
    kept = Kept()
    keys = kept.renewed()
    kept.keys = NEW

    kept.seconds = 59
    assert (keys(), kept.reads) == (OLD, 0)
    kept.seconds = 60
    assert (keys(), keys(), kept.reads) == (NEW, NEW, 1)


def test_refused_keys_are_read_anew_at_once():
    kept = Kept()
    keys = kept.renewed()
    assert not keys.has_others_than(OLD)

    kept.keys = NEW

    assert keys.has_others_than(OLD)
    assert keys() == NEW
    assert kept.reads == 2


def test_known_keys_are_used_on_when_they_cannot_be_read_and_no_secret_is_told(caplog):
    kept = Kept()
    keys = kept.renewed()
    kept.error, kept.seconds = RuntimeError("secret-1 is not to be told"), 61

    with caplog.at_level(logging.WARNING):
        assert keys() == OLD

    assert "RuntimeError" in caplog.text
    assert "secret-1" not in caplog.text


def fields(**extra):
    return Fields("tablestore", host="https://fleet.cn-hangzhou.ots.aliyuncs.com", extra=extra, conn_id="ots")


@pytest.mark.parametrize("wrap", [lambda keys: keys, lambda keys: {"Credentials": keys}], ids=["plain", "assumed"])
def test_a_file_of_keys_goes_before_the_connection(tmp_path, wrap):
    file = tmp_path / "keys.json"
    keys = {"AccessKeyId": "id-1", "AccessKeySecret": "secret-1", "SecurityToken": "token-1", "Expiration": "soon"}
    file.write_text(json.dumps(wrap(keys)))

    assert tablestore_endpoint(fields(credentials_file=str(file), access_key_id="other")).credentials == OLD


def test_keys_of_a_file_are_not_mixed_with_a_token_of_the_connection(tmp_path):
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"AccessKeyId": "id-1", "AccessKeySecret": "secret-1"}))

    endpoint = tablestore_endpoint(fields(credentials_file=str(file), sts_token="of-other-keys"))

    assert endpoint.credentials == Credentials("id-1", "secret-1", None)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is no JSON"),
        ("[1]", "without keys"),
        ('{"AccessKeyId": "secret-1"}', "without keys"),
        ('{"AccessKeyId": "", "AccessKeySecret": " "}', "without keys"),
        (None, "read"),
    ],
    ids=["cut", "list", "half", "empty", "absent"],
)
def test_a_file_without_keys_is_told_and_not_shown(tmp_path, text, told):
    file = tmp_path / "keys.json"
    if text is not None:
        file.write_text(text)

    with pytest.raises(SpecError, match=told) as error:
        tablestore_client(lambda: fields(credentials_file=str(file)))

    assert "secret-1" not in str(error.value)
