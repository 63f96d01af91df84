"""A DataWorks or DataX job as a spec: `convert` reads the file, `converted` takes data.

What comes out is a spec's mapping, in which every key that was not simply the job's own has a comment, with the trail
of all parameters. Nothing here knows one job from another; nothing is executed and no service is asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from airflow_tablestore.errors import Problem, SpecError
from airflow_tablestore.spec.dataworks import sinks, sources
from airflow_tablestore.spec.dataworks.places import Clock, Connection, connection_of
from airflow_tablestore.spec.dataworks.schedule import Scheduling
from airflow_tablestore.spec.dataworks.settings import limits_of
from airflow_tablestore.spec.dataworks.shape import Job, job_of
from airflow_tablestore.spec.dataworks.text import JobText, read_job
from airflow_tablestore.spec.dataworks.trail import Trail
from airflow_tablestore.spec.dataworks.variables import with_texts
from airflow_tablestore.spec.dataworks.windows import Times, times_of
from airflow_tablestore.spec.document import placed, read_bytes
from airflow_tablestore.spec.problems import Finding, Loc, masked, path_of
from airflow_tablestore.spec.stream_source import MULTI_VERSION
from airflow_tablestore.spec.window_prefixes import shared_prefix

KIND_OF = {
    ("ots", "oss"): "full_export",
    ("ots", "odps"): "full_export",
    ("otsstream", "oss"): "incremental",
    ("otsstream", "odps"): "incremental",
    ("oss", "ots"): "restore",
}
"""The kind of pipeline that goes from a reader to a writer."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a job became. `mapping` is the spec as data; `problems` are those of the spec, such as keys to fill in."""

    file: str
    kind: str
    mapping: Mapping[str, Any]
    trail: Trail
    connections: tuple[Connection, ...]
    prose: tuple[tuple[int, str], ...] = ()
    problems: tuple[Finding, ...] = ()

    @property
    def pipeline(self) -> str:
        return str(self.mapping["pipeline"])

    @property
    def is_complete(self) -> bool:
        """Whether the spec can be used as it is."""
        return all(one.is_warning for one in self.problems)


def convert(
    path: str | Path,
    scheduling: Scheduling | None = None,
    given: Mapping[str, Any] | None = None,
    now: datetime | None = None,
) -> Conversion:
    """The job of a file as a spec.

    :param given: keys of the spec that the author sets himself; they count more than the job.
    :param now: when nothing tells since when windows are exported, the midnight before this is taken; without it the
        author must say so.
    :raises SpecError: the job cannot be read, or cannot become a spec; each with line and column of the job.
    """
    text, problems = read_bytes(Path(path))
    if problems:
        raise SpecError(problems)
    job = read_job(text, str(path))
    try:
        return converted(job, str(path), scheduling or Scheduling(), given or {}, now)
    except SpecError as error:
        found = [one for one in error.problems if isinstance(one, Finding)]
        others = [one for one in error.problems if not isinstance(one, Finding)]
        raise SpecError([*others, *(placed(found, job.plain, str(path)) if found else ())]) from error


def converted(
    text: JobText, file: str, scheduling: Scheduling, given: Mapping[str, Any], now: datetime | None = None
) -> Conversion:
    """The job as a spec.

    :raises SpecError: with findings whose places are in the job.
    """
    from airflow_tablestore.spec.load import check

    trail = Trail()
    data = with_texts(text.data, scheduling.parameters)
    job = job_of(data, trail)
    pair = (job.reader.plugin, job.writer.plugin)
    if pair not in KIND_OF:
        known = ", ".join(f"{reader} -> {writer}" for reader, writer in KIND_OF)
        raise SpecError([Problem(f"no pipeline goes from {pair[0]} to {pair[1]}", f"known: {known}", file=file)])
    kind = KIND_OF[pair]
    mapping, connections = _MAKERS[kind](job, scheduling, now)
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", Path(file).stem).strip("_.-") or "job"
    mapping = merged({"pipeline": name, "kind": kind, **_without_secrets(mapping, (), trail)}, given)
    trail.finish(data)
    if trail.problems:
        raise SpecError(trail.problems)
    for loc in [loc for loc in trail.unfilled if _at(given, loc) is not None]:
        del trail.unfilled[loc]
    _, problems = check(mapping)
    connections = tuple(replace(one, id=_at(mapping, (one.role, "connection")) or one.id) for one in connections)
    return Conversion(file, kind, mapping, trail, connections, text.prose, tuple(problems))


_Made = tuple[dict[str, Any], tuple[Connection, ...]]


