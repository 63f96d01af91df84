"""Whatever a peer sends, signatures and errors are judged or refused with an error of ours."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_tablestore.errors import ProtocolError, Rejected, RequestError
from airflow_tablestore.wire import sign
from airflow_tablestore.wire.error import read_error
from airflow_tablestore.wire.proto import table_pb2

NOW = datetime(2024, 1, 1, 8, tzinfo=UTC)
OURS = sign.Credentials("demo-access-key-id", "demo-access-key-secret")
TEXT = st.text(max_size=40)
NAMES = st.sampled_from(
    [
        sign.DATE,
        sign.VERSION,
        sign.KEY_ID,
        sign.INSTANCE,
        sign.BODY_MD5,
        sign.SIGNATURE_V2,
        sign.SIGNATURE_V4,
        sign.SIGN_DATE,
        sign.SIGN_REGION,
        sign.REQUEST_ID,
        sign.BODY_TYPE,
        sign.AUTHORIZATION,
        "x-ots-other",
    ]
)


def signed(body: bytes, region: str | None = None) -> sign.SignedRequest:
    return sign.sign_request("/GetRange", body, credentials=OURS, instance="demo", now=NOW, region=region)


def secret_of(key_id: str) -> str | None:
    return OURS.access_key_secret if key_id == OURS.access_key_id else None


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 999), st.binary(max_size=60) | st.builds(table_pb2.Error, code=TEXT, message=TEXT))
def test_any_body_of_a_failure_is_an_error_of_ours(status, body):
    raw = body if isinstance(body, bytes) else body.SerializeToString()

    error = read_error("/GetRange", status, {}, raw)

    assert isinstance(error, RequestError | ProtocolError)
    assert str(error).isprintable()


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([None, "cn-hangzhou"]), st.dictionaries(NAMES, TEXT, min_size=1, max_size=3), st.binary())
def test_a_request_with_any_header_changed_is_refused(region, changes, body):
    headers = signed(body, region).headers
    if all(headers.get(name) == value.strip() for name, value in changes.items()):
        return
    if not any(name.startswith("x-ots-") for name in changes):
        return

    with pytest.raises(Rejected):
        sign.verify_request("/GetRange", headers | changes, body, secret_of=secret_of, now=NOW)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(NAMES, TEXT, min_size=1, max_size=3), st.binary())
def test_an_answer_with_any_header_changed_is_refused(changes, body):
    key = signed(b"").key
    headers = sign.sign_response(
        "/GetRange", body, access_key_id=OURS.access_key_id, key=key, request_id="r-1", now=NOW
    )
    if all(headers.get(name) == value.strip() for name, value in changes.items()):
        return

    with pytest.raises(ProtocolError):
        sign.verify_response("/GetRange", 200, headers | changes, access_key_id=OURS.access_key_id, key=key)


@settings(max_examples=100, deadline=None)
@given(TEXT | st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", fullmatch=True))
def test_any_date_of_an_answer_is_read_or_refused(told):
    try:
        read = sign.response_date({sign.DATE: told})
    except ProtocolError:
        return

    assert read is not None
    assert read.tzinfo is UTC


@settings(max_examples=50, deadline=None)
@given(st.binary(), st.sampled_from([None, "cn-hangzhou"]), st.datetimes(datetime(1970, 1, 1), datetime(9998, 1, 1)))
def test_both_ends_agree(body, region, moment):
    now = moment.replace(tzinfo=UTC)
    request = sign.sign_request("/GetRange", body, credentials=OURS, instance="demo", now=now, region=region)

    caller = sign.verify_request("/GetRange", request.headers, body, secret_of=secret_of, now=now)
    headers = sign.sign_response(
        "/GetRange", body, access_key_id=caller.access_key_id, key=caller.key, request_id="r-1", now=now
    )

    sign.verify_response("/GetRange", 200, headers, access_key_id=OURS.access_key_id, key=request.key)
    assert sign.body_is_whole(headers, body)
