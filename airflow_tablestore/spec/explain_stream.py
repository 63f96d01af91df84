"""A spec of kind stream, told back in words."""

from __future__ import annotations

from airflow_tablestore.spec.kinds.stream import QUIET, StreamSpec
from airflow_tablestore.spec.values import CONTINUOUS, ON_DATA, duration_text


def when_a_stream_runs(spec: StreamSpec, retries: str) -> str:
    """When it runs, in a sentence; "" for schedules that every kind has."""
    if spec.schedule == ON_DATA:
        return (
            "It runs when the tunnel has something that nobody has read and nobody reads now, and looks by itself once "
            f"an hour; {retries}."
        )
    if spec.schedule == CONTINUOUS:
        since = f", from {spec.starts.isoformat()} on" if spec.starts else ""
        waits = duration_text(spec.run.at_most or QUIET)
        return (
            f"Its runs follow each other{since}; each first waits for data, {waits} at most, and after one that has "
            f"failed the next waits {waits} in any case; {retries}."
        )
    return ""


def stream_story(spec: StreamSpec) -> list[str]:
    """What a run will do, in sentences; when it runs is told elsewhere."""
    source, run, sink = spec.source, spec.run, spec.sink
    what = {
        "BaseData": "the rows of the table",
        "Stream": "what changes",
        "BaseAndStream": "the rows of the table, and then what changes",
    }[source.tunnel_type]
    since = f", from {source.tunnel_start} on" if source.tunnel_type != "BaseData" else ""
    ends = f", until {source.tunnel_end.isoformat()}" if source.tunnel_end else ""
    made = f" It makes the tunnel when it is absent: it carries {what}{since}{ends}." if source.create_tunnel else ""
    limit = f", {duration_text(run.at_most)} at most" if run.at_most else ""
    until = (
        f"until they have caught up{limit}"
        if run.until == "caught_up"
        else f"for {duration_text(run.at_most or run.flush)}"
    )
    workers = "One worker drains" if run.workers == 1 else f"{run.workers} workers drain"
    return [
        f"{workers} tunnel '{source.tunnel}' of table '{source.table}' over connection '{source.connection}', "
        f"{until if run.workers > 1 else until.replace('they have', 'it has')}.{made}",
        "Each row and each change becomes a row with the key, action, sequence, time, cells and before.",
        f"It writes {sink.format} objects to oss://{sink.bucket}/{sink.prefix} over connection '{sink.connection}', "
        f"with records that are at most {duration_text(run.flush)} old. An object counts once the tunnel has kept its "
        "checkpoint; those that count are listed under _channels/done/, and their readers find each record once.",
        f"More than {spec.limits.errors} dirty records fail the run"
        if spec.limits.errors
        else "A single dirty record fails the run; it and what follows it in its channel are read again.",
    ]