def _full_export(job: Job, scheduling: Scheduling, now: datetime | None) -> _Made:
    source = sources.table_source(job.reader.given, sinks.header_of(job.writer.given))
    sink, at = _sink(job, Clock(parameters=scheduling.parameters))
    mapping = {**_common(job, scheduling), **_cron(job, scheduling)}
    return _ended(job, scheduling, mapping, source, sink, at)


def _incremental(job: Job, scheduling: Scheduling, now: datetime | None) -> _Made:
    trail = job.reader.given.trail
    times = times_of(job.reader.given, scheduling)
    status = job.reader.given.text("statusTable", "status_table")
    source = sources.stream_source(job.reader.given, sinks.header_of(job.writer.given))
    sink, at = _sink(job, Clock(times.length, times.lag, scheduling.parameters))
    start = _start(trail, times, scheduling, now)
    told = start.isoformat() if start else trail.fill_in("start", "since when windows are exported")
    mapping = {**_common(job, scheduling), "start": told, "window": times.as_keys()}
    _apart(trail, sink, times, start or EXAMPLE, scheduling.timezone, str(source["table"]))
    if status:
        mapping["status_table"] = status
        told = "The one that DataX uses: each leaves the other's rows alone, and where the times meet, reading goes on"
        trail.choose("status_table", f"{told} from its checkpoint records.")
    return _ended(job, scheduling, mapping, source, sink, at)


def _restore(job: Job, scheduling: Scheduling, now: datetime | None) -> _Made:
    names = sinks.written_columns(job.writer.given)
    at = (
        connection_of(job.reader.given, "source", "oss", ("endpoint",)),
        connection_of(job.writer.given, "sink", "tablestore", ("endpoint", "instanceName"), _TIMEOUTS),
    )
    source, sink = sources.objects_source(job.reader.given, names), sinks.ots_sink(job.writer.given)
    if constants := sources.constants_of(job.reader.given, names):
        sink["columns"] = [*(one["name"] for one in source["columns"]), *constants]
    return _ended(job, scheduling, {**_common(job, scheduling), **_cron(job, scheduling)}, source, sink, at)


EXAMPLE = datetime(2026, 1, 1, tzinfo=ZoneInfo("UTC"))
"""Any time: windows are laid beside each other to see whether they share a place."""

_MAKERS = {"full_export": _full_export, "incremental": _incremental, "restore": _restore}
_TIMEOUTS = ("socketTimeoutInMillisecond", "connectTimeoutInMillisecond")


def _sink(job: Job, clock: Clock) -> tuple[dict[str, Any], tuple[Connection, ...]]:
    source = connection_of(job.reader.given, "source", "tablestore", ("endpoint", "instanceName"), _TIMEOUTS)
    if job.writer.plugin == "odps":
        hosts = ("endpoint", "odpsServer", "tunnelServer")
        at = connection_of(job.writer.given, "sink", "maxcompute", hosts)
        return sinks.odps_sink(job.writer.given, clock), (source, at)
    return sinks.oss_sink(job.writer.given, clock), (
        source,
        connection_of(job.writer.given, "sink", "oss", ("endpoint",)),
    )


def _ended(
    job: Job,
    scheduling: Scheduling,
    mapping: dict[str, Any],
    source: dict[str, Any],
    sink: dict[str, Any],
    connections: tuple[Connection, ...],
) -> _Made:
    trail = job.setting.trail
    first, second = connections
    if first.id == second.id:
        second = replace(second, id=f"{second.id}_{second.type}")
        trail.choose(
            "sink.connection", f"Both data sources are called '{first.id}'; a connection's name is of one type."
        )
    _fit(job, source, sink)
    mapping["source"], mapping["sink"] = _over(first, source), _over(second, sink)
    mapping["limits"] = limits_of(job.setting, job.reader.given, job.writer.given)
    return mapping, (first, second)


SEQUENCE_INFO = "sequenceinfo"


def _fit(job: Job, source: Mapping[str, Any], sink: dict[str, Any]) -> None:
    """Make the writer's columns as many as the reader gives: DataX fills those that are left with null."""
    named, trail = sink.get("columns"), job.writer.given.trail
    if sink["type"] != "maxcompute" or not named:
        return
    most = len(source["columns"]) if source.get("columns") else None
    if source.get("mode") == MULTI_VERSION and not source.get("export_sequence_info"):
        most = len(named) - 1 if named[-1].replace("_", "").lower() == SEQUENCE_INFO else None
    if most is None or most == len(named):
        return
    if most > len(named):
        told = f"names {len(named)} columns, and the reader gives {most}"
        trail.refuse(job.writer.given.at("column"), told, "name a column of the table for each")
        return
    rest = ", ".join(named[most:])
    trail.choose("sink.columns", f"The reader gives nothing for {rest}; left out, which means null, as in DataX.")
    sink["columns"] = named[:most]


