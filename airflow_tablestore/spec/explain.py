"""A spec told back: every key with its value and where that comes from, and in words what a run will do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import BaseModel

from airflow_tablestore.pipeline.window import Unit
from airflow_tablestore.spec.build_restore import restore_story
from airflow_tablestore.spec.columns import ConstantColumn, PickedColumn
from airflow_tablestore.spec.common import PipelineSpec
from airflow_tablestore.spec.document import places
from airflow_tablestore.spec.explain_delivery import delivery_story
from airflow_tablestore.spec.explain_stream import stream_story, when_a_stream_runs
from airflow_tablestore.spec.kinds.delivery import DeliveredField, DeliverySpec
from airflow_tablestore.spec.kinds.full_export import FullExportSpec
from airflow_tablestore.spec.kinds.incremental import IncrementalSpec
from airflow_tablestore.spec.kinds.restore import RestoreSpec
from airflow_tablestore.spec.kinds.snapshot import SnapshotSpec
from airflow_tablestore.spec.kinds.stream import StreamSpec
from airflow_tablestore.spec.load import Document
from airflow_tablestore.spec.maxcompute_sink import MaxComputeSink
from airflow_tablestore.spec.oss_sink import OssSink
from airflow_tablestore.spec.problems import Loc, path_of
from airflow_tablestore.spec.stream_source import MULTI_VERSION
from airflow_tablestore.spec.table_source import KeyRange
from airflow_tablestore.spec.values import duration_text, key_text
from airflow_tablestore.wire.row import Bound


@dataclass(frozen=True, slots=True)
class Setting:
    """One key as a run will see it. `line` is 0 for a default."""

    path: str
    value: str
    line: int

    @property
    def origin(self) -> str:
        """Where the value comes from, in words."""
        return f"line {self.line}" if self.line else "default"


def settings(document: Document) -> list[Setting]:
    """Every key of a valid document, in the order of the reference page."""
    if document.spec is None:
        return []
    marks = places(document.text)
    return [
        Setting(path_of(loc), _told(value), marks[written][0][0] if (written := _written(loc, document, marks)) else 0)
        for loc, value in _keys(document.spec, ())
    ]


def _written(loc: Loc, document: Document, marks: Mapping[Loc, Any]) -> Loc:
    """The key by which the author has said this: itself, or that of the job which says it; () for a default."""
    if loc in marks:
        return loc
    data: Any = document.data
    for step in loc:
        if not isinstance(data, Mapping) or step not in data:
            return ()
        data = data[step]
    return ("job",) if ("job",) in marks else ()


def _keys(part: BaseModel, at: Loc) -> Iterator[tuple[Loc, Any]]:
    for name, described in type(part).model_fields.items():
        loc, value = (*at, described.alias or name), getattr(part, name)
        if isinstance(value, BaseModel) and not isinstance(value, KeyRange):
            yield from _keys(value, loc)
        else:
            yield loc, "auto" if name == "split" and value == 0 else value


def _told(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "true" if value else "false"
        case timedelta():
            return duration_text(value)
        case KeyRange():
            return f"begin {_told_key(value.begin)}, end {_told_key(value.end)}"
        case PickedColumn():
            name = value.name if value.output == value.name else f"{value.name} as {value.output}"
            return f"{name} ({value.type})" if value.type else name
        case ConstantColumn():
            return f"{value.value!r} as {value.output}"
        case DeliveredField():
            name = value.column if value.output == value.column else f"{value.column} as {value.output}"
            return f"{name} ({value.type})"
        case tuple():
            return f"[{', '.join(_told(one) for one in value)}]"
        case Mapping():
            return f"{{{', '.join(f'{key}: {_told(one)}' for key, one in value.items())}}}"
        case str():
            return value if value and value.isprintable() and value == value.strip() else repr(value)
    return str(value)


def _told_key(key: tuple[Any, ...]) -> str:
    return f"[{', '.join(str(key_text(part)) for part in key)}]"


def story(spec: PipelineSpec) -> list[str]:
    """What a run will do, in sentences."""
    if isinstance(spec, FullExportSpec):
        return _full_export(spec)
    if isinstance(spec, DeliverySpec):
        return [_when(spec), *delivery_story(spec)]
    if isinstance(spec, StreamSpec):
        return [when_a_stream_runs(spec, _retries(spec)) or _when(spec), *stream_story(spec)]
    if isinstance(spec, SnapshotSpec):
        return _snapshot(spec)
    if isinstance(spec, RestoreSpec):
        return [_when(spec), *restore_story(spec)]
    return _incremental(spec) if isinstance(spec, IncrementalSpec) else []


def _snapshot(spec: SnapshotSpec) -> list[str]:
    source = spec.source
    moment = spec.moment(spec.to).isoformat() if spec.to else f"the time {duration_text(spec.lag)} before its run"
    return [
        _when(spec),
        f"It takes the newest full export below oss://{source.bucket}/{source.base} that had ended by {moment}, and "
        f"the windows of changes after it below {source.changes}, over connection '{source.connection}', and folds "
        "them into the rows of that moment. The table is not read.",
        *(_objects(spec.sink) if isinstance(spec.sink, OssSink) else _table(spec.sink)),
        _limits(spec),
    ]


def _full_export(spec: FullExportSpec) -> list[str]:
    source, sink = spec.source, spec.sink
    return [
        _when(spec),
        f"It reads {_rows(source.range)} of table '{source.table}' over connection '{source.connection}', "
        f"{_tasks(spec)}.{_end(source.range)}",
        _columns(spec),
        *(_objects(sink) if isinstance(sink, OssSink) else _table(sink)),
        *_record(spec),
        _limits(spec),
    ]


def _record(spec: FullExportSpec) -> list[str]:
    if spec.ledger is None:
        return []
    return [
        f"The pinned columns and a manifest of each run are kept in the table '{spec.ledger.table}' over connection "
        f"'{spec.connections()['status_table']}'."
    ]


def _objects(sink: OssSink) -> list[str]:
    return [
        f"It writes {sink.format} objects{_packing(sink)} to oss://{sink.bucket}/{sink.prefix} over connection "
        f"'{sink.connection}'. Nobody sees them before all are complete.",
        _WRITE_MODES[sink.write_mode],
    ]


def _window_objects(sink: OssSink) -> list[str]:
    return [
        f"It writes {sink.format} objects{_packing(sink)} to oss://{sink.bucket}/{sink.prefix} over connection "
        f"'{sink.connection}'. Nobody sees them before all of the window's are complete.",
    ]


def _table(sink: MaxComputeSink) -> list[str]:
    project = f"project '{sink.project}'" if sink.project else "the connection's project"
    partition = f", partition {sink.partition}," if sink.partition else ""
    how = "in the place of what is there" if sink.truncate else "beside what is there"
    made = " The table is made when it is missing." if sink.create_table else ""
    columns = f"into the columns {', '.join(sink.columns)}" if sink.columns else "into the columns of the same names"
    return [
        f"It loads the MaxCompute table '{sink.table}'{partition} of {project} over connection '{sink.connection}', "
        f"{columns}.{made} One commit puts all rows {how}; nobody sees some of them before.",
        {
            "fail": "A",
            "truncate": "Texts that are too long are cut; a",
            "null": "Texts that are too long become null; a",
        }[sink.over_length]
        + " value that its column cannot hold as it is makes its row a dirty record.",
    ]


def _incremental(spec: IncrementalSpec) -> list[str]:
    source, sink, status = spec.source, spec.sink, spec.status_table
    clock = f" of {spec.timezone}" if isinstance(spec.window.every, Unit) else ""
    every = f"every {_told(spec.window.every)}{clock}"
    missed = "missed windows are made up for" if spec.catchup else "missed windows are never exported"
    waits = ", each after the one before it has succeeded" if spec.self_dependent else ""
    return [
        f"It runs for {every} from {spec.starts.isoformat()} on, {duration_text(spec.window.lag)} after the window has "
        f"closed{waits}; {missed}; {_retries(spec)}.",
        f"It reads what was written to table '{source.table}' in that time, by the service's clock, from the table's "
        f"stream over connection '{source.connection}', "
        + (f"in up to {spec.limits.workers} tasks." if spec.limits.workers else "in one task."),
        _changes(spec),
        *(_window_objects(sink) if isinstance(sink, OssSink) else _table(sink)),
        "A window that was published is not read again; where each begins is kept in the table "
        f"'{status.table}' over connection '{status.connection or source.connection}'.",
        _limits(spec),
    ]


def _changes(spec: IncrementalSpec) -> str:
    source = spec.source
    if source.mode == MULTI_VERSION:
        sequence = ", sequenceinfo" if source.export_sequence_info else ""
        return (
            "Each cell that was put or deleted becomes a row: the key, colname, version, colvalue, "
            f"optype (U, DO, DA, DR){sequence}."
        )
    return (
        f"Each put and update becomes a row with {len(source.columns or ())} columns; types that the spec does not "
        "declare are pinned by the first window. Deletes, and updates of other columns, make no row."
    )


_WRITE_MODES = {
    "truncate": "Then it replaces what the previous export under that prefix lists in its manifest.",
    "append": "Then it adds them to what earlier exports have published under that prefix.",
    "non_conflict": "It fails before reading when anything already stands under that prefix.",
}


def _when(spec: PipelineSpec) -> str:
    retries = _retries(spec)
    if spec.schedule is None:
        return f"It runs when it is asked to; {retries}."
    since = f", from {spec.starts.isoformat()} on" if spec.starts else ""
    missed = ", missed runs are made up for" if spec.catchup else ""
    return f"It runs at '{spec.schedule}' ({spec.timezone}){since}{missed}; {retries}."


def _retries(spec: PipelineSpec) -> str:
    return f"a task that fails is tried again {spec.retry.times} times, {duration_text(spec.retry.delay)} apart"


def _rows(key_range: KeyRange | None) -> str:
    if key_range is None:
        return "all rows"
    direction = ", backwards" if key_range.is_backward else ""
    return f"the rows from {_told_key(key_range.begin)} up to {_told_key(key_range.end)}{direction}"


def _end(key_range: KeyRange | None) -> str:
    if key_range is None or len(key_range.end) == MOST_KEYS or any(isinstance(part, Bound) for part in key_range.end):
        return ""
    return f" Rows whose key begins with {_told_key(key_range.end)} and has further columns are included."


MOST_KEYS = 4


def _tasks(spec: FullExportSpec) -> str:
    source = spec.source
    if source.points:
        return f"in {len(source.points) + 1} tasks divided at the points given"
    if source.tasks:
        return f"in up to {source.tasks} tasks"
    most = f", at most {spec.limits.workers} of them" if spec.limits.workers else ""
    return f"in tasks of about 1 GiB{most}"


def _columns(spec: FullExportSpec) -> str:
    source = spec.source
    types = "; types that the spec does not declare are pinned by the first run"
    if source.columns:
        return f"The output has {len(source.columns)} columns{types}."
    unknown = {
        "other": "cells of columns that are not known then go into the JSON column '_other'",
        "fail": "a row with a column that is not known then ends the run",
        "drop": "cells of columns that are not known then are left out and counted",
    }[source.unknown_columns]
    return f"The output has all columns{types}; {unknown}."


def _packing(sink: OssSink) -> str:
    packed = f", {sink.parquet.compression}-compressed" if sink.format == "parquet" else f", {sink.compress}-compressed"
    packed = "" if packed.startswith(", none") else packed
    return f"{packed}, each of about {sink.max_file_mb} MB at most" if sink.max_file_mb else packed


def _limits(spec: PipelineSpec) -> str:
    limits = spec.limits
    dirty = (
        f"More than {limits.errors} dirty records fail the run"
        if limits.errors
        else "A single dirty record fails the run"
    )
    slow = [
        f"{value:g} {unit}"
        for value, unit in ((limits.mbps, "megabits per second"), (limits.rows_per_second, "rows per second"))
        if value
    ]
    return f"{dirty}, and nothing is published{'; it reads at most ' + ' and '.join(slow) if slow else ''}."
