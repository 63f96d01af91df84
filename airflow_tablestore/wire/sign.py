"""Signatures of requests and of their answers, for both ends.

Pure: headers, bodies and clocks go in, headers or a refusal come out. The client signs requests and verifies answers,
the emulator does the reverse. Reading errors out of bodies is left to `wire.error`, sending to `client`.

A request is signed with HMAC-SHA1 and the secret (V2), or, when a region is named, with HMAC-SHA256 and a key derived
from secret, day and region (V4). The answer is signed with HMAC-SHA1 and the key of its request, be it V2 or V4.

Source: tests/vectors/signatures.json
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from airflow_tablestore.errors import ProtocolError, Rejected
from airflow_tablestore.wire.call import API_VERSION

MAX_SKEW = timedelta(minutes=15)
"""How far the two clocks may be apart. Source: vectors response_v2_minute_14, reject_v2_date_skew."""

CONTENT_TYPE = "protocol buffer"

DATE = "x-ots-date"
VERSION = "x-ots-apiversion"
KEY_ID = "x-ots-accesskeyid"
INSTANCE = "x-ots-instancename"
BODY_MD5 = "x-ots-contentmd5"
STS_TOKEN = "x-ots-ststoken"  # noqa: S105 - a header's name
SIGNATURE_V2 = "x-ots-signature"
SIGNATURE_V4 = "x-ots-signaturev4"
SIGN_DATE = "x-ots-signdate"
SIGN_REGION = "x-ots-signregion"
REQUEST_ID = "x-ots-requestid"
BODY_TYPE = "x-ots-contenttype"
AUTHORIZATION = "authorization"

_PREFIX = "x-ots-"
_REQUIRED = (DATE, VERSION, KEY_ID, INSTANCE, BODY_MD5)
_REQUIRED_OF_ANSWER = (BODY_MD5, REQUEST_ID, DATE, BODY_TYPE)
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key, with the token that comes with it when it is a temporary one (STS)."""

    access_key_id: str
    access_key_secret: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """The `x-ots-*` headers to send, and the key that the answer will be signed with."""

    headers: dict[str, str] = field(repr=False)
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request that was verified, and the key that its answer must be signed with."""

    access_key_id: str
    instance: str
    api_version: str
    security_token: str | None = field(repr=False)
    key: bytes = field(repr=False)


def sign_request(
    uri: str,
    body: bytes,
    *,
    credentials: Credentials,
    instance: str,
    now: datetime,
    api_version: str = API_VERSION,
    region: str | None = None,
    extra: Mapping[str, str] | None = None,
) -> SignedRequest:
    """The headers of a request to `uri` ("/GetRange").

    :param now: this machine's clock, with a zone.
    :param region: signs with V4 for this region ("cn-hangzhou"); None signs with V2.
    :param extra: further `x-ots-*` headers, which are signed too.
    """
    headers = {
        DATE: format_date(now),
        VERSION: api_version,
        KEY_ID: credentials.access_key_id,
        INSTANCE: instance,
        BODY_MD5: md5_of(body),
        **(extra or {}),
    }
    if credentials.security_token:
        headers[STS_TOKEN] = credentials.security_token
    if region is None:
        key = credentials.access_key_secret.encode()
        headers[SIGNATURE_V2] = _hmac("sha1", key, request_text(uri, headers))
        return SignedRequest(headers, key)
    headers[SIGN_DATE], headers[SIGN_REGION] = now.astimezone(UTC).strftime("%Y%m%d"), region
    key = v4_key(credentials.access_key_secret, headers[SIGN_DATE], region)
    headers[SIGNATURE_V4] = _hmac("sha256", key, request_text(uri, headers) + "ots")
    return SignedRequest(headers, key)


def verify_request(
    uri: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    secret_of: Callable[[str], str | None],
    now: datetime,
    max_skew: timedelta | None = MAX_SKEW,
) -> Caller:
    """Who sent this request, when its signature, date and body agree.

    :param secret_of: the secret of an access key id, None when there is no such key.
    :param max_skew: None accepts every date.
    :raises Rejected: with the code, status and sentence that the service answers with.
    """
    given = _lower(headers)
    for name in _REQUIRED:
        if name not in given:
            raise Rejected(f"Missing header: '{name}'.", code="OTSParameterInvalid", status=400)
    sent = _request_date(given[DATE])
    if max_skew is not None and abs(now - sent) > max_skew:
        raise _auth_failed(f"Mismatch between system time and {DATE}: {given[DATE]}.")
    if md5_of(body) != given[BODY_MD5]:
        raise _auth_failed(f"Mismatch between MD5 value of request body and {BODY_MD5} in header.")
    secret = secret_of(given[KEY_ID])
    if secret is None:
        raise _auth_failed("The AccessKeyID does not exist.")
    key = _verified_key(uri, given, secret)
    return Caller(given[KEY_ID], given[INSTANCE], given[VERSION], given.get(STS_TOKEN), key)


def sign_response(
    uri: str,
    body: bytes,
    *,
    access_key_id: str,
    key: bytes,
    request_id: str,
    now: datetime,
    extra: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The headers of an answer. They are signed as a set: adding an `x-ots-*` header afterwards breaks the signature.

    :param body: as the caller reads it, inflated.
    :param key: `Caller.key` of the request.
    :param extra: further `x-ots-*` headers, which are signed too.
    """
    headers = unsigned_response(body, request_id=request_id, now=now) | dict(extra or {})
    headers[AUTHORIZATION] = authorization(uri, headers, access_key_id=access_key_id, key=key)
    return headers


