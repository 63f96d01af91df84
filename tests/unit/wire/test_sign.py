"""Signatures against the vectors of official clients, in both directions."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_tablestore.errors import ProtocolError, Rejected
from airflow_tablestore.wire import sign
from airflow_tablestore.wire.proto import table_pb2

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "signatures.json").read_text())
REQUESTS = [v for v in VECTORS if "method" in v["meaning"]]
ANSWERS = [v for v in VECTORS if v["name"].startswith("response_")]
REFUSED = [v for v in VECTORS if v["name"].startswith("reject_")]
GO_DATES = [v for v in VECTORS if v["name"].startswith("go_date_")]
NOW = datetime(2024, 1, 1, 8, tzinfo=UTC)
KEY_ID, SECRET = "LTAItestkeyid", "testsecretkeyABCDEF0123456789"
FROM_CREDENTIALS = {sign.KEY_ID, sign.INSTANCE, sign.BODY_MD5, sign.STS_TOKEN, sign.VERSION, sign.SIGN_DATE}
SIGNATURES = {sign.SIGNATURE_V2, sign.SIGNATURE_V4, sign.SIGN_REGION}


def names(vectors: list[dict[str, Any]]) -> Any:
    return pytest.mark.parametrize("vector", vectors, ids=[v["name"] for v in vectors])


def body_of(meaning: dict[str, Any]) -> bytes:
    return bytes.fromhex(meaning["body"]["hex"])


def signed(meaning: dict[str, Any]) -> sign.SignedRequest:
    given = meaning["headers"]
    extra = {k: v for k, v in given.items() if k not in FROM_CREDENTIALS | SIGNATURES}
    return sign.sign_request(
        meaning["uri"],
        body_of(meaning),
        credentials=sign.Credentials(meaning["access_key_id"], meaning["access_key_secret"], meaning["security_token"]),
        instance=meaning["instance"],
        now=NOW,
        api_version=given[sign.VERSION],
        region=meaning.get("region"),
        extra=extra,
    )


def verified(meaning: dict[str, Any], headers: dict[str, str], body: bytes | None = None) -> sign.Caller:
    return sign.verify_request(
        meaning["uri"],
        headers,
        body_of(meaning) if body is None else body,
        secret_of={meaning["access_key_id"]: meaning["access_key_secret"]}.get,
        now=NOW,
    )


def answer_key(meaning: dict[str, Any]) -> bytes:
    if meaning["version"] == "V2":
        return meaning["access_key_secret"].encode()
    return sign.v4_key(meaning["access_key_secret"], meaning["sign_date"], meaning["region"])


def checked(meaning: dict[str, Any]) -> None:
    """What a client does with an answer, in its order."""
    body, headers, status = body_of(meaning), meaning["headers"], meaning["status"]
    if not sign.body_is_whole(headers, body):
        raise ProtocolError("md5")
    code = "" if status < 300 else table_pb2.Error.FromString(body).code
    sign.verify_response(
        meaning["uri"],
        status,
        headers,
        access_key_id=meaning["access_key_id"],
        key=answer_key(meaning),
        code=code,
    )
    told = sign.response_date(headers)
    now = datetime.fromisoformat(meaning["now"])
    if told is not None and abs(now - told) > sign.MAX_SKEW:
        raise ProtocolError("date")


@names(REQUESTS)
def test_requests_are_signed_as_official_clients_sign_them(vector):
    meaning = vector["meaning"]

    made = signed(meaning)

    assert made.headers == meaning["headers"]


@names(REQUESTS)
def test_the_signed_text_is_that_of_official_clients(vector):
    meaning = vector["meaning"]
    unsigned = {k: v for k, v in meaning["headers"].items() if k not in (sign.SIGNATURE_V2, sign.SIGNATURE_V4)}

    text = sign.request_text(meaning["uri"], unsigned) + ("ots" if meaning["version"] == "V4" else "")

    assert text.encode().hex() == vector["hex"]


@names(REQUESTS)
def test_requests_of_official_clients_are_taken(vector):
    meaning = vector["meaning"]

    caller = verified(meaning, meaning["headers"])

    assert (caller.access_key_id, caller.instance) == (meaning["access_key_id"], meaning["instance"])
    assert caller.security_token == meaning["security_token"]
    assert caller.key == signed(meaning).key


@names([v for v in REQUESTS if v["meaning"]["version"] == "V4"])
def test_the_v4_key_is_that_of_official_clients(vector):
    meaning = vector["meaning"]

    key = sign.v4_key(meaning["access_key_secret"], meaning["sign_date"], meaning["region"])

    assert key.decode() == meaning["signing_key"]


@names(GO_DATES)
def test_a_date_of_the_go_sdk_is_read_up_to_its_point(vector):
    meaning = vector["meaning"]
    headers = sign.sign_request(
        "/ListTable",
        b"",
        credentials=sign.Credentials(KEY_ID, SECRET),
        instance="demo",
        now=NOW,
        extra={sign.DATE: meaning["header"]},
    ).headers
    moment = datetime.fromisoformat(meaning["time"])

    edge = sign.verify_request("/ListTable", headers, b"", secret_of={KEY_ID: SECRET}.get, now=moment + sign.MAX_SKEW)

    assert edge.access_key_id == KEY_ID
    with pytest.raises(Rejected, match="Mismatch between system time"):
        sign.verify_request(
            "/ListTable",
            headers,
            b"",
            secret_of={KEY_ID: SECRET}.get,
            now=moment + sign.MAX_SKEW + timedelta(seconds=1),
        )


@names(ANSWERS)
def test_answers_that_official_clients_take_are_taken(vector):
    checked(vector["meaning"])


@names([v for v in ANSWERS if "extra" not in v["name"]])
def test_answers_are_signed_as_official_clients_expect(vector):
    meaning = vector["meaning"]
    told = datetime.fromisoformat(meaning["headers"][sign.DATE])

    made = sign.sign_response(
        meaning["uri"],
        body_of(meaning),
        access_key_id=meaning["access_key_id"],
        key=answer_key(meaning),
        request_id=meaning["headers"][sign.REQUEST_ID],
        now=told,
    )

    assert made[sign.AUTHORIZATION] == f"OTS {meaning['access_key_id']}:{meaning['signature']}"
    unsigned = {k: v for k, v in made.items() if k != sign.AUTHORIZATION}
    assert unsigned == {k: v for k, v in meaning["headers"].items() if k != sign.AUTHORIZATION}


@names([*ANSWERS, *[v for v in REFUSED if "header_added" not in v["name"]]])
def test_the_signed_text_of_an_answer_is_that_of_official_clients(vector):
    meaning = vector["meaning"]
    headers = {k: v for k, v in meaning["headers"].items() if k != "authorization"}
    if vector["name"] == "reject_v2_md5":
        headers[sign.BODY_MD5] = sign.md5_of(body_of(meaning))  # the header was changed after signing

    text = sign.response_text(meaning["uri"], headers)

    assert text.encode().hex() == vector["hex"]


@names(REFUSED)
def test_answers_that_official_clients_refuse_are_refused(vector):
    with pytest.raises(ProtocolError):
        checked(vector["meaning"])


V2, V4 = REQUESTS[0]["meaning"], next(v["meaning"] for v in REQUESTS if v["meaning"]["version"] == "V4")


@pytest.mark.parametrize("meaning", [V2, V4], ids=["v2", "v4"])
@pytest.mark.parametrize("changed", [sign.INSTANCE, sign.VERSION, sign.SIGN_REGION, sign.STS_TOKEN])
def test_a_request_whose_headers_were_changed_is_refused(meaning, changed):
    headers = meaning["headers"] | {changed: "other"}

    with pytest.raises(Rejected) as refusal:
        verified(meaning, headers)

    assert (refusal.value.code, refusal.value.status) == ("OTSAuthFailed", 403)


@pytest.mark.parametrize("meaning", [V2, V4], ids=["v2", "v4"])
def test_a_request_whose_body_was_changed_is_refused(meaning):
    with pytest.raises(Rejected, match="MD5"):
        verified(meaning, meaning["headers"], body=b"other")


@pytest.mark.parametrize("name", [sign.DATE, sign.VERSION, sign.KEY_ID, sign.INSTANCE, sign.BODY_MD5])
def test_a_request_without_a_required_header_is_refused_by_its_name(name):
    headers = {k: v for k, v in V2["headers"].items() if k != name}

    with pytest.raises(Rejected, match=f"Missing header: '{name}'") as refusal:
        verified(V2, headers)

    assert (refusal.value.code, refusal.value.status) == ("OTSParameterInvalid", 400)


def test_a_request_without_any_signature_is_refused():
    headers = {k: v for k, v in V2["headers"].items() if k != sign.SIGNATURE_V2}

    with pytest.raises(Rejected, match="Missing header"):
        verified(V2, headers)


def test_a_request_of_an_unknown_key_is_refused():
    with pytest.raises(Rejected, match="AccessKeyID does not exist"):
        sign.verify_request(V2["uri"], V2["headers"], body_of(V2), secret_of=lambda _: None, now=NOW)


@pytest.mark.parametrize("date", ["", "yesterday", "2024-13-01T08:00:00.000Z", "2024-01-01T08:00:00.000+08:00"])
def test_a_request_with_an_odd_date_is_refused(date):
    with pytest.raises(Rejected, match="Invalid date format"):
        verified(V2, V2["headers"] | {sign.DATE: date})


@pytest.mark.parametrize("name", [sign.BODY_MD5, sign.SIGNATURE_V2])
def test_headers_beyond_ascii_are_refused_and_break_nothing(name):
    with pytest.raises(Rejected):
        verified(V2, V2["headers"] | {name: "ü"})


def test_names_of_headers_may_be_in_any_case():
    headers = {k.upper(): v for k, v in V2["headers"].items()}

    assert verified(V2, headers).access_key_id == KEY_ID


def test_secrets_are_in_no_repr():
    made = signed(V4)
    caller = verified(V4, V4["headers"])
    credentials = sign.Credentials(KEY_ID, SECRET, "token")

    shown = repr((made, caller, credentials))

    assert SECRET not in shown
    assert "token" not in shown.replace("security_token", "")
    assert V4["signing_key"] not in shown