def _over(connection: Connection, part: Mapping[str, Any]) -> dict[str, Any]:
    """The source or the sink with its connection, unless that is the default; behind `type`, where one stands."""
    if connection.id == f"{connection.type}_default":
        return dict(part)
    kind = {"type": part["type"]} if "type" in part else {}
    return {**kind, "connection": connection.id, **part}


def _common(job: Job, scheduling: Scheduling) -> dict[str, Any]:
    trail = job.setting.trail
    keys: dict[str, Any] = {"timezone": scheduling.timezone}
    if not scheduling.is_timezone_told:
        trail.choose("timezone", "DataX takes its machine's clock, and DataWorks' machines keep this one.")
    if scheduling.self_dependent is not None:
        keys["self_dependent"] = scheduling.self_dependent
    if scheduling.retry:
        keys["retry"] = dict(scheduling.retry)
    return keys


def _cron(job: Job, scheduling: Scheduling) -> dict[str, Any]:
    trail = job.setting.trail
    if scheduling.cron is None:
        told = "has no cron expression" if scheduling.cycle else "is not told"
        trail.choose("schedule", f"The job's cycle {told}; chosen: it runs when it is asked to.")
        return {"schedule": "none"}
    return {"schedule": scheduling.cron, **({"start": scheduling.start} if scheduling.start else {})}


def _start(trail: Trail, times: Times, scheduling: Scheduling, now: datetime | None) -> datetime | None:
    """Since when windows are exported; None when nothing tells."""
    zone = ZoneInfo(scheduling.timezone)
    if scheduling.start:
        try:
            given = datetime.fromisoformat(str(scheduling.start))
        except ValueError as error:
            raise SpecError([Problem(f"--schedule: start: '{scheduling.start}' is no time")]) from error
        return given if given.tzinfo else given.replace(tzinfo=zone)
    if times.fixed:
        trail.choose("start", "Where the job's own time begins.")
        return times.fixed[0]
    if now is None:
        return None
    trail.choose(
        "start",
        "No job says since when; chosen: today. To go on where the job has stopped, write the end of the last window "
        "that it has read; airflow-tablestore doctor says whether the times meet.",
    )
    today = now.astimezone(zone)
    return today.replace(hour=0, minute=0, second=0, microsecond=0)


def _apart(trail: Trail, sink: dict[str, Any], times: Times, start: datetime, zone: str, table: str) -> None:
    """Give each window a place of its own, where the job would have it replace what the one before has published."""
    from airflow_tablestore.pipeline.window import CalendarGrid, FixedGrid, Unit

    is_table = sink["type"] == "maxcompute"
    replaces = sink["truncate"] if is_table else sink["write_mode"] != "append"
    template = str(sink.get("partition" if is_table else "prefix", ""))
    if not replaces or not (template or is_table):
        return
    every = times.every
    grid = CalendarGrid(Unit(every), zone) if isinstance(every, str) else FixedGrid(every)
    shared = shared_prefix(template, {"table": table, "pipeline": "p"}, grid, start, zone)
    if shared is None or shared.is_fold:
        return
    told = "Windows of one day share the job's place, and each would replace the one before it"
    if is_table:
        sink["truncate"] = False
        trail.choose("sink.truncate", f"{told}; so rows are added, and the ledger has each window loaded once.")
    else:
        sink["prefix"] = f"{template}{{window_start:%Y%m%d%H%M}}/"
        trail.choose("sink.prefix", f"{told}; so each has a folder of its own below it.")


def merged(mapping: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping with the author's own keys in it; objects are merged, everything else is replaced."""
    found = dict(mapping)
    for key, value in given.items():
        both = isinstance(found.get(key), Mapping) and isinstance(value, Mapping)
        found[key] = merged(found[key], value) if both else value
    return found


def _without_secrets(value: Any, at: Loc, trail: Trail) -> Any:
    """The same without what looks like a credential inside of a text, such as a statement; a comment says so."""
    if isinstance(value, Mapping):
        return {key: _without_secrets(one, (*at, key), trail) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_secrets(one, at, trail) for one in value]
    if isinstance(value, str) and masked(value) != value:
        trail.choose(path_of(at), "A credential stood here in plain text. It is left out; replace that key.")
        return masked(value)
    return value


def _at(mapping: Any, loc: Loc) -> Any:
    for step in loc:
        mapping = mapping.get(step) if isinstance(mapping, Mapping) else None
    return mapping
