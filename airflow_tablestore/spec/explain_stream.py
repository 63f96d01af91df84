"""A spec of kind stream, told back in words."""

from __future__ import annotations

from airflow_tablestore.spec.columns import PickedColumn
from airflow_tablestore.spec.kinds.stream import QUIET, RunSettings, StreamOssSink, StreamSpec
from airflow_tablestore.spec.stream_copy_sink import StreamCopySink
from airflow_tablestore.spec.stream_table_sink import StreamTableSink
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
    source, run = spec.source, spec.run
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
        *_into(spec),
        f"More than {spec.limits.errors} dirty records fail the run"
        if spec.limits.errors
        else "A single dirty record fails the run; it and what follows it in its channel are read again.",
    ]


def _into(spec: StreamSpec) -> list[str]:
    sink, run = spec.sink, spec.run
    if isinstance(sink, StreamOssSink):
        return _objects(sink, run)
    return _copy(sink, spec) if isinstance(sink, StreamCopySink) else _table(sink, run)


def _copy(sink: StreamCopySink, spec: StreamSpec) -> list[str]:
    named = ", ".join(_column(column) for column in sink.columns or ())
    what = f"The key and these columns are copied: {named}." if named else "All columns are copied."
    kept = "the versions of the source" if sink.versions == "keep" else "the time of their writing as their version"
    made = " It is made when it is missing, with the source's key." if sink.create_table else ""
    slow = f" It writes at most {spec.limits.rows_per_second:g} rows per second." if spec.limits.rows_per_second else ""
    return [
        f"It carries puts, updates and deletes out on table '{sink.table}' over connection '{sink.connection}', in the "
        f"order of each key, up to {sink.batch_rows} rows a request, when they are {duration_text(spec.run.flush)} old "
        f"at most. {what} Cells have {kept}.{made}{slow}",
        "What is carried out again after a crash ends in the same table, which may show earlier states meanwhile.",
    ]


def _objects(sink: StreamOssSink, run: RunSettings) -> list[str]:
    return [
        "Each row and each change becomes a row with the key, action, sequence, time, cells and before.",
        f"It writes {sink.format} objects to oss://{sink.bucket}/{sink.prefix} over connection '{sink.connection}', "
        f"with records that are at most {duration_text(run.flush)} old. An object counts once the tunnel has kept its "
        "checkpoint; those that count are listed under _channels/done/, and their readers find each record once.",
    ]


def _table(sink: StreamTableSink, run: RunSettings) -> list[str]:
    project = f"project '{sink.project}'" if sink.project else "the connection's project"
    place = f"the MaxCompute table '{sink.table}' of {project} over connection '{sink.connection}'"
    into = f", partition {sink.partition}" if sink.partition else ""
    base = f" (rows of the table: {sink.base_partition})" if sink.base_partition else ""
    named = ", ".join(_column(column) for column in sink.columns or ())
    columns = f"They go into its columns: {named}." if named else "Each column of it takes what has its name."
    made = " It is made when it is missing." if sink.create_table else ""
    old = f"with records that are at most {duration_text(run.flush)} old"
    if sink.mode == "upsert":
        return [
            f"It keeps the rows of {place}{into} as the source's are, {old}. {columns}{made}",
            "Of an update only the changed cells are told: the row is read from the source, which is billed.",
            "What is read again after a crash ends in the same rows.",
        ]
    return [
        f"It adds each row and each change to {place}{into}{base}, {old}. {columns}{made}",
        "Rows are seen as soon as they are written. After a crash some come twice, with the same key and sequence.",
    ]


def _column(column: PickedColumn) -> str:
    kind = f" ({column.type})" if column.type else ""
    return f"{column.name} as {column.to}{kind}" if column.to and column.to != column.name else f"{column.name}{kind}"
