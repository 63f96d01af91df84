"""`setting` of a job, and threads: the limits of a spec."""

from __future__ import annotations

from typing import Any

from airflow_tablestore.spec.dataworks.trail import Given

MOST_THREADS, MOST_WORKERS = 64, 1024


def limits_of(setting: Given, reader: Given, writer: Given) -> dict[str, Any]:
    """`limits` of a spec."""
    trail = setting.trail
    limits: dict[str, Any] = {}
    error_limit = setting.part("errorLimit")
    errors = error_limit.whole("record", "limits.errors")
    limits["errors"] = errors or 0
    if errors is None:
        trail.choose("limits.errors", "The job sets no errorLimit.record, which accepts any number; chosen: none.")
    error_limit.other("a share of the rows is no limit here; limits.errors is a number", "percentage")
    speed = setting.part("speed")
    _speed(speed, limits, str(speed.raw("throttle")).lower() == "false")
    _parallel(speed, reader, writer, limits)
    return limits


def _speed(speed: Given, limits: dict[str, Any], is_free: bool) -> None:
    if is_free:
        speed.take("throttle", "limits: without mbps")
        speed.always("throttle is false, so it limits nothing", "mbps")
    else:
        speed.always("a limit that is written counts", "throttle")
    mbps = None if is_free else speed.number("mbps", "limits.mbps")
    size = speed.number("byte", "limits.mbps")
    if mbps is not None:
        limits["mbps"] = mbps
        if size is not None:
            speed.trail.choose("limits.mbps", "The job limits bytes and megabits; the megabits count.")
    elif size is not None and size > 0:
        limits["mbps"] = round(size * 8 / 1_000_000, 6)
        speed.trail.choose("limits.mbps", f"From {size} bytes a second.")
    rows = speed.number("record", "limits.rows_per_second")
    if rows is not None and rows > 0:
        limits["rows_per_second"] = rows


def _parallel(speed: Given, reader: Given, writer: Given, limits: dict[str, Any]) -> None:
    concurrent = speed.whole("concurrent", "limits.workers", "channel")
    if concurrent is not None:
        limits["workers"] = _bounded(concurrent, MOST_WORKERS, "limits.workers", speed)
    given = [one.whole(name, "limits.threads") for one in (reader, writer) for name in _THREADS]
    threads = max((one for one in given if one is not None), default=None)
    if threads is not None:
        limits["threads"] = _bounded(threads, MOST_THREADS, "limits.threads", speed)


def _bounded(given: int, most: int, key: str, speed: Given) -> int:
    if not 1 <= given <= most:
        speed.trail.choose(key, f"The job says {given}; from 1 to {most} is possible.")
    return max(1, min(given, most))


_THREADS = ("threadNum", "ioThreadCount", "maxConnectionCount", "concurrencyWrite")
