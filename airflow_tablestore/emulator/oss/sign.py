"""Request signatures of OSS, V1 and V4, in headers and in URLs: made and verified by the same functions.

Pure: a request as the signer sees it, a secret and a time go in. Which account a key belongs to and how a refusal is
sent live elsewhere. Source: vectors/oss.json, oss_v1_* and oss_v4_*
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote

from airflow_tablestore.emulator.oss.errors import Refusal

SKEW_SECONDS = 15 * 60
LONGEST_V4_URL_SECONDS = 7 * 24 * 3600
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"

SUB_RESOURCES = frozenset(
    """
    accessPoint accessPointPolicy acl append asyncFetch bucketArchiveDirectRead bucketInfo callback callback-var cname
    cloudboxes comp continuation-token cors delete encryption endTime group httpsConfig img inventory inventoryId
    lifecycle link live location logging metaQuery objectInfo objectMeta partNumber policy position publicAccessBlock
    qos qosInfo qosRequester redundancyTransition referer regionList replication replicationLocation
    replicationProgress requestPayment requesterQosInfo resourceGroup resourcePool resourcePoolBuckets
    resourcePoolInfo response-cache-control response-content-disposition response-content-encoding
    response-content-language response-content-type response-expires restore security-token sequential startTime stat
    status style styleName symlink tagging transferAcceleration uploadId uploads versionId versioning versions vod
    website worm wormExtend wormId x-oss-ac-forward-allow x-oss-ac-source-ip x-oss-ac-subnet-mask x-oss-ac-vpc-id
    x-oss-access-point-name x-oss-async-process x-oss-process x-oss-redundancy-transition-taskid x-oss-request-payer
    x-oss-target-redundancy-type x-oss-traffic-limit x-oss-write-get-object-response
    """.split()  # noqa: SIM905 - a list of ninety quoted words is harder to read
)
"""Query names that a V1 signature covers: the union of what the official clients sign."""

_V4_AUTHORIZATION = re.compile(
    r"OSS4-HMAC-SHA256 Credential=(?P<credential>[^, ]+)\s*"
    r"(?:,\s*AdditionalHeaders=(?P<additional>[^, ]+)\s*)?,\s*Signature=(?P<signature>[0-9a-fA-F]+)\s*"
    r"(?:,\s*AdditionalHeaders=(?P<late_additional>[^, ]+)\s*)?"
)


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What a signature covers. Names of headers are lower case; key and query are decoded."""

    method: str
    bucket: str
    key: str
    query: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]

    def parameter(self, name: str) -> str:
        """The first value in the query, or nothing."""
        return next((value for found, value in self.query if found == name), "")


@dataclass(frozen=True, slots=True)
class Scope:
    """What a V4 key is good for."""

    date: str
    region: str
    product: str = "oss"

    def __str__(self) -> str:
        return f"{self.date}/{self.region}/{self.product}/aliyun_v4_request"


def verify(request: SignedRequest, secret_of: Callable[[str], str | None], now: datetime) -> str:
    """The access key id that signed the request.

    :raises Refusal: the service's answer to a request that is unsigned, wrongly signed, or out of time.
    """
    authorization = request.headers.get("authorization", "")
    if authorization.startswith("OSS4-HMAC-SHA256 "):
        return _verify_v4_header(request, authorization, secret_of, now)
    if authorization.startswith("OSS "):
        return _verify_v1_header(request, authorization, secret_of, now)
    if authorization:
        raise Refusal("InvalidArgument", "Authorization header is invalid.")
    names = {name for name, _ in request.query}
    if "x-oss-signature-version" in names or "x-oss-signature" in names:
        return _verify_v4_url(request, secret_of, now)
    if "Signature" in names or "OSSAccessKeyId" in names:
        return _verify_v1_url(request, secret_of, now)
    raise Refusal("AccessDenied", "Anonymous access is forbidden for this operation.")


