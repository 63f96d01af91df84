"""Signatures and checksums against bytes that official clients made (tests/vectors/oss.json)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from airflow_tablestore.emulator.oss import crc64, sign
from airflow_tablestore.emulator.oss.errors import Refusal

VECTORS = json.loads((Path(__file__).parents[3] / "vectors" / "oss.json").read_text("utf-8"))
CHECKSUMS = [v for v in VECTORS if v["name"].startswith("crc64_") and "input" not in v["meaning"]]
HEADERS = [v for v in VECTORS if "headers" in v["meaning"]]
URLS = [v for v in VECTORS if "url" in v["meaning"]]
NOW = datetime(2024, 1, 1, 8, 0, tzinfo=UTC)


def request_of(meaning):
    if "url" in meaning:
        url = urlsplit(meaning["url"])
        query = tuple(parse_qsl(url.query, keep_blank_values=True))
        return sign.SignedRequest(meaning["method"], meaning["bucket"], unquote(url.path[1:]), query, {})
    query = tuple(meaning["query"].items())
    return sign.SignedRequest(meaning["method"], meaning["bucket"], meaning["key"], query, meaning["headers"])


def secret_of(meaning):
    return {meaning["access_key_id"]: meaning["access_key_secret"]}.get


def named(vector):
    return vector["name"]


@pytest.mark.parametrize("vector", HEADERS + URLS, ids=named)
def test_an_official_signature_is_accepted(vector):
    meaning = vector["meaning"]

    signer = sign.verify(request_of(meaning), secret_of(meaning), NOW)

    assert signer == meaning["access_key_id"]


@pytest.mark.parametrize("vector", HEADERS + URLS, ids=named)
def test_the_text_to_sign_is_the_official_one(vector):
    meaning = vector["meaning"]
    request = request_of(meaning)

    if meaning["signature_version"] == "V4":
        scope = sign.Scope("20240101", meaning["region"])
        text = sign.v4_string_to_sign(sign.v4_canonical_request(request), "20240101T080000Z", scope)
    else:
        text = sign.v1_string_to_sign(request, request.headers.get("date") or request.parameter("Expires"))

    assert text.encode().hex() == vector["hex"]


@pytest.mark.parametrize("vector", HEADERS, ids=named)
def test_our_signature_is_the_official_one(vector):
    meaning = vector["meaning"]
    secret, text = meaning["access_key_secret"], meaning["string_to_sign"]

    if meaning["signature_version"] == "V4":
        made = sign.v4_signature(secret, sign.Scope("20240101", meaning["region"]), text)
    else:
        made = sign.v1_signature(secret, text)

    assert meaning["authorization"].endswith(made)


@pytest.mark.parametrize("vector", HEADERS + URLS, ids=named)
def test_a_wrong_secret_is_refused(vector):
    with pytest.raises(Refusal) as refusal:
        sign.verify(request_of(vector["meaning"]), lambda _: "another secret", NOW)

    assert refusal.value.code == "SignatureDoesNotMatch"
    assert refusal.value.details["StringToSign"].encode().hex() == vector["hex"]


@pytest.mark.parametrize("vector", HEADERS + URLS, ids=named)
def test_an_unknown_key_is_refused(vector):
    with pytest.raises(Refusal) as refusal:
        sign.verify(request_of(vector["meaning"]), lambda _: None, NOW)

    assert refusal.value.code == "InvalidAccessKeyId"


@pytest.mark.parametrize("vector", HEADERS, ids=named)
@pytest.mark.parametrize("minutes", [-16, 16])
def test_a_clock_that_is_off_is_refused(vector, minutes):
    meaning = vector["meaning"]

    with pytest.raises(Refusal) as refusal:
        sign.verify(request_of(meaning), secret_of(meaning), NOW + timedelta(minutes=minutes))

    assert refusal.value.code == "RequestTimeTooSkewed"


@pytest.mark.parametrize("vector", URLS, ids=named)
def test_a_signed_url_ends_with_its_time(vector):
    meaning = vector["meaning"]

    with pytest.raises(Refusal) as refusal:
        sign.verify(request_of(meaning), secret_of(meaning), NOW + timedelta(seconds=meaning["expires"] + 1))

    assert (refusal.value.code, refusal.value.message) == ("AccessDenied", "Request has expired.")


@pytest.mark.parametrize(
    ("headers", "query", "code"),
    [
        ({}, (), "AccessDenied"),
        ({"authorization": "Basic abc"}, (), "InvalidArgument"),
        ({"authorization": "OSS nothing"}, (), "InvalidArgument"),
        ({"authorization": "OSS id:signature"}, (), "AccessDenied"),
        ({"authorization": "OSS id:signature", "date": "soon"}, (), "AccessDenied"),
        ({"authorization": "OSS4-HMAC-SHA256 Credential=a"}, (), "InvalidArgument"),
        ({}, (("OSSAccessKeyId", "id"), ("Signature", "s")), "AccessDenied"),
        ({}, (("OSSAccessKeyId", "id"), ("Signature", "s"), ("Expires", "soon")), "AccessDenied"),
        ({}, (("x-oss-signature", "s"),), "InvalidArgument"),
    ],
)
def test_what_is_not_a_signature_is_refused(headers, query, code):
    request = sign.SignedRequest("GET", "bucket", "key", query, headers)

    with pytest.raises(Refusal) as refusal:
        sign.verify(request, {"id": "secret"}.get, NOW)

    assert refusal.value.code == code


@pytest.mark.parametrize("vector", CHECKSUMS, ids=named)
def test_the_checksum_is_the_official_one(vector):
    meaning = vector["meaning"]
    expected = meaning.get("crc64") or meaning["combined_crc64"]

    assert crc64.checksum(bytes.fromhex(vector["hex"])) == int(expected)


@pytest.mark.parametrize("split", [0, 1, 7, 255, 256])
def test_the_checksum_of_a_whole_follows_from_its_parts(split):
    data = bytes(range(256))
    first, second = data[:split], data[split:]

    whole = crc64.combined(crc64.checksum(first), crc64.checksum(second), len(second))

    assert whole == crc64.checksum(data)
