"""Conditions on reading an object, and which of its bytes are asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from airflow_tablestore.emulator.oss.errors import Refusal
from airflow_tablestore.emulator.oss.rows import StoredObject


def check(headers: Mapping[str, str], found: StoredObject, prefix: str = "") -> None:
    """Refuses when a condition does not hold.

    :param prefix: before the names of the conditions: nothing for reading, `x-oss-copy-source-` for copying.
    :raises Refusal: PreconditionFailed (412), NotModified (304).
    """
    seconds = found.modified_millis // 1000
    told = {"etag": f'"{found.etag}"'}
    if (wanted := headers.get(f"{prefix}if-match")) is not None and not _matches(wanted, found.etag):
        raise Refusal("PreconditionFailed", details={"Condition": "If-Match"})
    if (before := _moment(headers.get(f"{prefix}if-unmodified-since"))) is not None and seconds > before:
        raise Refusal("PreconditionFailed", details={"Condition": "If-Unmodified-Since"})
    if (unwanted := headers.get(f"{prefix}if-none-match")) is not None and _matches(unwanted, found.etag):
        raise Refusal("NotModified", headers=told)
    if (since := _moment(headers.get(f"{prefix}if-modified-since"))) is not None and seconds <= since:
        raise Refusal("NotModified", headers=told)


def byte_range(headers: Mapping[str, str], size: int) -> tuple[int, int] | None:
    """First byte and number of bytes of a `Range`; None means the whole object.

    A range that does not fit is ignored, as the service does, unless `x-oss-range-behavior: standard` is asked for.
    :raises Refusal: InvalidRange, under the standard behaviour only.
    """
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", headers.get("range", "").strip())
    if found is None or found[0] == "bytes=-":
        return None
    is_standard = headers.get("x-oss-range-behavior", "").lower() == "standard"
    if not found[1]:
        wanted = int(found[2])
        start, end = max(0, size - wanted), size - 1
        fits = 0 < wanted <= size
    else:
        start, end = int(found[1]), int(found[2]) if found[2] else size - 1
        if found[2] and end < start:
            return None
        fits = start <= end < size
    if fits:
        return start, end - start + 1
    if not is_standard:
        return None
    if start >= size or (not found[1] and int(found[2]) == 0):
        raise Refusal(
            "InvalidRange", headers={"content-range": f"bytes */{size}"}, details={"ActualObjectSize": str(size)}
        )
    return start, min(end, size - 1) - start + 1


def _matches(wanted: str, etag: str) -> bool:
    return any(one.strip().strip('"').upper() == etag.upper() or one.strip() == "*" for one in wanted.split(","))


def _moment(text: str | None) -> float | None:
    """Seconds since 1970; None when there is no date, or none that can be read, which is ignored."""
    if not text:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