def v1_string_to_sign(request: SignedRequest, date: str) -> str:
    """The text that V1 signs; `date` is the Date header, or the time of expiry in a URL."""
    covered = sorted((name, value) for name, value in request.query if name in SUB_RESOURCES)
    query = "&".join(f"{name}={value}" if value else name for name, value in covered)
    lines = [
        request.method,
        request.headers.get("content-md5", ""),
        request.headers.get("content-type", ""),
        date,
        *(f"{name}:{value}" for name, value in _sorted_headers(request, ())),
        (f"/{request.bucket}/{request.key}" if request.bucket else "/") + (f"?{query}" if query else ""),
    ]
    return "\n".join(lines)


def v1_signature(secret: str, text: str) -> str:
    """The signature of the text in base64."""
    return base64.b64encode(hmac.digest(secret.encode(), text.encode("utf-8", "surrogateescape"), "sha1")).decode(
        "ascii"
    )


def v4_canonical_request(request: SignedRequest, additional: Iterable[str] = ()) -> str:
    """The text whose digest V4 signs. `additional` names further signed headers, lower case."""
    extra = sorted(additional)
    pairs = sorted((quote(n, safe=""), quote(v, safe="")) for n, v in request.query if n != "x-oss-signature")
    path = f"/{request.bucket}/{request.key}" if request.bucket else "/"
    headers = _sorted_headers(request, ("content-type", "content-md5", *extra))
    return "\n".join(
        [
            request.method,
            quote(path, safe="/"),
            "&".join(f"{name}={value}" if value else name for name, value in pairs),
            "".join(f"{name}:{value}\n" for name, value in headers),
            ";".join(extra),
            request.headers.get("x-oss-content-sha256", UNSIGNED_PAYLOAD),
        ]
    )


def v4_string_to_sign(canonical_request: str, moment: str, scope: Scope) -> str:
    """The text that V4 signs; `moment` as in `x-oss-date`."""
    digest = hashlib.sha256(canonical_request.encode("utf-8", "surrogateescape")).hexdigest()
    return f"OSS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}"


def v4_signature(secret: str, scope: Scope, text: str) -> str:
    """The signature of the text in hex, with the key derived for the scope."""
    key = f"aliyun_v4{secret}".encode()
    for step in (scope.date, scope.region, scope.product, "aliyun_v4_request"):
        key = hmac.digest(key, step.encode(), "sha256")
    return hmac.digest(key, text.encode("utf-8", "surrogateescape"), "sha256").hex()


def _sorted_headers(request: SignedRequest, further: tuple[str, ...]) -> list[tuple[str, str]]:
    return sorted(
        (name, value.strip()) for name, value in request.headers.items() if name.startswith("x-oss-") or name in further
    )


def _verify_v1_header(
    request: SignedRequest, authorization: str, secret_of: Callable[[str], str | None], now: datetime
) -> str:
    access_key_id, colon, signature = authorization.removeprefix("OSS ").strip().partition(":")
    if not colon or not access_key_id or not signature:
        raise Refusal("InvalidArgument", "Authorization header is invalid.")
    date = request.headers.get("x-oss-date") or request.headers.get("date", "")
    _refuse_skew(_http_date(date), now)
    _compare(access_key_id, secret_of, signature, v1_string_to_sign(request, date), v1_signature)
    return access_key_id


def _verify_v1_url(request: SignedRequest, secret_of: Callable[[str], str | None], now: datetime) -> str:
    access_key_id, expires = request.parameter("OSSAccessKeyId"), request.parameter("Expires")
    signature = request.parameter("Signature")
    if not access_key_id or not signature or not expires:
        raise Refusal(
            "AccessDenied", "Query string authentication requires the Signature, Expires and OSSAccessKeyId parameters"
        )
    if not re.fullmatch(r"[0-9]{1,12}", expires):
        raise Refusal("AccessDenied", "Invalid date (should be seconds since epoch).")
    if int(expires) < now.timestamp():
        raise Refusal("AccessDenied", "Request has expired.", details={"Expires": _iso(int(expires))})
    _compare(access_key_id, secret_of, signature, v1_string_to_sign(request, expires), v1_signature)
    return access_key_id


