"""Checks who a request is from: the `Authorization` header of the ODPS protocol, legacy and V4.

Both are HMAC-SHA1 over the same text; V4 derives its key from date and region. What is signed is the path behind the
endpoint, which the server does not know: `/api` in front of it belongs to the endpoint.
Source: pyodps, odps/accounts.py.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qsl, unquote

from airflow_tablestore.emulator.maxcompute.errors import Refusal

SKEW = timedelta(minutes=15)
_PREFIX = "aliyun_v4"


def canonical_text(method: str, target: str, headers: Mapping[str, str]) -> str:
    """What is signed.

    :param target: path behind the endpoint, with its query, as they were sent.
    :param headers: by lower-case name.
    """
    path, _, query = unquote(target).partition("?")
    parameters = dict(parse_qsl(query, keep_blank_values=True))
    signed = {name: value for name, value in headers.items() if name.startswith("x-odps-")}
    signed |= {name: value for name, value in parameters.items() if name.startswith("x-odps-")}
    signed |= {name: headers.get(name, "") for name in ("content-md5", "content-type", "date")}
    lines = [f"{name}:{signed[name]}" if name.startswith("x-odps-") else signed[name] for name in sorted(signed)]
    if parameters:
        path += "?" + "&".join(f"{name}={value}" if value else name for name, value in sorted(parameters.items()))
    return "\n".join([method, *lines, path])


def verify(
    method: str,
    target: str,
    headers: Mapping[str, str],
    secret_of: Callable[[str], str | None],
    now: datetime,
) -> None:
    """:raises Refusal: the request is not signed well, by nobody known, or long ago."""
    scheme, _, told = headers.get("authorization", "").partition(" ")
    identity, colon, signature = told.strip().rpartition(":")
    if scheme != "ODPS" or not colon:
        raise Refusal("Unauthorized")
    access_key_id, *scope = identity.split("/")
    secret = secret_of(access_key_id)
    if secret is None:
        raise Refusal("ODPS-0410051")
    if scope and (len(scope) != 4 or scope[2:] != ["odps", f"{_PREFIX}_request"]):
        raise Refusal("Unauthorized")
    _check_time(headers.get("date", ""), now)
    key = _derived(secret, scope[0], scope[1]) if scope else secret.encode()
    found = hmac.new(key, canonical_text(method, target, headers).encode("utf-8", "surrogateescape"), hashlib.sha1)
    if not hmac.compare_digest(base64.b64encode(found.digest()), signature.encode("utf-8", "surrogateescape")):
        raise Refusal("ODPS-0410042")


def _derived(secret: str, date: str, region: str) -> bytes:
    key = (_PREFIX + secret).encode()
    for part in (date, region, "odps", f"{_PREFIX}_request"):
        key = hmac.new(key, part.encode("utf-8", "surrogateescape"), hashlib.sha256).digest()
    return key


def _check_time(date: str, now: datetime) -> None:
    try:
        told = parsedate_to_datetime(date)
        told = told if told.tzinfo else told.replace(tzinfo=UTC)
        is_near = abs(told - now) <= SKEW
    except (TypeError, ValueError, IndexError, OverflowError):
        raise Refusal("Unauthorized", "The request carries no Date that can be read.") from None
    if not is_near:
        form = "%Y-%m-%dT%H:%M:%S.%fZ"
        raise Refusal(
            "RequestTimeTooSkewed",
            f"max_interval_date:{int(SKEW.total_seconds() * 1000)},"
            f"expire_date:{(told + SKEW).astimezone(UTC).strftime(form)},now_date:{now.strftime(form)}",
        )


def target_of(raw_path: bytes, query: bytes) -> str:
    """Path and query as they were sent, without the endpoint's own `/api`."""
    path = raw_path.decode("latin-1")
    path = path.removeprefix("/api") if path.startswith("/api/") else path
    return f"{path}?{query.decode('latin-1')}" if query else path