def unsigned_response(body: bytes, *, request_id: str, now: datetime) -> dict[str, str]:
    """The headers of an answer to somebody unknown: the service signs no refusal of a wrong access key."""
    return {BODY_MD5: md5_of(body), REQUEST_ID: request_id, DATE: format_date(now), BODY_TYPE: CONTENT_TYPE}


def verify_response(
    uri: str,
    status: int,
    headers: Mapping[str, str],
    *,
    access_key_id: str,
    key: bytes,
    code: str = "",
) -> None:
    """Nothing, when the answer comes from somebody who knows the secret.

    A successful answer must be signed. An error need not be, but a signature that is there must be right, except in a
    refusal of the access key itself. `body_is_whole` checks the body, `response_date` reads the service's clock.
    :param code: the service's error code in the body.
    :raises ProtocolError: the answer is not signed, or not by this service.
    """
    given = _lower(headers)
    if 200 <= status < 300:
        missing = [name for name in (*_REQUIRED_OF_ANSWER, AUTHORIZATION) if name not in given]
        if missing:
            raise ProtocolError(
                f"{uri}: the answer lacks {', '.join(missing)}, so it is not Tablestore's own. "
                "Something in between (a proxy, a login page, another service) may have answered; check the endpoint."
            )
    if AUTHORIZATION not in given or (status == 403 and code == "OTSAuthFailed"):
        return
    scheme, _, credentials = given[AUTHORIZATION].partition(" ")
    told_id, _, signature = credentials.partition(":")
    if scheme != "OTS" or told_id != access_key_id:
        raise ProtocolError(f"{uri}: the answer is signed for another access key than the request's.")
    if not hmac.compare_digest(signature.encode(), _hmac("sha1", key, response_text(uri, given)).encode()):
        raise ProtocolError(
            f"{uri}: the answer's signature is wrong. Something in between changed the answer's x-ots-* headers, "
            "or answered in the service's place."
        )


def body_is_whole(headers: Mapping[str, str], body: bytes | memoryview) -> bool:
    """Whether the body is the one that its MD5 header was made for; also true when there is no such header."""
    told = _lower(headers).get(BODY_MD5)
    return told is None or md5_of(body) == told