def _verify_v4_header(
    request: SignedRequest, authorization: str, secret_of: Callable[[str], str | None], now: datetime
) -> str:
    found = _V4_AUTHORIZATION.fullmatch(authorization)
    if found is None:
        raise Refusal("InvalidArgument", "Authorization header is invalid.")
    if request.headers.get("x-oss-content-sha256") != UNSIGNED_PAYLOAD:
        raise Refusal("InvalidArgument", "The x-oss-content-sha256 header must be UNSIGNED-PAYLOAD.")
    moment = request.headers.get("x-oss-date", "")
    _refuse_skew(_v4_date(moment), now)
    additional = (found["additional"] or found["late_additional"] or "").lower().split(";")
    return _compare_v4(
        request, found["credential"], [n for n in additional if n], found["signature"], moment, secret_of
    )


def _verify_v4_url(request: SignedRequest, secret_of: Callable[[str], str | None], now: datetime) -> str:
    if request.parameter("x-oss-signature-version") != "OSS4-HMAC-SHA256":
        raise Refusal("InvalidArgument", "The x-oss-signature-version parameter is invalid.")
    moment, expires = request.parameter("x-oss-date"), request.parameter("x-oss-expires")
    made = _v4_date(moment)
    if not re.fullmatch(r"[0-9]{1,7}", expires) or not 1 <= int(expires) <= LONGEST_V4_URL_SECONDS:
        raise Refusal("InvalidArgument", "The x-oss-expires parameter must be between 1 and 604800.")
    if made.timestamp() + int(expires) < now.timestamp():
        raise Refusal(
            "AccessDenied", "Request has expired.", details={"Expires": _iso(made.timestamp() + int(expires))}
        )
    if made.timestamp() - SKEW_SECONDS > now.timestamp():
        raise Refusal("RequestTimeTooSkewed")
    additional = [n for n in request.parameter("x-oss-additional-headers").lower().split(";") if n]
    credential, signature = request.parameter("x-oss-credential"), request.parameter("x-oss-signature")
    return _compare_v4(request, credential, additional, signature, moment, secret_of)


def _compare_v4(
    request: SignedRequest,
    credential: str,
    additional: list[str],
    signature: str,
    moment: str,
    secret_of: Callable[[str], str | None],
) -> str:
    access_key_id, *rest = credential.split("/")
    if len(rest) != 4 or rest[3] != "aliyun_v4_request" or rest[2] != "oss" or rest[0] != moment[:8]:
        raise Refusal("InvalidArgument", "The credential of the signature has an invalid scope.")
    scope = Scope(date=rest[0], region=rest[1])
    text = v4_string_to_sign(v4_canonical_request(request, additional), moment, scope)
    _compare(access_key_id, secret_of, signature, text, lambda secret, signed: v4_signature(secret, scope, signed))
    return access_key_id


def _compare(
    access_key_id: str,
    secret_of: Callable[[str], str | None],
    signature: str,
    text: str,
    sign: Callable[[str, str], str],
) -> None:
    secret = secret_of(access_key_id)
    if secret is None:
        raise Refusal("InvalidAccessKeyId", details={"OSSAccessKeyId": access_key_id})
    if not hmac.compare_digest(sign(secret, text).encode(), signature.encode("utf-8", "surrogateescape")):
        raise Refusal(
            "SignatureDoesNotMatch",
            details={"OSSAccessKeyId": access_key_id, "SignatureProvided": signature, "StringToSign": text},
        )


def _refuse_skew(moment: datetime, now: datetime) -> None:
    if abs((moment - now).total_seconds()) > SKEW_SECONDS:
        raise Refusal(
            "RequestTimeTooSkewed",
            details={
                "MaxAllowedSkewMilliseconds": str(SKEW_SECONDS * 1000),
                "RequestTime": _iso(moment.timestamp()),
                "ServerTime": _iso(now.timestamp()),
            },
        )


def _http_date(text: str) -> datetime:
    try:
        moment = datetime.strptime(text, "%Y%m%dT%H%M%SZ") if text.endswith("Z") else parsedate_to_datetime(text)
    except ValueError:
        raise Refusal("AccessDenied", "OSS authentication requires a valid Date.") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _v4_date(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise Refusal("AccessDenied", "OSS authentication requires a valid Date.") from None


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
