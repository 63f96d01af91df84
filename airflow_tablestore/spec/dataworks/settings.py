"""`setting` of a job, and threads: the limits of a spec."""

from __future__ import annotations

from typing import Any

from airflow_tablestore.spec.dataworks.trail import Given

MOST_THREADS, MOST_WORKERS = 64, 1024


def limits_of(setting: Given, reader: Given, writer: Given, kind: str) -> dict[str, Any]:
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
    _parallel(speed, reader, writer, limits, kind)
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


def _parallel(speed: Given, reader: Given, writer: Given, limits: dict[str, Any], kind: str) -> None:
    trail = speed.trail
    is_restore = kind == "restore"
    key, most = ("limits.threads", MOST_THREADS) if is_restore else ("limits.workers", MOST_WORKERS)
    concurrent = speed.whole("concurrent", key, "channel")
    if concurrent is not None:
        name = key.split(".")[1]
        limits[name] = max(1, min(concurrent, most))
        if limits[name] != concurrent:
            trail.choose(key, f"The job says {concurrent}; from 1 to {most} is possible.")
    given = [writer.whole("concurrencyWrite", "limits.threads")] if is_restore else []
    given += [one.whole(name, "limits.threads") for one in (reader, writer) for name in _THREADS]
    threads = max((one for one in given if one is not None), default=None)
    if threads is not None and "threads" not in limits:
        limits["threads"] = max(1, min(threads, MOST_THREADS))
        if limits["threads"] != threads:
            trail.choose("limits.threads", f"The job says {threads}; from 1 to {MOST_THREADS} is possible.")
    elif threads is not None:
        trail.choose("limits.threads", "speed.concurrent counts; what the job says of threads is less.")


_THREADS = ("threadNum", "ioThreadCount", "maxConnectionCount")