def response_date(headers: Mapping[str, str]) -> datetime | None:
    """The service's clock in an answer (UTC); None when the answer does not tell it.

    :raises ProtocolError: a date in another form than the service's, which has a fraction of a second.
    """
    told = _lower(headers).get(DATE)
    if told is None:
        return None
    match = _TIME.fullmatch(told)
    if match is None or match[2] is None:
        raise ProtocolError(f"the answer's {DATE} is {told[:40]!r}; expected the form 2024-01-01T08:00:00.000Z.")
    try:
        seconds = datetime.strptime(match[1], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        raise ProtocolError(f"the answer's {DATE} is {told[:40]!r}; there is no such time.") from None
    return seconds + timedelta(microseconds=int(match[2][1:7].ljust(6, "0")))


def request_text(uri: str, headers: Mapping[str, str]) -> str:
    """What a request's signature is made of. No operation has a query string, hence the empty line."""
    return f"{uri}\nPOST\n\n{_header_lines(headers)}\n"


def response_text(uri: str, headers: Mapping[str, str]) -> str:
    """What an answer's signature is made of."""
    return f"{_header_lines(headers)}\n{uri}"


def authorization(uri: str, headers: Mapping[str, str], *, access_key_id: str, key: bytes) -> str:
    """The `authorization` header that signs an answer's `x-ots-*` headers."""
    return f"OTS {access_key_id}:{_hmac('sha1', key, response_text(uri, headers))}"


@lru_cache(maxsize=64)
def v4_key(secret: str, day: str, region: str) -> bytes:
    """The V4 key of one day ("20240101", UTC) and region."""
    key = b"aliyun_v4" + secret.encode()
    for part in (day, region, "ots", "aliyun_v4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return base64.b64encode(key)


def md5_of(body: bytes | memoryview) -> str:
    """The form in which MD5 headers hold a body's digest."""
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def format_date(moment: datetime) -> str:
    """A time as `x-ots-date` holds it: UTC with milliseconds."""
    utc = moment.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"


def _verified_key(uri: str, given: Mapping[str, str], secret: str) -> bytes:
    used = SIGNATURE_V4 if SIGNATURE_V4 in given else SIGNATURE_V2
    signed = {name: value for name, value in given.items() if name != used}
    if SIGNATURE_V4 in given:
        for name in (SIGN_DATE, SIGN_REGION):
            if name not in given:
                raise Rejected(f"Missing header: '{name}'.", code="OTSParameterInvalid", status=400)
        key = v4_key(secret, given[SIGN_DATE], given[SIGN_REGION])
        expected = _hmac("sha256", key, request_text(uri, signed) + "ots")
        told = given[SIGNATURE_V4]
    elif SIGNATURE_V2 in given:
        key = secret.encode()
        expected, told = _hmac("sha1", key, request_text(uri, signed)), given[SIGNATURE_V2]
    else:
        raise Rejected(f"Missing header: '{SIGNATURE_V2}'.", code="OTSParameterInvalid", status=400)
    if not hmac.compare_digest(expected.encode(), told.encode()):
        raise _auth_failed("Signature mismatch.")
    return key


def _request_date(told: str) -> datetime:
    """A request's date to the second: the Go SDK writes month, day and hour where the fraction belongs.

    Source: vectors go_date_*
    """
    match = _TIME.fullmatch(told)
    try:
        if match is None:
            raise ValueError(told)
        return datetime.strptime(match[1], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        raise Rejected(f"Invalid date format: {told[:40]}.", code="OTSParameterInvalid", status=400) from None


def _header_lines(headers: Mapping[str, str]) -> str:
    """The `x-ots-*` headers, as lines in the order of whole lines (and not of names, as official clients do it)."""
    return "\n".join(sorted(f"{k.lower()}:{v.strip()}" for k, v in headers.items() if k.lower().startswith(_PREFIX)))


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value.strip() for name, value in headers.items()}


def _hmac(digest: str, key: bytes, text: str) -> str:
    return base64.b64encode(hmac.digest(key, text.encode(), digest)).decode()


def _auth_failed(message: str) -> Rejected:
    return Rejected(message, code="OTSAuthFailed", status=403)
